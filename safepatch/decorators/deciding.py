"""Whether to call again, and after how long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from safepatch.decorators import nesting
from safepatch.decorators.attempts import Decide, IsLate, Tries
from safepatch.decorators.budgets import RetryBudget
from safepatch.decorators.notes import note


def deciding(
    *,
    matches: Callable[[Exception], bool],
    attempts: int | None,
    timeout: float | None,
    stop: Callable[[Tries, Exception, float], bool] | None,
    wait: Callable[[Tries, Exception, float], float],
    budget: RetryBudget | None,
    on_retry: Callable[[int, Exception, float], object] | None,
    multiply: bool,
    clock: Callable[[], float],
    is_timed: bool,
) -> tuple[Decide, IsLate]:
    """Make the functions that decide after each failure, and after each wait.

    If not `is_timed`, nobody looked at the clock before the first call; time is then told from the
    first failure.
    """

    def seconds_since_start(tries: Tries) -> float:
        now = clock()
        if not is_timed and not tries.retries:
            tries.started = now
        return now - tries.started

    def tell(tries: Tries, error: Exception, kind: str, what: str, elapsed: float) -> None:
        nesting.mark(error, tries.attempt)
        if is_timed:
            what += f", {elapsed:.3g} seconds after the first call"
        elif tries.retries:
            what += f", {elapsed:.3g} seconds after the first failure"
        note(error, kind, what)

    def give_up(tries: Tries, error: Exception, elapsed: float, why: str = "") -> None:
        what = f"after {tries.attempt} attempt{'s'[: tries.attempt > 1]}{why}"
        tell(tries, error, "gave up", what, elapsed)

    def may_go_on(tries: Tries, error: Exception, elapsed: float) -> bool:
        if attempts is not None and tries.attempt >= attempts:
            return False
        # Before `stop` is asked, as in tenacity, where it may ask for the next wait.
        tries.upcoming = max(0, wait(tries, error, elapsed))
        if stop is not None and stop(tries, error, elapsed):
            return False
        return timeout is None or elapsed + tries.upcoming <= timeout

    def decide(tries: Tries, error: Exception) -> float | None:
        elapsed = seconds_since_start(tries)
        if not multiply:
            tries.attempt += nesting.attempts_below(error, tries.since) - 1
        if not matches(error):
            if tries.retries:
                what = f"{tries.attempt} in another way"
                tell(tries, error, "failed attempt", what, elapsed)
            return None
        if not may_go_on(tries, error, elapsed):
            give_up(tries, error, elapsed)
            return None
        if budget is not None and not budget.take():
            give_up(tries, error, elapsed, " with no budget left")
            return None
        if on_retry is not None:
            on_retry(tries.attempt, error, tries.upcoming)
        return tries.upcoming

    def is_late(tries: Tries, error: Exception) -> bool:
        if timeout is None:
            return False
        elapsed = clock() - tries.started
        if elapsed <= timeout:
            return False
        give_up(tries, error, elapsed)
        return True

    return decide, is_late


def beginning(
    clock: Callable[[], float], is_timed: bool, budget: RetryBudget | None
) -> Callable[[], Any] | None:
    """The function to be called before each first attempt: as little as possible."""
    if budget is None:
        return clock if is_timed else None
    count_call = budget.count_call
    if not is_timed:
        return count_call  # whose result nobody looks at

    def begin() -> float:
        count_call()
        return clock()

    return begin


def backoff(
    initial: float, longest: float, jitter: float, random: Callable[[], float] | None
) -> Callable[[int], float]:
    """Make the function that gives the seconds to wait after so many attempts."""

    def wait(attempt: int) -> float:
        part = random
        if part is None:
            import random as standard

            part = standard.random
        # The limit is for floats, which cannot hold 2**1024.
        return min(longest, initial * 2.0 ** min(attempt - 1, 1000) + part() * jitter)

    return wait
