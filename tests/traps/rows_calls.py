"""One caller: which calls are the same, and what is given out for them."""

import functools
import inspect

from rows import FLIGHTS, TTL_CACHE, WorkError, count, expect, row


@row()
def spoilt_result(cache):
    """A caller changes the list it was given."""

    @cache
    def items():
        return [1]

    for _ in range(3):
        found = items()
        expect(found == [1], "leaks")
        found.append(2)


@row()
def spoilt_inside(cache):
    """A caller changes a list inside of what it was given, with `copy="deep"`."""

    @cache(copy="deep")
    def items():
        return [[1]]

    for _ in range(3):
        found = items()
        expect(found == [[1]], "leaks")
        found[0].append(2)


@row(ours=FLIGHTS)
def unhashable_argument(cache):
    """An argument cannot be hashed."""
    summed = cache(lambda numbers: sum(numbers))

    expect([summed([1, 2]), summed([2, 3])] == [3, 5], "wrong")


@row()
def keyword_order(cache):
    """`f(a=1, b=2)` and `f(b=2, a=1)` are one call."""
    calls = []
    f = cache(lambda a, b: calls.append(a))

    f(a=1, b=2), f(b=2, a=1)

    count(calls)


@row()
def spelling(cache):
    """`f(x)`, `f(x, 0)`, `f(x, family=0)` and `f(host=x)` are one call."""
    calls = []
    f = cache(lambda host, family=0: calls.append(host) or "found")

    f("x"), f("x", 0), f("x", family=0), f(host="x")

    count(calls)


class Number(int):
    pass


@row()
def types_of_numbers(cache):
    """1, 1.0, True and an equal number of another class are different, with `typed=True`."""
    f = cache(lambda x: type(x), typed=True)
    numbers = [1, 1.0, True, Number(1)]

    found = [f(number) for number in numbers]

    expect(found == [type(number) for number in numbers], "answers with another type")


@row(ours=FLIGHTS)
def number_and_text(cache):
    """`f(1)` and `f("1")` are different."""
    f = cache(lambda x: type(x))

    expect([f(1), f("1")] == [int, str], "same entry")


@row(ours=FLIGHTS)
def joined_words(cache):
    """`q("x y", "z")` and `q("x", "y z")` are different."""
    q = cache(lambda a, b: (a, b))

    expect([q("x y", "z"), q("x", "y z")] == [("x y", "z"), ("x", "y z")], "same entry")


class Quiet:
    def __repr__(self):
        return "<quiet>"


@row(ours=FLIGHTS)
def same_repr(cache):
    """Two objects that look the same are different."""
    f = cache(lambda x: id(x))
    one, other = Quiet(), Quiet()

    expect([f(one), f(other)] == [id(one), id(other)], "same entry")


@row()
def none_is_a_result(cache):
    """None is kept like any other result."""
    calls = []
    f = cache(lambda: calls.append(1))

    expect([f(), f()] == [None, None], "wrong")
    count(calls)


@row(ours=FLIGHTS)
def function_raises(cache):
    """An error of the function comes as it is, and is not kept."""
    calls = []

    @cache
    def fail(x):
        calls.append(x)
        raise WorkError(x)

    for _ in range(3):
        try:
            fail(1)
        except WorkError as error:
            expect(error.__context__ is None, f"__context__ is {error.__context__!r}")
            expect(error.__cause__ is None, f"__cause__ is {error.__cause__!r}")
    count(calls, 3)


def remembering(function, **options):
    """Note the last error, as many do to tell of it."""

    @functools.wraps(function)
    def wrapper(*args):
        try:
            return function(*args)
        except Exception as error:
            wrapper.last_error = error
            raise

    return wrapper


@row(ours=FLIGHTS, control=remembering)
def failed_call_lets_go(cache):
    """After a call that failed, its arguments are freed by counting alone."""
    import gc
    import weakref

    @cache
    def fail(x):
        raise WorkError

    gc.disable()
    argument = Quiet()
    is_alive = weakref.ref(argument)
    try:
        fail(argument)
    except WorkError:
        pass
    del argument
    expect(is_alive() is None, "kept alive")


@row(ours=FLIGHTS)
def generator_function(cache):
    """A generator function is refused, or gives its items each time."""

    def items():
        yield 1

    try:
        cached = cache(items)
    except TypeError:
        return
    expect([list(cached()), list(cached())] == [[1], [1]], "second call is empty")


@row(ours=FLIGHTS)
def asynchronous_generator_function(cache):
    """An asynchronous generator function is refused, or gives its items each time."""
    import asyncio

    async def items():
        yield 1

    async def all_of(found):
        return [item async for item in found]

    try:
        cached = cache(items)
    except TypeError:
        return
    found = [asyncio.run(all_of(cached())) for _ in range(2)]
    expect(found == [[1], [1]], "second call is empty")


@row()
def iterator_as_result(cache):
    """An iterator that a plain function returns is for one caller only."""
    f = cache(lambda: iter([1]))

    expect([list(f()), list(f())] == [[1], [1]], "second call is empty")


@row()
def awaitable_as_result(cache):
    """A coroutine that a plain function returns is for one caller only."""
    import asyncio

    async def one():
        return 1

    f = cache(lambda: one())

    expect([asyncio.run(f()), asyncio.run(f())] == [1, 1], "wrong")


class Key:
    """A key that is told what to do when it is hashed or compared."""

    def __init__(self, on_hash=None, on_compare=None):
        self.on_hash, self.on_compare = on_hash, on_compare

    def __hash__(self):
        if self.on_hash is not None:
            self.on_hash()
        return 1

    def __eq__(self, other):
        if self.on_compare is not None:
            self.on_compare()
        return self is other

    def __str__(self):
        # For caches that make texts of keys.
        return str(hash(self) and self == self)


def fail():
    raise WorkError


@row(ours=FLIGHTS)
def hash_raises(cache):
    """The hash of an argument raises."""
    f = cache(lambda key, x: x)

    expect([f(Key(on_hash=fail), 1), f(Key(on_hash=fail), 2)] == [1, 2], "wrong")


@row(ours=FLIGHTS)
def comparison_raises(cache):
    """The comparison of two arguments raises."""
    f = cache(lambda key, x: x)
    f(Key(on_compare=fail), 0)

    expect([f(Key(on_compare=fail), 1), f(Key(on_compare=fail), 2)] == [1, 2], "wrong")


def once(function):
    """A function that calls at most one time at once, so as not to recur for ever."""
    inside = []

    def wrapper():
        if not inside:
            inside.append(1)
            try:
                function()
            finally:
                inside.clear()

    return wrapper


@row(ours=FLIGHTS)
def key_calls_the_function(cache):
    """Hash and comparison of an argument call the cached function themselves."""
    f = cache(lambda key: "found")
    again = once(lambda: f(Key()))

    f(Key())
    for _ in range(3):
        key = Key(on_hash=again, on_compare=again)
        expect([f(key), f(key)] == ["found"] * 2, "wrong")


@row(ours=FLIGHTS)
def key_forgets(cache):
    """The comparison of two arguments clears the cache."""
    from subjects import forget_all

    f = cache(lambda key: "found")
    if hasattr(f, "cache_clear") or hasattr(f, "clear_cache"):
        for _ in range(20):
            key = Key(on_compare=once(lambda: forget_all(f)))
            expect([f(key), f(Key()), f(key)] == ["found"] * 3, "wrong")


def frames_of(error):
    frames, traceback = 0, error.__traceback__
    while traceback is not None:
        frames, traceback = frames + 1, traceback.tb_next
    return frames


@row(ours=(TTL_CACHE,))
def growing_traceback(cache):
    """The traceback of an error that is kept stays as it is."""

    @cache(negative_ttl=60)
    def fail():
        raise WorkError("no")

    lengths = []
    for _ in range(100):
        try:
            fail()
        except WorkError as error:
            lengths.append(frames_of(error))
    expect(lengths[1] == lengths[-1], "grows")


@row(ours=FLIGHTS)
def looks_like_the_function(cache):
    """The signature can be read, and the wrapper is a function."""

    def f(a: int, *, b: str = "x") -> str:
        """About it."""

    cached = cache(f)

    expect(inspect.signature(cached) == inspect.signature(f), "another signature")
    expect(inspect.isfunction(cached), type(cached).__name__)
