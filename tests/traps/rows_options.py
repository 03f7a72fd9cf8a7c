"""Time, errors that are kept, stale results, and the other options."""

import asyncio
import collections
import contextlib
import gc
import os
import threading
import time

import rows
from rows import (
    CACHEBOX,
    EARLY,
    HAND_MADE,
    LATE,
    LOCK,
    MEMOIZE,
    NEVER,
    PLAIN,
    STEPPED,
    TTL_CACHE,
    Clock,
    Killed,
    WorkError,
    at_once,
    count,
    expect,
    late,
    pause,
    raise_first,
    row,
    wait_until,
)

option_row = row(ours=(TTL_CACHE,), peers=(HAND_MADE,))
refresh_row = row(around=(PLAIN, EARLY, LATE, NEVER), ours=(TTL_CACHE,), peers=(HAND_MADE,))


class Source:
    """A function that counts its calls, and answers or fails as it is told."""

    def __init__(self):
        self.calls, self.value, self.error = [], "first", None

    def ask(self, x=0):
        self.calls.append(x)
        if self.error is not None:
            raise self.error
        return self.value

    def fails(self, cached, *args):
        try:
            cached(*args)
        except Exception as error:
            return type(error)
        return None


# The clock on the wall


def step_to(seconds):
    """Put the clock on the wall off by so much, for this process."""
    before = time.time()
    with open(os.environ["FAKETIME_TIMESTAMP_FILE"], "w") as file:
        file.write(f"{seconds:+d}\n")
    return time.time() - before


@row(around=(STEPPED,), ours=(TTL_CACHE,), peers=(LOCK, CACHEBOX, HAND_MADE))
def clock_set_forward(cache):
    """The clock on the wall is set an hour forward: nothing expires of it."""
    calls = []
    f = cache(lambda: calls.append(1) or "found", ttl=600)
    f()
    try:
        assert step_to(+3600) > 3500
        f()
    finally:
        step_to(0)
    expect(len(calls) == 1, "expires early")


@row(around=(STEPPED,), ours=(TTL_CACHE,), peers=(LOCK, CACHEBOX, HAND_MADE))
def clock_set_back(cache):
    """The clock on the wall is set an hour back: what has expired stays so."""
    calls = []
    f = cache(lambda: calls.append(1) or "found", ttl=0.05)
    f()
    try:
        assert step_to(-3600) < -3500
        # libfaketime does not let sleep while the clock is behind.
        end = time.monotonic() + 0.1
        while time.monotonic() < end:
            pass
        f()
    finally:
        step_to(0)
    expect(len(calls) == 2, "stale past its time")


@row(ours=(TTL_CACHE,), peers=(LOCK, HAND_MADE))
def python_clock_stepped(cache):
    """`time.time` is put off by an hour, as tests do it: nothing changes."""
    calls = []
    f = cache(lambda: calls.append(1) or "found", ttl=600)
    original = time.time
    f()
    for hours in (1, -1):
        time.time = lambda hours=hours: original() + 3600 * hours
        f()
    time.time = original
    count(calls)


# How long results live


@row(ours=(TTL_CACHE,), peers=(LOCK, HAND_MADE))
def life_from_the_end_of_the_call(cache):
    """A result lives from when it came, however long it took to come."""
    clock, calls = Clock(), []

    @cache(ttl=10, clock=clock)
    def slow():
        calls.append(1)
        clock.now += 100
        return "found"

    slow()
    clock.now += 9
    slow()
    count(calls)
    clock.now += 2
    slow()
    count(calls, 2)


@option_row
def jitter_within_bounds(cache):
    """With `jitter=0.5` lives differ, between half of the time and all of it."""
    clock, lives = Clock(), []
    f = cache(lambda x: clock.now, ttl=100, jitter=0.5, clock=clock)

    for x in range(200):
        start = clock.now
        f(x)
        while f(x) == start and clock.now < start + 200:
            clock.now += 1
        lives.append(clock.now - start)

    expect(len(set(lives)) > 10, "all at once")
    expect(min(lives) >= 50 and max(lives) <= 101, "out of bounds")


@option_row
def life_by_the_result(cache):
    """With `ttl_of` each result says how long it lives; None stands for `ttl`."""
    clock, calls = Clock(), []
    lives = {"short": 5, "long": 500, "other": None}
    f = cache(lambda x: calls.append(x) or x, ttl=50, ttl_of=lives.get, clock=clock)

    for name in lives:
        f(name)
    for name, now in [("short", 4), ("short", 6), ("other", 49), ("other", 51), ("long", 499)]:
        clock.now = 1000 + now
        f(name)

    expect(collections.Counter(calls) == {"short": 2, "other": 2, "long": 1}, "one life for all")


@row(ours=(TTL_CACHE,), peers=(LOCK, HAND_MADE), known="kept")
def expired_result_is_freed(cache):
    """A result that has expired is freed without another call."""

    class Value:
        deaths = 0

        def __del__(self):
            Value.deaths += 1

    f = cache(lambda: Value(), ttl=0.05)
    f()
    time.sleep(0.2)

    expect(Value.deaths, "kept")


@option_row
def options_that_raise(cache):
    """Where `ttl_of` or `negative` raise, the result or the error comes all the same."""

    def fail_to_tell(thing):
        raise ZeroDivisionError

    source = Source()
    f = cache(source.ask, ttl_of=fail_to_tell, negative=fail_to_tell, negative_ttl=60)
    expect([f(1), f(1)] == ["first"] * 2, "wrong")
    source.error = WorkError("no")
    for _ in range(2):
        try:
            f(2)
        except WorkError as error:
            expect(type(error.__context__) in (type(None), ZeroDivisionError), "wrong")
    expect(len(source.calls) >= 3, "is kept")


# Errors that are kept


@option_row
def negative_ttl(cache):
    """An error is kept for `negative_ttl` seconds, while results live for `ttl`."""
    clock, source = Clock(), Source()
    f = cache(source.ask, ttl=60, negative_ttl=5, clock=clock)
    source.error = WorkError("no")

    found = []
    for _ in range(3):
        try:
            f()
        except WorkError as error:
            found.append(error)
    count(source.calls)
    expect(len(set(map(id, found))) == 3, "one error for all")
    clock.now += 6
    source.error = None
    f(), f()
    clock.now += 50
    f()
    count(source.calls, 2)


@option_row
def negative_says_which(cache):
    """Of errors only those are kept that `negative` names, by class, tuple or predicate."""
    for negative in (KeyError, (KeyError, IndexError), lambda error: type(error) is KeyError):
        source = Source()
        f = cache(source.ask, negative_ttl=5, negative=negative)
        source.error = KeyError("x")
        expect([source.fails(f, 1), source.fails(f, 1)] == [KeyError] * 2, "wrong")
        count(source.calls)
        source.error = ValueError("x")
        expect([source.fails(f, 2), source.fails(f, 2)] == [ValueError] * 2, "wrong")
        expect(len(source.calls) == 3, "all are kept")


@row(ours=(MEMOIZE,), peers=(HAND_MADE,))
def negative_without_a_time(cache):
    """`memoize(negative=KeyError)` keeps such errors like results."""
    source = Source()
    f = cache(source.ask, negative=KeyError)
    source.error = KeyError("x")
    expect([source.fails(f, 1) for _ in range(3)] == [KeyError] * 3, "wrong")
    count(source.calls)
    source.error = ValueError("x")
    expect([source.fails(f, 2) for _ in range(3)] == [ValueError] * 3, "wrong")
    expect(len(source.calls) == 4, "all are kept")


@option_row
def interrupt_is_never_kept(cache):
    """What is no Exception proper is not kept, whatever is asked."""
    calls = []

    @cache(negative_ttl=60, stale_if_error=60)
    def killed():
        calls.append(1)
        raise Killed

    for _ in range(2):
        try:
            killed()
        except Killed:
            pass
    count(calls, 2)


# Stale results while they are refreshed


@refresh_row
def stale_at_once(cache):
    """While a stale result is refreshed, all who ask get it at once, and one refreshes it."""
    clock, may_end, calls = Clock(), [], []

    @cache(ttl=10, stale_while_revalidate=100, clock=clock)
    def read():
        calls.append(1)
        number = len(calls)
        if number > 1:
            wait_until(lambda: may_end)
        return number

    late()
    expect(read() == 1, "wrong")
    clock.now += 11
    found = [read() for _ in range(5)]
    found += raise_first(at_once(*[read] * 5))
    wait_until(lambda: len(calls) > 1)
    may_end.append(1)

    expect(found == [1] * 10, "wrong")
    wait_until(lambda: read() != 1)
    for _ in range(20):
        pause()
    expect(len(calls) == 2, "several refreshes")


@refresh_row
def stale_for_so_long(cache):
    """What is older than `stale_while_revalidate` allows is not given out."""
    clock, calls = Clock(), []
    read = cache(
        lambda: calls.append(1) or len(calls), ttl=10, stale_while_revalidate=100, clock=clock
    )

    late()
    read()
    clock.now += 111

    expect(read() == 2, "too old")
    clock.now += 11
    expect(read() == 2, "not stale")
    wait_until(lambda: read() == 3)
    expect(read.cache_info().currsize == 1, "wrong")


@refresh_row
def failing_refresh(cache):
    """A refresh that fails harms nobody: the stale result serves on, and the next call tries."""
    clock, source = Clock(), Source()
    f = cache(source.ask, ttl=10, stale_while_revalidate=100, clock=clock)

    late()
    f()
    clock.now += 11
    source.error = WorkError("no")
    for expected in (2, 3):
        expect(f() == "first", "is lost")
        wait_until(lambda expected=expected: len(source.calls) >= expected)
        for _ in range(20):
            pause()
    source.error, source.value = None, "second"
    wait_until(lambda: f() == "second")


@option_row
def stale_tasks(cache):
    """For coroutine functions, a task refreshes; it is not the caller's."""
    clock, calls = Clock(), []

    @cache(ttl=10, stale_while_revalidate=100, clock=clock)
    async def read():
        calls.append(1)
        number = len(calls)
        await asyncio.sleep(0.01)
        return number

    async def main():
        await read()
        clock.now += 11
        caller = asyncio.ensure_future(read())
        found = await asyncio.gather(caller, read(), read())
        caller.cancel()
        while len(calls) < 2 or await read() == 1:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        return found

    expect(asyncio.run(main()) == [1, 1, 1], "wrong")
    count(calls, 2)


@option_row
def stale_tasks_of_ended_loops(cache):
    """A loop ends while its task refreshes: the next loop refreshes anew."""
    clock, calls = Clock(), []

    @cache(ttl=10, stale_while_revalidate=100, clock=clock)
    async def read():
        calls.append(1)
        number = len(calls)
        await asyncio.sleep(3600 if number == 2 else 0)
        return number

    async def until_new():
        while await read() == 1:
            await asyncio.sleep(0.001)

    asyncio.run(read())
    clock.now += 11
    for end in (asyncio.run, run_and_close):
        expect(end(read()) == 1, "wrong")
    asyncio.run(asyncio.wait_for(until_new(), 20))


def run_and_close(coroutine):
    """Run in a loop that is closed without a word to its other tasks."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


@option_row
def refresh_of_a_method(cache):
    """A refresh keeps an instance alive no longer than it takes."""
    clock, deaths, calls = Clock(), [], []

    class Numbers:
        @cache(ttl=10, stale_while_revalidate=100, clock=clock)
        def f(self, x):
            calls.append(x)
            return len(calls)

        def __del__(self):
            deaths.append(1)

    one = Numbers()
    one.f(1)
    clock.now += 11
    one.f(1)
    while one.f(1) == 1:
        pause()
    del one
    for _ in range(200):
        if not deaths:
            pause()
    expect(deaths, "kept alive")


@refresh_row
def refresh_killed_before_it_began(cache):
    """A refresh is killed, or no thread can be had, before it has begun: the next call tries."""
    clock, calls = Clock(), []

    @cache(ttl=10, stale_while_revalidate=100, clock=clock)
    def read():
        calls.append(1)
        return len(calls)

    late()
    read()
    clock.now += 11
    with nothing_begins():
        read()
    wait_until(lambda: read() != 1)


@contextlib.contextmanager
def nothing_begins():
    """As when memory is short, or all greenlets are killed before they have run."""
    if rows.surroundings in rows.GEVENT:
        import gevent

        yield
        gevent.killall([thing for thing in gc.get_objects() if isinstance(thing, gevent.Greenlet)])
        return

    def fail(*args, **kwargs):
        raise RuntimeError("can't start new thread")

    original, threading.Thread.start = threading.Thread.start, fail
    yield
    threading.Thread.start = original


# Stale results instead of errors


@option_row
def stale_if_error(cache):
    """For `stale_if_error` seconds after it expired, a result stands in for an error."""
    clock, source = Clock(), Source()
    f = cache(source.ask, ttl=10, stale_if_error=100, clock=clock)
    f()
    source.error = WorkError("no")
    clock.now += 11
    expect([f(), f()] == ["first"] * 2, "is lost")
    count(source.calls, 3)
    clock.now += 100
    expect(source.fails(f) is WorkError, "too old")
    source.error, source.value = None, "second"
    expect(f() == "second", "not tried again")


@option_row
def stale_if_error_not_tried_again(cache):
    """With `negative_ttl` as well, a failure is remembered: no new try before."""
    clock, source = Clock(), Source()
    f = cache(source.ask, ttl=10, stale_if_error=100, negative_ttl=5, clock=clock)
    f()
    source.error = WorkError("no")
    clock.now += 11
    expect([f(), f(), f()] == ["first"] * 3, "is lost")
    count(source.calls, 2)
    clock.now += 6
    source.error, source.value = None, "second"
    expect(f() == "second", "not tried again")
    count(source.calls, 3)


@option_row
def stale_if_interrupted(cache):
    """What is no Exception proper comes through, however young the result."""
    clock, source = Clock(), Source()
    f = cache(source.ask, ttl=10, stale_if_error=100, clock=clock)
    f()
    source.error = Killed()
    clock.now += 11
    try:
        f()
    except Killed:
        return
    expect(False, "is swallowed")


@option_row
def stale_tasks_if_error(cache):
    """The same for coroutine functions; cancelling is not an error."""
    clock, source = Clock(), Source()

    @cache(ttl=10, stale_if_error=100, clock=clock)
    async def f():
        await asyncio.sleep(0)
        return source.ask()

    async def main():
        await f()
        clock.now += 11
        source.error = WorkError("no")
        expect([await f(), await f()] == ["first"] * 2, "is lost")
        count(source.calls, 3)
        source.error = asyncio.CancelledError()
        try:
            await f()
        except asyncio.CancelledError:
            return True
        return False

    expect(asyncio.run(main()), "is swallowed")


# Counting how wrong a cache is, and looking into it


@row(peers=(HAND_MADE,))
def verified_hits(cache):
    """With `verify=1` each hit also calls the original, and differences are counted."""
    source = Source()
    f = cache(source.ask, verify=1.0)
    f()
    f(), f()
    source.value = "second"
    f(), f(), f()

    info = f.cache_info() if hasattr(f, "cache_info") else None
    expect(info is not None, "does not know")
    expect((info.verified, info.wrong) == (5, 3), f"{info.verified} verified, {info.wrong} wrong")
    expect((info.hits, info.misses) == (5, 1), "wrong")
    count(source.calls, 6)


@row(peers=(HAND_MADE,))
def verified_hits_of_a_coroutine_function(cache):
    """The same for coroutine functions."""
    values = iter(range(10))

    @cache(verify=1.0)
    async def later():
        return next(values)

    async def main():
        return [await later() for _ in range(3)]

    asyncio.run(main())
    expect(hasattr(later, "cache_info"), "does not know")
    info = later.cache_info()
    expect((info.verified, info.wrong) == (2, 2), f"{info.verified} verified, {info.wrong} wrong")


@row(peers=(HAND_MADE,))
def verifying_fails(cache):
    """An original that fails while a hit is verified harms nobody; a share of 0 never calls."""
    source = Source()
    f = cache(source.ask, verify=1.0)
    f()
    source.error = WorkError("no")
    expect(f() == "first", "wrong")
    expect(hasattr(f, "cache_info"), "does not know")
    expect(f.cache_info().verified in (0, 1), "wrong")

    source = Source()
    f = cache(source.ask, verify=0)
    f(), f(), f()
    count(source.calls)


@row(peers=(HAND_MADE,))
def items_to_look_at(cache):
    """`cache_items` lists keys and values, oldest first, and cannot be used to spoil them."""
    f = cache(lambda a, b=2: [a, b])
    f(3), f(1), f(a=2), f(3)

    items = f.cache_items()

    expect([list(key) for key, value in items] == [[3, 2], [1, 2], [2, 2]], "keys as texts")
    expect([value for key, value in items] == [[3, 2], [1, 2], [2, 2]], "wrong")
    items[0][1].append("spoilt")
    items.clear()
    expect(f(3) == [3, 2], "leaks")


@option_row
def only_fresh_items_to_look_at(cache):
    """`cache_items` lists no results that have expired, and no errors."""
    clock, source = Clock(), Source()
    f = cache(source.ask, ttl=10, negative_ttl=100, stale_if_error=100, clock=clock)
    f(1)
    clock.now += 6
    f(2)
    source.error = WorkError("no")
    source.fails(f, 3)
    clock.now += 5

    found = [value for key, value in f.cache_items()]

    expect(len(found) < 3, "stale ones too")
    expect(found == ["first"], f"errors too: {found}")


@row(ours=(MEMOIZE,), peers=(HAND_MADE,), control=lambda f, **options: f)
def mapping_that_fails(cache):
    """A mapping given as `cache` that fails costs no result."""
    calls = []

    class Full(dict):
        def __setitem__(self, key, value):
            raise ValueError("value too large")

    f = cache(lambda x: calls.append(x) or x, cache=Full())
    expect([f(1), f(1)] == [1, 1], "wrong")
    good = cache(lambda x: calls.append(x) or x, cache={})
    calls.clear()
    good(1), good(1)
    count(calls)
