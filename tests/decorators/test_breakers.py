"""What circuit_breaker promises."""

import asyncio
import contextlib
import contextvars
import functools
import gc
import inspect
import os
import pickle
import threading
import time
import weakref

import pytest
from children import child
from hypothesis import given
from hypothesis import strategies as st

from safepatch.decorators import CircuitOpenError, circuit_breaker, count_calls


class WorkError(Exception):
    pass


class Service:
    """Something behind a breaker that is up or down; what it does during a call can be given."""

    def __init__(self, **options):
        self.now = 0.0
        self.error = self.during = None
        self.calls = 0
        self.call = circuit_breaker(self._work, clock=lambda: self.now, **options)

    def _work(self):
        self.calls += 1
        during, self.during = self.during, None
        if during is not None:
            return during()
        if self.error is not None:
            raise self.error
        return "done"

    def fail(self, times=1, error=WorkError):
        for _ in range(times):
            self.error = error()
            with pytest.raises(type(self.error)):
                self.call()
        self.error = None

    def is_refused(self):
        before = self.calls
        with pytest.raises(CircuitOpenError):
            self.call()
        return self.calls == before

    def state(self):
        return self.call.breaker_state()


@pytest.fixture
def service():
    return Service(failures=3, reset_after=10)


@pytest.fixture
def opened(service):
    service.fail(3)
    assert service.state() == "open"
    return service


def test_success_is_returned(service):
    assert service.call() == "done"
    assert service.state() == "closed"


def test_a_failure_is_raised_itself_and_untouched(service):
    service.error = error = WorkError()

    with pytest.raises(WorkError) as raised:
        service.call()

    assert raised.value is error
    assert error.__context__ is None
    assert not hasattr(error, "__notes__")


def test_it_opens_after_so_many_failures_in_a_row(service):
    service.fail(2)
    assert service.state() == "closed"

    service.fail()

    assert service.state() == "open"
    assert service.is_refused()


def test_a_success_in_between_starts_the_count_anew(service):
    service.fail(2)
    service.call()
    service.fail(2)

    assert service.state() == "closed"


def test_who_is_refused_is_told_the_function_and_when_to_come_again(opened):
    opened.now += 4

    with pytest.raises(CircuitOpenError) as raised:
        opened.call()

    refusal = raised.value
    assert refusal.retry_after == 6
    assert refusal.name.endswith("Service._work")
    expected = f"{refusal.name} was not called, since it kept failing; try again in 6 seconds"
    assert str(refusal) == expected
    assert isinstance(refusal, RuntimeError)
    assert str(pickle.loads(pickle.dumps(refusal))) == expected


def test_each_refusal_is_an_object_of_its_own(opened):
    errors = []
    for _ in range(2):
        with pytest.raises(CircuitOpenError) as raised:
            opened.call()
        errors.append(raised.value)

    assert errors[0] is not errors[1]


def test_after_a_while_it_is_half_open_and_a_success_closes_it(opened):
    opened.now += 10
    assert opened.state() == "half-open"

    assert opened.call() == "done"

    assert opened.state() == "closed"
    opened.fail(2)
    assert opened.state() == "closed"


def test_a_failed_probe_opens_it_again_for_as_long(opened):
    opened.now += 10
    opened.fail()

    assert opened.state() == "open"
    opened.now += 9.9
    assert opened.is_refused()
    opened.now += 0.1
    assert opened.call() == "done"


def test_it_can_be_closed_by_hand(opened):
    opened.call.breaker_reset()

    assert opened.state() == "closed"
    assert opened.call() == "done"
    opened.fail(2)
    assert opened.state() == "closed"


# What is a failure.


@pytest.mark.parametrize(
    "on", [OSError, (KeyError, OSError), lambda error: error.errno == 5], ids=["1", "2", "3"]
)
def test_failures_of_on_count(on):
    service = Service(failures=1, on=on)

    service.fail(error=lambda: OSError(5, "down"))

    assert service.state() == "open"


def test_another_error_counts_as_a_success():
    service = Service(failures=2, on=OSError)
    for error in (OSError, ValueError, OSError):
        service.fail(error=error)
    assert service.state() == "closed"

    service.fail(error=OSError)
    service.now += 30
    service.fail(error=ValueError)

    assert service.state() == "closed"


def test_a_question_that_fails_takes_no_error_away_and_counts_it():
    service = Service(failures=2, on=lambda error: 1 / 0)

    service.fail(times=2)

    assert service.state() == "open"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_what_is_no_exception_says_nothing(kind):
    service = Service(failures=2, on=lambda error: True)
    service.fail()
    service.fail(error=kind)
    assert service.state() == "closed"

    service.fail()

    assert service.state() == "open"


def test_what_is_no_exception_counts_if_on_names_it():
    service = Service(failures=1, on=(OSError, KeyboardInterrupt))
    service.fail(error=KeyboardInterrupt)

    assert service.state() == "open"


def elsewhere(call):
    """Call in a context that is nobody's, as another thread would."""
    return contextvars.Context().run(call)


# One probe at a time, and none that stays for ever.


def test_one_call_at_a_time_is_a_probe(opened):
    opened.now += 10

    def during():
        assert opened.state() == "half-open"
        assert elsewhere(opened.is_refused)
        opened.now += 9
        with pytest.raises(CircuitOpenError) as raised:
            elsewhere(opened.call)
        return raised.value.retry_after

    opened.during = during

    assert opened.call() == 1
    assert opened.state() == "closed"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
def test_a_probe_that_is_killed_leaves_its_place_to_the_next(opened, kind):
    opened.now += 10
    opened.fail(error=kind)

    assert opened.state() == "half-open"
    assert opened.call() == "done"
    assert opened.state() == "closed"


def test_a_probe_that_hangs_keeps_its_place_for_a_time_only(opened):
    opened.now += 10

    def during():
        opened.now += 10
        assert opened.state() == "half-open"
        assert opened.call() == "done"
        assert opened.state() == "closed"
        raise WorkError

    opened.during = during
    with pytest.raises(WorkError):
        opened.call()

    assert opened.state() == "closed"
    opened.fail(2)
    assert opened.state() == "closed"


def overlapping(opened, first_ends):
    """Begin a probe, and one more when that is given up; the first ends while the second runs."""
    started, go_on, seen = threading.Event(), threading.Event(), []

    def first():
        started.set()
        assert go_on.wait(10)
        return first_ends()

    def second():
        go_on.set()
        thread.join(10)
        seen.append(opened.state())
        return "done"

    def call():
        with contextlib.suppress(WorkError):
            opened.call()

    opened.now += 10
    opened.during = first
    thread = threading.Thread(target=call)
    thread.start()
    assert started.wait(10)
    opened.now += 10
    opened.during = second
    assert opened.call() == "done"
    return seen


def test_a_function_slower_than_a_probe_may_be_closes_its_breaker_all_the_same(opened):
    assert overlapping(opened, lambda: "done") == ["closed"]
    assert opened.state() == "closed"


def test_a_failure_of_a_probe_that_was_given_up_does_not_touch_the_next(opened):
    def fail():
        raise WorkError

    assert overlapping(opened, fail) == ["half-open"]
    assert opened.state() == "closed"


@pytest.mark.parametrize("kind", ["plain", "coroutine", "generator"])
def test_a_probe_may_call_its_own_function_as_in_recursion(kind):
    now, fails = 0.0, True
    decorate = circuit_breaker(failures=1, reset_after=10, clock=lambda: now)

    @decorate
    def plain(depth):
        if fails:
            raise WorkError
        return depth and plain(depth - 1)

    @decorate
    async def coroutine(depth):
        if fails:
            raise WorkError
        return depth and await coroutine(depth - 1)

    @decorate
    def generator(depth):
        if fails:
            raise WorkError
        yield depth
        if depth:
            yield from generator(depth - 1)

    call, function = {
        "plain": (plain, plain),
        "coroutine": (lambda depth: asyncio.run(coroutine(depth)), coroutine),
        "generator": (lambda depth: list(generator(depth)), generator),
    }[kind]
    with pytest.raises(WorkError):
        call(3)
    now, fails = 10.0, False

    call(3)

    assert function.breaker_state() == "closed"


def test_one_that_was_a_probe_once_is_like_the_others(opened):
    opened.now += 10
    opened.fail(error=KeyboardInterrupt)
    opened.now += 10
    opened.fail()

    assert opened.is_refused()


# Calls that end late.


@pytest.mark.parametrize("late", [lambda: "success", WorkError("failure")], ids=["ok", "failed"])
def test_a_call_from_before_it_opened_changes_nothing_when_it_ends(service, late):
    def during():
        service.fail(3)
        service.now += 4
        if isinstance(late, Exception):
            raise late
        return late()

    service.during = during
    if isinstance(late, Exception):
        with pytest.raises(WorkError):
            service.call()
    else:
        service.call()

    assert service.state() == "open"
    service.now += 5.9
    assert service.is_refused()
    service.now += 0.1
    assert service.call() == "done"


def test_a_call_from_before_it_opened_is_not_taken_for_the_probe(service):
    def during():
        service.fail(3)
        service.now += 10
        assert service.state() == "half-open"
        raise WorkError

    service.during = during
    with pytest.raises(WorkError):
        service.call()

    assert service.state() == "half-open"


def test_failures_from_before_a_reset_do_not_count():
    service = Service(failures=1)

    def during():
        service.call.breaker_reset()
        raise WorkError

    service.during = during
    with pytest.raises(WorkError):
        service.call()

    assert service.state() == "closed"


@given(
    st.lists(st.sampled_from(["ok", "failed", "other", "killed", "1s", "9s"]), max_size=40),
    st.integers(1, 3),
)
def test_it_does_what_the_simplest_model_does(events, failures):
    service = Service(failures=failures, reset_after=10, on=OSError)
    outcomes = {"ok": None, "failed": OSError, "other": ValueError, "killed": KeyboardInterrupt}
    opened_at, in_a_row = None, 0
    for event in events:
        if event not in outcomes:
            service.now += float(event[:-1])
            continue
        kind = outcomes[event]
        service.error = kind and kind()
        if opened_at is not None and service.now < opened_at + 10:
            assert service.is_refused()
            continue
        if kind is None:
            assert service.call() == "done"
        else:
            with pytest.raises(kind):
                service.call()
        if event == "failed":
            in_a_row += 1
            if opened_at is not None or in_a_row >= failures:
                opened_at, in_a_row = service.now, 0
        elif event != "killed":
            opened_at, in_a_row = None, 0


# Threads, greenlets, asyncio.


def test_five_threads_are_in_the_function_at_once():
    together = threading.Barrier(5, timeout=10)
    call = circuit_breaker(together.wait)
    results = []

    threads = [threading.Thread(target=lambda: results.append(call())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(results) == list(range(5))


def test_of_many_threads_one_is_the_probe(opened):
    opened.now += 10
    inside, go_on = threading.Event(), threading.Event()
    refused = []

    def during():
        inside.set()
        assert go_on.wait(10)

    def call():
        try:
            opened.call()
        except CircuitOpenError:
            refused.append(1)

    opened.during = during
    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert inside.wait(10)
    for _ in range(1000):
        if len(refused) == 7:
            break
        time.sleep(0.01)
    go_on.set()
    for thread in threads:
        thread.join(20)

    assert len(refused) == 7
    assert opened.state() == "closed"


def test_a_coroutine_function_stays_one_and_counts_when_it_was_awaited():
    now = 0.0

    @circuit_breaker(failures=2, reset_after=10, clock=lambda: now)
    async def work(error):
        if error is not None:
            raise error
        return "done"

    async def main():
        nonlocal now
        assert inspect.iscoroutinefunction(work)
        for _ in range(2):
            assert work.breaker_state() == "closed"
            with pytest.raises(WorkError):
                await work(WorkError())
        assert work.breaker_state() == "open"
        with pytest.raises(CircuitOpenError):
            await work(None)
        now = 10.0
        assert await work(None) == "done"
        assert work.breaker_state() == "closed"

    asyncio.run(main())


def test_a_coroutine_that_is_never_awaited_does_not_take_the_place_of_the_probe():
    now = 0.0

    @circuit_breaker(failures=1, reset_after=10, clock=lambda: now)
    async def work(error=None):
        if error is not None:
            raise error

    with pytest.raises(WorkError):
        asyncio.run(work(WorkError()))
    now = 10.0
    never = work()

    asyncio.run(work())

    never.close()
    assert work.breaker_state() == "closed"


def test_a_cancelled_probe_leaves_its_place_to_the_next():
    now = 0.0

    @circuit_breaker(failures=1, reset_after=10, clock=lambda: now)
    async def work(error=None, hang=False):
        if error is not None:
            raise error
        if hang:
            await asyncio.Event().wait()

    async def main():
        nonlocal now
        with pytest.raises(WorkError):
            await work(WorkError())
        now = 10.0
        probe = asyncio.create_task(work(hang=True))
        await asyncio.sleep(0)
        with pytest.raises(CircuitOpenError):
            await work()
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        await work()
        assert work.breaker_state() == "closed"

    asyncio.run(main())


def test_killed_greenlets_and_timeouts_leave_their_place_to_the_next():
    pytest.importorskip("gevent")
    child("""
        import gevent
        from safepatch.decorators import CircuitOpenError, circuit_breaker

        now = 0.0

        @circuit_breaker(failures=1, reset_after=10, clock=lambda: now)
        def work(seconds, error=None):
            gevent.sleep(seconds)
            if error is not None:
                raise error
            return "done"

        try:
            work(0, OSError())
        except OSError:
            pass
        assert work.breaker_state() == "open"
        now = 10.0
        probe = gevent.spawn(work, 100)
        gevent.sleep(0)
        try:
            work(0)
        except CircuitOpenError:
            pass
        else:
            raise AssertionError("two probes")
        probe.kill()
        with gevent.Timeout(0.01, False):
            work(100)
        assert work.breaker_state() == "half-open"
        assert work(0) == "done"
        assert work.breaker_state() == "closed"
        """)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_another_thread_holds_the_lock_leaves_the_child_able_to_call():
    child("""
        import gc, os, threading, warnings
        from safepatch.decorators import circuit_breaker, circuits

        warnings.simplefilter("ignore")
        call = circuit_breaker(int)
        breaker = next(o for o in gc.get_objects() if isinstance(o, circuits.Circuit))
        held, done = threading.Event(), threading.Event()

        def hold():
            with breaker.lock:
                held.set()
                done.wait(20)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        pid = os.fork()
        if not pid:
            call.breaker_reset()
            os._exit(call("5"))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
        done.set()
        thread.join()
        """)


# Generators.


def numbers(error=None):
    got = yield 1
    if error is not None:
        raise error
    yield got
    return "over"


async def numbers_later(error=None):
    got = yield 1
    if error is not None:
        raise error
    yield got


def test_a_generator_counts_when_it_is_over():
    now = 0.0
    give = circuit_breaker(numbers, failures=1, reset_after=10, clock=lambda: now)
    assert inspect.isgeneratorfunction(give)

    generator = give(WorkError())
    assert next(generator) == 1
    assert give.breaker_state() == "closed"
    with pytest.raises(WorkError):
        next(generator)
    assert give.breaker_state() == "open"

    refused = give()
    with pytest.raises(CircuitOpenError):
        next(refused)

    now = 10.0
    probe = give()
    assert next(probe) == 1
    assert give.breaker_state() == "half-open"
    assert probe.send("sent") == "sent"
    with pytest.raises(StopIteration) as stopped:
        next(probe)
    assert stopped.value.value == "over"
    assert give.breaker_state() == "closed"


def test_a_generator_that_is_closed_early_says_nothing():
    now = 0.0
    give = circuit_breaker(numbers, failures=1, reset_after=10, clock=lambda: now)
    with pytest.raises(WorkError):
        list(give(WorkError()))
    now = 10.0
    probe = give()
    next(probe)
    probe.close()

    assert give.breaker_state() == "half-open"
    assert list(give()) == [1, None]
    assert give.breaker_state() == "closed"


def test_an_async_generator_counts_when_it_is_over():
    now = 0.0
    give = circuit_breaker(numbers_later, failures=1, reset_after=10, clock=lambda: now)
    assert inspect.isasyncgenfunction(give)

    async def main():
        nonlocal now
        with pytest.raises(WorkError):
            [_ async for _ in give(WorkError())]
        assert give.breaker_state() == "open"
        with pytest.raises(CircuitOpenError):
            [_ async for _ in give()]
        now = 10.0
        probe = give()
        assert await anext(probe) == 1
        assert await probe.asend("sent") == "sent"
        with pytest.raises(StopAsyncIteration):
            await anext(probe)
        assert give.breaker_state() == "closed"

    asyncio.run(main())


# What is around the function.


def test_a_method_has_one_breaker_for_all_instances():
    class Client:
        @circuit_breaker(failures=1)
        def get(self, error):
            raise error

    with pytest.raises(WorkError):
        Client().get(WorkError())

    assert Client.get.breaker_state() == Client().get.breaker_state() == "open"
    with pytest.raises(CircuitOpenError):
        Client().get(WorkError())


def test_two_functions_have_a_breaker_each():
    decorate = circuit_breaker(failures=1)
    one, other = decorate(functools.partial(int, "x")), decorate(int)
    with pytest.raises(ValueError, match="x"):
        one()

    assert (one.breaker_state(), other.breaker_state()) == ("open", "closed")
    assert other("5") == 5


def test_arguments_and_errors_are_not_kept():
    class Argument:
        pass

    @circuit_breaker(failures=1)
    def work(argument):
        raise WorkError

    argument = Argument()
    gone = weakref.ref(argument)
    gc.disable()
    try:
        with pytest.raises(WorkError):
            work(argument)
        del argument
        assert gone() is None
    finally:
        gc.enable()


def test_controls_of_what_is_below_stay_in_reach():
    call = circuit_breaker(count_calls(int))
    call("5")

    assert call.stats().calls == 1


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"failures": 0}, ValueError, "got failures=0"),
        ({"failures": True}, ValueError, "got failures=True"),
        ({"failures": 2.5}, ValueError, "got failures=2.5"),
        ({"reset_after": 0}, ValueError, "got reset_after=0"),
        ({"reset_after": "30"}, ValueError, "got reset_after='30'"),
        ({"reset_after": float("nan")}, ValueError, "got reset_after=nan"),
        ({"on": "OSError"}, TypeError, "got on='OSError'"),
        ({"on": int}, TypeError, "got on=<class 'int'>"),
        ({"on": (OSError, 5)}, TypeError, "got on="),
    ],
)
def test_bad_options_are_refused_at_once(options, error, told):
    with pytest.raises(error, match=told):
        circuit_breaker(**options)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="circuit breaker on 5"):
        circuit_breaker(5)
