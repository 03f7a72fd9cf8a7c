"""What retry promises."""

import asyncio
import functools
import inspect
import random
import sys
import time
import types
from contextlib import contextmanager

import pytest
from failing import FrozenError, Time, WorkError, failing, notes

from safepatch.decorators import fault, rate_limit, retry


def test_success_is_returned_at_once():
    work, calls, time_ = failing("done")

    assert work(1, a=2) == "done"
    assert calls == [((1,), {"a": 2})]
    assert time_.slept == []


def test_a_failure_is_tried_again_with_the_same_arguments():
    work, calls, _ = failing(WorkError(), WorkError(), "done")

    assert work(1, a=2) == "done"
    assert calls == [((1,), {"a": 2})] * 3


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_the_last_failure_is_raised_itself_after_so_many_attempts(attempts):
    errors = [WorkError(number) for number in range(9)]
    work, calls, _ = failing(*errors, attempts=attempts)

    with pytest.raises(WorkError) as raised:
        work()

    assert raised.value is errors[attempts - 1]
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None
    assert len(calls) == attempts


@pytest.mark.parametrize(
    ("options", "time"),
    [
        ({}, "4.3 seconds after the first failure"),
        ({"timeout": 60}, "6.3 seconds after the first call"),
        ({"stop": lambda attempt, elapsed: False}, "6.3 seconds after the first call"),
    ],
)
def test_a_note_tells_attempts_and_time_and_no_arguments(options, time):
    work, _, _ = failing(*[WorkError()] * 3, takes=2, **options)

    with pytest.raises(WorkError) as raised:
        work("hunter2", password="hunter2")

    assert notes(raised.value) == [f"retry: gave up after 3 attempts, {time}"]


def test_an_error_that_takes_no_notes_is_raised_itself():
    errors = [FrozenError(1), FrozenError(2)]
    work, _, _ = failing(*errors, on=FrozenError, attempts=2)

    with pytest.raises(FrozenError) as raised:
        work()

    assert raised.value is errors[1]


def test_an_error_that_is_raised_again_and_again_has_the_last_note_only():
    error = WorkError()
    error.add_note("of the function")
    for _ in range(3):
        work, _, _ = failing(error, error, attempts=2)
        with pytest.raises(WorkError):
            work()

    assert notes(error) == [
        "of the function",
        "retry: gave up after 2 attempts, 0.1 seconds after the first failure",
    ]


def test_one_attempt_is_one_attempt():
    work, _, _ = failing(WorkError(), attempts=1)

    with pytest.raises(WorkError) as raised:
        work()

    assert notes(raised.value) == ["retry: gave up after 1 attempt"]


def test_another_failure_is_not_retried_and_not_touched():
    work, calls, _ = failing(ValueError("other"))

    with pytest.raises(ValueError, match="other") as raised:
        work()

    assert len(calls) == 1
    assert notes(raised.value) == []


def test_another_failure_after_a_retry_tells_so():
    work, _, _ = failing(WorkError(), ValueError("other"))

    with pytest.raises(ValueError, match="other") as raised:
        work()

    assert raised.value.__context__ is None
    assert notes(raised.value) == [
        "retry: failed attempt 2 in another way, 0.1 seconds after the first failure"
    ]


late_module = types.ModuleType("late_module")
late_module.Late = type("Late", (Exception,), {})
late_module.Outer = types.SimpleNamespace(Inner=late_module.Late)
late_module.text = "no class"


def late_getattr(name):
    if name == "Missing":
        raise ImportError("it needs another module")
    raise AttributeError(name)


late_module.__getattr__ = late_getattr


@contextmanager
def imported():
    sys.modules["late_module"] = late_module
    try:
        yield
    finally:
        del sys.modules["late_module"]


@pytest.mark.parametrize(
    ("on", "error", "is_retried"),
    [
        (OSError, ConnectionError(), True),
        (OSError, ValueError(), False),
        ((KeyError, OSError), ConnectionError(), True),
        ((), OSError(), False),
        (lambda error: error.args == (1,), WorkError(1), True),
        (lambda error: error.args == (1,), WorkError(2), False),
        (lambda error: True, KeyboardInterrupt(), False),
        (KeyboardInterrupt, KeyboardInterrupt(), False),
        (BaseException, KeyboardInterrupt(), False),
        (BaseException, WorkError(), True),
        (functools.partial(lambda kind, error: isinstance(error, kind), OSError), OSError(), True),
        ("late_module:Late", late_module.Late(), True),
        ("late_module:Outer.Inner", late_module.Late(), True),
        ("late_module:Late", WorkError(), False),
        ((OSError, "late_module:Late"), late_module.Late(), True),
        ("not_imported:Error", WorkError(), False),
    ],
)
def test_on_says_what_is_retried(on, error, is_retried):
    work, calls, _ = failing(error, "done", on=on)

    with imported():
        if is_retried:
            assert work() == "done"
        else:
            with pytest.raises(type(error)) as raised:
                work()
            assert raised.value is error

    assert len(calls) == (2 if is_retried else 1)
    assert notes(error) == []


@pytest.mark.parametrize("name", ["Wrong", "text", "Late.Wrong", "Missing", "Missing.Late"])
def test_a_name_that_is_no_class_is_told_in_a_note(name):
    error = WorkError()
    work, _, _ = failing(error, on=f"late_module:{name}")

    with imported(), pytest.raises(WorkError):
        work()

    assert notes(error) == [
        f"retry: on='late_module:{name}' names no class, so this was not retried"
    ]


def test_waits_double_up_to_the_longest():
    work, _, time_ = failing(*[WorkError()] * 5, "done", attempts=6, wait_initial=1, wait_max=6)

    work()

    assert time_.slept == [1, 2, 4, 6, 6]


def test_waits_have_a_random_part():
    work, _, time_ = failing(*[WorkError()] * 3, attempts=3, wait_jitter=4, random=lambda: 0.25)

    with pytest.raises(WorkError):
        work()

    assert time_.slept == [0.1 + 1, 0.2 + 1]


def test_the_random_part_comes_from_the_standard_library():
    random.seed(1)
    work, _, time_ = failing(WorkError(), "done", wait_initial=0, random=None)

    work()

    random.seed(1)
    assert time_.slept == [random.random()]


def test_very_many_retries_do_not_overflow():
    work, _, time_ = failing(*[WorkError()] * 1200, "done", attempts=None)

    assert work() == "done"
    assert time_.slept[-1] == 5


def test_none_begins_after_the_timeout_and_none_waits_in_vain():
    work, calls, time_ = failing(
        *[WorkError()] * 9, takes=3, attempts=None, timeout=7.5, wait_initial=1, wait_max=1
    )

    with pytest.raises(WorkError) as raised:
        work()

    assert len(calls) == 2
    assert time_.slept == [1]
    assert notes(raised.value) == [
        "retry: gave up after 2 attempts, 7 seconds after the first call"
    ]


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_none_begins_after_the_timeout_though_a_wait_took_longer_than_it_should(is_coroutine):
    time_ = Time()
    errors = [WorkError(1), WorkError(2)]
    left = list(errors)

    def work():
        raise left.pop(0)

    async def work_later():
        work()

    patient = retry(
        work_later if is_coroutine else work,
        on=WorkError,
        timeout=5,
        wait=lambda n: 1,
        sleep=lambda seconds: time_.sleep(seconds + 60),
        clock=time_.clock,
    )

    with pytest.raises(WorkError) as raised:
        asyncio.run(patient()) if is_coroutine else patient()

    assert raised.value is errors[0]
    assert raised.value.__context__ is None
    assert left == errors[1:]
    assert notes(raised.value) == [
        "retry: gave up after 1 attempt, 61 seconds after the first call"
    ]


def test_stop_and_wait_may_be_functions():
    asked = []

    def stop(attempt, elapsed):
        asked.append((attempt, elapsed))
        return attempt == 3

    work, _, time_ = failing(*[WorkError()] * 9, attempts=None, stop=stop, wait=lambda n: n * 10)

    with pytest.raises(WorkError):
        work()

    assert asked == [(1, 0), (2, 10), (3, 30)]
    assert time_.slept == [10, 20]


def test_a_negative_wait_is_none():
    work, _, time_ = failing(WorkError(), "done", wait=lambda n: -1)

    assert work() == "done"
    assert time_.slept == [0]


def test_on_retry_is_told_before_each_wait():
    errors = [WorkError(1), WorkError(2)]
    told = []
    work, _, time_ = failing(
        *errors, "done", on_retry=lambda *what: told.append((*what, len(time_.slept)))
    )

    work()

    assert told == [(1, errors[0], 0.1, 0), (2, errors[1], 0.2, 1)]


def test_what_on_retry_raises_ends_the_call():
    def refuse(attempt, error, seconds):
        raise LookupError

    work, calls, time_ = failing(WorkError(), on_retry=refuse)

    with pytest.raises(LookupError):
        work()

    assert len(calls) == 1
    assert time_.slept == []


def test_sleep_is_looked_up_when_it_is_needed(patches):
    slept = []
    work, _, _ = failing(WorkError(), "done", sleep=None)

    with patches.apply((time, "sleep"), lambda wrapped: slept.append, aliases="ignore"):
        work()

    assert slept == [0.1]


def test_coroutine_functions_are_awaited_again(patches):
    slept = []

    @retry(on=WorkError, wait_jitter=0)
    async def work(x):
        slept.append("call")
        if len(slept) < 4:
            raise WorkError
        return x

    async def sleep(seconds):
        slept.append(seconds)

    with patches.apply((asyncio, "sleep"), lambda wrapped: sleep, aliases="ignore"):
        assert asyncio.run(work(5)) == 5

    assert slept == ["call", 0.1, "call", 0.2, "call"]
    assert inspect.iscoroutinefunction(work)


def test_the_sleep_of_a_coroutine_function_may_be_plain():
    time_ = Time()

    @retry(on=WorkError, sleep=time_.sleep, clock=time_.clock, random=lambda: 0)
    async def work():
        raise WorkError

    with pytest.raises(WorkError) as raised:
        asyncio.run(work())

    assert time_.slept == [0.1, 0.2]
    assert notes(raised.value) == [
        "retry: gave up after 3 attempts, 0.3 seconds after the first failure"
    ]


@pytest.mark.parametrize("decorator", [retry(on=OSError), rate_limit(rate=1), fault(delay=1)])
@pytest.mark.parametrize("sleep", [asyncio.sleep, 5])
def test_a_sleep_that_would_not_be_awaited_is_refused_when_decorating(decorator, sleep):
    def work(): ...

    with pytest.raises(TypeError, match=r"got sleep=.*; give a "):
        functools.partial(decorator, sleep=sleep)(work)


def test_a_cancellation_is_not_retried():
    calls = []

    @retry(on=lambda error: True)
    async def work():
        calls.append(1)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())

    assert calls == [1]


def test_methods_and_partials_are_retried():
    class Client:
        failures = 1

        @retry(on=WorkError, sleep=lambda seconds: None)
        def get(self, url):
            self.failures -= 1
            if self.failures == 0:
                raise WorkError
            return self, url

    client = Client()

    assert client.get("url") == (client, "url")
    assert retry(functools.partial(int, "10"), on=WorkError)(base=2) == 2


async def later(*arguments):
    return False


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"attempts": 0}, ValueError, "attempts=0; give 1 or more"),
        ({"timeout": -1}, ValueError, "timeout=-1"),
        ({"wait_initial": -0.1}, ValueError, "wait_initial=-0.1"),
        ({"wait_max": float("nan")}, ValueError, "wait_max=nan"),
        ({"wait_jitter": -1}, ValueError, "wait_jitter=-1"),
        ({"on": "OSError"}, ValueError, "write it 'package.module:Name'"),
        ({"on": 5}, TypeError, "on=5; give exception classes"),
        ({"on": int}, TypeError, "int"),
        ({"on": (OSError, None)}, TypeError, "on=None"),
        ({"on": later}, TypeError, "on=.*a coroutine function; give a plain one"),
        ({"attempts": "3"}, TypeError, "attempts='3'; give 1 or more"),
        ({"attempts": 2.5}, TypeError, "attempts=2.5"),
        ({"timeout": "5"}, TypeError, "timeout='5'; give seconds"),
        ({"wait": 5}, TypeError, "wait=5; give a function"),
        ({"stop": later}, TypeError, "stop=.*a coroutine function"),
        ({"on_retry": later}, TypeError, "on_retry=.*a coroutine function"),
        ({"clock": 0}, TypeError, "clock=0; give a function"),
        ({"budget": 5}, TypeError, "budget=5; give a RetryBudget"),
    ],
)
def test_wrong_options_are_refused_at_once(options, error, message):
    with pytest.raises(error, match=message):
        retry(**{"on": WorkError} | options)


def test_on_has_no_default():
    with pytest.raises(TypeError, match="'on'"):
        retry(lambda: None)


def test_success_costs_no_look_at_the_clock_unless_something_depends_on_it():
    looks = []

    def clock():
        looks.append(1)
        return 0.0

    assert retry(len, on=WorkError, clock=clock)("abc") == 3
    assert looks == []
    assert retry(len, on=WorkError, clock=clock, timeout=5)("abc") == 3
    assert looks == [1]


def test_one_decorator_serves_many_functions():
    patient = retry(on=WorkError, attempts=2, sleep=lambda seconds: None)
    outcomes = [WorkError(), 1, WorkError(), 2]

    def work():
        outcome = outcomes.pop(0)
        if isinstance(outcome, WorkError):
            raise outcome
        return outcome

    assert [patient(work)(), patient(work)()] == [1, 2]
