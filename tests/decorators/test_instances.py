"""A cached method has results for each instance, and keeps none of them alive."""

import copy
import dataclasses
import gc
import pickle
import sys
import weakref

import pytest

import safepatch
from safepatch.decorators import log_calls, memoize, single_flight, ttl_cache

pytestmark = pytest.mark.usefixtures("no_gc")


@pytest.fixture
def no_gc():
    """What is freed must be freed without the collector."""
    gc.disable()
    yield
    gc.enable()


class Plain:
    def __init__(self, name=""):
        self.name = name

    @memoize
    def value(self, x, *, y=0):
        return [self.name, x, y]

    @ttl_cache(ttl=60)
    def any(self, *args, **kwargs):
        return [self.name, args, kwargs]

    @memoize(key=lambda self, x: x.lower())
    def lower(self, x):
        return [self.name, x]

    @memoize(typed=True)
    def typed(self, x):
        return [self.name, x]

    @log_calls
    @memoize
    def logged(self, x):
        return [self.name, x]

    @property
    @memoize
    def wide(self):
        return [self.name]

    @classmethod
    @memoize
    def of_class(cls, x):
        return [cls, x]

    @staticmethod
    @memoize
    def of_none(x):
        return [x]

    @memoize(copy="no")
    def failing(self, x):
        raise ValueError(x)

    @memoize(negative=ValueError)
    def failing_again(self, x):
        raise ValueError(x)


class Heir(Plain):
    @memoize(copy="no")
    def value(self, x, *, y=0):
        return [*super().value(x, y=y), "heir"]


@dataclasses.dataclass(frozen=True)
class Frozen(Plain):
    name: str = ""


@dataclasses.dataclass
class Unhashable(Plain):
    name: str = ""


class NeverCompared(Plain):
    def __eq__(self, other):
        raise AssertionError("compared")

    def __hash__(self):
        raise AssertionError("hashed")


class Slots:
    __slots__ = ("__weakref__", "name")

    def __init__(self, name=""):
        self.name = name

    value = Plain.value


@dataclasses.dataclass(slots=True, weakref_slot=True)
class MadeAnew:
    name: str = ""

    @memoize(copy="no")
    def value(self, x):
        return [self.name, x]


every_class = pytest.mark.parametrize(
    "kind", [Plain, Heir, Frozen, Unhashable, NeverCompared, MadeAnew]
)


@every_class
def test_each_instance_has_results_of_its_own(kind):
    one, other = kind("one"), kind("other")

    assert one.value(1)[0] == "one"
    assert other.value(1)[0] == "other"
    assert one.value(1)[0] == "one"


@every_class
def test_equal_instances_share_nothing(kind):
    one, other = kind("a"), kind("a")
    before = kind.value.cache_info()
    for _ in range(3):
        one.value(1), other.value(1)
    after = kind.value.cache_info()

    assert (after.misses - before.misses, after.hits - before.hits) == (2, 4)


@every_class
def test_an_instance_dies_at_once_and_takes_its_results_along(kind):
    before = kind.value.cache_info().currsize
    instance = kind()
    instance.value(1), instance.value(2)
    assert kind.value.cache_info().currsize == before + 2
    dead = weakref.ref(instance)

    del instance

    assert dead() is None
    assert kind.value.cache_info().currsize == before


@pytest.mark.parametrize(
    "call",
    [
        lambda instance: instance.value(x=1),
        lambda instance: instance.any(1, b=2),
        lambda instance: instance.lower("A"),
        lambda instance: instance.typed(1),
        lambda instance: instance.logged(1),
        lambda instance: instance.wide,
    ],
)
def test_no_way_to_call_keeps_an_instance_alive(call):
    one, other = Plain("one"), Plain("other")
    assert [call(each)[0] for each in (one, other, one, other)] == ["one", "other"] * 2
    dead = weakref.ref(one)

    del one

    assert dead() is None
    assert call(other)[0] == "other"


def test_a_call_that_raises_keeps_no_instance_alive():
    instance = Plain()
    for method in (instance.failing, instance.failing_again):
        with pytest.raises(ValueError, match="1"):
            method(1)
    del method
    dead = weakref.ref(instance)

    del instance

    gc.collect()  # the errors that pytest has seen
    assert dead() is None


def test_results_of_the_dead_are_never_given_to_the_living():
    """Whose id is very likely the same."""
    seen = set()
    for number in range(1000):
        instance = Plain(number)
        assert instance.value(1) == [number, 1, 0]
        seen.add(id(instance))

    assert len(seen) < 1000


def test_hits_are_by_instance_however_the_call_is_spelled():
    instance = Plain()
    before = Plain.value.cache_info().misses

    results = [instance.value(1), instance.value(x=1), Plain.value(instance, 1, y=0)]

    assert results == [["", 1, 0]] * 3
    assert Plain.value.cache_info().misses == before + 1


def test_a_call_of_one_instance_can_be_invalidated():
    calls = []

    class Counting:
        @memoize
        def value(self, x):
            calls.append(x)
            return x

    one, other = Counting(), Counting()
    one.value(1), other.value(1)

    Counting.value.cache_invalidate(one, 1)
    one.value(1), other.value(1)

    assert calls == [1, 1, 1]


def test_items_show_the_instance():
    instance = Plain()
    Plain.value.cache_clear()
    instance.value(1)

    assert Plain.value.cache_items() == [((instance, 1, 0), ["", 1, 0])]


def test_clear_and_eviction_let_go_of_all():
    class Small:
        @memoize(maxsize=3)
        def value(self, x):
            return x

    instance = Small()
    for x in range(100):
        assert instance.value(x) == x
    assert Small.value.cache_info().currsize == 3
    Small.value.cache_clear()
    assert instance.value(1) == 1
    dead = weakref.ref(instance)
    del instance

    assert dead() is None
    assert Small.value.cache_info().currsize == 0


def test_a_mapping_that_drops_results_leaves_no_trace_with_the_instance():
    import cachetools

    cache = cachetools.LRUCache(3)

    class Mapped:
        @memoize(cache=cache)
        def value(self, x):
            return x

    instance = Mapped()
    for x in range(100):
        instance.value(x)
    [stand_in] = {key[0] for key in cache}
    assert len(stand_in.keys) <= 7
    del instance

    assert len(cache) == 0


def test_a_class_method_has_results_for_each_class():
    assert Plain.of_class(1) == [Plain, 1]
    assert Heir.of_class(1) == [Heir, 1]
    assert Plain().of_class(1) == [Plain, 1]


def test_a_class_with_a_cached_class_method_can_be_dropped():
    def make():
        class Local:
            @classmethod
            @memoize
            def of_class(cls):
                return [1]

        Local.of_class(), Local.of_class()
        return weakref.ref(Local)

    dead = make()
    gc.collect()  # classes are in cycles with themselves

    assert dead() is None


def test_a_static_method_knows_its_arguments_by_value():
    before = Plain.of_none.cache_info().misses
    for x in (Frozen("a"), Frozen("a"), Frozen("a")):
        assert Plain.of_none(x) == [x]

    assert Plain.of_none.cache_info().misses == before + 1


def test_what_cannot_be_referred_to_weakly_is_known_by_a_value_or_not_at_all():
    class Point(tuple):
        __slots__ = ()

        @memoize
        def total(self):
            calls.append(self)
            return sum(self)

        @memoize(key=lambda self: 0)
        def by_key(self):
            return sum(self)

    class Bare:
        __slots__ = ("x",)

        @memoize
        def value(self):
            calls.append(self)
            return 1

    calls = []
    assert [Point((1, 2)).total(), Point((1, 2)).total(), Point((2, 2)).total()] == [3, 3, 4]
    assert calls == [(1, 2), (2, 2)]
    assert [Point((1, 2)).by_key(), Point((2, 2)).by_key()] == [3, 4]

    bare = Bare()
    assert [bare.value(), bare.value()] == [1, 1]
    assert calls[2:] == [bare, bare]


def test_instances_are_copied_and_pickled_as_if_there_were_no_cache():
    instance = Plain("a")
    instance.value(1)

    for twin in (
        copy.copy(instance),
        copy.deepcopy(instance),
        pickle.loads(pickle.dumps(instance)),
    ):
        assert vars(twin) == vars(instance) == {"name": "a"}
        twin.name = "twin"
        assert twin.value(1) == ["twin", 1, 0]


def test_a_subclass_that_calls_super_has_results_of_its_own():
    heir = Heir("a")

    assert heir.value(1) == ["a", 1, 0, "heir"]
    assert Plain.value(heir, 1) == ["a", 1, 0]
    assert heir.value(1) == ["a", 1, 0, "heir"]


def test_a_private_method_is_one():
    class Private:
        @memoize
        def __value(self):
            return [self]

        def value(self):
            return len(self.__value())

    instance = Private()
    assert (instance.value(), instance.value()) == (1, 1)
    assert instance._Private__value.cache_info().misses == 1


def test_a_method_in_another_class_or_one_that_was_renamed_is_still_one():
    class Other:
        def __init__(self, name):
            self.name = name

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

        borrowed = Plain.value

    class Renamed(Other):
        @memoize
        def value(self, x):
            return [self.name, x]

    Renamed.__qualname__ = "another"
    for one, other in [
        (Other("one").borrowed, Other("other").borrowed),
        (Renamed("one").value, Renamed("other").value),
    ]:
        assert [one(1)[0], other(1)[0]] == ["one", "other"]


@pytest.mark.parametrize("decorate", [memoize(copy="no"), ttl_cache(ttl=60, copy="no")])
def test_a_method_patched_from_outside_keeps_no_instance_alive(decorate):
    class Foreign:
        def value(self, x=1):
            return [x]

    one, other = Foreign(), Foreign()
    with safepatch.patch((Foreign, "value"), decorate) as p:
        assert one.value() is one.value(1) is one.value(x=1)
        assert one.value() is not other.value()
        assert p.wrapper.cache_info()[:2] == (3, 2)
        dead = weakref.ref(one)
        del one

        assert dead() is None


def test_a_shared_flight_of_a_method_is_for_one_instance():
    class Shared:
        @single_flight
        def value(self):
            return [self]

    one = Shared()
    assert one.value()[0] is one
    dead = weakref.ref(one)
    del one

    assert dead() is None


def test_self_may_be_one_of_any_number_of_arguments():
    class Any:
        def __init__(self, value):
            self.value = value

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

        @memoize
        def get(*args, by=1):
            return args[0].value, args[1:], by

    one, two = Any(1), Any(2)

    for _ in range(2):
        assert one.get(5) == (1, (5,), 1)
        assert two.get(5) == (2, (5,), 1)
    assert Any.get.cache_items()[0] == ((one, 1, 5), (1, (5,), 1))
    gone = weakref.ref(one)
    del one
    assert gone() is None


@pytest.mark.parametrize("at", range(12))
def test_results_may_be_forgotten_while_those_of_a_dead_instance_are_dropped(monkeypatch, at):
    """By another thread, at any line."""
    lines = iter(range(at))

    def forget(frame, event, arg):
        if event == "line" and next(lines, None) is None:
            sys.settrace(None)
            Plain.value.cache_clear()
        return forget

    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    instance = Plain()
    for x in range(3):
        instance.value(x)
    before = sys.gettrace()
    sys.settrace(forget)
    del instance
    sys.settrace(before)

    assert unraisable == []
    assert Plain.value.cache_info().currsize == 0
