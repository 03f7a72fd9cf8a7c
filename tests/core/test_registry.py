"""Patches by name: who is found, who is undone, and what happens when one of several fails."""

import functools
import gc
import importlib
import inspect
import sys
import threading
import types
import uuid

import pytest
from helpers import noting, pass_through

import safepatch
from safepatch import imports
from safepatch.decorators import count_calls
from safepatch.errors import PatchError
from safepatch.sites import Site


@pytest.fixture
def shop():
    """An owner with functions `one`, `two` and `three`, whose namespace must be as before."""
    made = types.ModuleType("shop_of_registry")
    for name in ("one", "two", "three"):
        exec(f"def {name}(value=1): return ({name!r}, value)", made.__dict__)
    sys.modules[made.__name__] = made
    before = dict(vars(made))
    yield made
    assert before == vars(made)
    del sys.modules[made.__name__]


ONE, TWO, THREE = (f"shop_of_registry:{name}" for name in ("one", "two", "three"))


def line(back=0):
    frame = sys._getframe(1)
    return f"{__file__}:{frame.f_lineno - back}"


def no(original):
    return "it rains"


def failing(wrapped):
    raise ZeroDivisionError


def marks(shop, log):
    """What was noted when each function is called once."""
    log.clear()
    shop.one(), shop.two(), shop.three()
    return list(log)


# The front door.

METHODS = {
    "apply",
    "patch",
    "register",
    "apply_all",
    "undo",
    "undo_all",
    "live",
    "explain",
    "fingerprint",
}


def test_the_public_names_are_these():
    others = {
        "Registry",
        "Patch",
        "PatchError",
        "TargetError",
        "GuardError",
        "UnsupportedTargetError",
        "GuardWarning",
        "AliasWarning",
        "ConfigError",
    }

    assert {*METHODS, *others} == set(safepatch.__all__)
    assert all(hasattr(safepatch, name) for name in safepatch.__all__)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_registry_has_the_methods_that_the_module_has_functions(name):
    assert callable(getattr(safepatch.Registry(), name))
    assert inspect.signature(getattr(safepatch, name)) == inspect.signature(
        getattr(safepatch.Registry(), name)
    )


def test_all_functions_of_the_module_use_one_registry(shop):
    name = f"test-{uuid.uuid4().hex}"
    registered = safepatch.register(name, ONE, pass_through)

    assert safepatch.apply(name) is registered
    assert safepatch.live() == [registered]
    assert name in str(safepatch.explain(ONE))
    safepatch.undo(name)
    assert safepatch.live() == []


# Names.


def test_register_declares_and_changes_nothing(shop, patches):
    before = dict(vars(shop))

    registered = patches.register("first", ONE, pass_through)

    assert isinstance(registered, safepatch.Patch)
    assert (registered.name, registered.target, registered.state) == ("first", ONE, "declared")
    assert before == vars(shop)
    assert patches.live() == []


def test_a_taken_name_is_refused_with_the_place_that_took_it(shop, patches):
    first = patches.register("first", ONE, pass_through)
    where = line(back=1)

    with pytest.raises(PatchError) as caught:
        patches.register("first", TWO, pass_through)

    assert "'first'" in str(caught.value)
    assert where in str(caught.value)
    assert caught.value.name == "first"
    assert patches.apply("first") is first


REGISTRATIONS = {
    "a declared patch": lambda patches: [patches.patch(TWO, pass_through, name="before")],
    "several": lambda patches: [
        patches.patch(TWO, pass_through, name="before"),
        patches.patch(THREE, pass_through, name="before"),
    ],
}


@pytest.mark.parametrize("make", REGISTRATIONS.values(), ids=REGISTRATIONS.keys())
def test_a_taken_name_changes_nothing_about_what_was_to_have_it(shop, patches, make):
    patches.register("first", ONE, pass_through)
    other = safepatch.Registry()
    declared = make(other)

    with pytest.raises(PatchError):
        patches.register("first", declared if len(declared) > 1 else declared[0])

    assert {patch.name for patch in declared} == {"before"}
    for patch in declared:
        patch.apply()
    assert other.live() == declared
    assert patches.live() == []
    other.undo_all()


@pytest.mark.parametrize("name", ["with:colon", "with.dot", "a:b.c"])
def test_a_name_that_looks_like_a_target_is_refused(shop, patches, name):
    with pytest.raises(PatchError, match="':'") as caught:
        patches.register(name, ONE, pass_through)

    assert caught.value.name == name


@pytest.mark.parametrize("name", ["two\nlines", "bell\a", "escape\x1b[31m", "end\u2028", ""])
def test_a_name_that_does_not_stay_on_its_line_is_refused(shop, patches, name):
    with pytest.raises(PatchError, match="is no name for a patch: leave out") as caught:
        patches.register(name, ONE, pass_through)

    assert caught.value.name == name


def test_a_refused_registration_leaves_its_name_free(shop, patches):
    with pytest.raises(safepatch.TargetError):
        patches.register("first", "no target", pass_through)

    assert patches.register("first", ONE, pass_through).state == "declared"


def test_two_registries_have_names_of_their_own(shop, patches):
    other = safepatch.Registry()

    assert patches.register("first", ONE, pass_through).target == ONE
    assert other.register("first", TWO, pass_through).target == TWO


def test_a_declared_patch_gets_the_name_it_is_registered_under(shop, patches):
    declared = patches.patch(ONE, pass_through)

    assert patches.register("first", declared) is declared
    assert declared.name == "first"
    assert patches.apply("first") is declared


NOT_HEEDED = {
    "a decorator": ((pass_through,), {}),
    "an option": ((), {"guard": no}),
}


@pytest.mark.parametrize(("decorators", "options"), NOT_HEEDED.values(), ids=NOT_HEEDED.keys())
@pytest.mark.parametrize("several", [False, True])
def test_what_a_declared_patch_cannot_heed_is_refused_not_ignored(
    shop, patches, several, decorators, options
):
    declared = patches.patch(ONE, pass_through)

    with pytest.raises((TypeError, PatchError)):
        patches.register("first", [declared] if several else declared, *decorators, **options)


NOT_REGISTRABLE = {
    "a target without decorators": ONE,
    "a pair without decorators": (functools, "reduce"),
    "a function without decorators": pass_through,
    "a list of targets": [ONE, TWO],
    "nothing": None,
}


@pytest.mark.parametrize("what", NOT_REGISTRABLE.values(), ids=NOT_REGISTRABLE.keys())
def test_what_is_no_patch_is_refused_where_it_is_registered(patches, what):
    with pytest.raises((TypeError, PatchError)) as caught:
        patches.register("first", what)

    assert len(str(caught.value)) > 20


def test_what_is_applied_already_cannot_be_given_another_name(shop, patches):
    applied = patches.apply(ONE, pass_through)

    with pytest.raises(PatchError, match="applied"):
        patches.register("first", applied)

    assert applied.name == ONE


def test_one_patch_has_one_name(shop, patches):
    """Two would leave it open which of them undoes it, explains it or disables it."""
    patch = patches.register("first", ONE, pass_through)

    with pytest.raises(PatchError, match="first"):
        patches.register("second", patch)

    assert patch.name == "first"
    with pytest.raises(safepatch.TargetError):
        patches.apply("second")


def test_a_patch_of_one_registry_is_not_taken_away_by_another(shop, patches):
    patch = patches.register("first", ONE, pass_through)
    other = safepatch.Registry()

    with pytest.raises(PatchError, match="first"):
        other.register("first", patch)

    patches.apply("first")
    assert patches.live() == [patch]
    assert other.live() == []


def test_apply_by_name_applies_what_was_registered(shop, patches):
    log = []
    registered = patches.register("first", ONE, noting(log, "ran"))

    assert patches.apply("first") is registered
    assert marks(shop, log) == ["ran"]


def test_applying_a_live_name_again_returns_its_patch(shop, patches):
    log = []
    patches.register("first", ONE, noting(log, "ran"))

    assert patches.apply("first") is patches.apply("first")
    assert marks(shop, log) == ["ran"]


def test_options_for_a_name_are_refused_not_ignored(shop, patches):
    patches.register("first", ONE, pass_through)

    with pytest.raises(TypeError):
        patches.apply("first", guard=no)

    assert patches.live() == []


def test_an_unknown_name_is_answered_with_the_nearest_one(shop, patches):
    patches.register("dns-cache", ONE, pass_through)

    for ask in (patches.apply, patches.undo, patches.explain):
        with pytest.raises(safepatch.TargetError, match="'dns-cache'") as caught:
            ask("dns-cahce")

        assert caught.value.target == "dns-cahce"
        assert caught.value.candidates == ("dns-cache",)


def test_register_waits_for_the_import_and_never_imports(patches, tmp_path, monkeypatch):
    name = f"late_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    log = []

    registered = patches.register("late", f"{name}:f", noting(log, "ran"))
    patches.apply("late")

    assert registered.state == "pending"
    assert patches.live() == []
    assert name not in sys.modules

    importlib.import_module(name).f()

    assert log == ["ran"]
    assert patches.live() == [registered]
    del sys.modules[name]


def refused(ask, which):
    with pytest.raises(safepatch.TargetError):
        ask(which)


QUESTIONS = {
    "undo by target": lambda patches: patches.undo(ONE),
    "undo by pair": lambda patches: patches.undo((sys.modules["shop_of_registry"], "one")),
    "explain": lambda patches: patches.explain(),
    "explain a target": lambda patches: patches.explain(ONE),
    "explain a pending name": lambda patches: patches.explain("pending"),
    "explain a declared name": lambda patches: patches.explain("declared"),
    "explain another declared name": lambda patches: patches.explain("alone"),
    "live": lambda patches: patches.live(),
    "undo an unknown target": lambda patches: refused(patches.undo, TWO),
    "undo an unknown name": lambda patches: refused(patches.undo, "nobody"),
    "undo of another registry": lambda patches: refused(safepatch.Registry().undo, TWO),
    "undo all": lambda patches: patches.undo_all(),
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_asking_about_one_patch_never_imports_what_another_waits_for(
    shop, patches, tmp_path, monkeypatch, ask
):
    names = [f"late_{uuid.uuid4().hex}" for _ in range(2)]
    for name in names:
        (tmp_path / f"{name}.py").write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    patches.register("pending", f"{names[0]}:f", pass_through).apply()
    patches.register("declared", f"{names[0]}:f", pass_through)
    patches.register("alone", f"{names[1]}:f", pass_through)
    patches.apply(ONE, pass_through)

    ask(patches)

    assert not sys.modules.keys() & set(names)


def test_live_tells_them_in_the_order_in_which_they_were_applied(
    shop, patches, tmp_path, monkeypatch
):
    name = f"late_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    later = patches.apply(f"{name}:f", pass_through, when="import")
    sooner = patches.apply(ONE, pass_through)
    importlib.import_module(name)

    assert patches.live() == [sooner, later]


def test_undo_by_target_takes_the_one_applied_last_first(shop, patches):
    undone = []

    class Noting(safepatch.Registry):
        def forget(self, patch):
            undone.append(patch.name)
            super().forget(patch)

    registry = Noting()
    registry.register("named", ONE, pass_through)
    registry.apply(ONE, pass_through, name="one")
    registry.apply("named")

    registry.undo(ONE)

    assert undone == ["named", "one"]


# All at once.


def test_apply_all_applies_all_in_the_order_of_registration(shop, patches):
    log = []
    handles = [
        patches.register("first", ONE, noting(log, "one")),
        patches.register("second", ONE, noting(log, "two")),
        patches.register("third", TWO, noting(log, "three")),
    ]

    assert patches.apply_all() == handles
    assert patches.live() == handles
    assert marks(shop, log) == ["two", "one", "three"]


def test_apply_all_is_idempotent(shop, patches):
    log = []
    patches.register("first", ONE, noting(log, "ran"))

    patches.apply_all()
    patches.apply_all()

    assert marks(shop, log) == ["ran"]


FAILURES = {
    "a guard": ({"guard": no}, pass_through, safepatch.GuardError),
    "a decorator": ({}, failing, ZeroDivisionError),
    "a wrapper": ({}, lambda wrapped: None, safepatch.UnsupportedTargetError),
}


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(("options", "decorator", "error"), FAILURES.values(), ids=FAILURES.keys())
def test_apply_all_applies_all_or_nothing(shop, patches, options, decorator, error, position):
    before, log = dict(vars(shop)), []
    targets = [ONE, TWO, THREE]
    for at, target in enumerate(targets):
        bad = at == position
        patches.register(
            f"patch-{at}",
            target,
            decorator if bad else noting(log, at),
            **(options if bad else {}),
        )

    with pytest.raises(error):
        patches.apply_all()

    assert before == vars(shop)
    assert patches.live() == []
    assert {patches._named[f"patch-{at}"].state for at in range(3)} == {"declared"}


@pytest.mark.parametrize("position", [0, 1])
def test_apply_all_that_fails_leaves_what_was_applied_before(shop, patches, position):
    log = []
    patches.register("first", ONE, noting(log, "first")).apply()
    patches.register("second", TWO, pass_through, guard=no)

    with pytest.raises(safepatch.GuardError):
        patches.apply_all()

    assert marks(shop, log) == ["first"]
    assert [patch.name for patch in patches.live()] == ["first"]


def test_apply_all_asks_all_guards_before_it_calls_a_decorator(shop, patches):
    order = []

    def guard(mark):
        return lambda original: order.append(f"guard of {mark}")

    def decorator(mark):
        return lambda wrapped: order.append(f"decorator of {mark}") or wrapped

    for mark, target in (("one", ONE), ("two", TWO)):
        patches.register(mark, target, decorator(mark), guard=guard(mark))

    patches.apply_all()

    assert order == ["guard of one", "guard of two", "decorator of one", "decorator of two"]


def test_apply_all_leaves_nothing_waiting_if_one_is_refused(shop, patches):
    patches.register("late", "a_module_that_nobody_imports:f", pass_through)
    patches.register("refused", ONE, pass_through, guard=no)

    with pytest.raises(safepatch.GuardError):
        patches.apply_all()

    assert imports._waiting == {}
    assert patches._named["late"].state != "pending"


def test_apply_all_gives_pending_patches_time_and_applies_the_rest(shop, patches):
    late = patches.register("late", "a_module_that_nobody_imports:f", pass_through)
    here = patches.register("here", ONE, pass_through)

    assert patches.apply_all() == [here]
    assert late.state == "pending"


# Undo.


WAYS = {
    "a name": lambda shop, patch: "first",
    "the patch": lambda shop, patch: patch,
    "the target": lambda shop, patch: ONE,
    "the target, dotted": lambda shop, patch: ONE.replace(":", "."),
    "the target as a pair": lambda shop, patch: (shop, "one"),
    "the function that stands there": lambda shop, patch: shop.one,
    "the function that stood there": lambda shop, patch: patch.original,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_undo_takes(shop, patches, way):
    log = []
    patch = patches.register("first", ONE, noting(log, "one")).apply()
    other = patches.apply(TWO, noting(log, "two"))

    patches.undo(way(shop, patch))

    assert patch.state == "undone"
    assert marks(shop, log) == ["two"]
    assert patches.live() == [other]


@pytest.mark.parametrize("way", ["the target", "the function that stood there"])
def test_undo_by_target_undoes_all_of_this_registry_there_and_nobody_elses(shop, patches, way):
    log = []
    with safepatch.Registry() as other:
        patch = patches.apply(ONE, noting(log, "first"))
        other.apply(ONE, noting(log, "theirs"))
        patches.apply(ONE, noting(log, "second"))

        patches.undo(WAYS[way](shop, patch))

        assert marks(shop, log) == ["theirs"]


def test_undo_by_target_reaches_what_was_patched_in_place(shop, patches):
    log, held = [], shop.one
    patches.apply(held, noting(log, "in place"))

    patches.undo(ONE)
    held()

    assert log == []


@pytest.mark.parametrize("which", ["first", ONE])
def test_undo_of_what_is_registered_but_not_applied_does_nothing(shop, patches, which):
    """It is a name, or a target, of this registry; undo is idempotent."""
    patch = patches.register("first", ONE, pass_through)

    patches.undo(which)

    assert patch.state == "declared"


@pytest.mark.parametrize("which", ["first", ONE])
def test_undo_by_name_or_target_is_idempotent(shop, patches, which):
    patches.register("first", ONE, pass_through).apply()

    patches.undo(which)
    patches.undo(which)

    assert patches.live() == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("frist", "first"), ("shop_of_registry:onee", ONE)],
)
def test_undo_of_an_unknown_name_or_target_names_the_nearest(shop, patches, typed, meant):
    patches.apply(ONE, pass_through)
    patches.register("first", TWO, pass_through)

    with pytest.raises(safepatch.TargetError, match=meant) as caught:
        patches.undo(typed)

    assert caught.value.target == typed
    assert len(patches.live()) == 1


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_undo_of_another_registrys_patch_names_that_registry(shop, patches, way):
    with safepatch.Registry() as other:
        where = line(back=1)
        patch = other.register("first", ONE, pass_through).apply()

        with pytest.raises(safepatch.TargetError) as caught:
            patches.undo(way(shop, patch))

        assert where in str(caught.value)
        assert patch.state == "applied"


def test_undo_of_what_cannot_be_a_target_is_refused(patches):
    for nonsense in ("json:", 3, None):
        with pytest.raises(PatchError):
            patches.undo(nonsense)


def test_undo_all_undoes_last_first(shop, patches):
    order, made = [], []
    for target in (ONE, TWO, ONE):
        made.append(patches.apply(target, pass_through))
    for mark, patch in enumerate(made):
        patch.undo = functools.partial(lambda m, undo: order.append(m) or undo(), mark, patch.undo)

    patches.undo_all()

    assert order == [2, 1, 0]
    assert patches.live() == []


class Stubborn(dict):
    """A namespace that can be made to refuse to be given back."""

    armed = False

    def __setitem__(self, name, value):
        if self.armed:
            raise OSError(f"{name} stays")
        super().__setitem__(name, value)


class Owner:
    def __init__(self):
        self.__dict__ = Stubborn(f=lambda: 1)


def test_undo_all_goes_on_past_failures_and_raises_them_together(shop, patches):
    stubborn = [Owner(), Owner()]
    before = dict(vars(shop))
    patches.apply(ONE, pass_through)
    patches.apply((stubborn[0], "f"), pass_through)
    patches.apply(TWO, pass_through)
    patches.apply((stubborn[1], "f"), pass_through)
    patches.apply(THREE, pass_through)
    for owner in stubborn:
        vars(owner).armed = True

    with pytest.raises(ExceptionGroup) as caught:
        patches.undo_all()

    assert [str(error) for error in caught.value.exceptions] == ["f stays", "f stays"]
    assert {type(error) for error in caught.value.exceptions} == {OSError}
    assert before == vars(shop)
    assert patches.live() == []


def test_undo_all_undoes_pending_patches_too(patches):
    late = patches.register("late", "a_module_that_nobody_imports:f", pass_through).apply()

    patches.undo_all()

    assert late.state == "undone"


def test_undo_all_leaves_other_registries_alone(shop, patches):
    with safepatch.Registry() as other:
        theirs = other.apply(ONE, pass_through)
        patches.apply(ONE, pass_through)

        patches.undo_all()

        assert theirs.state == "applied"


# live().


def test_live_gives_the_applied_patches_oldest_first(shop, patches):
    one, two, three = (patches.apply(target, pass_through) for target in (ONE, TWO, THREE))
    assert patches.live() == [one, two, three]

    one.undo()
    assert patches.live() == [two, three]

    one.apply()
    assert patches.live() == [two, three, one]


def test_live_gives_nothing_else(shop, patches):
    patches.patch(ONE, pass_through)
    patches.register("declared", ONE, pass_through)
    patches.register("pending", "a_module_that_nobody_imports:f", pass_through).apply()
    patches.apply(ONE, pass_through).undo()
    with pytest.warns(safepatch.GuardWarning):
        patches.apply(ONE, pass_through, guard=no, on_mismatch="skip")
    with pytest.raises(ZeroDivisionError):
        patches.apply(ONE, failing)

    assert patches.live() == []


def test_live_cannot_be_used_to_change_the_registry(shop, patches):
    patch = patches.apply(ONE, pass_through)

    patches.live().clear()

    assert patches.live() == [patch]


def test_what_is_entered_is_live(shop, patches):
    with patches.patch(ONE, pass_through) as patch:
        assert patches.live() == [patch]

    assert patches.live() == []


# Several registries.


def test_registries_share_sites(shop, patches):
    log = []
    with safepatch.Registry() as other:
        patches.apply(ONE, noting(log, "first"))
        other.apply(ONE, noting(log, "theirs"))
        patches.apply(ONE, noting(log, "second"))
        assert marks(shop, log) == ["second", "theirs", "first"]

        patches.undo_all()
        assert marks(shop, log) == ["theirs"]

    assert marks(shop, log) == []


def test_a_registry_undoes_its_patches_at_the_end_of_with(shop):
    log = []
    with safepatch.Registry() as own:
        own.apply(ONE, noting(log, "ran"))
        assert marks(shop, log) == ["ran"]

    assert marks(shop, log) == []
    assert own.live() == []


def test_a_registry_says_where_it_was_made():
    assert line() in repr(safepatch.Registry())


# Groups.


@pytest.fixture
def group(patches, shop):
    """Three patches under the name "group", the first two at one site."""
    log = []
    made = patches.register(
        "group",
        [
            patches.patch(ONE, noting(log, "one")),
            patches.patch(ONE, noting(log, "two")),
            patches.patch(TWO, noting(log, "three")),
        ],
    )
    made.log = log
    return made


def test_a_group_has_what_a_patch_has(patches, group):
    facts = {"name", "target", "state", "reason", "wrapper", "wrappers", "original"}
    facts |= {"superseded", "applied_from"}
    methods = {"apply", "undo", "__enter__", "__exit__", "__call__"}

    assert facts | methods <= set(dir(group))
    assert facts | methods <= set(dir(patches.patch(ONE, pass_through)))


def test_a_group_is_one_handle(shop, patches, group):
    assert group.name == "group"
    assert group.state == "declared"

    assert patches.apply("group") is group
    assert group.state == "applied"
    assert patches.live() == [group]
    assert marks(shop, group.log) == ["two", "one", "three"]

    patches.undo("group")
    assert group.state == "undone"
    assert patches.live() == []
    assert marks(shop, group.log) == []


def test_a_group_is_a_context_manager(shop, group):
    with group as entered:
        assert entered is group
        assert marks(shop, group.log) == ["two", "one", "three"]
        with group:
            pass
        assert marks(shop, group.log) == ["two", "one", "three"]

    assert marks(shop, group.log) == []


def test_a_group_is_a_decorator(shop, group):
    run = group(lambda: marks(shop, group.log))

    assert run() == ["two", "one", "three"]
    assert marks(shop, group.log) == []


def test_a_group_is_undone_by_the_target_of_one_of_its_patches(shop, patches, group):
    group.apply()

    patches.undo(TWO)

    assert marks(shop, group.log) == []


APPLYING = {
    "apply": lambda patches: patches.apply("group"),
    "apply_all": lambda patches: patches.apply_all(),
    "with": lambda patches: patches._named["group"].__enter__(),
    "a decorated function": lambda patches: patches._named["group"](lambda: None)(),
}


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(("options", "decorator", "error"), FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("apply", APPLYING.values(), ids=APPLYING.keys())
def test_of_a_group_all_are_applied_or_none(
    shop, patches, apply, options, decorator, error, position
):
    before = dict(vars(shop))
    parts = [patches.patch(target, pass_through) for target in (ONE, TWO, THREE)]
    parts[position] = patches.patch((ONE, TWO, THREE)[position], decorator, **options)
    group = patches.register("group", parts)

    with pytest.raises(error):
        apply(patches)

    assert before == vars(shop)
    assert [part.state for part in parts] == ["declared"] * 3
    assert group.state == "declared"
    assert patches.live() == []


def test_a_group_that_fails_takes_nothing_back_that_another_thread_applied(shop, patches):
    def apply_one_elsewhere(wrapped):
        thread = threading.Thread(target=one.apply)
        thread.start()
        thread.join()
        raise ValueError("it fails")

    one, two = patches.patch(ONE, pass_through), patches.patch(TWO, apply_one_elsewhere)
    group = patches.register("group", [one, two])

    with pytest.raises(ValueError, match="it fails"):
        group.apply()

    assert (one.state, two.state) == ("applied", "declared")
    assert hasattr(shop.one, "__wrapped__")


@pytest.mark.parametrize("apply", APPLYING.values(), ids=APPLYING.keys())
def test_a_group_calls_each_guard_and_each_decorator_once(shop, patches, apply):
    asked, made = [], []
    parts = [
        patches.patch(
            target,
            lambda wrapped: made.append(1) or wrapped,
            guard=lambda original: asked.append(1),
        )
        for target in (ONE, TWO)
    ]
    group = patches.register("group", parts)

    apply(patches)

    assert (len(asked), len(made)) == (2, 2)
    group.undo()


def test_a_group_gives_the_wrappers_of_all_its_patches(group):
    with group:
        wrappers = group.wrappers

        assert len(wrappers) == 3
        assert group.wrapper is wrappers[-1]
        assert group.original is not None

    assert wrappers == group.wrappers


def test_undo_of_a_group_goes_on_past_a_failure(shop, patches):
    owner = Owner()
    parts = [
        patches.patch(ONE, pass_through),
        patches.patch((owner, "f"), pass_through),
        patches.patch(TWO, pass_through),
    ]
    before = dict(vars(shop))
    group = patches.register("group", parts).apply()
    vars(owner).armed = True

    with pytest.raises(ExceptionGroup) as caught:
        group.undo()

    assert [str(error) for error in caught.value.exceptions] == ["f stays"]
    assert before == vars(shop)


def test_an_iterable_of_patches_makes_a_group(shop, patches):
    made = (patches.patch(target, pass_through) for target in (ONE, TWO))

    group = patches.register("group", made)

    assert group.apply().target == (ONE, TWO)


def test_a_name_can_be_given_up(shop, patches):
    first = patches.register("mine", ONE, pass_through).apply()

    patches.unregister("mine")

    assert first.state == "undone"
    assert patches.named("mine") is None
    second = patches.register("mine", TWO, pass_through)
    assert patches.named("mine") is second


def test_a_name_that_nobody_has_cannot_be_given_up(patches):
    patches.register("mine", ONE, pass_through)

    with pytest.raises(safepatch.TargetError, match=r"no patch 'mien'.*did you mean 'mine'"):
        patches.unregister("mien")


# Entry points.


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """A distribution on sys.path that offers patches, as an installed one would."""
    module = f"recipes_{uuid.uuid4().hex}"
    (tmp_path / f"{module}.py").write_text(
        "import safepatch\n"
        "def deco(wrapped):\n"
        "    return lambda *args: ('patched', wrapped(*args))\n"
        f"one = safepatch.patch({ONE!r}, deco)\n"
        "loads = []\n"
        "def made():\n"
        "    loads.append(1)\n"
        f"    return safepatch.patch({TWO!r}, deco)\n"
        f"several = [safepatch.patch({ONE!r}, deco), safepatch.patch({TWO!r}, deco)]\n"
    )
    info = tmp_path / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[safepatch.patches]\n"
        f"offered-one = {module}:one\n"
        f"offered-made = {module}:made\n"
        f"offered-several = {module}:several\n"
        f"offered-broken = {module}:nothing\n"
        "[another.group]\n"
        f"offered-elsewhere = {module}:one\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield module
    sys.modules.pop(module, None)


OFFERED = {
    "offered-one": [("patched", ("one", 1)), ("two", 1)],
    "offered-made": [("one", 1), ("patched", ("two", 1))],
    "offered-several": [("patched", ("one", 1)), ("patched", ("two", 1))],
}


@pytest.mark.parametrize(("name", "expected"), OFFERED.items())
def test_an_unknown_name_is_looked_up_among_the_entry_points(
    shop, patches, distribution, name, expected
):
    handle = patches.apply(name)

    assert [shop.one(), shop.two()] == expected
    assert handle.name == name
    assert patches.live() == [handle]
    patches.undo(name)
    assert [shop.one(), shop.two()] == [("one", 1), ("two", 1)]


def test_an_entry_point_is_loaded_once(shop, patches, distribution):
    first = patches.apply("offered-made")
    first.undo()

    assert patches.apply("offered-made") is first
    assert sys.modules[distribution].loads == [1]


def test_a_name_given_to_apply_is_one_to_apply_explain_and_undo_by(shop, patches):
    patch = patches.apply(ONE, pass_through, name="mine")

    assert patches.apply("mine") is patch
    assert "patch 'mine'" in str(patches.explain("mine"))
    patches.undo("mine")
    assert patch.state == "undone"


def test_to_undo_what_a_package_offers_and_nobody_applied_says_so(patches, distribution):
    gc.collect()  # registries of other tests, which have had a patch of this name

    with pytest.raises(safepatch.TargetError, match="a package offers it"):
        patches.undo("offered-one")


def test_an_entry_point_that_two_distributions_offer_is_refused_with_both(
    patches, distribution, tmp_path
):
    other = tmp_path / "another-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text("[safepatch.patches]\noffered-one = another:one\n")

    with pytest.raises(safepatch.TargetError) as caught:
        patches.apply("offered-one")

    assert f"{distribution}:one" in str(caught.value)
    assert "another:one" in str(caught.value)


def test_two_threads_that_ask_for_an_entry_point_at_once_get_one_patch(shop, patches, distribution):
    """The second asks, and gets it, while the first is still loading it."""
    module = importlib.import_module(distribution)
    make, found = module.made, []

    def made():
        module.made = make
        thread = threading.Thread(target=lambda: found.append(patches.apply("offered-made")))
        thread.start()
        thread.join()
        return make()

    module.made = made
    found.append(patches.apply("offered-made"))

    assert found[0] is found[1]
    assert shop.two() == ("patched", ("two", 1))


def test_an_entry_point_is_not_loaded_for_another_name(patches, distribution):
    with pytest.raises(safepatch.TargetError):
        patches.apply("offered-nothing")

    assert distribution not in sys.modules


def test_a_registered_name_comes_before_an_entry_point(shop, patches, distribution):
    log = []
    patches.register("offered-one", TWO, noting(log, "ours"))

    patches.apply("offered-one")

    assert marks(shop, log) == ["ours"]
    assert distribution not in sys.modules


def test_an_entry_point_of_another_group_is_not_meant(patches, distribution):
    with pytest.raises(safepatch.TargetError, match="offered-elsewhere"):
        patches.apply("offered-elsewhere")


def test_a_misspelt_entry_point_is_answered_with_the_nearest(patches, distribution):
    with pytest.raises(safepatch.TargetError, match="offered-several"):
        patches.apply("offered-sevreal")


def test_an_entry_point_that_cannot_be_loaded_says_which_and_why(patches, distribution):
    with pytest.raises((PatchError, AttributeError)) as caught:
        patches.apply("offered-broken")

    assert "nothing" in str(caught.value)
    assert patches.live() == []


@pytest.mark.parametrize("name", list(OFFERED))
def test_two_registries_can_use_one_entry_point_one_after_the_other(
    shop, patches, distribution, name
):
    with safepatch.Registry() as other:
        other.apply(name)

    assert patches.apply(name).state == "applied"
    assert len(patches.live()) == 1


def test_apply_all_that_fails_in_a_decorator_leaves_nothing_waiting_either(shop, patches):
    waiting = patches.register("late", f"late_{uuid.uuid4().hex}:f", pass_through)
    patches.register("bad", ONE, failing)

    with pytest.raises(ZeroDivisionError):
        patches.apply_all()

    assert waiting.state == "declared"
    assert imports._waiting == {}


def test_a_group_whose_undo_fails_in_one_part_leaves_the_others_undone(shop, patches, monkeypatch):
    group = patches.register("group", [patches.patch(one, pass_through) for one in (ONE, TWO)])
    remove = Site.remove

    def failing_for_two(site, entry):
        remove(site, entry)
        if site.name == "two":
            raise ValueError("told")

    with pytest.raises(ExceptionGroup, match="undoing 'group'"), group:
        monkeypatch.setattr(Site, "remove", failing_for_two)
    monkeypatch.setattr(Site, "remove", remove)

    assert [part.state for part in group.parts] == ["undone", "undone"]
    with group:
        assert group.state == "applied"
    assert group.state == "undone"


def test_a_group_that_another_thread_applies_meanwhile_is_not_applied_twice(shop, patches):
    asked, go = threading.Event(), threading.Event()
    answers = [lambda: asked.set() or (go.wait(20) and None)]

    def guard(original):
        return answers.pop()() if answers else None

    second = patches.patch(TWO, count_calls())
    group = patches.register("group", [patches.patch(ONE, pass_through, guard=guard), second])
    thread = threading.Thread(target=lambda: group.__enter__() and group.__exit__(), daemon=True)
    thread.start()
    asked.wait(20)

    with group:
        wrapper = second.wrapper
        shop.two()
        go.set()
        thread.join(20)
        shop.two()

        assert second.wrapper is wrapper
        assert wrapper.stats().calls == 2


def test_nested_blocks_of_a_group_in_a_context_see_it_until_the_last_ends(shop, patches):
    log = []
    group = patches.register("group", [patches.patch(ONE, noting(log, "ran"), scope="context")])

    with group:
        with group:
            shop.one()
        shop.one()
    shop.one()

    assert log == ["ran", "ran"]


@pytest.mark.parametrize("state", ["skipped", "failed"])
def test_a_patch_that_came_to_nothing_elsewhere_can_be_registered(shop, patches, state):
    other = safepatch.Registry()
    if state == "skipped":
        patch = other.patch(ONE, pass_through, guard=no, on_mismatch="skip")
        with pytest.warns(safepatch.GuardWarning):
            patch.apply()
    else:
        patch = other.patch(ONE, pass_through)
        patch.state = "failed"

    patches.register("mine", patch)

    assert other.handles() == []
    assert patches.handles() == [patch]


def test_to_compare_a_dotted_target_imports_nothing(patches):
    importlib.import_module("xml")
    sys.modules.pop("xml.dom.minidom", None)

    with pytest.raises(safepatch.TargetError):
        patches.undo("xml.dom.minidom.parse")

    assert "xml.dom.minidom" not in sys.modules
