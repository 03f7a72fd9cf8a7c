"""What timeout promises."""

import asyncio
import gc
import inspect
import signal
import sys
import threading
import time
import traceback

import pytest
from children import child

from safepatch.decorators import alarms, retry, timeout

LONG = 20.0
by_signal = pytest.mark.usefixtures("alarm_is_free")


# Coroutine functions.


def test_a_coroutine_function_stays_one_and_its_result_is_returned():
    @timeout(seconds=LONG)
    async def work(a, b=0):
        return (a, b)

    assert inspect.iscoroutinefunction(work)
    assert asyncio.run(work(1, b=2)) == (1, 2)


def test_a_coroutine_that_takes_too_long_is_cancelled_and_told():
    ended = []

    @timeout(seconds=0.01)
    async def work(secret):
        try:
            await asyncio.sleep(LONG)
        finally:
            ended.append(1)

    with pytest.raises(TimeoutError) as raised:
        asyncio.run(work("hunter2"))

    assert str(raised.value).endswith("work took longer than 0.01 seconds")
    assert "hunter2" not in str(raised.value)
    assert ended == [1]
    # Where it was, is told.
    told = "".join(traceback.format_exception(raised.value))
    assert "await asyncio.sleep(LONG)" in told


def test_a_timeout_of_the_function_itself_passes_as_it_is():
    error = TimeoutError("its own")

    @timeout(seconds=LONG)
    async def work():
        raise error

    with pytest.raises(TimeoutError, match="its own") as raised:
        asyncio.run(work())

    assert raised.value is error
    assert error.__cause__ is error.__context__ is None


def test_a_timeout_of_the_function_itself_passes_even_when_time_is_over():
    error = TimeoutError("its own")

    @timeout(seconds=0.01)
    async def work():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            raise error from None

    with pytest.raises(TimeoutError, match="its own") as raised:
        asyncio.run(work())

    assert raised.value is error
    assert error.args == ("its own",)


def test_what_the_function_returns_after_all_is_returned():
    @timeout(seconds=0.01)
    async def work():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            return "after all"

    async def main():
        assert await work() == "after all"
        # And nothing of the cancellation is left behind.
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_cancellation_from_outside_stays_one():
    @timeout(seconds=LONG)
    async def work():
        await asyncio.sleep(LONG)

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
        task.cancel("from outside")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())


@pytest.mark.parametrize(("outer", "inner", "told"), [(0.01, LONG, 0.01), (LONG, 0.01, 0.01)])
def test_of_nested_timeouts_the_one_that_is_over_is_told(outer, inner, told):
    @timeout(seconds=inner)
    async def work():
        await asyncio.sleep(LONG)

    seen = []

    @timeout(seconds=outer)
    async def around():
        try:
            await work()
        except BaseException as error:
            seen.append(type(error))
            raise

    with pytest.raises(TimeoutError) as raised:
        asyncio.run(around())

    assert seen == [asyncio.CancelledError if outer < inner else TimeoutError]
    assert ("around" if outer < inner else "work") in str(raised.value).split(".")[-2]
    assert str(told) in str(raised.value)


def test_a_task_has_another_try_by_retry_outside():
    calls = []

    @retry(on=TimeoutError, attempts=2, sleep=lambda seconds: None)
    @timeout(seconds=0.01)
    async def work():
        calls.append(1)
        if len(calls) == 1:
            await asyncio.sleep(LONG)
        return "done"

    assert asyncio.run(work()) == "done"


def test_errors_of_timeouts_make_no_cycle():
    class Argument:
        pass

    @timeout(seconds=0.01)
    async def work(argument, own):
        if own:
            raise TimeoutError
        await asyncio.Event().wait()

    async def main():
        for own in (True, False):
            with pytest.raises(TimeoutError):
                await work(Argument(), own)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
        assert [thing for thing in gc.get_objects() if type(thing) is Argument] == []
    finally:
        gc.enable()


# Plain threads.


def test_a_thread_without_gevent_is_refused_and_nothing_called():
    calls = []
    call = timeout(calls.append, seconds=5)

    with pytest.raises(RuntimeError, match=r"longer than 5 seconds.*threads='signal'"):
        call(1)

    assert calls == []


@by_signal
def test_by_signal_a_sleep_is_interrupted():
    call = timeout(time.sleep, seconds=0.02, threads="signal")

    with pytest.raises(TimeoutError, match=r"time\.sleep took longer than 0\.02 seconds"):
        call(LONG)

    nothing_is_left()


def nothing_is_left():
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@by_signal
@pytest.mark.parametrize("waits", ["computes", "lock", "read"])
def test_by_signal_whatever_a_call_does_in_python_is_interrupted(waits):
    def computes():
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            pass

    def lock():
        held = threading.Lock()
        held.acquire()
        held.acquire(timeout=LONG)

    def read():
        from socket import socketpair

        one, other = socketpair()
        with one, other:
            one.settimeout(LONG)
            one.recv(1)

    with pytest.raises(TimeoutError):
        timeout(locals()[waits], seconds=0.02, threads="signal")()
    nothing_is_left()


@by_signal
def test_by_signal_results_and_errors_pass_and_nothing_is_left():
    assert timeout(int, seconds=LONG, threads="signal")("5") == 5
    error = TimeoutError("its own")

    def fail():
        raise error

    with pytest.raises(TimeoutError, match="its own") as raised:
        timeout(fail, seconds=LONG, threads="signal")()
    assert raised.value is error
    nothing_is_left()


@by_signal
@pytest.mark.parametrize(("outer", "inner"), [(0.02, LONG), (LONG, 0.02), (0.02, 0.02)])
def test_by_signal_nested_timeouts_are_told_apart(outer, inner):
    @timeout(seconds=inner, threads="signal")
    def work():
        time.sleep(LONG)

    @timeout(seconds=outer, threads="signal")
    def around():
        work()

    with pytest.raises(TimeoutError) as raised:
        around()
    assert ("around" if outer <= inner else "work") in str(raised.value).split(" took")[0]
    nothing_is_left()


@by_signal
def test_by_signal_the_outer_of_two_that_are_over_is_told():
    @timeout(seconds=0.02, threads="signal")
    def work():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        try:
            # Another thread may get the signal, if there is one.
            time.sleep(0.05)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        time.sleep(LONG)

    @timeout(seconds=0.01, threads="signal")
    def around():
        work()

    with pytest.raises(TimeoutError, match="around took longer"):
        around()
    nothing_is_left()


@by_signal
def test_by_signal_the_outer_timeout_holds_after_the_inner_one_was_caught():
    reached = []

    @timeout(seconds=0.02, threads="signal")
    def work():
        try:
            time.sleep(LONG)
        except BaseException:
            time.sleep(LONG)
            reached.append("the end")

    @timeout(seconds=0.1, threads="signal")
    def around():
        work()

    with pytest.raises(TimeoutError, match="around took longer"):
        around()
    assert reached == []
    nothing_is_left()


@by_signal
def test_by_signal_a_timeout_that_python_drops_comes_again(monkeypatch):
    """As it does with what is raised in finalizers and callbacks of the garbage collector."""
    monkeypatch.setattr(alarms, "AGAIN", 0.05)
    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: dropped.append(what.exc_type))

    class Slow:
        def __del__(self):
            end = time.monotonic() + LONG
            while time.monotonic() < end:
                pass

    @timeout(seconds=0.02, threads="signal")
    def work():
        Slow()
        time.sleep(LONG)

    with pytest.raises(TimeoutError):
        work()
    assert dropped == [alarms._Expired]
    nothing_is_left()


@by_signal
def test_by_signal_a_call_that_has_ended_is_not_interrupted(patches):
    def ringing(stop):
        def wrapper(limit):
            time.sleep(max(0, limit.deadline - time.monotonic()) + 0.01)
            signal.raise_signal(signal.SIGALRM)
            stop(limit)

        return wrapper

    patches.apply((alarms, "_stop"), ringing)

    assert timeout(int, seconds=0.05, threads="signal")("5") == 5
    nothing_is_left()


@by_signal
def test_by_signal_many_calls_that_end_as_their_time_is_over_return_or_are_told():
    call = timeout(lambda: "done", seconds=1e-5, threads="signal")
    outcomes = set()
    for _ in range(500):
        try:
            outcomes.add(call())
        except TimeoutError:
            outcomes.add("over")

    assert outcomes <= {"done", "over"}
    nothing_is_left()


@by_signal
def test_by_signal_any_number_of_seconds_will_do():
    assert timeout(int, seconds=1e300, threads="signal")("5") == 5


@by_signal
@pytest.mark.parametrize("handler", [signal.SIG_IGN, print])
def test_by_signal_a_call_is_refused_if_somebody_else_uses_it(handler):
    calls = []
    call = timeout(calls.append, seconds=5, threads="signal")
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(RuntimeError, match="SIGALRM is in use"):
            call(1)
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        signal.signal(signal.SIGALRM, before)

    assert calls == []


def test_by_signal_other_threads_are_refused():
    calls, told = [], []
    call = timeout(calls.append, seconds=5, threads="signal")

    def run():
        try:
            call(1)
        except RuntimeError as error:
            told.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)

    assert calls == []
    assert "main thread only" in told[0] or "no SIGALRM" in told[0]


@by_signal
def test_by_signal_errors_make_no_cycle():
    class Argument:
        pass

    call = timeout(lambda argument: time.sleep(LONG), seconds=0.01, threads="signal")
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(TimeoutError):
            call(Argument())
        assert [thing for thing in gc.get_objects() if type(thing) is Argument] == []
    finally:
        gc.enable()


# gevent.


GEVENT = {
    "early": "import gevent.monkey; gevent.monkey.patch_all()",
    "late": "from safepatch.decorators import timeout; import gevent.monkey; "
    "gevent.monkey.patch_all()",
    "not patched": "import gevent; gevent.get_hub()",
}


@pytest.fixture(params=GEVENT)
def in_gevent(request):
    pytest.importorskip("gevent")

    def run(source):
        return child(f"{GEVENT[request.param]}\n{source}")

    return run


def test_under_gevent_a_call_is_interrupted_where_it_waits(in_gevent):
    in_gevent("""
import gevent, gc
from safepatch.decorators import timeout

class Argument: pass

@timeout(seconds=0.01)
def work(argument):
    gevent.sleep(60)

gc.disable()
try:
    work(Argument())
except TimeoutError as error:
    assert str(error) == "__main__.work took longer than 0.01 seconds", error
    assert type(error.__cause__) is gevent.Timeout
    del error
else:
    raise AssertionError
gevent.sleep(0)  # the hub is still where it raised that
assert not [thing for thing in gc.get_objects() if type(thing) is Argument]

@timeout(seconds=60)
def quick():
    gevent.sleep(0)
    return "done"

assert quick() == "done"
""")


def test_under_gevent_other_timeouts_pass(in_gevent):
    in_gevent("""
import gevent
from safepatch.decorators import timeout

own = TimeoutError("its own")

@timeout(seconds=60)
def fail():
    raise own

try:
    fail()
except TimeoutError as error:
    assert error is own and error.__context__ is None

@timeout(seconds=60)
def wait():
    gevent.sleep(60)

with gevent.Timeout(0.01, False):
    wait()
    raise AssertionError

theirs = gevent.Timeout.start_new(0.01)
try:
    wait()
except gevent.Timeout as error:
    assert error is theirs
else:
    raise AssertionError

@timeout(seconds=60)
def inside():
    with gevent.Timeout(0.01):
        gevent.sleep(60)

try:
    inside()
except gevent.Timeout:
    pass
else:
    raise AssertionError

greenlet = gevent.spawn(wait)
gevent.sleep(0)
greenlet.kill()
assert isinstance(greenlet.value, gevent.GreenletExit)
""")


def test_under_gevent_nested_timeouts_are_told_apart(in_gevent):
    in_gevent("""
import gevent
from safepatch.decorators import timeout

def nested(outer, inner):
    @timeout(seconds=inner)
    def work():
        gevent.sleep(60)

    @timeout(seconds=outer)
    def around():
        work()

    try:
        around()
    except TimeoutError as error:
        return str(error).split(" took")[0].rpartition(".")[2]

assert nested(0.01, 60) == "around"
assert nested(60, 0.01) == "work"
""")


def test_under_gevent_what_never_waits_ends_late_and_returns():
    pytest.importorskip("gevent")
    child("""
        import gevent.monkey
        gevent.monkey.patch_all()
        import gevent, time
        from safepatch.decorators import timeout

        @timeout(seconds=0.01)
        def compute():
            end = time.monotonic() + 0.05
            while time.monotonic() < end:
                pass
            return "done"

        assert compute() == "done"
        gevent.sleep(0.05)
        """)


def test_finding_out_makes_no_hub():
    pytest.importorskip("gevent")
    child("""
        import gevent
        from gevent._hub_local import get_hub_if_exists
        from safepatch.decorators import timeout

        try:
            timeout(int, seconds=1)()
        except RuntimeError:
            pass
        assert get_hub_if_exists() is None
        """)


def test_in_the_hub_a_call_is_refused():
    pytest.importorskip("gevent")
    child("""
        import gevent
        from safepatch.decorators import timeout

        told = []

        def run():
            try:
                timeout(int, seconds=1)()
            except RuntimeError as error:
                told.append(error)

        gevent.get_hub().loop.run_callback(run)
        gevent.sleep(0.01)
        assert told
        """)


def test_under_gevent_a_call_interrupted_as_it_begins_leaves_no_timer():
    """Ctrl-C comes when it wants; a timer left behind would interrupt somebody else, later."""
    child("""
        import gevent
        from safepatch.decorators import timeout

        gevent.get_hub()
        made = []

        class Interrupted(gevent.Timeout):
            def start(self):
                made.append(self)
                super().start()
                raise KeyboardInterrupt

        gevent.Timeout = Interrupted
        try:
            timeout(print, seconds=60)("called")
        except KeyboardInterrupt:
            pass
        assert [limit.pending for limit in made] == [False]
        """)


# What is refused.


@pytest.mark.parametrize(
    "seconds", [0, -1, float("nan"), float("inf"), "5", None, pytest.param(10**400, id="huge")]
)
def test_seconds_that_make_no_sense_are_refused_at_once(seconds):
    with pytest.raises(ValueError, match="got seconds="):
        timeout(seconds=seconds)


def test_an_unknown_way_for_threads_is_refused_at_once():
    with pytest.raises(ValueError, match="got threads='kill'"):
        timeout(seconds=1, threads="kill")


def test_generator_functions_are_refused():
    def give():
        yield 1

    async def give_later():
        yield 1

    for function in (give, give_later):
        with pytest.raises(TypeError, match="generator function"):
            timeout(function, seconds=1)
