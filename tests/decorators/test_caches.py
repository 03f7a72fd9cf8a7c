"""What memoize and ttl_cache promise of a single caller; for several at once, test_flights.py."""

import asyncio
import gc
import inspect
import random
import socket
import weakref
from collections import OrderedDict

import cachetools
import pytest
import wrapt
from hypothesis import given
from hypothesis import strategies as st

from safepatch.decorators import CacheInfo, memoize, ttl_cache
from safepatch.decorators.keys import key_function


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class WorkError(Exception):
    pass


def calls_of(function, **options):
    """A memoized function and the list of calls that reached the function itself."""
    calls = []

    def noted(*args, **kwargs):
        calls.append((args, kwargs))
        return function(*args, **kwargs)

    noted.__signature__ = inspect.signature(function)
    return memoize(noted, **options), calls


both = pytest.mark.parametrize("cache", [memoize, ttl_cache(ttl=60)], ids=["memoize", "ttl_cache"])


@both
def test_a_second_call_is_answered_from_the_cache(cache):
    @cache
    def double(x):
        calls.append(x)
        return 2 * x

    calls = []

    assert [double(1), double(2), double(1)] == [2, 4, 2]
    assert calls == [1, 2]
    assert double.cache_info()[:2] == (1, 2)


def test_none_is_a_result_like_any_other():
    nothing, calls = calls_of(lambda: None)

    assert nothing() is nothing() is None
    assert len(calls) == 1


def test_the_decorators_work_bare_called_and_with_options():
    def f(x):
        return x

    for decorate in (memoize, memoize(), memoize(maxsize=3), ttl_cache(ttl=1), ttl_cache(ttl=1)):
        assert decorate(f)(5) == 5


def test_a_wrapper_looks_like_the_function():
    @memoize
    def documented(a: int, *, b: str = "x") -> str:
        """About it."""

    assert documented.__name__ == "documented"
    assert documented.__doc__ == "About it."
    assert str(inspect.signature(documented)) == "(a: int, *, b: str = 'x') -> str"
    assert inspect.isfunction(documented)


# Which calls are equal


def lookup(host, port, family=0, type=0, *, flags=0):  # noqa: A002
    return host, port, family, type, flags


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("h", 80), {}),
        (("h", 80, 0), {}),
        (("h", 80, 0, 0), {"flags": 0}),
        (("h",), {"port": 80}),
        ((), {"port": 80, "host": "h", "type": 0}),
        ((), {"type": 0, "flags": 0, "family": 0, "port": 80, "host": "h"}),
    ],
)
def test_equivalent_calls_share_one_result(args, kwargs):
    cached, calls = calls_of(lookup)
    expected = cached("h", 80)

    assert cached(*args, **kwargs) == expected
    assert len(calls) == 1


def variadic(a, b=2, /, c=3, *rest, d, e=5, **others):
    return a, b, c, rest, d, e, others


def plain(a, b=2, c=3):
    return a, b, c


def positional(a, b=2, /, **others):
    return a, b, others


# Names that shadow builtins, and that the code made from them could use.
def shadowing(type, tuple=1, *, frozenset=2, defaults=3, **values):  # noqa: A002
    return type, tuple, frozenset, defaults, values


some = st.integers(0, 2)
names = st.sampled_from(["a", "b", "c", "d", "e", "type", "tuple", "frozenset", "defaults", "z"])
spelled = st.tuples(st.lists(some, max_size=5), st.dictionaries(names, some, max_size=4))


@pytest.mark.parametrize("function", [variadic, plain, positional, shadowing])
@given(one=spelled, other=spelled)
def test_keys_are_equal_exactly_where_python_binds_equal(function, one, other):
    key = key_function(function, typed=False)
    received, keys = [], []
    for args, kwargs in (one, other):
        try:
            received.append(function(*args, **kwargs))
        except TypeError:
            with pytest.raises(TypeError):
                key(*args, **kwargs)
            return
        keys.append(key(*args, **kwargs))

    assert (keys[0] == keys[1]) == (received[0] == received[1])
    assert hash(keys[0]) == hash(keys[1]) or keys[0] != keys[1]


@given(one=spelled, other=spelled)
def test_without_a_signature_keys_are_equal_for_calls_spelled_alike(one, other):
    no_signature = type("NoSignature", (), {"__call__": len, "__signature__": "none"})()
    key = key_function(no_signature, typed=False)

    keys = [key(*args, **kwargs) for args, kwargs in (one, other)]

    assert (keys[0] == keys[1]) == (one == other)


def test_arguments_are_not_mistaken_for_keyword_arguments():
    show, _ = calls_of(lambda *args, **kwargs: (args, kwargs))
    calls = [
        ((), {}),
        ((frozenset(),), {}),
        ((), {"a": 1}),
        ((("a", 1),), {}),
        ((frozenset({("a", 1)}),), {}),
        (("a", 1), {}),
    ]

    assert [show(*args, **kwargs) for args, kwargs in calls * 2] == calls * 2


@pytest.mark.parametrize("function", [lambda x: type(x), lambda *x: type(x[0]), lambda **k: k])
@pytest.mark.parametrize(("typed", "expected"), [(False, 1), (True, 3)])
def test_numbers_of_different_types_are_different_when_asked(function, typed, expected):
    cached, calls = calls_of(function, typed=typed)

    for number in (1, 1.0, True):
        if "k" in inspect.signature(function).parameters:
            cached(number=number)
        else:
            cached(number)

    assert len(calls) == expected


def test_a_key_function_decides_which_calls_are_equal():
    lower, calls = calls_of(lambda host: host.lower(), key=lambda host: host.lower())

    assert [lower("A"), lower("a"), lower("b")] == ["a", "a", "b"]
    assert len(calls) == 2


@both
def test_unhashable_arguments_go_straight_through(cache):
    summed = cache(sum)

    assert [summed([1, 2]), summed([1, 2])] == [3, 3]
    assert summed.cache_info().currsize == 0


def test_a_call_that_goes_straight_through_raises_without_a_foreign_context():
    @memoize
    def fail(argument):
        raise WorkError

    with pytest.raises(WorkError) as raised:
        fail([])

    assert raised.value.__context__ is None


class Fragile:
    """A key that can be hashed or compared so many times only."""

    def __init__(self, hashes=1000, compares=1000):
        self.left = {"__hash__": hashes, "__eq__": compares}

    def use(self, name):
        self.left[name] -= 1
        if self.left[name] < 0:
            raise ZeroDivisionError(name)

    def __hash__(self):
        self.use("__hash__")
        return 1

    def __eq__(self, other):
        self.use("__eq__")
        return False


async def later(result):
    return result


def outcome_of(function, *args):
    """What a function returns, awaited if need be, or the error it raises."""
    try:
        result = function(*args)
        return asyncio.run(result) if inspect.iscoroutine(result) else result
    except WorkError as error:
        return error


def fragile_keys():
    for uses in range(8):
        yield Fragile(hashes=uses)
        yield Fragile(compares=uses)


@pytest.mark.parametrize("make", [memoize, lambda f: memoize(f, cache={}), ttl_cache(ttl=9)])
@pytest.mark.parametrize("is_coroutine", [False, True])
def test_a_key_that_raises_at_any_time_does_not_stand_in_the_way(make, is_coroutine):
    def same(key, value):
        return value

    async def same_later(key, value):
        return value

    for key in fragile_keys():
        cached = make(same_later if is_coroutine else same)
        for _ in range(3):
            outcome_of(cached, Fragile(), 0)  # something to be compared with

        assert outcome_of(cached, key, 5) == 5
        assert outcome_of(cached, key, 6) == 6
        assert outcome_of(cached, "plain", 7) == 7


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_an_error_of_the_function_has_none_of_the_keys_as_its_context(is_coroutine):
    def fail(key):
        raise WorkError

    async def fail_later(key):
        raise WorkError

    for key in fragile_keys():
        cached = ttl_cache(fail_later if is_coroutine else fail, ttl=9, negative_ttl=9)

        for _ in range(3):
            error = outcome_of(cached, key)
            assert type(error) is WorkError
            assert error.__context__ is None


def test_a_key_function_that_raises_does_not_stand_in_the_way():
    cached, calls = calls_of(lambda x: x, key=lambda x: 1 // x)

    assert [cached(0), cached(0)] == [0, 0]
    cached.cache_invalidate(0)
    assert len(calls) == 2


def test_an_interrupt_while_a_key_is_made_comes_through():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        memoize(len, key=interrupted)("x")


def test_what_cannot_be_compared_can_be_invalidated_to_no_effect():
    class Key:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            raise ValueError("no")

    cached = memoize(lambda x: x)
    key = Key()
    cached(key)

    cached.cache_invalidate(Key())

    assert cached.cache_info().currsize == 1
    cached.cache_invalidate(key)
    assert cached.cache_info().currsize == 0


def test_a_wrong_call_raises_what_the_function_raises():
    def two(a, b):
        pass

    cached = memoize(two)

    with pytest.raises(TypeError, match=r"two\(\) missing 1 required positional argument: 'b'"):
        cached(1)


def test_a_signature_that_lies_does_no_harm():
    """As functools.wraps makes it for a wrapper that adds an argument."""
    calls = []

    def with_connection(a):
        calls.append(a)
        return a

    with_connection.__signature__ = inspect.signature(lambda connection, a: None)
    cached = memoize(with_connection)

    assert [cached(1), cached(1)] == [1, 1]
    assert calls == [1, 1]


def test_calls_reach_the_function_as_they_were_spelled():
    cached, calls = calls_of(lookup)

    cached("h", port=80)

    assert calls == [(("h",), {"port": 80})]


# What is given out, and what is not kept


@both
@pytest.mark.parametrize(
    ("make", "spoil"),
    [
        (lambda: [1], lambda found: found.append(2)),
        (lambda: {1: 1}, lambda found: found.clear()),
        (lambda: {1}, lambda found: found.add(2)),
        (lambda: bytearray(b"1"), lambda found: found.extend(b"2")),
    ],
)
def test_callers_cannot_spoil_a_result_for_each_other(cache, make, spoil):
    cached = cache(lambda: make())

    for _ in range(3):
        found = cached()
        assert found == make()
        spoil(found)

    assert cached.cache_info()[:2] == (2, 1)


@pytest.mark.parametrize(
    ("copy", "outer_is_shared", "inner_is_shared"),
    [("no", True, True), ("auto", False, True), ("deep", False, False)],
)
def test_copy_says_how_deep(copy, outer_is_shared, inner_is_shared):
    cached = memoize(lambda: [[1]], copy=copy)
    cached()

    one, other = cached(), cached()

    assert (one is other) == outer_is_shared
    assert (one[0] is other[0]) == inner_is_shared


def test_a_subclass_is_given_out_as_it_is_unless_deep():
    value = OrderedDict(a=1)

    assert memoize(lambda: value)() is value
    assert type(memoize(lambda: value, copy="deep")()) is OrderedDict


def test_what_cannot_be_copied_is_not_kept():
    class Single:
        def __deepcopy__(self, memo):
            raise WorkError

    single, calls = calls_of(Single, copy="deep")

    assert single() is not single()
    assert len(calls) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: iter([1]),
        lambda: (x for x in [1]),
        lambda: map(str, [1]),
        lambda: asynchronous_items(),
        lambda: type("Awaitable", (), {"__await__": lambda self: iter(())})(),
    ],
)
def test_what_can_be_used_once_only_is_not_kept(make):
    cached = memoize(make)

    assert cached() is not cached()
    assert cached.cache_info().currsize == 0


async def asynchronous_items():
    yield 1


def test_a_coroutine_that_a_plain_function_returns_is_not_kept():
    async def one():
        return 1

    cached = memoize(lambda: one())

    assert [asyncio.run(cached()), asyncio.run(cached())] == [1, 1]


def items():
    yield 1


class Items:
    def __call__(self):
        yield 1


@pytest.mark.parametrize("function", [items, asynchronous_items, Items()])
@both
def test_generator_functions_are_refused_when_decorating(cache, function):
    with pytest.raises(TypeError, match=r"is a generator function.*returns a list"):
        cache(function)


@pytest.mark.parametrize("thing", [5, "name", property(len)])
@both
def test_what_cannot_be_called_is_refused_when_decorating(cache, thing):
    with pytest.raises(TypeError, match="cannot be called; decorate a function"):
        cache(thing)


@both
def test_errors_are_not_kept_and_not_shared(cache):
    @cache
    def fail():
        raise WorkError("now")

    errors = []
    for _ in range(3):
        with pytest.raises(WorkError) as raised:
            fail()
        errors.append(raised.value)

    assert len(set(map(id, errors))) == 3
    assert [error.__context__ for error in errors] == [None, None, None]
    assert fail.cache_info() == CacheInfo(0, 3, fail.cache_info().maxsize, 0)


# Errors that are kept when asked


def failing(error, **options):
    calls = []

    @ttl_cache(ttl=60, negative_ttl=5, **options)
    def fail():
        calls.append(1)
        raise error()

    return fail, calls


def raised_by(function):
    with pytest.raises(Exception) as raised:  # noqa: PT011
        function()
    return raised.value


@pytest.mark.parametrize(
    "make",
    [
        lambda: WorkError("no", 1),
        lambda: socket.gaierror(-2, "Name or service not known"),
        lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        lambda: FileNotFoundError(2, "gone", "/file"),
    ],
)
def test_with_negative_ttl_an_equal_error_is_raised_for_so_long(make):
    clock = Clock()
    fail, calls = failing(make, clock=clock)

    errors = [raised_by(fail) for _ in range(3)]

    assert len(calls) == 1
    assert len(set(map(id, errors))) == 3
    assert {type(error) for error in errors} == {type(make())}
    assert {(str(error), error.args) for error in errors} == {(str(make()), make().args)}
    clock.now += 5
    raised_by(fail)
    assert len(calls) == 2


def test_errors_that_are_kept_share_no_traceback_context_or_notes():
    def make():
        error = WorkError("no")
        error.add_note("first")
        return error

    fail, _ = failing(make)
    lengths = []
    for _ in range(5):
        error = raised_by(fail)
        error.add_note("mine")
        lengths.append(len(inspect.getinnerframes(error.__traceback__)))
        assert error.__context__ is None
        assert error.__notes__ == ["first", "mine"]

    assert len(set(lengths[1:])) == 1


def test_an_error_that_cannot_be_copied_faithfully_is_not_kept():
    class NumberedError(Exception):
        def __init__(self, number):
            super().__init__(f"number {number}")

    class TwofoldError(Exception):
        def __init__(self, one, other):
            super().__init__(one)

    class SilentError(Exception):
        def __init__(self, *args):
            super().__init__("one more", *args)

        def __str__(self):
            return "silent"

    for make in (lambda: NumberedError(5), lambda: TwofoldError(1, 2), SilentError):
        fail, calls = failing(make)

        texts = {str(raised_by(fail)), str(raised_by(fail))}

        assert len(calls) == 2
        assert texts == {str(make())}


class SlottedError(Exception):
    __slots__ = ("number",)

    def __reduce__(self):
        return SlottedError, self.args


class ForgetfulError(Exception):
    def __reduce__(self):
        return ForgetfulError, self.args


def with_number(error):
    error.number = 5
    return error


def noisy(make):
    """Raise what is made of an expression, with all that Python knows of it."""
    try:
        make()
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: noisy(lambda: (3).no_such), ["name", "obj"]),
        (lambda: noisy(lambda: no_such), ["name"]),  # noqa: F821
        (lambda: ImportError("no", name="module", path="/file"), ["name", "path"]),
        (lambda: OSError(2, "gone", "/one", None, "/two"), ["errno", "filename", "filename2"]),
        (lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), ["object", "start", "end"]),
        (lambda: StopIteration(5), ["value"]),
        (lambda: with_number(SlottedError("no")), ["number"]),
        (lambda: with_number(ForgetfulError("no")), ["number"]),
        (lambda: with_number(WorkError("no")), ["number"]),
    ],
)
def test_an_error_that_is_kept_knows_all_that_the_first_knew(make, names):
    fail, _ = failing(make)

    for _ in range(3):
        error = raised_by(fail)
        assert [getattr(error, name) for name in names] == [getattr(make(), name) for name in names]


def test_what_is_no_exception_proper_is_never_kept():
    fail, calls = failing(KeyboardInterrupt)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fail()

    assert len(calls) == 2


# Time and size


def test_a_result_lives_for_ttl_seconds_from_when_it_came():
    clock = Clock()
    calls = []

    @ttl_cache(ttl=10, clock=clock)
    def slow():
        clock.now += 100
        calls.append(clock.now)
        return clock.now

    first = slow()
    clock.now += 9.9
    assert slow() == first
    clock.now += 0.1

    assert slow() == first + 110
    assert len(calls) == 2


@pytest.mark.parametrize(("chance", "life"), [(0.0, 10), (0.5, 9), (1.0, 8)])
def test_jitter_takes_up_to_its_share_from_a_life(chance, life):
    clock = Clock()
    cached = ttl_cache(object, ttl=10, jitter=0.2, clock=clock, random=lambda: chance)
    first = cached()
    clock.now += life - 0.1
    assert cached() is first
    clock.now += 0.2

    assert cached() is not first


def test_jitter_uses_the_random_numbers_of_the_standard_library():
    random.seed(1)
    cached = ttl_cache(object, ttl=10, jitter=1)

    assert cached() is cached()


def test_results_that_were_not_asked_for_again_leave_first():
    cached, calls = calls_of(lambda x: x, maxsize=3)
    for x in (1, 2, 3, 1, 4):
        cached(x)
    assert cached.cache_info().currsize == 3
    calls.clear()

    for x in (1, 3, 4):
        cached(x)
    assert calls == []
    cached(2)
    assert len(calls) == 1


def test_what_is_asked_for_again_and_again_outlives_a_scan():
    cached, calls = calls_of(lambda x: x, maxsize=10)
    for x in range(1000):
        cached("often")
        cached(x)

    assert calls.count((("often",), {})) == 1


def test_the_youngest_result_stays_though_all_others_were_asked_for_again():
    cached, calls = calls_of(lambda x: x, maxsize=3)
    for x in (1, 2, 3, 1, 2, 3, 4, 4):
        cached(x)

    assert calls.count(((4,), {})) == 1


def test_hits_are_counted_though_results_leave():
    cached, _ = calls_of(lambda x: x, maxsize=2)
    for x in (1, 1, 1, 2, 2, 3, 4, 5, 6):
        cached(x)

    assert cached.cache_info() == CacheInfo(hits=3, misses=6, maxsize=2, currsize=2)


def test_a_result_that_was_renewed_is_young_again():
    clock = Clock()
    cached = ttl_cache(lambda x: object(), ttl=10, maxsize=2, clock=clock)
    cached(1)
    clock.now += 5
    second = cached(2)
    clock.now += 5
    first = cached(1)

    cached(3)

    assert cached(1) is first
    assert cached(2) is not second


def test_what_has_left_keeps_no_argument_alive():
    class Argument:
        pass

    cached = memoize(lambda x: 1, maxsize=2)
    argument = Argument()
    gone = weakref.ref(argument)
    cached(argument)
    del argument
    for x in range(2):
        cached(x)

    assert gone() is None


def test_hits_stay_counted_where_keys_that_cannot_be_found_must_leave():
    class Key:
        hash = 1

        def __hash__(self):
            return self.hash

    keys = [Key(), Key()]
    cached = memoize(lambda x: 1, maxsize=2)
    for key in keys * 2:
        cached(key)
    Key.hash = 3
    cached(0)

    assert cached.cache_info() == CacheInfo(hits=2, misses=3, maxsize=2, currsize=1)


def test_a_cache_never_holds_more_than_maxsize_and_is_full():
    cached = memoize(lambda x: x, maxsize=100)
    for x in range(1000):
        cached(x)
        assert cached.cache_info().currsize == min(x + 1, 100)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: memoize(maxsize=0), "maxsize=0"),
        (lambda: memoize(maxsize=10.0), "maxsize=10.0; give a whole number"),
        (lambda: memoize(maxsize=True), "maxsize=True"),
        (lambda: memoize(maxsize="10"), "maxsize='10'"),
        (lambda: ttl_cache(ttl=1, maxsize=1e1), "maxsize=10.0"),
        (lambda: memoize(copy="shallow"), "give one of 'auto', 'deep', 'no'"),
        (lambda: memoize(typed=True, key=len), "typed=True and a key"),
        (lambda: memoize(maxsize=3, cache={}), "give the cache its own maxsize"),
        (lambda: ttl_cache(ttl=0), "ttl=0"),
        (lambda: ttl_cache(ttl=float("nan")), "ttl=nan"),
        (lambda: ttl_cache(ttl=1, maxsize=-1), "maxsize=-1"),
        (lambda: ttl_cache(ttl=1, jitter=1.5), "jitter=1.5"),
        (lambda: ttl_cache(ttl=1, negative_ttl=-1), "negative_ttl=-1"),
    ],
)
def test_options_out_of_range_are_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Forgetting


def test_clear_forgets_all_and_counts_anew():
    cached, calls = calls_of(lambda x: x)
    cached(1), cached(2), cached(1)

    cached.cache_clear()

    assert cached.cache_info() == CacheInfo(0, 0, None, 0)
    cached(1)
    assert len(calls) == 3


def test_invalidate_forgets_one_call_however_it_is_spelled():
    cached, calls = calls_of(lambda a, b=2: a)
    cached(1), cached(5)

    cached.cache_invalidate(b=2, a=1)

    cached(5)
    assert len(calls) == 2
    cached(1)
    assert len(calls) == 3


def test_invalidate_does_nothing_for_what_is_never_kept():
    cached = memoize(lambda a: a)

    cached.cache_invalidate([])
    cached.cache_invalidate("too", "many")
    cached.cache_invalidate("unknown")


forget = pytest.mark.parametrize("how", ["cache_clear", "cache_invalidate"])


@forget
@pytest.mark.parametrize("make", [memoize, ttl_cache(ttl=60), lambda f: memoize(f, cache={})])
def test_forgetting_during_a_call_wins(make, how):
    @make
    def value():
        calls.append(1)
        getattr(value, how)()
        return len(calls)

    calls = []

    assert [value(), value()] == [1, 2]
    assert value.cache_info().currsize == 0


@forget
@pytest.mark.parametrize("make", [memoize, ttl_cache(ttl=60), lambda f: memoize(f, cache={})])
def test_a_call_from_before_forgetting_does_not_spoil_the_result_of_one_from_after(make, how):
    @make
    def value():
        calls.append(1)
        number = len(calls)
        if number == 1:
            getattr(value, how)()
            value()
        return number

    calls = []

    assert [value(), value(), value()] == [1, 2, 2]


@forget
def test_forgetting_while_a_coroutine_waits_wins(how):
    @memoize
    async def value():
        calls.append(1)
        getattr(value, how)()
        return len(calls)

    calls = []

    async def main():
        return [await value(), await value()]

    assert asyncio.run(main()) == [1, 2]


# A mapping of one's own


@pytest.mark.parametrize("make", [dict, lambda: cachetools.LFUCache(10)])
def test_results_can_be_kept_in_any_mapping(make):
    mapping = make()
    cached, calls = calls_of(lambda x: [x], cache=mapping)
    for _ in range(3):
        cached(1).append("spoilt")

    assert cached(1) == [1]
    assert len(calls) == 1
    assert list(mapping.values()) == [[1]]
    assert cached.cache_info() == CacheInfo(3, 1, getattr(mapping, "maxsize", None), 1)
    cached.cache_invalidate(1)
    assert dict(mapping) == {}
    cached(1)
    cached.cache_clear()
    assert dict(mapping) == {}


def test_a_mapping_decides_what_leaves_and_what_is_too_large():
    cache = cachetools.LRUCache(2, getsizeof=lambda value: value)
    cached, calls = calls_of(lambda x: x, cache=cache)

    for x in (1, 0, 2, 3, 3):
        cached(x)

    assert sorted(cache.values()) == [0, 2]
    assert len(calls) == 5


@pytest.mark.parametrize("method", ["__getitem__", "__setitem__"])
@pytest.mark.parametrize("error", [TypeError, RuntimeError, ValueError])
@pytest.mark.parametrize("is_coroutine", [False, True])
def test_a_mapping_that_raises_costs_no_result(method, error, is_coroutine):
    def full(self, *args):
        raise error("full")

    mapping = type("Full", (dict,), {method: full})()
    cached = memoize(later if is_coroutine else abs, cache=mapping)

    assert [outcome_of(cached, 1), outcome_of(cached, 1)] == [1, 1]


def test_unhashable_arguments_do_not_reach_the_mapping():
    summed = memoize(sum, cache=cachetools.LRUCache(2))

    assert summed([1, 2]) == 3


# Coroutine functions, methods, and things that are no functions


@both
def test_the_results_of_a_coroutine_function_serve_any_event_loop(cache):
    calls = []

    @cache
    async def double(x):
        calls.append(x)
        await asyncio.sleep(0)
        return [2 * x]

    first, second = asyncio.run(double(1)), asyncio.run(double(1))

    assert first == second == [2]
    assert first is not second
    assert calls == [1]
    assert inspect.iscoroutinefunction(double)


def test_a_cancelled_call_of_a_coroutine_function_is_not_kept():
    started = []

    @memoize
    async def stuck(x):
        started.append(x)
        if len(started) == 1:
            await asyncio.Event().wait()
        return "done"

    async def main():
        task = asyncio.create_task(stuck(1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [await stuck(1), await stuck(1)]

    assert asyncio.run(main()) == ["done", "done"]
    assert len(started) == 2


def test_of_calls_awaited_at_the_same_time_one_runs():
    calls = []

    @memoize
    async def wait(x):
        calls.append(x)
        await asyncio.sleep(0)
        return [x]

    async def main():
        return await asyncio.gather(*[wait(1) for _ in range(5)]), await wait(1)

    together, later = asyncio.run(main())

    assert (together, later) == ([[1]] * 5, [1])
    assert len({id(result) for result in together}) == 5
    assert len(calls) == 1
    assert wait.cache_info() == CacheInfo(5, 1, None, 1)


def test_errors_of_a_coroutine_function_are_kept_when_asked():
    calls = []

    @ttl_cache(ttl=60, negative_ttl=5)
    async def fail():
        calls.append(1)
        raise WorkError("no")

    errors = [raised_by(lambda: asyncio.run(fail())) for _ in range(3)]

    assert [str(error) for error in errors] == ["no"] * 3
    assert len(set(map(id, errors))) == 3
    assert len(calls) == 1


def test_unhashable_arguments_go_straight_through_to_a_coroutine_function():
    @memoize
    async def length(things):
        return len(things)

    assert asyncio.run(length([1, 2])) == 2


def test_an_object_called_like_a_coroutine_function_is_one():
    class Client:
        async def __call__(self):
            return 1

    cached = memoize(Client())

    assert [asyncio.run(cached()), asyncio.run(cached())] == [1, 1]
    assert cached.cache_info().hits == 1


def test_a_method_is_cached_for_each_instance():
    class Numbers:
        def __init__(self, number):
            self.number = number

        @memoize
        def plus(self, x):
            calls.append(x)
            return self.number + x

    calls = []
    one, two = Numbers(1), Numbers(2)

    assert [one.plus(1), two.plus(1), one.plus(x=1)] == [2, 3, 2]
    assert len(calls) == 2
    Numbers.plus.cache_invalidate(one, 1)
    assert [one.plus(1), len(calls)] == [2, 3]


def test_a_proxy_a_partial_and_a_class_can_be_cached():
    import functools

    def add(a, b):
        return a + b

    async def later(a):
        return a

    assert memoize(wrapt.CallableObjectProxy(add))(1, b=2) == 3
    assert asyncio.run(memoize(wrapt.CallableObjectProxy(later))(1)) == 1
    assert memoize(functools.partial(add, 1))(2) == 3
    assert memoize(complex)(1, 2) == 1 + 2j


def test_a_function_that_is_dropped_takes_its_cache_with_it():
    class Value:
        pass

    cached = memoize(lambda: Value())
    cached()

    del cached

    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Value]


def test_a_cache_applied_as_a_patch_lives_while_other_patches_come_and_go(patches):
    calls = []
    victim = type("Module", (), {"ask": staticmethod(lambda host: calls.append(host) or [host])})
    with patches.apply((victim, "ask"), ttl_cache(ttl=60)) as cache:
        victim.ask("a")
        with patches.apply((victim, "ask"), memoize):
            victim.ask("a")

        assert victim.ask("a") == ["a"]
        assert calls == ["a"]
        assert cache.wrapper.cache_info().hits == 2
