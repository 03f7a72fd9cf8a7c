"""Old results, remembered errors, lives of their own, and how wrong a cache is."""

import asyncio
import contextvars
import threading

import cachetools
import pytest
from children import child

from safepatch.decorators import flights, memoize, ttl_cache

ENOUGH = 30


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class WorkError(Exception):
    pass


class Source:
    """A function that can be told what to do, and which threads called it."""

    def __init__(self):
        self.calls, self.threads = [], []
        self.error = None
        self.called = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, x):
        self.calls.append(x)
        self.threads.append(threading.get_ident())
        self.called.release()
        assert self.may_go_on.wait(ENOUGH)
        if self.error is not None:
            raise self.error
        return x, len(self.calls)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def source():
    return Source()


def run_and_close(coroutine):
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def until(condition):
    """Wait for what another thread is about to do."""
    deadline = threading.Event()
    for _ in range(ENOUGH * 1000):
        if condition():
            return
        deadline.wait(0.001)
    raise AssertionError("it never came")


# While another is fetched


def test_an_old_result_is_given_at_once_while_one_thread_fetches_another(clock, source):
    cached = ttl_cache(ttl=10, stale_while_revalidate=5, clock=clock)(source)
    assert cached(1) == (1, 1)
    clock.now += 14.9
    source.may_go_on.clear()

    assert [cached(1) for _ in range(5)] == [(1, 1)] * 5

    assert source.called.acquire(timeout=ENOUGH)
    assert source.called.acquire(timeout=ENOUGH)
    assert source.calls == [1, 1]
    source.may_go_on.set()
    until(lambda: cached(1) == (1, 2))
    assert source.threads[1] != threading.get_ident()
    assert cached.cache_info().misses == 2


def test_what_is_too_old_is_waited_for(clock, source):
    cached = ttl_cache(ttl=10, stale_while_revalidate=5, clock=clock)(source)
    cached(1)
    clock.now += 15

    assert cached(1) == (1, 2)
    assert source.threads == [threading.get_ident()] * 2


def test_a_refresh_runs_in_the_context_of_who_asked(clock):
    tenant = contextvars.ContextVar("tenant")
    seen = []

    @ttl_cache(ttl=10, stale_while_revalidate=5, clock=clock)
    def cached():
        seen.append(tenant.get())
        return len(seen)

    tenant.set("one")
    cached()
    clock.now += 10
    cached()

    until(lambda: cached() == 2)
    assert seen == ["one", "one"]


def test_a_refresh_that_fails_is_not_heard_of_until_the_old_result_is_gone(clock, source):
    cached = ttl_cache(ttl=10, stale_while_revalidate=5, clock=clock)(source)
    cached(1)
    clock.now += 10
    source.error = WorkError()
    assert cached(1) == (1, 1)
    assert source.called.acquire(timeout=ENOUGH)

    clock.now += 5

    with pytest.raises(WorkError):
        cached(1)


def test_forgetting_during_a_refresh_wins(clock, source):
    cached = ttl_cache(ttl=10, stale_while_revalidate=5, clock=clock)(source)
    cached(1)
    clock.now += 10
    source.may_go_on.clear()
    cached(1)
    source.called.acquire(), source.called.acquire()

    cached.cache_clear()
    source.may_go_on.set()

    assert cached(1) == (1, 3)
    assert cached(1) == (1, 3)


def test_where_no_thread_can_be_started_the_old_result_is_given_and_the_next_tries(
    clock, source, monkeypatch
):
    cached = ttl_cache(ttl=10, stale_while_revalidate=60, clock=clock)(source)
    cached(1)
    clock.now += 30
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more_threads)

        assert cached(1) == (1, 1)

    assert cached(1) == (1, 1)
    assert source.called.acquire(timeout=ENOUGH)
    assert source.called.acquire(timeout=ENOUGH)


def no_more_threads(thread):
    raise RuntimeError("can't start new thread")


def test_where_the_task_is_cancelled_before_it_begins_the_next_tries(clock):
    calls = []

    @ttl_cache(ttl=10, stale_while_revalidate=60, clock=clock)
    async def work():
        calls.append(1)
        return len(calls)

    async def main():
        await work()
        clock.now += 30
        others = asyncio.all_tasks()
        await work()
        [refresh] = asyncio.all_tasks() - others
        refresh.cancel()
        await asyncio.wait([refresh])
        given = await work()
        await asyncio.wait(asyncio.all_tasks() - others)
        return given, await work()

    assert asyncio.run(asyncio.wait_for(main(), ENOUGH)) == (1, 2)


def test_a_task_refreshes_the_result_of_a_coroutine_function(clock):
    calls = []

    @ttl_cache(ttl=10, stale_while_revalidate=5, clock=clock)
    async def cached(x):
        calls.append(asyncio.current_task())
        await asyncio.sleep(0)
        return len(calls)

    async def main():
        assert await cached(1) == 1
        clock.now += 10
        old = await asyncio.gather(*[cached(1) for _ in range(3)])
        while await cached(1) == 1:
            await asyncio.sleep(0)
        return old

    assert asyncio.run(main()) == [1, 1, 1]
    assert len(calls) == 2


@pytest.mark.parametrize("run", [asyncio.run, run_and_close])
def test_a_loop_that_ends_before_its_refresh_does_not_stand_in_the_way(clock, run):
    calls = []

    @ttl_cache(ttl=10, stale_while_revalidate=100, clock=clock)
    async def cached():
        calls.append(1)
        return len(calls)

    async def until_new():
        while await cached() == 1:
            await asyncio.sleep(0)

    run(cached())
    clock.now += 11
    assert run(cached()) == 1

    asyncio.run(asyncio.wait_for(until_new(), ENOUGH))
    assert len(calls) == 2


def test_a_refresh_that_is_cancelled_at_once_is_not_waited_for(clock, monkeypatch):
    monkeypatch.setattr(flights, "PATIENCE", 1e6)

    @ttl_cache(ttl=10, stale_while_revalidate=5, clock=clock)
    async def cached():
        calls.append(1)
        return len(calls)

    calls = []

    async def main():
        await cached()
        clock.now += 11
        await cached()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        clock.now += 5
        return await asyncio.wait_for(cached(), ENOUGH)

    assert asyncio.run(main()) == 2


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
def test_a_greenlet_refreshes_under_gevent(patch):
    printed = child(f"""
{patch}
import gevent, threading
from safepatch.decorators import ttl_cache
now, calls = [0.0], []
@ttl_cache(ttl=10, stale_while_revalidate=5, clock=lambda: now[0])
def cached():
    calls.append(gevent.getcurrent())
    gevent.sleep(0)
    return len(calls)
def main():
    assert cached() == 1
    now[0] = 12
    assert [cached() for _ in range(3)] == [1, 1, 1]
    while cached() == 1:
        gevent.sleep(0)
    print(len(calls), calls[0] is calls[1], threading.active_count())
gevent.spawn(main).get()
""")

    assert printed == "2 False 1"


def test_where_the_greenlet_is_killed_before_it_begins_the_next_tries():
    printed = child("""
import gc, gevent
from safepatch.decorators import ttl_cache
now, calls = [0.0], []
@ttl_cache(ttl=10, stale_while_revalidate=5, clock=lambda: now[0])
def cached():
    calls.append(1)
    return len(calls)
def main():
    cached()
    now[0] = 12
    cached()
    greenlets = [x for x in gc.get_objects() if isinstance(x, gevent.Greenlet) and not x.dead]
    [refresh] = [x for x in greenlets if x is not gevent.getcurrent()]
    refresh.kill()
    gevent.sleep(0)
    given = cached()
    gevent.sleep(0.01)
    print(given, cached())
gevent.spawn(main).get()
""")

    assert printed == "1 2"


# Where there is none to be had


def test_an_old_result_is_given_where_the_call_fails(clock, source):
    cached = ttl_cache(ttl=10, stale_if_error=100, clock=clock)(source)
    cached(1)
    source.error = WorkError()
    clock.now += 109.9

    assert [cached(1), cached(1)] == [(1, 1)] * 2
    assert source.calls == [1, 1, 1]
    clock.now += 0.1
    with pytest.raises(WorkError):
        cached(1)
    source.error = None
    assert cached(1) == (1, 5)


def test_a_failure_that_is_remembered_is_not_tried_again_so_long(clock, source):
    cached = ttl_cache(ttl=10, stale_if_error=100, negative_ttl=7, clock=clock)(source)
    cached(1)
    source.error = WorkError()
    clock.now += 10

    results = []
    for _ in range(14):
        results.append(cached(1))
        clock.now += 1

    assert results == [(1, 1)] * 14
    assert len(source.calls) == 3


def test_remembered_failures_do_not_make_an_old_result_last_longer(clock, source):
    cached = ttl_cache(ttl=10, stale_if_error=20, negative_ttl=7, clock=clock)(source)
    cached(1)
    source.error = WorkError()
    clock.now += 10
    while clock.now < 1030:
        assert cached(1) == (1, 1)
        clock.now += 1

    with pytest.raises(WorkError):
        cached(1)


def test_negative_may_raise_and_only_keeps_no_error(clock, source):
    def negative(error):
        raise LookupError(error)

    cached = ttl_cache(
        source, ttl=10, stale_if_error=60, negative_ttl=5, negative=negative, clock=clock
    )
    cached(1)
    clock.now += 30
    source.error = WorkError()

    assert [cached(1), cached(1)] == [(1, 1), (1, 1)]
    assert source.calls == [1, 1, 1]
    with pytest.raises(WorkError):
        cached(2)


def test_an_old_result_is_given_where_awaiting_fails(clock):
    fails = []

    @ttl_cache(ttl=10, stale_if_error=5, clock=clock)
    async def cached():
        if fails:
            raise WorkError
        return [1]

    async def main():
        await cached()
        fails.append(1)
        clock.now += 14
        return await asyncio.gather(cached(), cached())

    one, two = asyncio.run(main())
    assert one == two == [1]
    assert one is not two


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, SystemExit])
def test_what_is_no_exception_proper_is_raised_in_spite_of_an_old_result(clock, source, error):
    cached = ttl_cache(ttl=10, stale_if_error=5, negative_ttl=9, clock=clock)(source)
    cached(1)
    source.error = error()
    clock.now += 10

    for _ in range(2):
        with pytest.raises(error):
            cached(1)


# Which errors are remembered


@pytest.mark.parametrize(
    ("negative", "calls"),
    [
        (LookupError, 2),
        ((WorkError, KeyError), 2),
        (lambda error: error.args == (1,), 2),
        (WorkError, 3),
        (lambda error: 1 / 0, 3),
    ],
)
@pytest.mark.parametrize(
    "make", [memoize, lambda **given: ttl_cache(ttl=9, negative_ttl=9, **given)]
)
def test_negative_says_which_errors_are_kept(source, make, negative, calls):
    cached = make(negative=negative)(source)
    source.error = KeyError(1)
    for _ in range(2):
        with pytest.raises(KeyError):
            cached(1)
    source.error = None
    if calls == 2:
        with pytest.raises(KeyError):
            cached(1)
    assert cached(2) == (2, calls)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: memoize(negative=3), TypeError, "negative=3; give classes of Exception"),
        (lambda: memoize(negative=KeyboardInterrupt), TypeError, "give classes of Exception"),
        (lambda: memoize(negative=(KeyError, "b")), TypeError, "give classes of Exception"),
        (lambda: memoize(negative=KeyError, cache={}), ValueError, "keep no errors in it"),
        (lambda: memoize(verify=2), ValueError, "verify=2; give a share"),
        (lambda: ttl_cache(), TypeError, "neither ttl nor ttl_of"),
        (lambda: ttl_cache(ttl=1, negative=KeyError), ValueError, "no negative_ttl"),
        (lambda: ttl_cache(ttl=1, stale_if_error=-1), ValueError, "stale_if_error=-1"),
        (lambda: ttl_cache(ttl=1, stale_while_revalidate="x"), TypeError, "'>='"),
        (lambda: ttl_cache(ttl=1, verify=float("nan")), ValueError, "verify=nan"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(make, error, message):
    with pytest.raises(error, match=message):
        make()


# A life for each


def test_a_result_can_say_how_long_it_lives(clock):
    lives = {"a": 5, "b": None, "c": 0, "d": -1}
    calls = []

    @ttl_cache(ttl=10, ttl_of=lives.get, clock=clock)
    def cached(x):
        calls.append(x)
        return x

    for now, expected in [
        (0, "abcd"),
        (0, "cd"),
        (4.9, "cd"),
        (5, "acd"),
        (9.9, "cd"),
        (10, "abcd"),
    ]:
        clock.now = 1000 + now
        calls.clear()
        for x in "abcd":
            cached(x)
        assert "".join(calls) == expected, now


def test_without_a_ttl_what_says_nothing_is_not_kept(clock):
    calls = []

    @ttl_cache(ttl_of=lambda result: result, jitter=0.5, random=lambda: 1.0, clock=clock)
    def cached(x):
        calls.append(x)
        return x

    for _ in range(2):
        cached(None)
        cached(10)
        clock.now += 4.9
    clock.now -= 4.8
    cached(10)

    assert calls == [None, 10, None, 10]


def test_a_result_that_cannot_say_how_long_it_lives_is_not_kept():
    calls = []
    cached = ttl_cache(ttl=1, ttl_of=lambda result: result.seconds)(calls.append)

    cached(1), cached(1)

    assert calls == [1, 1]


# What is there


def test_items_are_what_is_fresh_oldest_first_as_given_to_a_caller(clock):
    @ttl_cache(ttl=10, negative_ttl=5, clock=clock)
    def cached(a, b=0):
        if a == "bad":
            raise WorkError(a)
        return [a, b]

    cached("old")
    clock.now += 6
    cached("a")
    with pytest.raises(WorkError):
        cached("bad")
    clock.now += 4
    cached(b=1, a="b")
    items = cached.cache_items()

    assert items == [(("a", 0), ["a", 0]), (("b", 1), ["b", 1])]
    items[0][1].append(2)
    assert cached("a") == ["a", 0]
    assert cached.cache_info().hits == 1


def test_items_of_a_mapping_are_what_is_in_it():
    cached = memoize(cache=cachetools.LFUCache(2))(lambda x: [x])
    for x in (1, 1, 2, 3):
        cached(x)

    assert sorted(cached.cache_items()) == [((1,), [1]), ((3,), [3])]
    assert cached.cache_info()[:2] == (1, 3)


# How wrong the cache is


def test_verify_counts_how_many_results_would_differ_now():
    source = {1: "a", 2: "b"}
    chances = iter([0.1, 0.6, 0.2, 0.3, 0.4])
    cached = memoize(verify=0.5, random=lambda: next(chances))(source.__getitem__)
    cached(1), cached(2)
    source[1] = "changed"
    del source[2]

    results = [cached(1), cached(1), cached(2), cached(1), cached(2)]

    assert results == ["a", "a", "b", "a", "b"]
    info = cached.cache_info()
    assert (info.hits, info.misses, info.verified, info.wrong) == (5, 2, 4, 4)


def test_verify_finds_nothing_where_nothing_changed():
    @memoize(verify=1, negative=WorkError)
    def cached(x):
        if x == 2:
            raise WorkError(x)
        return [x]

    for _ in range(2):
        cached(1)
        with pytest.raises(WorkError):
            cached(2)

    info = cached.cache_info()
    assert (info.hits, info.misses, info.verified, info.wrong) == (2, 2, 2, 0)
    cached.cache_clear()
    assert cached.cache_info().verified == 0


def test_verify_awaits():
    calls = []

    @ttl_cache(ttl=60, verify=1)
    async def cached():
        calls.append(1)
        await asyncio.sleep(0)
        return len(calls)

    async def main():
        return await cached(), await cached()

    assert asyncio.run(main()) == (1, 1)
    assert (cached.cache_info().verified, cached.cache_info().wrong) == (1, 1)


def test_what_cannot_be_compared_counts_as_wrong():
    class Odd:
        def __eq__(self, other):
            raise WorkError

        __hash__ = None

    cached = memoize(verify=1)(lambda: Odd())
    cached(), cached()

    assert cached.cache_info().wrong == 1
