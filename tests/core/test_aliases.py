"""Who else holds the original: told, re-pointed and given back."""

import gc
import heapq
import importlib.util
import itertools
import math
import queue
import sys
import threading
import types
import warnings

import pytest
from helpers import noting, pass_through, spaces

import safepatch
from safepatch import AliasWarning


@pytest.fixture
def modules():
    """Make modules that are imported as far as anybody can see."""
    made = []

    def make(name, **namespace):
        module = types.ModuleType(name)
        vars(module).update(namespace)
        put(name, module)
        return module

    def put(name, value):
        sys.modules[name] = value
        made.append(name)
        return value

    make.put = put
    yield make
    for name in made:
        sys.modules.pop(name, None)


class Made:
    """Not a global of this module, which would be one more holder."""

    @staticmethod
    def function():
        return "original"


def builtin():
    """A C function that nobody else holds; it returns "a" from a mapping."""
    return {"key": "a"}.get


@pytest.fixture
def warned():
    """Collect warnings instead of failing at the first."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


# --- warn.


def test_modules_that_come_while_garbage_is_collected_do_no_harm(modules, patches):
    """Up to Python 3.11 that may be amid any step that makes objects, and others run meanwhile."""
    modules("alias_home", function=Made.function)
    number = itertools.count()

    def import_one(phase, info):
        modules(f"alias_{next(number)}")

    gc.collect()  # which lets go of the tuples that Python keeps to use them again
    thresholds = gc.get_threshold()
    gc.callbacks.append(import_one)
    try:
        gc.set_threshold(1)
        patch = patches.apply("alias_home:function", pass_through)
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(import_one)

    assert patch.state == "applied"
    assert next(number) > 0


def test_one_warning_names_all_modules_that_took_the_original(modules, warned, patches):
    modules("alias_home", function=Made.function)
    modules("alias_one", function=Made.function, renamed=Made.function)
    modules("alias_two", other=Made.function)

    patches.apply("alias_home:function", pass_through)

    (warning,) = warned
    assert warning.category is AliasWarning
    for holder in ("alias_one:function", "alias_one:renamed", "alias_two:other"):
        assert holder in str(warning.message)
    assert "alias_home:function," not in str(warning.message)


def test_each_apply_warns_and_at_the_line_that_called_it(modules, warned, patches):
    modules("alias_home", function=Made.function)
    modules("alias_one", function=Made.function)

    for _ in range(2):
        patches.apply("alias_home:function", pass_through)
        line = sys._getframe().f_lineno - 1

    assert [(__file__, line)] * 2 == [(one.filename, one.lineno) for one in warned]


def test_no_warning_where_nobody_else_holds_it(modules, warned, patches):
    modules("alias_home", function=Made.function)

    patches.apply("alias_home:function", pass_through)

    assert warned == []


def test_an_alias_in_the_same_module_is_named(modules, warned, patches):
    modules("alias_home", function=Made.function, alias=Made.function)

    patches.apply("alias_home:function", pass_through)

    assert "alias_home:alias" in str(warned[0].message)


def test_the_module_that_defines_a_python_function_is_named(modules, warned, patches):
    """It is no C twin: patching one name leaves the callers of the other without the patch."""
    space = modules("alias_impl")
    exec("def function(): return 'original'", vars(space))
    modules("alias_front", function=space.function)

    patches.apply("alias_front:function", pass_through)

    assert "alias_impl:function" in str(warned[0].message)


def test_the_warning_comes_before_anything_changes(modules):
    home = modules("alias_home", function=Made.function)
    modules("alias_one", function=Made.function)
    calls = []

    # Warnings are errors in these tests.
    with pytest.raises(AliasWarning):
        safepatch.apply("alias_home:function", noting(calls, "ran"))

    assert home.function is Made.function
    assert safepatch.live() == []


def test_the_slot_is_unchanged_when_the_warning_is_shown(modules, patches, monkeypatch):
    home = modules("alias_home", function=Made.function)
    modules("alias_one", function=Made.function)
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda *args: seen.append(home.function))
        patches.apply("alias_home:function", pass_through)

    assert seen == [Made.function]


def test_classes_dicts_and_lists_are_not_asked(modules, warned, patches):
    class Holder:
        attribute = Made.function

    modules("alias_home", function=Made.function)
    modules("alias_one", table={"key": Made.function}, several=[Made.function], Holder=Holder)

    patches.apply("alias_home:function", pass_through)

    assert warned == []


def test_the_c_twin_is_left_out(warned, patches):
    """heapq takes its functions from _heapq, and nobody patches that."""
    assert queue.heappush is heapq.heappush

    patches.apply("heapq:heappush", pass_through)

    (warning,) = warned
    assert "queue:heappush" in str(warning.message)
    assert "_heapq" not in str(warning.message)


def test_the_reference_that_was_passed_in_is_left_out(modules, warned, patches):
    home = modules("alias_home")
    exec("def function(): return 'original'", vars(home))
    modules("alias_one", function=home.function)
    user = modules("alias_user", apply=patches.apply, pass_through=pass_through)
    source = (
        "from alias_home import function\npatch = apply(function, pass_through, aliases='warn')"
    )

    exec(source, vars(user))

    (warning,) = warned
    assert "alias_one:function" in str(warning.message)
    assert "alias_user" not in str(warning.message)


def test_inside_with_and_in_a_decorated_function_nobody_is_warned(modules, warned):
    modules("alias_home", function=Made.function)
    modules("alias_one", function=Made.function)
    patch = safepatch.patch("alias_home:function", pass_through)

    with patch:
        pass
    patch(lambda: None)()

    assert warned == []


def test_inside_with_warn_can_be_asked_for(modules, warned):
    modules("alias_home", function=Made.function)
    modules("alias_one", function=Made.function)

    with safepatch.patch("alias_home:function", pass_through, aliases="warn"):
        pass

    assert len(warned) == 1


def test_explain_tells_the_aliases_that_are_not_reached(modules, patches):
    modules("alias_home", function=Made.function)
    modules("alias_one", function=Made.function)
    patches.apply("alias_home:function", pass_through, aliases="ignore")

    assert "alias_one:function" in str(safepatch.explain("alias_home:function"))


# --- What may stand in sys.modules, and must not be touched.


class TouchedError(BaseException):
    """So that nobody who catches Exception can hide it."""


def touched(*args):
    raise TouchedError(args)


class LazyByGetattr(types.ModuleType):
    __getattr__ = touched


class LazyByGetattribute(types.ModuleType):
    __getattribute__ = touched


class LazyByClass(types.ModuleType):
    __class__ = property(touched)


class LazyByDict(types.ModuleType):
    __dict__ = property(touched)


class SlotsThatServe:
    __slots__ = ()
    __getattr__ = touched


class NamespaceThatServes:
    __dict__ = property(touched)
    __class__ = property(touched)


class EqualToNothing:
    __eq__ = __hash__ = __bool__ = touched


class DictThatServes(dict):
    items = values = keys = __iter__ = touched


class WithDictThatServes:
    def __init__(self):
        object.__setattr__(self, "__dict__", DictThatServes())


class MetaThatServes(type):
    __getattribute__ = touched


WEIRD = {
    "None": lambda: None,
    "a string": lambda: "text",
    "an instance": types.SimpleNamespace,
    "a class": lambda: type("Module", (), {}),
    "a class whose metaclass serves": lambda: MetaThatServes("Module", (), {}),
    "lazy by __getattr__": lambda: LazyByGetattr("weird"),
    "lazy by __getattribute__": lambda: LazyByGetattribute("weird"),
    "lazy by __class__": lambda: LazyByClass("weird"),
    "lazy by __dict__": lambda: LazyByDict("weird"),
    "slots and __getattr__": SlotsThatServe,
    "an instance with a namespace that serves": NamespaceThatServes,
    "an instance with a dict that serves": WithDictThatServes,
}


def scan_by_warn(modules, patches):
    modules("alias_home", function=Made.function)
    patches.apply("alias_home:function", pass_through, aliases="warn").undo()


def scan_by_rebind(modules, patches):
    modules("alias_home", builtin=builtin())
    patches.apply("alias_home:builtin", pass_through, aliases="rebind").undo()


def scan_for_the_place_of_a_builtin(modules, patches):
    with warnings.catch_warnings():
        # Whoever else in this process holds it.
        warnings.simplefilter("ignore", AliasWarning)
        patches.apply(math.lcm, pass_through).undo()


def scan_for_the_places_of_a_twin(modules, patches):
    with pytest.raises(safepatch.TargetError):
        patches.apply(heapq.heappush, pass_through)


def scan_by_explain(modules, patches):
    modules("alias_home", function=Made.function)
    with patches.patch("alias_home:function", pass_through):
        str(safepatch.explain("alias_home:function"))


SCANS = [
    scan_by_warn,
    scan_by_rebind,
    scan_for_the_place_of_a_builtin,
    scan_for_the_places_of_a_twin,
    scan_by_explain,
]


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("weird", WEIRD)
def test_what_is_weird_in_sys_modules_is_not_touched(weird, scan, modules, patches):
    modules.put("alias_weird", WEIRD[weird]())

    scan(modules, patches)


@pytest.mark.parametrize("scan", SCANS)
def test_weird_values_in_a_module_are_not_touched(scan, modules, patches):
    modules("alias_values", equal=EqualToNothing(), lazy=NamespaceThatServes())

    scan(modules, patches)


@pytest.mark.parametrize("scan", SCANS)
def test_a_module_under_importlibs_lazy_loader_stays_unloaded(
    scan, modules, patches, tmp_path, monkeypatch
):
    loaded = []
    monkeypatch.setattr(sys, "alias_loaded", loaded, raising=False)
    path = tmp_path / "alias_lazy.py"
    path.write_text("import sys\nsys.alias_loaded.append(__name__)\n")
    spec = importlib.util.spec_from_file_location("alias_lazy", path)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    modules.put("alias_lazy", module)
    spec.loader.exec_module(module)

    scan(modules, patches)

    assert loaded == []
    assert module.__name__ == "alias_lazy"
    assert loaded == ["alias_lazy"]


@pytest.mark.parametrize("scan", SCANS)
def test_a_module_that_serves_names_by_getattr_is_not_asked(scan, modules, patches):
    modules("alias_serving", __getattr__=touched)

    scan(modules, patches)


# --- rebind for C functions.


class Held:
    """A C function under all kinds of names: those that can be re-pointed, and others."""

    def __init__(self, modules):
        self.original = builtin()
        self.home = modules("alias_home", builtin=self.original)
        self.one = modules("alias_one", builtin=self.original, renamed=self.original)
        self.cls = type("Holder", (), {"attribute": self.original})
        self.sub = type("Sub", (self.cls,), {})
        self.owners = (self.home, self.one, self.cls, self.sub)
        self.before = spaces(*self.owners)
        self.calls = [
            lambda: self.home.builtin("key"),
            lambda: self.one.builtin("key"),
            lambda: self.one.renamed("key"),
            lambda: self.cls.attribute("key"),
            lambda: self.cls().attribute("key"),
            lambda: self.sub().attribute("key"),
        ]

    def restored(self):
        after = spaces(*self.owners)
        return all(
            old.keys() == new.keys() and all(old[name] is new[name] for name in old)
            for old, new in zip(self.before, after, strict=True)
        )


@pytest.fixture
def held(modules):
    return Held(modules)


def test_rebind_reaches_module_globals_and_class_attributes(held, warned, patches):
    log = []

    patches.apply("alias_home:builtin", noting(log, "ran"), aliases="rebind")
    results = [call() for call in held.calls]

    assert results == ["a"] * 6
    assert log == ["ran"] * 6


def test_rebind_reaches_the_globals_of_a_module_that_is_not_in_sys_modules(held, warned, patches):
    """A test that imports a module afresh keeps it to itself."""
    kept = types.ModuleType("kept")
    kept.builtin = kept.renamed = held.original
    log = []

    patches.apply((kept, "builtin"), noting(log, "ran"), aliases="rebind")
    results = [kept.builtin("key"), kept.renamed("key"), held.one.renamed("key")]
    patches.undo_all()

    assert results == ["a"] * 3
    assert log == ["ran"] * 3
    assert kept.builtin is kept.renamed is held.original
    assert held.restored()


def test_undo_gives_every_holder_back(held, warned):
    safepatch.apply("alias_home:builtin", pass_through, aliases="rebind").undo()

    assert held.restored()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_rebinding_patches_are_undone_in_any_order(held, warned, order):
    log = []
    made = [
        safepatch.apply("alias_home:builtin", noting(log, mark), aliases=aliases)
        for mark, aliases in enumerate(["rebind", "ignore", "rebind"])
    ]
    live = [0, 1, 2]

    for mark in order:
        made[mark].undo()
        live.remove(mark)
        log.clear()
        assert held.home.builtin("key") == "a"
        assert log == live[::-1]
        log.clear()
        assert held.one.renamed("key") == "a"
        # Holders see the site as long as a patch that rebinds is live.
        assert log == (live[::-1] if {0, 2} & set(live) else [])

    assert held.restored()


def test_a_rebinding_patch_that_came_second_reaches_the_holders_too(held, warned):
    log = []
    first = safepatch.apply("alias_home:builtin", noting(log, "first"), aliases="ignore")
    second = safepatch.apply("alias_home:builtin", noting(log, "second"), aliases="rebind")
    held.one.builtin("key")
    first.undo()
    second.undo()

    assert log == ["second", "first"]
    assert held.restored()


def test_a_second_rebinding_patch_takes_our_own_records_for_nobody_it_cannot_reach(
    held, warned, patches
):
    said = []
    for _ in range(2):
        warned.clear()
        patches.apply("alias_home:builtin", pass_through, aliases="rebind")
        said.append([str(warning.message) for warning in warned])

    assert said[0] == said[1]


def test_rebind_is_the_default_for_a_c_function_as_target(modules, warned, patches):
    holder = modules("alias_one", lcm=math.lcm)
    log = []

    patches.apply(math.lcm, noting(log, "ran"))
    holder.lcm(2, 3)

    assert log == ["ran"]


def test_the_undo_of_another_patch_leaves_the_holders_of_a_c_function_as_target(
    modules, warned, patches
):
    holder = modules("alias_one", lcm=math.lcm)
    log = []
    patches.apply(math.lcm, noting(log, "ran"))

    patches.apply("math:lcm", pass_through, aliases="ignore").undo()
    holder.lcm(2, 3)

    assert log == ["ran"]


def test_a_holder_that_somebody_changed_meanwhile_is_left_alone(held, warned):
    patch = safepatch.apply("alias_home:builtin", pass_through, aliases="rebind")
    held.one.builtin = held.cls.attribute = Made.function
    del held.one.renamed

    patch.undo()

    assert held.one.builtin is Made.function
    assert vars(held.cls)["attribute"] is Made.function
    assert "renamed" not in vars(held.one)
    assert held.home.builtin is held.original


@pytest.mark.parametrize("aliases", ["rebind", "ignore"])
def test_rebind_reaches_who_took_what_stood_there_during_an_earlier_patch(
    aliases, held, warned, modules
):
    """As a module does that is first imported inside of a `with`."""
    patch = safepatch.apply("alias_home:builtin", pass_through, aliases=aliases)
    taken_meanwhile = modules("alias_two", builtin=held.home.builtin)
    taken = taken_meanwhile.builtin
    log = []
    patch.undo()

    again = safepatch.apply("alias_home:builtin", noting(log, "ran"), aliases="rebind")
    taken_meanwhile.builtin("key")
    taken("key")
    again.undo()

    assert log == ["ran"], "what was taken is inert for ever, but its name is not"
    assert taken_meanwhile.builtin is taken
    assert held.restored()


def test_rebind_names_who_holds_what_stood_there_where_it_cannot_be_reached(held, warned, patches):
    with safepatch.patch("alias_home:builtin", pass_through):
        kept = [held.home.builtin]

    patches.apply("alias_home:builtin", pass_through, aliases="rebind")

    assert "an object of type list" in str(warned[-1].message)
    assert kept[0] is not held.home.builtin


@pytest.mark.parametrize("original", [Made.function, {1: 2}.get], ids=["Python", "C"])
def test_who_took_what_stood_there_during_an_earlier_patch_is_named(
    original, modules, warned, patches
):
    home = modules("alias_home", function=original)
    with safepatch.patch("alias_home:function", pass_through):
        taken = modules("alias_two", function=home.function)

    patches.apply("alias_home:function", pass_through)

    assert "does not reach alias_two:function, which" in str(warned[-1].message)
    assert patches.explain("alias_home:function").to_dict()["sites"][0]["aliases"] == [
        "alias_two:function"
    ]
    assert taken.function is not home.function


def test_the_c_module_behind_a_public_one_is_no_alias(warned, patches):
    patches.apply("io:open", pass_through)

    assert "io:open," not in str(warned[-1].message)
    assert "builtins:open" in str(warned[-1].message)


def test_only_the_very_same_object_is_re_pointed(held, warned, patches, modules):
    equal = modules("alias_two", builtin=builtin(), text="get")

    patches.apply("alias_home:builtin", pass_through, aliases="rebind")

    assert type(equal.builtin) is type(held.original)


def a_list(original):
    return [original], "list"


def a_dict(original):
    return {"some key": original}, "some key"


def a_tuple(original):
    return (original, "second"), "tuple"


def a_default_argument(original):
    def takes_it(function=original):
        return function

    return takes_it, "takes_it"


def a_keyword_default(original):
    def takes_it(*, some_keyword=original):
        return some_keyword

    return takes_it, "some_keyword"


def a_closure(original):
    def closes_over_it():
        return original

    return closes_over_it, "closes_over_it"


def an_instance(original):
    class HoldingInstance:
        def __init__(self):
            self.held = original

    return HoldingInstance(), "HoldingInstance"


def an_instance_with_slots(original):
    class Slotted:
        __slots__ = ("held",)

    made = Slotted()
    made.held = original
    return made, "Slotted"


def a_staticmethod(original):
    return type("Holder", (), {"static": staticmethod(original)}), "staticmethod"


@pytest.mark.parametrize(
    "holding",
    [
        a_list,
        a_dict,
        a_tuple,
        a_default_argument,
        a_keyword_default,
        a_closure,
        an_instance,
        an_instance_with_slots,
        a_staticmethod,
    ],
)
def test_rebind_says_whom_it_could_not_reach(holding, held, warned, patches):
    holder, said = holding(held.original)
    gc.collect()

    patches.apply("alias_home:builtin", pass_through, aliases="rebind")
    line = sys._getframe().f_lineno - 1

    messages = [str(warning.message) for warning in warned if warning.category is AliasWarning]
    assert len(messages) == 1
    assert said in messages[0]
    assert (__file__, line) == (warned[0].filename, warned[0].lineno)
    assert holder is not None


def test_the_warning_about_whom_rebind_cannot_reach_comes_before_anything_changes(held):
    several = [held.original]

    # Warnings are errors in these tests.
    with pytest.raises(AliasWarning):
        safepatch.apply("alias_home:builtin", pass_through, aliases="rebind")

    assert held.restored()
    assert safepatch.live() == []
    assert several == [held.original]


class ServesItsClass:
    """A lazy proxy such as werkzeug's: asking for its class runs code that may fail."""

    __slots__ = ("held",)

    @property
    def __class__(self):
        raise TouchedError


def test_rebind_does_not_touch_the_proxies_that_hold_the_original(held, warned, patches):
    proxy = ServesItsClass()
    proxy.held = held.original

    patches.apply("alias_home:builtin", pass_through, aliases="rebind")

    assert "ServesItsClass" in str(warned[0].message)


def test_a_class_that_refuses_to_be_changed_by_its_metaclass_is_re_pointed_and_given_back(
    held, warned
):
    meta = type("Meta", (type,), {"__setattr__": touched, "__delattr__": touched})
    cls = meta("Refusing", (), {"attribute": held.original})
    log = []

    patch = safepatch.apply("alias_home:builtin", noting(log, "ran"), aliases="rebind")
    cls.attribute("key")
    patch.undo()

    assert log == ["ran"]
    assert vars(cls)["attribute"] is held.original


def test_rebind_and_undo_by_many_threads_give_every_holder_back(held, warned):
    errors = []

    def work():
        try:
            for _ in range(2):
                safepatch.apply("alias_home:builtin", pass_through, aliases="rebind").undo()
        except BaseException as error:
            errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    finally:
        sys.setswitchinterval(before)

    assert errors == []
    assert held.restored()


def test_a_callable_that_is_no_function_is_rebound_as_c_functions_are(modules, warned):
    class Callable:
        def __call__(self):
            return "called"

    thing = Callable()
    modules("alias_home", thing=thing)
    one = modules("alias_one", thing=thing)
    log = []

    patch = safepatch.apply("alias_home:thing", noting(log, "ran"), aliases="rebind")
    one.thing()
    patch.undo()

    assert log == ["ran"]
    assert one.thing is thing


@pytest.mark.parametrize("second", ["ignore", "rebind"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_patch_over_a_name_that_another_rebound_goes_in_any_order(held, warned, second, order):
    """The second must not put the stand-in of the first back."""
    made = [
        safepatch.apply("alias_home:builtin", pass_through, aliases="rebind"),
        safepatch.apply("alias_one:renamed", pass_through, aliases=second),
    ]

    for position in order:
        made[position].undo()

    assert held.restored()


def test_what_stood_in_a_module_that_has_gone_is_reached_and_given_back(modules, warned):
    """As a test's module goes, while another keeps what it took from it during a patch."""
    original = {1: 2}.get
    gone = types.ModuleType("alias_gone")
    gone.function = original
    with safepatch.patch((gone, "function"), pass_through):
        taken = modules("alias_two", function=gone.function)
    face = taken.function
    del gone
    gc.collect()
    modules("alias_home", function=original)
    log = []

    with safepatch.patch("alias_home:function", noting(log, "ran"), aliases="rebind"):
        assert taken.function(1) == 2

    assert log == ["ran"]
    assert taken.function is face
