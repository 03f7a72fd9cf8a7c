"""What retry promises where retries lie over retries, and many calls share a budget."""

import asyncio
import pickle
import threading

import pytest
from children import child
from failing import FrozenError, Time, WorkError, failing, notes

from safepatch.decorators import RetryBudget, retry


def layers(error, *attempts, wrap=None, **options):
    """Retries over each other, the first undermost, over a function that always fails."""
    time_ = Time()
    calls = []

    def work():
        calls.append(1)
        raise error() if isinstance(error, type) else error

    options = {"on": Exception, "sleep": time_.sleep, "clock": time_.clock} | options
    for most in attempts:
        work = retry(work, attempts=most, random=lambda: 0.0, **options)
        work = wrap(work) if wrap else work
    return work, calls, time_


def failed(work):
    with pytest.raises(Exception) as raised:  # noqa: PT011
        work()
    return raised.value


@pytest.mark.parametrize(
    ("attempts", "calls"),
    [
        ((3, 3), 3),
        ((3, 3, 3), 3),
        ((3, 4), 6),  # after three there may be another, which is three again
        ((2, 5), 6),
        ((5, 2), 5),
        ((1, 3), 3),
        ((3, 1), 3),
    ],
)
@pytest.mark.parametrize("error", [WorkError, lambda: FrozenError(1)])
def test_attempts_of_retries_over_retries_do_not_multiply(attempts, calls, error):
    make = error if isinstance(error, type) else error()
    work, made, _ = layers(make, *attempts)

    failed(work)

    assert len(made) == calls


def test_the_note_of_the_outermost_tells_all_attempts_in_place_of_those_below():
    work, _, _ = layers(WorkError, 2, 4)

    assert notes(failed(work)) == [
        "retry: gave up after 4 attempts, 0.3 seconds after the first failure"
    ]


class ClosedError(Exception):
    def __getattribute__(self, name):
        raise AttributeError(name)

    def __setattr__(self, name, value):
        raise AttributeError(name)


def test_an_exception_that_hides_its_attributes_is_raised_itself():
    work, _, _ = layers(ClosedError, 3, 3)

    assert type(failed(work)) is ClosedError


def test_attempts_multiply_if_that_is_wanted():
    work, calls, _ = layers(WorkError, 3, 3, multiply=True)

    failed(work)

    assert len(calls) == 9


def test_attempts_below_count_in_wait_stop_and_on_retry():
    asked = []
    inner, calls, time_ = failing(*[WorkError()] * 9, wait=lambda n: 0)
    outer = retry(
        inner,
        on=WorkError,
        stop=lambda attempt, elapsed: asked.append(attempt),
        wait=lambda n: asked.append(n) or 0,
        on_retry=lambda n, error, seconds: asked.append(n),
        attempts=7,
        sleep=time_.sleep,
    )

    with pytest.raises(WorkError):
        outer()

    assert asked == [3, 3, 3, 6, 6, 6]
    assert len(calls) == 9


def test_coroutine_and_generator_functions_do_not_multiply():
    calls = []
    patient = retry(on=WorkError, attempts=3, sleep=lambda seconds: None)

    @patient
    @patient
    async def work():
        calls.append(1)
        raise WorkError

    @patient
    @patient
    def items():
        calls.append(1)
        raise WorkError
        yield

    @patient
    @patient
    async def later_items():
        calls.append(1)
        raise WorkError
        yield

    for use in (lambda: asyncio.run(work()), lambda: next(items())):
        failed(use)
    failed(lambda: asyncio.run(anext(later_items())))

    assert len(calls) == 9


def test_an_error_raised_from_the_one_below_counts_the_same():
    class ServiceError(Exception):
        pass

    def wrap(function):
        def translated():
            try:
                function()
            except Exception as error:
                raise ServiceError from error

        return translated

    work, calls, _ = layers(WorkError, 3, 3, wrap=wrap)

    failed(work)

    assert len(calls) == 3


def test_an_error_of_something_else_counts_once():
    def wrap(function):
        def fallback():
            try:
                function()
            except WorkError:
                raise KeyError  # noqa: B904

        return fallback

    work, calls, _ = layers(WorkError, 2, 2, wrap=wrap)

    failed(work)

    assert len(calls) == 4


def later(work):
    """The same as a coroutine function, or what that is decorated with, run by hand."""

    async def work_later():
        work()

    return work_later


def run(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_an_exception_object_that_was_given_up_long_ago_counts_once(is_coroutine):
    shared, calls = WorkError(), []

    def work():
        calls.append(1)
        raise shared

    patient = retry(on=WorkError, attempts=3, sleep=lambda seconds: None)
    retried = patient(later(work) if is_coroutine else work)
    for _ in range(3):
        failed(lambda: run(retried()) if is_coroutine else retried())

    assert len(calls) == 9


def test_an_exception_object_that_was_given_up_in_the_attempt_before_counts_once():
    shared, calls = WorkError(), []

    def work():
        calls.append(1)
        raise shared

    patient_work = retry(work, on=WorkError, attempts=2, sleep=lambda seconds: None)

    @retry(on=WorkError, attempts=5, sleep=lambda seconds: None)
    def outer():
        return work() if calls else patient_work()

    failed(outer)

    assert len(calls) == 5


def test_an_error_of_another_process_counts_once():
    worker = """
import pickle, sys
from safepatch.decorators import retry

@retry(on=OSError, attempts=3, sleep=lambda seconds: None)
def work():
    raise OSError

for _ in range(1000):
    try:
        work()
    except OSError as error:
        dumped = pickle.dumps(error)
print(dumped.hex())
"""
    error = pickle.loads(bytes.fromhex(child(worker)))
    work, calls, _ = layers(error, 2)

    failed(work)

    assert notes(error)[0].startswith("retry: gave up after 2 attempts")
    assert len(calls) == 2


def test_a_failure_that_the_one_above_does_not_want_is_not_touched():
    inner, _, _ = failing(*[WorkError()] * 3)

    error = failed(retry(inner, on=KeyError))

    assert notes(error) == ["retry: gave up after 3 attempts, 0.3 seconds after the first failure"]


# Budgets


def spent(budget, calls, *, fails=True):
    """Make so many calls, each with ten attempts; how many retries there were."""
    outcomes = (WorkError() if fails else None for _ in iter(int, 1))
    made = []

    @retry(on=WorkError, attempts=10, wait=lambda n: 0, sleep=lambda s: None, budget=budget)
    def work():
        made.append(1)
        outcome = next(outcomes)
        if outcome:
            raise outcome

    for _ in range(calls):
        try:
            work()
        except WorkError:
            pass
    return len(made) - calls


@pytest.mark.parametrize(
    ("options", "calls", "retries"),
    [
        ({}, 1, 9),
        ({}, 100, 19),  # the one that first found nothing left had earned 0.2, which is no retry
        ({}, 1000, 109),
        ({"share": 0.5}, 100, 59),
        ({"share": 0, "reserve": 3}, 100, 3),
        ({"share": 0.1, "reserve": 0}, 100, 10),
        ({"share": 0, "reserve": 0}, 100, 0),
        ({"share": 1, "reserve": 0}, 100, 100),
    ],
)
def test_of_many_calls_only_a_share_is_retried_and_a_reserve(options, calls, retries):
    budget = RetryBudget(**options)

    found = spent(budget, calls)

    assert found <= budget.reserve + budget.share * calls
    assert abs(found - retries) <= 1


def test_calls_that_succeed_fill_the_budget_up_to_the_reserve_and_no_further():
    budget = RetryBudget(share=0.1, reserve=5)
    assert spent(budget, 20) in (6, 7)

    assert spent(budget, 1000, fails=False) == 0
    assert spent(budget, 1) == 5
    assert spent(budget, 30, fails=False) == 0
    assert spent(budget, 1) == 3


def test_ten_tenths_are_a_retry():
    budget = RetryBudget(share=0.1, reserve=0)
    taken = []
    for _ in range(10):
        budget.count_call()
        taken.append(budget.take())

    assert taken == [False] * 9 + [True]


def test_the_error_tells_that_no_budget_was_left():
    budget = RetryBudget(share=0, reserve=1)
    work, _, _ = failing(*[WorkError()] * 3, budget=budget)

    assert notes(failed(work)) == [
        "retry: gave up after 2 attempts with no budget left, 0.1 seconds after the first failure"
    ]


def test_what_would_not_be_retried_anyway_takes_nothing_from_the_budget():
    budget = RetryBudget(share=0, reserve=1)
    for options in ({"attempts": 1}, {"timeout": 0}, {"on": KeyError}):
        work, _, _ = failing(WorkError(), budget=budget, **options)
        failed(work)

    assert budget.take()
    assert not budget.take()


def test_time_is_told_from_the_first_call_with_a_budget_and_a_timeout():
    work, _, _ = failing(*[WorkError()] * 3, takes=2, timeout=60, budget=RetryBudget())

    assert notes(failed(work)) == [
        "retry: gave up after 3 attempts, 6.3 seconds after the first call"
    ]


def test_several_functions_share_a_budget():
    budget = RetryBudget(share=0, reserve=3)
    one, calls, _ = failing(*[WorkError()] * 3, budget=budget)
    two, more_calls, _ = failing(*[WorkError()] * 3, budget=budget)

    failed(one)
    failed(two)

    assert (len(calls), len(more_calls)) == (3, 2)


def test_threads_take_no_more_than_there_is():
    budget = RetryBudget(share=0.1, reserve=100)
    taken = []

    def take():
        for _ in range(500):
            budget.count_call()
            taken.append(budget.take())

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 499 <= sum(taken) <= 500


def test_a_budget_does_not_block_the_child_of_a_fork():
    code = """
import os, threading, time
from safepatch.decorators import RetryBudget

budget = RetryBudget()
held, done = threading.Event(), threading.Event()

def hold():
    with budget.lock:
        held.set()
        done.wait()

threading.Thread(target=hold).start()
held.wait()
pid = os.fork()
if pid == 0:
    os._exit(0 if budget.take() else 1)
print(os.waitpid(pid, 0)[1])
done.set()
"""
    assert child(code, "-Wignore", timeout=20) == "0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.5}, "share=1.5; give a share of the calls, 0 to 1"),
        ({"share": -1}, "share=-1"),
        ({"reserve": -1}, "reserve=-1; give a number of retries"),
        ({"reserve": float("nan")}, "reserve=nan"),
    ],
)
def test_wrong_budgets_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RetryBudget(**options)
