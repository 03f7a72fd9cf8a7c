"""What rate_limit promises, in one process; test_shared_rates.py has the rest."""

import asyncio
import inspect
import itertools
import os
import pickle
import threading
import time

import pytest
from children import child
from hypothesis import given
from hypothesis import strategies as st

from safepatch.decorators import RateLimitExceeded, count_calls, rate_limit, rates


class Time:
    """A clock, and a sleep that only moves it."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def limited(wrapped=lambda *args: args, **options):
    """A function under a limit, and its time."""
    time_ = Time()
    options = {"sleep": time_.sleep, "clock": time_.clock} | options
    return rate_limit(wrapped, **options), time_


def limit_behind(function):
    """What counts behind a limited function."""
    return next(
        cell.cell_contents.__self__
        for cell in function.__closure__
        if isinstance(getattr(cell.cell_contents, "__self__", None), rates._Limit)
    )


def test_calls_are_let_through_at_the_rate():
    call, time_ = limited(rate=10, per=60)
    began = []

    for _ in range(4):
        call()
        began.append(time_.now)

    assert began == [0, 6, 12, 18]


def test_the_function_is_called_with_the_arguments_and_its_result_returned():
    call, _ = limited(lambda *args, **kwargs: (args, kwargs), rate=1)

    assert call(1, a=2) == ((1,), {"a": 2})


def test_an_error_passes_as_it_is():
    error = ValueError("x")

    def fail():
        raise error

    call, _ = limited(fail, rate=1)
    with pytest.raises(ValueError, match="x") as raised:
        call()

    assert raised.value is error
    assert error.__context__ is None


def test_after_a_pause_as_many_as_the_burst_are_let_through_at_once():
    call, time_ = limited(rate=1, burst=3)
    began = []
    for _ in range(5):
        call()
        began.append(time_.now)
    assert began == [0, 0, 0, 1, 2]

    time_.now += 2
    for _ in range(3):
        call()
        began.append(time_.now)

    assert began[5:] == [4, 4, 5]


def test_a_pause_saves_up_no_more_than_the_burst():
    call, time_ = limited(rate=1, burst=2)
    time_.now += 1000

    for _ in range(3):
        call()

    assert time_.now == 1001


def test_who_is_refused_is_told_when_to_come_again():
    calls = []
    call, time_ = limited(calls.append, rate=1, per=10, on_limit="raise")
    call(1)
    time_.now += 4

    with pytest.raises(RateLimitExceeded) as raised:
        call(2)

    refusal = raised.value
    assert refusal.retry_after == 6
    assert isinstance(refusal, RuntimeError)
    assert str(pickle.loads(pickle.dumps(refusal))) == str(refusal)
    assert str(refusal).endswith(
        " was not called, since there were too many calls; try again in 6 seconds"
    )
    assert calls == [1]
    assert time_.slept == []


def test_refused_calls_do_not_count():
    call, time_ = limited(rate=1, per=10, on_limit="raise")
    call()
    for _ in range(9):
        time_.now += 1
        with pytest.raises(RateLimitExceeded):
            call()

    time_.now += 1
    call()


@given(
    st.lists(st.floats(0, 3), min_size=1, max_size=50),
    st.integers(1, 5),
    st.floats(0.1, 50),
    st.floats(0.1, 50),
    st.sampled_from(["wait", "raise"]),
)
def test_in_no_window_more_are_let_through_than_promised(pauses, burst, rate, per, on_limit):
    call, time_ = limited(rate=rate, per=per, burst=burst, on_limit=on_limit)
    began = []
    for pause in pauses:
        time_.now += pause * per / rate
        try:
            call()
        except RateLimitExceeded:
            continue
        began.append(time_.now)

    for first, last in itertools.combinations_with_replacement(range(len(began)), 2):
        length = began[last] - began[first]
        assert last - first + 1 <= burst + rate * length / per + 1e-6


@given(st.lists(st.floats(0, 3), min_size=1, max_size=50), st.integers(1, 5))
def test_none_waits_longer_than_it_must(pauses, burst):
    call, time_ = limited(rate=1, burst=burst)
    began = []
    for pause in pauses:
        time_.now += pause
        came = time_.now
        call()
        began.append(time_.now)
        # It waited, so one moment earlier there would have been too many in some window.
        if time_.now > came:
            assert any(
                len(began) - first > burst + (began[-1] - 1e-6) - began[first]
                for first in range(len(began))
            )


def test_a_sleep_that_ends_early_is_slept_on():
    call, time_ = limited(rate=1)
    call()
    half = iter([0.5, 0.25, 0.25])

    def sleep(seconds):
        time_.now += next(half)

    call, _ = limited(rate=1, clock=time_.clock, sleep=sleep)
    call()
    call()

    assert time_.now == 1


# A limit for each key.


def test_each_key_has_a_limit_of_its_own():
    call, _ = limited(rate=1, on_limit="raise", key=lambda host, port=0: host)
    call("a")
    call("b")

    with pytest.raises(RateLimitExceeded):
        call("a", port=5)


def test_what_the_key_raises_is_raised_and_nothing_called():
    calls = []
    call, _ = limited(calls.append, rate=1, key=lambda arg: arg["missing"])

    with pytest.raises(KeyError):
        call({})

    assert calls == []


def test_keys_that_are_as_good_as_new_are_forgotten():
    call, time_ = limited(rate=1, burst=2, key=lambda key: key)
    limit = limit_behind(call)
    for key in range(10_000):
        time_.now += 0.1
        call(key)

    assert len(limit.lines) <= 128


def test_keys_that_still_count_are_not_forgotten():
    call, _ = limited(rate=1, per=1000, on_limit="raise", key=lambda key: key)
    for key in range(1000):
        call(key)

    for key in range(1000):
        with pytest.raises(RateLimitExceeded):
            call(key)


# Those who wait.


class Waiters:
    """Threads that wait in a limited function; each is let go, or killed, by the test."""

    def __init__(self, **options):
        self.now = 0.0
        self.waiting = threading.Semaphore(0)
        self.sleeps = {}
        self.began = []
        self.call = rate_limit(
            self.began.append, clock=lambda: self.now, sleep=self.sleep, **options
        )

    def sleep(self, seconds):
        go, how = threading.Event(), []
        self.sleeps[threading.current_thread().name] = (seconds, go, how)
        self.waiting.release()
        assert go.wait(20)
        if how:
            raise how[0]

    def start(self, name):
        def call():
            try:
                self.call(name)
            except KeyboardInterrupt:
                pass

        thread = threading.Thread(target=call, name=name)
        thread.start()
        assert self.waiting.acquire(timeout=20)
        return thread

    def wait_of(self, name):
        return self.sleeps[name][0]

    def end(self, thread, error=None):
        _, go, how = self.sleeps[thread.name]
        if error is not None:
            how.append(error)
        go.set()
        thread.join(20)


def test_who_came_first_goes_first():
    waiters = Waiters(rate=1)
    waiters.call("0")
    threads = [waiters.start(name) for name in "123"]

    assert [waiters.wait_of(name) for name in "123"] == [1, 2, 3]
    waiters.now = 3.0
    for thread in threads:
        waiters.end(thread)


def test_who_is_killed_while_waiting_gives_the_time_back():
    waiters = Waiters(rate=1)
    waiters.call("0")
    first, second = waiters.start("1"), waiters.start("2")

    waiters.end(second, KeyboardInterrupt())
    third = waiters.start("3")

    assert waiters.wait_of("3") == 2
    waiters.now = 2.0
    waiters.end(first)
    waiters.end(third)
    assert waiters.began == ["0", "1", "3"]


@pytest.mark.parametrize("order", ["123", "321", "213", "132"])
def test_when_all_who_wait_are_killed_nothing_of_them_is_left(order):
    waiters = Waiters(rate=1)
    waiters.call("0")
    threads = {name: waiters.start(name) for name in "123"}

    for name in order:
        waiters.end(threads[name], KeyboardInterrupt())
    last = waiters.start("4")

    assert waiters.wait_of("4") == 1
    waiters.now = 1.0
    waiters.end(last)


def test_nobody_who_waits_moves_when_one_before_is_killed():
    waiters = Waiters(rate=1)
    waiters.call("0")
    first, second = waiters.start("1"), waiters.start("2")

    waiters.end(first, KeyboardInterrupt())
    third = waiters.start("3")

    assert (waiters.wait_of("2"), waiters.wait_of("3")) == (2, 3)
    waiters.now = 3.0
    waiters.end(second)
    waiters.end(third)


def test_turns_given_back_do_not_pile_up():
    waiters = Waiters(rate=1)
    waiters.call("0")
    (line,) = limit_behind(waiters.call).lines.values()
    left = None
    for number in range(20):
        killed, stays = waiters.start(f"{number} killed"), waiters.start(f"{number} stays")
        waiters.end(killed, KeyboardInterrupt())
        if left is not None:
            waiters.end(left)
        left = stays
        waiters.now += 2
    waiters.now += 2
    waiters.end(left)

    assert len(line.returned) <= 3


def test_threads_are_never_more_than_the_limit():
    call, time_ = rate_limit(time.monotonic, rate=100, burst=5), []

    def many():
        for _ in range(10):
            time_.append(call())

    threads = [threading.Thread(target=many) for _ in range(4)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(time_) == 40
    # 5 at once, and 35 at 100 a second.
    assert time.monotonic() - started >= 0.35


@pytest.mark.parametrize("loops", [1, 2])
def test_tasks_wait_and_event_loops_share_the_limit(loops):
    time_ = Time()

    async def sleep(seconds):
        time_.sleep(seconds)
        await asyncio.sleep(0)

    began = []

    @rate_limit(rate=1, clock=time_.clock, sleep=sleep)
    async def work():
        began.append(time_.now)

    async def main():
        await work()
        await work()

    assert inspect.iscoroutinefunction(work)
    for _ in range(loops):
        asyncio.run(main())

    assert began == [0, 1, 2, 3][: 2 * loops]


def test_tasks_go_in_the_order_in_which_they_came():
    began = []

    @rate_limit(rate=100)  # a busy machine may keep one waiting for some milliseconds more
    async def work(number):
        began.append(number)

    async def main():
        await asyncio.gather(*(work(number) for number in range(20)))

    asyncio.run(main())

    assert began == list(range(20))


def test_tasks_that_are_cancelled_leave_no_wait_behind():
    now = 0.0
    waits = []

    async def sleep(seconds):
        waits.append(seconds)
        await asyncio.Event().wait()

    @rate_limit(rate=1, clock=lambda: now, sleep=sleep)
    async def work():
        pass

    async def main():
        await work()
        tasks = [asyncio.create_task(work()) for _ in range(1000)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await work()

    asyncio.run(main())

    assert max(waits) == 1000
    assert waits[-1] == 1


@pytest.mark.parametrize("patch", ["early", "late"])
def test_greenlets_wait_without_stopping_the_others(patch):
    pytest.importorskip("gevent")
    source = """
        {early}
        import time
        from safepatch.decorators import rate_limit

        began = []
        call = rate_limit(lambda name: began.append((name, time.monotonic())), rate=20)
        {late}
        import gevent
        started = time.monotonic()
        greenlets = [gevent.spawn(call, name) for name in "abc"]
        killed = gevent.spawn(call, "killed")
        after = gevent.spawn(call, "after")
        gevent.spawn(lambda: began.append(("other", time.monotonic())))
        gevent.sleep(0.01)
        killed.kill()
        gevent.joinall([*greenlets, after], raise_error=True)
        assert [name for name, _ in began] == ["a", "other", "b", "c", "after"], began
        assert began[-1][1] - started >= 0.2, began
        """
    patching = "import gevent.monkey; gevent.monkey.patch_all()"
    child(
        source.format(
            early=patching if patch == "early" else "", late=patching if patch == "late" else ""
        )
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_another_thread_holds_the_lock_leaves_the_child_able_to_call():
    child("""
        import gc, os, threading, warnings
        from safepatch.decorators import rate_limit, rates

        warnings.simplefilter("ignore")
        call = rate_limit(int, rate=100)
        limit = next(o for o in gc.get_objects() if isinstance(o, rates._Limit))
        held, done = threading.Event(), threading.Event()

        def hold():
            with limit.lock:
                held.set()
                done.wait(20)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        pid = os.fork()
        if not pid:
            os._exit(call("5"))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
        done.set()
        thread.join()
        """)


def test_no_thread_is_started():
    before = threading.active_count()
    call, _ = limited(rate=1, key=lambda *args: args)
    for number in range(100):
        call(number)

    assert threading.active_count() == before


# What is around the function.


def test_a_method_has_one_limit_for_all_instances_or_one_for_each():
    class Client:
        @rate_limit(rate=1, per=1000, on_limit="raise")
        def shared(self):
            return "shared"

        @rate_limit(rate=1, per=1000, on_limit="raise", key=id)
        def own(self):
            return "own"

    one, other = Client(), Client()

    assert one.own() == other.own() == "own"
    assert one.shared() == "shared"
    with pytest.raises(RateLimitExceeded):
        other.shared()


def test_two_functions_have_a_limit_each():
    decorate = rate_limit(rate=1, per=1000, on_limit="raise")

    assert (decorate(int)("5"), decorate(float)("5")) == (5, 5.0)


def test_controls_of_what_is_below_stay_in_reach():
    call, _ = limited(count_calls(int), rate=1)
    call("5")

    assert call.stats().calls == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rate": 0}, "got rate=0"),
        ({"rate": float("nan")}, "got rate=nan"),
        ({"rate": float("inf")}, "got rate=inf"),
        ({"rate": "5"}, "got rate='5'"),
        ({"rate": 1, "per": -1}, "got per=-1"),
        ({"rate": 1e-308, "per": 1e308}, "per / rate is inf"),
        ({"rate": 1e308, "per": 1e-308}, "per / rate is 0.0"),
        ({"rate": 1, "burst": 0}, "got burst=0"),
        ({"rate": 1, "burst": 1.5}, "got burst=1.5"),
        ({"rate": 1, "burst": True}, "got burst=True"),
        ({"rate": 1, "on_limit": "drop"}, "got on_limit='drop'"),
        ({"rate": 1, "name": "api"}, "got name='api' without a store"),
    ],
)
def test_bad_options_are_refused_at_once(options, told):
    with pytest.raises(ValueError, match=told):
        rate_limit(**options)


async def _later(url):
    return url


@pytest.mark.parametrize("key", ["host", _later])
def test_a_key_that_is_no_plain_function_is_refused(key):
    """The coroutines of a coroutine function all differ, which would limit nothing."""
    with pytest.raises(TypeError, match="got key="):
        rate_limit(rate=1, key=key)


def test_generator_functions_are_refused():
    def give():
        yield 1

    async def give_later():
        yield 1

    for function in (give, give_later):
        with pytest.raises(TypeError, match="generator function"):
            rate_limit(function, rate=1)
