"""Methods: results for each instance, which is not kept alive, on all kinds of classes."""

import copy
import dataclasses
import gc
import pickle
import typing

from rows import (
    CACHEBOX,
    CACHES,
    FOR_METHODS,
    HAND_MADE,
    LOCK,
    LRU,
    WRAPT,
    count,
    expect,
    row,
)

method_row = row(ours=CACHES, peers=FOR_METHODS)


def check_instances(make, calls, expected_calls=1):
    """`make(number)` gives an instance whose `f(x)` notes its call and returns `(number, x)`."""
    one, other = make(1), make(2)
    expect([one.f(1), other.f(1), one.f(1)] == [(1, 1), (2, 1), (1, 1)], "another's answer")
    expect(calls.count((1, 1)) == expected_calls, f"{calls.count((1, 1))} calls")
    check_ids(make)
    check_freed(make, 1)


def check_freed(make, *args, by_gc=False):
    """An instance that was used is freed as soon as nobody has it; `args` are those of `f`."""
    gc.disable()
    deaths = []
    instance = make(3)
    instance.f(*args)
    type(instance).__del__ = lambda self: deaths.append(1)
    del instance
    at_once = len(deaths)
    gc.collect()
    expect(deaths, "never freed")
    expect(at_once or by_gc, "freed by gc only")


def check_ids(make):
    """An instance often gets the address, and so the id, of one that was freed before."""
    for number in range(100):
        expect(make(number).f(1) == (number, 1), "another's answer")


@method_row
def method(cache):
    """A method of an ordinary class."""
    calls = []

    class Numbers:
        def __init__(self, number):
            self.number = number

        @cache
        def f(self, x):
            calls.append((self.number, x))
            return self.number, x

    check_instances(Numbers, calls)


@method_row
def method_called_through_the_class(cache):
    """`Class.f(instance, x)` and `instance.f(x)` are one call."""
    calls = []

    class Numbers:
        def __init__(self, number):
            self.number = number

        @cache
        def f(self, x):
            calls.append(x)
            return self.number, x

    one = Numbers(1)
    expect([Numbers.f(one, 1), one.f(1), Numbers.f(one, 1)] == [(1, 1)] * 3, "wrong")
    count(calls)
    check_freed(Numbers, 1)


@method_row
def method_without_arguments(cache):
    """A method that takes nothing but its instance."""
    calls = []

    class Numbers:
        def __init__(self, number):
            self.number = number

        @cache
        def f(self):
            calls.append(self.number)
            return self.number

    one, other = Numbers(1), Numbers(2)
    expect([one.f(), other.f(), one.f()] == [1, 2, 1], "another's answer")
    count(calls, 2)
    check_freed(Numbers)


@method_row
def method_of_equal_instances(cache):
    """A method of a frozen dataclass: equal instances are two all the same."""
    calls = []

    @dataclasses.dataclass(frozen=True)
    class Numbers:
        number: int = dataclasses.field(compare=False)
        name: str = "same"

        @cache
        def f(self, x):
            calls.append((self.number, x))
            return self.number, x

    check_instances(Numbers, calls)


@method_row
def method_of_unhashable_instances(cache):
    """A method of a dataclass with `__eq__` but no `__hash__`."""
    calls = []

    @dataclasses.dataclass
    class Numbers:
        number: int

        @cache
        def f(self, x):
            calls.append((self.number, x))
            return self.number, x

    check_instances(Numbers, calls)


@method_row
def method_of_odd_instances(cache):
    """A method of a class whose `__eq__`, `__hash__`, `__bool__` and `__len__` raise."""
    calls = []

    def fail(self, *others):
        raise ZeroDivisionError

    class Numbers:
        __eq__ = __hash__ = __bool__ = __len__ = fail

        def __init__(self, number):
            self.number = number

        @cache
        def f(self, x):
            calls.append((self.number, x))
            return self.number, x

    check_instances(Numbers, calls)


@method_row
def method_of_slots_with_weakref(cache):
    """A method of a class with `__slots__`, among them `__weakref__`."""
    calls = []

    class Numbers:
        __slots__ = ("__weakref__", "number")

        def __init__(self, number):
            self.number = number

        @cache
        def f(self, x):
            calls.append((self.number, x))
            return self.number, x

    check_instances(Numbers, calls)


@method_row
def method_of_slots(cache):
    """A method of a class with `__slots__` only: nothing can be kept for it, so each call calls."""
    calls = []

    class Numbers:
        __slots__ = ("number",)

        def __init__(self, number):
            self.number = number

        @cache
        def f(self, x):
            calls.append((self.number, x))
            return self.number, x

    one, other = Numbers(1), Numbers(2)
    expect([one.f(1), other.f(1), one.f(1)] == [(1, 1), (2, 1), (1, 1)], "another's answer")
    check_ids(Numbers)
    check_freed(Numbers, 1)


@method_row
def method_of_a_named_tuple(cache):
    """A method of a NamedTuple, whose instances are values."""

    class Numbers(typing.NamedTuple):
        number: int

        @cache
        def f(self, x):
            return [self.number, x]

    for number in (1, 2, 1):
        expect(Numbers(number).f(1) == [number, 1], "another's answer")
        Numbers(number).f(1).append("spoilt")


@method_row
def inherited_method(cache):
    """A class inherits a cached method, and overrides another one, which it calls by `super()`."""
    calls = []

    class Base:
        def __init__(self, number):
            self.number = number

        @cache
        def f(self, x):
            calls.append((self.number, x))
            return self.number, x

        @cache
        def g(self, x):
            return "base", self.number, x

    class Derived(Base):
        @cache
        def g(self, x):
            return "derived", super().g(x)

    for _ in range(2):
        expect(Derived(1).g(2) == ("derived", ("base", 1, 2)), "wrong")
        expect(Base(1).g(2) == ("base", 1, 2), "wrong")
    check_instances(Derived, calls)
    check_freed(lambda number: use(Derived(number), "g"), 1)


def use(instance, name):
    getattr(instance, name)(1)
    return instance


# Not on wrapt.lru_cache, with which this depends on the Python.
@row(peers=(LRU, LOCK, CACHEBOX, HAND_MADE))
def class_and_static_methods(cache):
    """Class methods are for each class, of the same name even; static methods for all instances."""
    calls = []

    def make():
        class Numbers:
            @classmethod
            @cache
            def of_class(cls, x):
                calls.append(("class", x))
                return cls, x

            @staticmethod
            @cache
            def of_all(x):
                calls.append(("static", x))
                return x

        return Numbers

    cls = make()
    derived = type("Numbers", (cls,), {"__qualname__": cls.__qualname__})
    for owner in (cls, derived, cls(), derived()):
        expected = owner if isinstance(owner, type) else type(owner)
        expect(owner.of_class(1) == (expected, 1), "another's answer")
        expect(owner.of_all(1) == 1, "wrong")
    expect(calls == [("class", 1), ("static", 1), ("class", 1)], f"{len(calls)} calls")


@row(ours=CACHES, peers=(CACHEBOX, HAND_MADE))
def coroutine_method(cache):
    """A coroutine function as a method."""
    import asyncio

    calls = []

    class Numbers:
        def __init__(self, number):
            self.number = number

        @cache
        async def later(self, x):
            calls.append((self.number, x))
            await asyncio.sleep(0)
            return self.number, x

        def f(self, x):
            return loop.run_until_complete(self.later(x))

    loop = asyncio.new_event_loop()
    check_instances(Numbers, calls)
    loop.close()


@method_row
def patched_method(cache):
    """A method of somebody else's class, cached by `safepatch.apply`."""
    import safepatch

    calls = []

    class Numbers:
        def __init__(self, number):
            self.number = number

        def f(self, x):
            calls.append((self.number, x))
            return self.number, x

    with safepatch.apply((Numbers, "f"), cache):
        check_instances(Numbers, calls)
    expect(Numbers(1).f(1) == (1, 1), "wrong")


class Portable:
    """Set up by the row, since only what a module has can be pickled."""

    def __init__(self, number):
        self.number = number


@row(ours=CACHES, peers=(LRU, LOCK, WRAPT, HAND_MADE))
def copied_instance(cache):
    """An instance is pickled and copied after a call: the copy has results of its own."""

    def f(self, x):
        return self.number, x

    Portable.f = cache(f)
    # Several libraries learn by this what they are for.
    getattr(Portable.f, "__set_name__", lambda owner, name: None)(Portable, "f")
    one = Portable(1)
    one.f(1)

    for make in (copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))):
        other = make(one)
        expect(vars(other) == {"number": 1}, "carries more along")
        other.number = 2
        expect([one.f(1), other.f(1)] == [(1, 1), (2, 1)], "another's answer")


@method_row
def invalidated_method(cache):
    """Forgetting a call of one instance forgets that one only."""
    from subjects import forget

    calls = []

    class Numbers:
        @cache
        def f(self, x):
            calls.append(x)
            return x

    one, other = Numbers(), Numbers()
    one.f(1), other.f(1), one.f(2)
    count(calls, 3)
    forget(Numbers.f, one, 1)
    one.f(2), other.f(1)
    count(calls, 3)
    one.f(1)
    count(calls, 4)
    check_freed(lambda number: forgotten(Numbers(), forget), 1)


def forgotten(instance, forget):
    forget(type(instance).f, instance, 1)
    return instance


@method_row
def method_raises(cache):
    """A method fails: its instance is freed as soon as the error is."""

    class Numbers:
        def __init__(self, number):
            self.number = number

        @cache
        def fail(self, x):
            raise ZeroDivisionError

        def f(self, x):
            try:
                self.fail(x)
            except ZeroDivisionError:
                pass

    check_freed(Numbers, 1)


# Only a store in the instance itself could be collected with it, and that would be seen there.
@row(peers=FOR_METHODS, known="never freed")
def result_that_refers_to_the_instance(cache):
    """A method returns something that has its instance: that is freed, if by the collector only."""

    class Numbers:
        def __init__(self, number):
            pass

        @cache
        def f(self, x):
            return [self, x]

    check_freed(Numbers, 1, by_gc=True)


# Nothing tells a cache that the function is in a class.
@row(peers=FOR_METHODS, known="never freed")
def function_put_into_a_class(cache):
    """A function from elsewhere is cached and becomes a method."""
    calls = []

    def f(self, x):
        calls.append((self.number, x))
        return self.number, x

    class Numbers:
        def __init__(self, number):
            self.number = number

    Numbers.f = cache(f)

    check_instances(Numbers, calls)
