"""Kinds of target x things that happen: each promise holds for each kind."""

import copy
import functools
import gc
import inspect
import pickle
import sys
import types
import warnings
import weakref
from unittest import mock

import pytest
from helpers import noting, pass_through, spaces
from victims import VICTIMS

import safepatch
from safepatch.targets import mangled

# 3.13 says of each partial in a class that 3.14 will bind it.
pytestmark = pytest.mark.filterwarnings("ignore:functools.partial will be:FutureWarning")


@pytest.fixture(params=VICTIMS.values(), ids=VICTIMS.keys())
def victim(request):
    made = request.param()
    yield made
    sys.modules.pop(getattr(made.owner, "__name__", None), None)


def some(wanted):
    """Only the victims that are wanted, by name and as made."""
    chosen = {name: make for name, make in VICTIMS.items() if wanted(name, make())}
    return pytest.mark.parametrize("victim", chosen.values(), ids=chosen.keys(), indirect=True)


def name_in(victim):
    return mangled(*victim.target)


def slot(victim):
    return vars(victim.owner).get(name_in(victim), "nothing")


def asked(victim):
    """What inspect says of the thing found at the site."""
    standing = inspect.getattr_static(victim.owner, name_in(victim), None)
    standing = getattr(standing, "__func__", getattr(standing, "fget", standing))
    found = getattr(victim.owner, name_in(victim), standing)
    questions = (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isfunction,
        inspect.ismethod,
        inspect.isbuiltin,
        inspect.isroutine,
        inspect.isabstract,
        inspect.isdatadescriptor,
        callable,
    )
    return [question(found) for question in questions]


def test_the_decorator_runs_and_the_result_is_the_same(victim):
    log = []

    with safepatch.patch(victim.target, noting(log, "ran")):
        result = victim.call()

    assert victim.result == result
    assert log
    assert set(log) == {"ran"}


def test_undo_restores_every_namespace(victim):
    before = spaces(*victim.owners)

    safepatch.apply(victim.target, pass_through, aliases="ignore").undo()

    assert before == spaces(*victim.owners)
    assert all(
        one[name] is other[name]
        for one, other in zip(before, spaces(*victim.owners), strict=True)
        for name in one
    )
    assert victim.result == victim.call()


def test_undo_restores_after_calls(victim):
    before = slot(victim)
    patch = safepatch.apply(victim.target, pass_through, aliases="ignore")
    victim.call()

    patch.undo()

    assert slot(victim) is before


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_patches_go_in_any_order(victim, order):
    before, log = spaces(*victim.owners), []
    patches = [
        safepatch.apply(victim.target, noting(log, mark), aliases="ignore") for mark in range(3)
    ]
    victim.call()
    assert log[:3] == [2, 1, 0]

    live = [0, 1, 2]
    for mark in order:
        log.clear()
        patches[mark].undo()
        live.remove(mark)

        assert victim.result == victim.call()
        assert set(log) == set(live)
        assert log[: len(live)] == live[::-1]

    assert before == spaces(*victim.owners)


def test_a_captured_reference_goes_inert(victim):
    log = []
    patch = safepatch.apply(victim.target, noting(log, "ran"), aliases="ignore")
    held = slot(victim)
    patch.undo()
    setter = type.__setattr__ if isinstance(victim.owner, type) else vars(victim.owner).__setitem__
    args = (victim.owner,) if isinstance(victim.owner, type) else ()
    setter(*args, name_in(victim), held)

    assert victim.result == victim.call()
    assert log == []

    safepatch.explain(victim.target)  # which removes it


def test_an_inert_object_that_somebody_put_back_is_removed_by_the_next_apply(victim):
    before = spaces(*victim.owners)
    patch = safepatch.apply(victim.target, pass_through, aliases="ignore")
    held = slot(victim)
    patch.undo()
    if isinstance(victim.owner, type):
        type.__setattr__(victim.owner, name_in(victim), held)
    else:
        vars(victim.owner)[name_in(victim)] = held

    safepatch.apply(victim.target, pass_through, aliases="ignore").undo()

    assert before == spaces(*victim.owners)


def test_a_foreign_wrapper_on_top_stays_and_ours_goes_inert_under_it(victim):
    log = []
    patch = safepatch.apply(victim.target, noting(log, "ours"), aliases="ignore")
    ours = slot(victim)
    foreign = _foreign(victim, ours, log)
    _put(victim, foreign)
    assert victim.result == victim.call()
    assert log[:2] == ["foreign", "ours"]

    log.clear()
    patch.undo()

    assert slot(victim) is foreign
    assert victim.result == victim.call()
    assert set(log) == {"foreign"}
    _put(victim, ours)
    safepatch.explain(victim.target)


def _foreign(victim, ours, log):
    """Somebody's wrapper over what stands there, as they would write it for that kind."""
    if isinstance(ours, (staticmethod, classmethod)):
        return type(ours)(noting(log, "foreign")(ours.__func__))
    if isinstance(ours, property):
        return property(noting(log, "foreign")(ours.fget))
    if isinstance(ours, functools.cached_property):
        made = functools.cached_property(noting(log, "foreign")(ours.func))
        made.__set_name__(None, ours.attrname)
        return made
    if type(ours).__name__ == "ClassOnly":
        return classmethod(lambda cls: log.append("foreign") or ours.__get__(None, cls)())
    if inspect.isfunction(ours) and type(ours) is types.FunctionType:
        return noting(log, "foreign")(ours)
    if hasattr(type(ours), "__get__"):

        def method(self, *args, **kwargs):
            log.append("foreign")
            return ours.__get__(self, type(self))(*args, **kwargs)

        wrapped = getattr(ours, "__wrapped__", None)
        is_class = type(wrapped).__name__ == "classmethod_descriptor"
        if is_class:
            return classmethod(
                lambda cls, *a, **k: log.append("foreign") or ours.__get__(None, cls)(*a, **k)
            )
        return method
    made = noting(log, "foreign")(ours)
    return staticmethod(made) if isinstance(victim.owner, type) else made


def _put(victim, value):
    if isinstance(victim.owner, type):
        type.__setattr__(victim.owner, name_in(victim), value)
    else:
        vars(victim.owner)[name_in(victim)] = value


def test_a_foreign_replacement_is_left_alone(victim):
    def replacement(*args, **kwargs):
        return "replaced"

    patch = safepatch.apply(victim.target, pass_through, aliases="ignore")
    _put(victim, replacement)

    assert patch.superseded
    patch.undo()

    assert slot(victim) is replacement


def test_a_deleted_attribute_is_not_resurrected(victim):
    patch = safepatch.apply(victim.target, pass_through, aliases="ignore")
    if isinstance(victim.owner, type):
        type.__delattr__(victim.owner, name_in(victim))
    else:
        del vars(victim.owner)[name_in(victim)]

    patch.undo()

    assert slot(victim) == "nothing"


# A class whose __new__ a mock has deleted and set again refuses arguments; that is CPython's doing.
@some(lambda name, victim: victim.name != "__new__")
def test_a_mock_that_starts_before_our_undo_and_stops_after_it_leaves_nothing_behind(victim):
    before = spaces(*victim.owners)
    patch = safepatch.apply(victim.target, pass_through, aliases="ignore")
    foreign = mock.patch.object(victim.owner, name_in(victim), lambda *args, **kwargs: "mocked")
    foreign.start()

    patch.undo()
    foreign.stop()
    safepatch.explain(victim.target)

    assert before == spaces(*victim.owners)
    assert victim.result == victim.call()


def test_inspect_finds_the_kind_it_was(victim):
    before = asked(victim)

    with safepatch.patch(victim.target, pass_through):
        assert before == asked(victim)


def test_name_docstring_and_signature_are_those_of_the_original(victim):
    def facts():
        found = inspect.getattr_static(victim.owner, name_in(victim), None)
        found = getattr(found, "fget", None) or getattr(found, "func", None) or victim_value()
        facts = [getattr(found, n, None) for n in ("__name__", "__doc__")]
        try:
            return [*facts, inspect.signature(found), getattr(found, "__defaults__", None)]
        except (ValueError, TypeError):
            return facts

    def victim_value():
        return getattr(victim.owner, name_in(victim))

    before = facts()

    with safepatch.patch(victim.target, pass_through):
        assert before == facts()


def test_two_undos_are_one(victim):
    log = []
    one = safepatch.apply(victim.target, noting(log, "one"), aliases="ignore")
    other = safepatch.apply(victim.target, noting(log, "other"), aliases="ignore")

    one.undo()
    one.undo()
    victim.call()

    assert set(log) == {"other"}
    assert one.state == "undone"
    other.undo()


def test_it_can_be_applied_again_after_undo(victim):
    before, log = spaces(*victim.owners), []
    patch = safepatch.apply(victim.target, noting(log, "ran"), aliases="ignore")
    patch.undo()

    patch.apply()
    victim.call()
    patch.undo()

    assert set(log) == {"ran"}
    assert before == spaces(*victim.owners)


def test_an_undone_patch_keeps_nothing_alive(victim):
    owners = [weakref.ref(owner) for owner in victim.owners]
    patch = safepatch.apply(victim.target, pass_through, aliases="ignore")
    victim.call()
    patch.undo()
    wrapper = patch.wrapper

    sys.modules.pop(getattr(victim.owner, "__name__", None), None)
    victim.owner = victim.call = victim.result = victim.owners = None
    del victim
    gc.collect()

    assert callable(wrapper)
    # Each victim is in a fixture, which keeps the dataclass but nothing in it.
    assert [owner() for owner in owners] == [None] * len(owners)


def test_copies_and_pickles_are_what_they_were(victim):
    """What copy and pickle make of the object found at the site does not change."""

    def made():
        found = getattr(victim.owner, name_in(victim), None)
        results = []
        for make in (copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))):
            try:
                results.append(make(found) is found or type(make(found)))
            except Exception:
                results.append("cannot")
        return results

    before = made()

    with safepatch.patch(victim.target, pass_through):
        after = made()

    # Where the site itself has no address, the original is what comes out of a pickle.
    as_good = {(True, type(len)), (True, type(dict.get)), (True, type(dict.__len__))}
    as_good |= {(types.MethodType, True)}
    for pair in zip(before, after, strict=True):
        assert pair[0] == pair[1] or pair in as_good


@pytest.mark.parametrize("kind", ["function", "builtin in a module", "served by __getattr__"])
def test_a_pickle_made_while_patched_gives_what_stands_at_the_site(kind):
    victim = VICTIMS[kind]()
    with safepatch.patch(victim.target, pass_through):
        pickled = pickle.dumps(victim.standing())
        assert pickle.loads(pickled) is victim.standing()

    assert pickle.loads(pickled) is victim.standing() or victim.standing() == pickle.loads(pickled)
    del sys.modules[victim.owner.__name__]


@some(lambda name, victim: isinstance(victim.owner, type))
def test_a_subclass_made_while_patched_sees_the_patch_and_its_end(victim):
    patch = safepatch.apply(victim.target, pass_through, aliases="ignore")
    sub = type(victim.owner)("Sub", (victim.owner,), {})
    assert name_in(victim) not in vars(sub)
    assert inspect.getattr_static(sub, name_in(victim)) is slot(victim)

    patch.undo()

    assert inspect.getattr_static(sub, name_in(victim)) is inspect.getattr_static(
        victim.owner, name_in(victim)
    )


def test_gc_finds_no_garbage_left_by_apply_and_undo(victim):
    for _ in range(50):  # the plugin for pytest keeps the latest for a while
        safepatch.apply(victim.target, pass_through, aliases="ignore").undo()
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = len(gc.get_objects())
        for _ in range(50):
            safepatch.apply(victim.target, pass_through, aliases="ignore").undo()
        gc.collect()
        after = len(gc.get_objects())

    assert after - before < 50
