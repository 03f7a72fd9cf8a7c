"""Undo: whatever comes and goes in whatever order, calls run what is live, and the end is the
start."""

import copy
import functools
import gc
import importlib
import inspect
import math
import sys
import types
import weakref
from unittest import mock

import pytest
from helpers import noting, pass_through, spaces
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import safepatch

# --- The victims, made anew for each run.


def standard(function):
    """Say that a function is of the standard library: explain() then need not look for its
    distribution, which takes most of the time that a run would take."""
    function.__module__ = "this"
    return function


def make_owners(log):
    """A module, two classes and two instances; each original notes the name it was called by."""
    module = types.ModuleType("stateful_victims")

    @standard
    def function(a=1):
        log.append("function")
        return ("function", a)

    @standard
    async def coroutine(a=1):
        log.append("coroutine")
        return ("coroutine", a)

    @standard
    def generator(a=1):
        log.append("generator")
        yield a

    module.function, module.coroutine, module.generator = function, coroutine, generator
    module.builtin = math.lcm

    class Base:
        @standard
        def method(self, a=1):
            log.append("method")
            return (type(self).__name__, a)

        @staticmethod
        @standard
        def static(a=1):
            log.append("static")
            return ("static", a)

        @classmethod
        @standard
        def klass(cls, a=1):
            log.append("klass")
            return (cls.__name__, a)

        @property
        @standard
        def prop(self):
            log.append("prop")
            return ("prop", type(self).__name__)

    class Derived(Base):
        pass

    class Single:
        @standard
        def method(self, a=1):
            log.append("single")
            return ("single", a)

    return module, Base, Derived, Single()


def awaited(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        return stopped.value
    raise AssertionError("it waits for something")


# name: the owner (as a position in make_owners), the attribute, how it is called, the place that
# is asked next where it is inherited, and whether an in-place patch is possible.
PLACES = {
    "function": (0, "function", lambda m: m.function(4), ("function", 4), None),
    "coroutine": (0, "coroutine", lambda m: awaited(m.coroutine(4)), ("coroutine", 4), None),
    "generator": (0, "generator", lambda m: list(m.generator(4)), [4], None),
    "builtin": (0, "builtin", lambda m: m.builtin(4, 6), 12, None),
    "method": (1, "method", lambda c: c().method(4), ("Base", 4), None),
    "static": (1, "static", lambda c: c.static(4), ("static", 4), None),
    "klass": (1, "klass", lambda c: c.klass(4), ("Base", 4), None),
    "prop": (1, "prop", lambda c: c().prop, ("prop", "Base"), None),
    "inherited method": (2, "method", lambda c: c().method(4), ("Derived", 4), "method"),
    "inherited static": (2, "static", lambda c: c.static(4), ("static", 4), "static"),
    "inherited klass": (2, "klass", lambda c: c.klass(4), ("Derived", 4), "klass"),
    "inherited prop": (2, "prop", lambda c: c().prop, ("prop", "Derived"), "prop"),
    "instance": (3, "method", lambda o: o.method(4), ("single", 4), None),
}
ABSENT = ("inherited method", "inherited static", "inherited klass", "inherited prop", "instance")
NO_FUNCTION = ("builtin", *ABSENT)


# --- The model: what stands at a place is a layer, and each layer knows what lies below it.


class Original:
    """What was there at the start, and the marks of the patches in place, outermost last."""

    def __init__(self, note):
        self.note, self.in_place = note, []

    def marks(self):
        return [*reversed(self.in_place), *self.note]

    leads_to = staticmethod(lambda layer: False)


class Next:
    """What an absent attribute is looked up in: asked anew at each call."""

    def __init__(self, model, place):
        self.model, self.place = model, place

    def marks(self):
        return self.model[self.place].standing.marks()

    def leads_to(self, layer):
        return False


class Stacked:
    """Our stack over a layer; without patches it is inert, for ever."""

    def __init__(self, below):
        self.below, self.patches = below, []

    def marks(self):
        return [*reversed(self.patches), *self.below.marks()]

    def leads_to(self, layer):
        return self is layer or self.below.leads_to(layer)


class Foreign:
    """Somebody else's object, with what stood there when it came; a mock calls nothing, and some
    wrappers do not say in `__wrapped__` what they call."""

    def __init__(self, mark, below, raw, undo, *, calls=True, says=True):
        self.mark, self.below, self.raw, self.undo = mark, below, raw, undo
        self.calls, self.says = calls, says

    def marks(self):
        return [self.mark, *(self.below.marks() if self.calls else ())]

    def leads_to(self, layer):
        return self.calls and self.says and self.below.leads_to(layer)


class Modelled:
    """One place: the layer that stands there and the foreign ones, oldest first."""

    def __init__(self, bottom):
        self.bottom = self.standing = bottom
        self.foreign = []

    def clean(self):
        """What the next apply, undo or explain there does."""
        while isinstance(self.standing, Stacked) and not self.standing.patches:
            self.standing = self.standing.below

    def top_stack(self):
        self.clean()
        if not isinstance(self.standing, Stacked):
            self.standing = Stacked(self.standing)
        return self.standing


def foreign_over(raw, found, decorator):
    """Somebody's naive wrapper over what they found, as they would write it for that kind."""
    if isinstance(raw, (staticmethod, classmethod)):
        return type(raw)(decorator(raw.__func__))
    if isinstance(raw, property):
        return property(decorator(raw.fget))
    return decorator(found)


def identical(before, after):
    """Whether two namespaces hold the very same objects; our proxies are equal to others."""
    return {name: id(value) for name, value in before.items()} == {
        name: id(value) for name, value in after.items()
    }


def secretly_noting(log, mark):
    """A wrapper that tells nobody what it wraps."""
    return lambda wrapped: lambda *args, **kwargs: log.append(mark) or wrapped(*args, **kwargs)


def write(owner, name, value):
    if value is not None:
        setattr(owner, name, value)
    elif name in vars(owner):
        delattr(owner, name)


class ComingAndGoing(RuleBasedStateMachine):
    patches = Bundle("patches")

    @initialize()
    def start(self):
        self.log = []
        self.owners = make_owners(self.log)
        self.count = 0
        self.model = {}
        for place, (_, name, _, _, below) in PLACES.items():
            note = [] if place == "builtin" else ["single" if place == "instance" else name]
            bottom = Original(note) if below is None else Next(self.model, below)
            self.model[place] = Modelled(bottom)
        self.functions = {
            place: getattr(raw, "__func__", getattr(raw, "fget", raw))
            for place in PLACES.keys() - set(NO_FUNCTION)
            for raw in [self.raw(place)]
        }
        self.codes = {f: f.__code__ for f in self.functions.values()}
        everything = [*self.owners, *self.functions.values()]
        self.spaces = list(zip(everything, spaces(*everything), strict=True))
        self.where = {}  # patch -> the layer whose list of patches it is in, if it is live
        self.sort = {}  # patch -> its place, and whether it is in place

    def owner(self, place):
        return self.owners[PLACES[place][0]]

    def raw(self, place):
        return vars(self.owner(place)).get(PLACES[place][1])

    def mark(self, kind):
        self.count += 1
        return f"{kind} {self.count}"

    # --- what may happen

    @rule(target=patches, place=st.sampled_from(list(PLACES)))
    def apply(self, place):
        mark = self.mark("patch")
        target = (self.owner(place), PLACES[place][1])
        patch = safepatch.apply(target, noting(self.log, mark), name=mark, aliases="ignore")
        self.sort[patch] = (place, False)
        self.push(patch)
        return patch

    @rule(
        target=patches,
        place=st.sampled_from(sorted(PLACES.keys() - set(NO_FUNCTION))),
        by=st.sampled_from(["function", "place"]),
    )
    def apply_in_place(self, place, by):
        mark = self.mark("in place")
        if by == "place" and not self.model[place].foreign:
            target, options = (self.owner(place), PLACES[place][1]), {"aliases": "rebind"}
        else:
            target, options = self.functions[place], {}
        patch = safepatch.apply(target, noting(self.log, mark), name=mark, **options)
        self.sort[patch] = (place, True)
        if "aliases" in options:
            self.model[place].clean()
        self.push(patch)
        return patch

    @rule(patch=patches)
    def undo(self, patch):
        patch.undo()
        self.drop(patch)

    @rule(patch=patches)
    def apply_again(self, patch):
        place, in_place = self.sort[patch]
        if in_place and self.model[place].foreign:
            return  # "rebind" by place would now mean the foreign function
        if patch in self.where and not self.superseded(patch):
            patch.apply()
            return
        patch.apply()
        self.drop(patch)
        if in_place:
            self.model[place].clean()
        self.push(patch)

    @rule(place=st.sampled_from(list(PLACES)), says=st.booleans())
    def put_a_foreign_wrapper_on_top(self, place, says):
        owner, name, mark = self.owner(place), PLACES[place][1], self.mark("foreign")
        raw, modelled = self.raw(place), self.model[place]
        base = raw if raw is not None else inspect.getattr_static(owner, name)
        found = getattr(owner, name) if not isinstance(owner, type) else base
        decorator = noting(self.log, mark) if says else secretly_noting(self.log, mark)
        made = foreign_over(base, found, decorator)
        below = modelled.standing
        if raw is None and isinstance(below, Next):
            below = self.model[below.place].standing  # they took what they found
        undo = functools.partial(write, owner, name, raw)
        foreign = Foreign(mark, below, modelled.standing, undo, says=says)
        write(owner, name, made)
        modelled.standing = foreign
        modelled.foreign.append(foreign)

    @rule(place=st.sampled_from(list(PLACES)))
    def start_a_mock(self, place):
        owner, name, mark = self.owner(place), PLACES[place][1], self.mark("mock")
        modelled, result = self.model[place], PLACES[place][3]
        base = inspect.getattr_static(owner, name)

        @standard
        def replacement(*args, **kwargs):
            self.log.append(mark)
            return copy.copy(result)

        @standard
        async def coroutine(*args, **kwargs):
            return replacement()

        new = coroutine if place == "coroutine" else replacement
        if isinstance(base, (staticmethod, classmethod, property)):
            new = type(base)(new)
        mocked = mock.patch.object(owner, name, new)
        mocked.start()
        foreign = Foreign(mark, None, modelled.standing, mocked.stop, calls=False)
        modelled.standing = foreign
        modelled.foreign.append(foreign)

    @precondition(lambda self: any(modelled.foreign for modelled in self.model.values()))
    @rule(data=st.data())
    def take_the_last_foreign_one_off(self, data):
        having = [place for place, modelled in self.model.items() if modelled.foreign]
        self.take_off(data.draw(st.sampled_from(having)))

    @rule(place=st.sampled_from(list(PLACES)))
    def explain(self, place):
        safepatch.explain((self.owner(place), PLACES[place][1]))
        self.model[place].clean()

    # --- how the model follows

    def push(self, patch):
        place, in_place = self.sort[patch]
        if in_place:
            layer = self.model[place].bottom
            layer.in_place.append(patch.name)
        else:
            layer = self.model[place].top_stack()
            layer.patches.append(patch.name)
        self.where[patch] = layer

    def drop(self, patch):
        layer = self.where.pop(patch, None)
        if layer is None:
            return
        if isinstance(layer, Original):
            layer.in_place.remove(patch.name)
            return
        layer.patches.remove(patch.name)
        modelled = self.model[self.sort[patch][0]]
        if modelled.standing is layer and not layer.patches:
            modelled.standing = layer.below

    def superseded(self, patch):
        place, in_place = self.sort[patch]
        return not in_place and not self.model[place].standing.leads_to(self.where[patch])

    def take_off(self, place):
        modelled = self.model[place]
        foreign = modelled.foreign.pop()
        foreign.undo()
        modelled.standing = foreign.raw

    # --- what must hold after each step

    @invariant()
    def calls_run_exactly_the_live_patches_in_stack_order(self):
        for place, (_, _, call, result, _) in PLACES.items():
            self.log.clear()
            returned = call(self.owner(place))

            assert self.model[place].standing.marks() == self.log, place
            # A mock of the base class gives what the base class would.
            if not any(str(mark).startswith("mock") for mark in self.log):
                assert result == returned, place

    @invariant()
    def states_say_what_is_live(self):
        for patch in self.sort:
            assert ("applied" if patch in self.where else "undone") == patch.state
            assert patch.superseded == (patch in self.where and self.superseded(patch))

    def teardown(self):
        if not hasattr(self, "sort"):
            return
        for patch in self.sort:
            patch.undo()
            self.drop(patch)
        for place, modelled in self.model.items():
            while modelled.foreign:
                self.take_off(place)
            safepatch.explain((self.owner(place), PLACES[place][1]))

        for owner, before in self.spaces:
            after = dict(vars(owner))
            assert identical(before, after), owner
        assert all(function.__code__ is code for function, code in self.codes.items())


ComingAndGoing.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    database=None,
    # Not Phase.explain, which makes a failure take minutes.
    phases=(Phase.generate, Phase.shrink),
)
TestComingAndGoing = ComingAndGoing.TestCase


# --- Single promises, each where a machine is slow to come by.


@pytest.fixture
def victims():
    """Each place as its owner, its name and how it is called."""
    log = []
    owners = make_owners(log)
    return {
        place: (owners[position], name, functools.partial(call, owners[position]))
        for place, (position, name, call, _, _) in PLACES.items()
    }


@pytest.mark.parametrize("place", PLACES)
def test_a_patch_under_a_foreign_wrapper_that_says_what_it_wraps_is_not_superseded(
    place, victims, patches
):
    owner, name, _ = victims[place]
    patch = patches.apply((owner, name), pass_through, aliases="ignore")
    raw = vars(owner)[name]
    setattr(owner, name, foreign_over(raw, getattr(owner, name), pass_through))

    assert not patch.superseded


@pytest.mark.parametrize("place", PLACES)
def test_apply_of_a_patch_under_a_foreign_wrapper_does_not_put_it_on_top(place, victims, patches):
    log = []
    owner, name, call = victims[place]
    patch = patches.apply((owner, name), noting(log, "ours"), aliases="ignore")
    raw = vars(owner)[name]
    setattr(owner, name, foreign_over(raw, getattr(owner, name), noting(log, "foreign")))

    patch.apply()
    call()

    assert log == ["foreign", "ours"]


@pytest.mark.parametrize("place", PLACES)
def test_a_superseded_patch_applied_again_stands_on_top_of_the_foreign_object(
    place, victims, patches
):
    log = []
    owner, name, call = victims[place]
    patch = patches.apply((owner, name), noting(log, "ours"), aliases="ignore")
    raw = vars(owner)[name]
    foreign = foreign_over(raw, getattr(owner, name), secretly_noting(log, "foreign"))
    setattr(owner, name, foreign)
    assert patch.superseded

    patch.apply()
    call()

    assert log == ["ours", "foreign"]
    assert not patch.superseded
    patch.undo()
    assert vars(owner)[name] is foreign


def put_an_inert_dispatcher_back(owner, name):
    """What a mock does that starts over our patch and stops after its undo."""
    patch = safepatch.apply((owner, name), pass_through, aliases="ignore")
    foreign = mock.patch.object(owner, name, pass_through)
    foreign.start()
    patch.undo()
    foreign.stop()
    return patch


def apply_another(patch):
    safepatch.apply(patch.target, pass_through, aliases="ignore").undo()


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(apply_another, id="apply"),
        pytest.param(lambda patch: patch.undo(), id="undo"),
        pytest.param(lambda patch: safepatch.explain(patch.target), id="explain"),
    ],
)
@pytest.mark.parametrize("place", PLACES)
def test_an_inert_dispatcher_that_was_put_back_is_removed_by_the_next(act, place, victims):
    owner, name, _ = victims[place]
    before = dict(vars(owner))
    patch = put_an_inert_dispatcher_back(owner, name)

    act(patch)

    assert identical(before, dict(vars(owner)))


def test_undo_of_a_patch_removes_the_inert_dispatcher_that_a_mock_put_over_it(victims):
    owner, name, _ = victims["function"]
    before = dict(vars(owner))
    below = safepatch.apply((owner, name), pass_through, aliases="ignore")
    foreign = mock.patch.object(owner, name, pass_through)
    foreign.start()
    below.undo()
    above = safepatch.apply((owner, name), pass_through, aliases="ignore")
    foreign.stop()

    above.undo()

    assert identical(before, dict(vars(owner)))


def test_what_a_reload_put_there_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "reloaded_victim.py").write_text("def function():\n    return 'original'\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("reloaded_victim")
    patch = safepatch.apply("reloaded_victim:function", pass_through)
    importlib.reload(module)
    fresh = module.function

    superseded = patch.superseded
    patch.undo()

    assert superseded
    assert module.function is fresh
    del sys.modules["reloaded_victim"]


def test_what_a_mock_put_back_goes_with_any_undo_there():
    module = types.ModuleType("put_back")
    module.function = original = len
    first = safepatch.apply((module, "function"), pass_through, aliases="ignore")
    face = module.function
    module.function = lambda *args: face(*args)
    others = [
        safepatch.apply((module, "function"), pass_through, aliases="ignore") for _ in range(2)
    ]
    first.undo()
    module.function = face

    others[1].undo()

    assert module.function is original
    others[0].undo()


class Barred:
    """A proxy, in the way of werkzeug's, whose namespace can be made unreachable."""

    __slots__ = ("barred", "space")

    def __init__(self):
        self.space, self.barred = {"function": lambda: "original"}, False

    def __getattr__(self, name):
        return self.space[name]

    @property
    def __dict__(self):
        if self.barred:
            raise RuntimeError("barred")
        return self.space


def test_an_undo_that_fails_does_not_stop_the_others():
    owners = [Barred(), Barred(), Barred()]
    originals = [owner.function for owner in owners]
    registry = safepatch.Registry()
    for owner in owners:
        registry.apply((owner, "function"), pass_through, aliases="ignore")
    owners[1].barred = True

    with pytest.raises(ExceptionGroup) as raised:
        registry.undo_all()

    owners[1].barred = False
    assert [str(error) for error in raised.value.exceptions] == ["barred"]
    assert [originals[0], originals[2]] == [owners[0].function, owners[2].function]
    assert registry.live() == []


def test_an_undone_patch_keeps_no_link_alive(victims):
    links = []

    def replacing(wrapped):
        links.append(weakref.ref(wrapped))
        return lambda *args, **kwargs: "replaced"

    owner, name, _ = victims["function"]
    patch = safepatch.apply((owner, name), replacing, aliases="ignore")
    assert links[0]() is not None

    patch.undo()
    gc.collect()

    assert links[0]() is None


def test_a_patched_instance_sees_the_patches_that_its_class_gets_later(victims, patches):
    """As a class does that inherits: what it does not define is looked up when it is called."""
    log = []
    instance, name, call = victims["instance"]
    patches.apply((instance, name), noting(log, "instance"), aliases="ignore")
    patches.apply((type(instance), name), noting(log, "class"), aliases="ignore")

    call()

    assert log == ["instance", "class"]


def test_an_original_kept_after_undo_calls_what_was_there_before_every_patch(victims, patches):
    log = []
    owner, name, _ = victims["function"]
    undone = patches.apply((owner, name), pass_through, aliases="ignore")
    patches.apply((owner, name), noting(log, "still live"), aliases="ignore")
    undone.undo()

    undone.original()

    assert log == []
