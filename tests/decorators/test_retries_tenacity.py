"""What retry promises for tenacity's strategies: that they are asked as tenacity asks them."""

import asyncio
import gc
import threading
import weakref

import pytest
from children import child
from failing import WorkError, failing, notes

from safepatch.decorators import retry

tenacity = pytest.importorskip("tenacity")


def tried(outcomes, **options):
    """The calls and waits that a function came to, and the seconds it was said to have taken."""
    work, calls, time_ = failing(*outcomes, **options)
    try:
        work(1, a=2)
    except WorkError:
        pass
    return len(calls), time_.slept


def errors(number):
    return [WorkError(n) for n in range(number)]


STOPS = {
    "attempts": lambda: tenacity.stop_after_attempt(5),
    "delay": lambda: tenacity.stop_after_delay(7),
    "before delay": lambda: tenacity.stop_before_delay(7),
    "or": lambda: tenacity.stop_after_delay(5) | tenacity.stop_after_attempt(3),
    "and": lambda: tenacity.stop_after_delay(5) & tenacity.stop_after_attempt(3),
    "with a function": lambda: (
        tenacity.stop_after_attempt(9) | (lambda state: state.attempt_number == 4)
    ),
    "event": lambda: (
        tenacity.stop_when_event_set(threading.Event()) | tenacity.stop_after_attempt(2)
    ),
}
WAITS = {
    "none": lambda: tenacity.wait_none(),
    "fixed": lambda: tenacity.wait_fixed(1),
    "exponential": lambda: tenacity.wait_exponential(multiplier=0.5, max=3),
    "incrementing": lambda: tenacity.wait_incrementing(start=1, increment=2),
    "chain": lambda: tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(2)),
    "sum": lambda: tenacity.wait_fixed(1) + tenacity.wait_exponential(),
    "no jitter": lambda: tenacity.wait_exponential_jitter(jitter=0),
    "random": lambda: tenacity.wait_random(2, 2),
}


def by_tenacity(outcomes, stop, wait, patches, takes):
    """What tenacity itself makes of it, with the same clock."""
    work, calls, time_ = failing(*outcomes, on=(), takes=takes)
    own = tenacity.Retrying(stop=stop, wait=wait, sleep=time_.sleep, reraise=True)
    with patches.apply("time:monotonic", lambda wrapped: time_.clock, aliases="ignore"):
        try:
            own(work)
        except WorkError:
            pass
    return len(calls), time_.slept


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_strategies_come_to_what_they_come_to_with_tenacity(stop, wait, patches):
    expected = by_tenacity(errors(30), stop(), wait(), patches, takes=1)

    found = tried(errors(30), stop=stop(), wait=wait(), takes=1)

    assert found[0] == expected[0]
    # tenacity sleeps for no seconds as well.
    assert found[1] == pytest.approx(expected[1])


@pytest.mark.parametrize(
    ("wait", "least", "most"),
    [
        (lambda: tenacity.wait_random_exponential(multiplier=1, max=3), [0, 0, 0], [1, 2, 3]),
        (lambda: tenacity.wait_exponential_jitter(), [1, 2, 4], [2, 3, 5]),
    ],
)
def test_random_strategies_stay_in_their_ranges(wait, least, most):
    _, slept = tried(errors(9), wait=wait(), attempts=4)

    assert len(slept) == 3
    assert all(low <= one <= high for low, one, high in zip(least, slept, most, strict=True))


def noting(base, seen, answer):
    class Noting(base):
        def __call__(self, retry_state):
            seen.append(
                (
                    type(retry_state),
                    retry_state.attempt_number,
                    retry_state.outcome.exception(),
                    retry_state.outcome.failed,
                    retry_state.outcome.attempt_number,
                    round(retry_state.seconds_since_start, 6),
                    retry_state.idle_for,
                    retry_state.upcoming_sleep,
                    retry_state.fn.__name__,
                    retry_state.args,
                    retry_state.kwargs,
                )
            )
            return answer(retry_state)

    return Noting()


def test_a_strategy_is_given_the_state_that_tenacity_gives(patches):
    def stop(seen):
        return noting(tenacity.stop.stop_base, seen, lambda state: state.attempt_number == 4)

    def wait(seen):
        return noting(tenacity.wait.wait_base, seen, lambda state: state.attempt_number * 1.0)

    failures = errors(9)
    expected = []
    own, _, time_ = failing(*failures, on=(), takes=2)
    with patches.apply("time:monotonic", lambda wrapped: time_.clock, aliases="ignore"):
        retrying = tenacity.Retrying(
            stop=stop(expected), wait=wait(expected), sleep=time_.sleep, reraise=True
        )
        with pytest.raises(WorkError):
            retrying(own, 1, a=2)

    seen = []
    found = tried(failures, stop=stop(seen), wait=wait(seen), takes=2)

    assert seen == expected
    assert len(seen) == 8
    assert found == (4, [1, 2, 3])


def test_the_state_is_the_same_object_during_a_call_and_another_for_the_next():
    states = []

    class Noting(tenacity.wait.wait_base):
        def __call__(self, retry_state):
            states.append(retry_state)
            return 0

    wait = Noting()
    tried(errors(3), wait=wait)
    tried(errors(3), wait=wait)

    assert states[0] is states[1]
    assert states[2] is states[3]
    assert states[0] is not states[2]
    assert states[0].outcome is None  # nothing is kept


def test_nothing_of_tenacity_is_used_before_a_failure(patches):
    def none(wrapped):
        def wrapper(*args, **kwargs):
            raise AssertionError

        return wrapper

    with patches.apply("tenacity:RetryCallState.__init__", none, aliases="ignore"):
        work, _, _ = failing("done", stop=tenacity.stop_after_attempt(3))
        assert work() == "done"


def test_a_limit_of_attempts_holds_beside_a_strategy_only_if_it_was_given():
    stop = tenacity.stop_after_attempt(5)

    assert tried(errors(9), stop=stop)[0] == 5
    assert tried(errors(9), stop=stop, attempts=3)[0] == 3
    assert tried(errors(9), stop=stop, attempts=None)[0] == 5
    assert tried(errors(9), stop=lambda attempt, elapsed: False)[0] == 3


def test_strategies_of_one_kind_go_with_functions_and_options_of_the_other():
    stop = tenacity.stop_before_delay(4)
    assert tried(errors(9), stop=stop, wait=lambda n: n * 1.0) == (3, [1, 2])
    assert tried(errors(9), stop=stop, wait_initial=1)[1] == [1, 2]

    wait = tenacity.wait_fixed(2)
    assert tried(errors(9), stop=lambda attempt, elapsed: elapsed >= 4, wait=wait) == (3, [2, 2])
    assert tried(errors(9), timeout=5, attempts=None, wait=wait) == (3, [2, 2])


def test_a_wait_strategy_alone_is_told_the_seconds_from_the_first_call():
    class Elapsed(tenacity.wait.wait_base):
        def __call__(self, retry_state):
            return retry_state.seconds_since_start

    assert tried(errors(9), wait=Elapsed(), takes=2) == (3, [2, 6])


def test_the_last_error_is_raised_itself_and_the_note_tells_time_from_the_first_call():
    failures = errors(9)
    work, _, _ = failing(*failures, stop=tenacity.stop_after_attempt(3), takes=2)

    with pytest.raises(WorkError) as raised:
        work()

    assert raised.value is failures[2]
    assert notes(raised.value) == [
        "retry: gave up after 3 attempts, 6.3 seconds after the first call"
    ]


def test_coroutine_and_generator_functions_take_strategies():
    patient = retry(
        on=WorkError,
        stop=tenacity.stop_after_attempt(4),
        wait=tenacity.wait_none(),
        sleep=lambda seconds: None,
    )
    calls = []

    @patient
    async def work():
        calls.append(1)
        raise WorkError

    @patient
    def items():
        calls.append(1)
        raise WorkError
        yield

    with pytest.raises(WorkError):
        asyncio.run(work())
    with pytest.raises(WorkError):
        next(items())

    assert len(calls) == 8


def test_an_error_is_freed_with_its_last_user():
    @retry(
        on=WorkError,
        stop=tenacity.stop_after_attempt(2),
        wait=tenacity.wait_none(),
        sleep=lambda seconds: None,
    )
    def work():
        raise WorkError

    def raised():
        try:
            work()
        except WorkError as error:
            return weakref.ref(error)

    gc.collect()
    gc.disable()
    try:
        assert raised()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wait": tenacity.stop_after_attempt(3)}, "wait=.*a strategy of tenacity for stop"),
        ({"stop": tenacity.wait_fixed(3)}, "stop=.*a strategy of tenacity for wait"),
        ({"on": tenacity.retry_if_exception_type(OSError)}, "on=.*a strategy of tenacity for ret"),
    ],
)
def test_strategies_in_the_wrong_place_are_refused(options, message):
    with pytest.raises(TypeError, match=message):
        retry(**{"on": WorkError} | options)


def test_tenacity_is_never_imported():
    code = """
import sys
from safepatch.decorators import retry

@retry(on=ValueError, sleep=lambda seconds: None, stop=lambda *a: False, wait=lambda n: 0)
def work():
    raise ValueError

try:
    work()
except ValueError:
    print("tenacity" in sys.modules)
"""
    assert child(code) == "False"
