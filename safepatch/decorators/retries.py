"""Call again what failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from safepatch.decorators.attempts import Tries, retried
from safepatch.decorators.budgets import RetryBudget
from safepatch.decorators.deciding import backoff, beginning, deciding
from safepatch.decorators.matching import On, matcher
from safepatch.decorators.sleeping import need_sleep
from safepatch.decorators.strategies import asked, strategy
from safepatch.decorators.wrapping import configured, is_async, need_callable, need_function

if TYPE_CHECKING:
    from tenacity.stop import stop_base
    from tenacity.wait import wait_base

F = TypeVar("F", bound=Callable[..., Any])


class RetryDecorator(Protocol):
    def __call__(self, wrapped: F, /) -> F: ...


class _Default(int):
    """A number that nobody gave: equal to one that somebody gave, but not the same object."""


_THREE = _Default(3)


@overload
def retry(
    wrapped: F,
    /,
    *,
    on: On,
    attempts: int | None = 3,
    timeout: float | None = None,
    wait_initial: float = 0.1,
    wait_max: float = 5.0,
    wait_jitter: float = 1.0,
    stop: Callable[[int, float], bool] | stop_base | None = None,
    wait: Callable[[int], float] | wait_base | None = None,
    budget: RetryBudget | None = None,
    multiply: bool = False,
    on_retry: Callable[[int, Exception, float], object] | None = None,
    sleep: Callable[[float], Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> F: ...
@overload
def retry(
    *,
    on: On,
    attempts: int | None = 3,
    timeout: float | None = None,
    wait_initial: float = 0.1,
    wait_max: float = 5.0,
    wait_jitter: float = 1.0,
    stop: Callable[[int, float], bool] | stop_base | None = None,
    wait: Callable[[int], float] | wait_base | None = None,
    budget: RetryBudget | None = None,
    multiply: bool = False,
    on_retry: Callable[[int, Exception, float], object] | None = None,
    sleep: Callable[[float], Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> RetryDecorator: ...
def retry(
    wrapped: Any = None,
    /,
    *,
    on: On,
    attempts: int | None = _THREE,
    timeout: float | None = None,
    wait_initial: float = 0.1,
    wait_max: float = 5.0,
    wait_jitter: float = 1.0,
    stop: Any = None,
    wait: Any = None,
    budget: RetryBudget | None = None,
    multiply: bool = False,
    on_retry: Callable[[int, Exception, float], object] | None = None,
    sleep: Callable[[float], Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> Any:
    """Call a function again when it fails in a way that may pass, after a wait.

    ::

        @retry(on=ConnectionError, attempts=5)
        def fetch(url): ...

    `on` says which failures: an exception class or a tuple of them, a function that is given the
    exception and returns a bool, or "module:Name", for a class of a module that need not be
    imported yet. It has no default, because retrying what cannot pass only hides it. Whatever it
    says, only an Exception is retried: a KeyboardInterrupt, a cancellation, a killed greenlet and
    a gevent.Timeout go through at once, also during a wait.

    There are `attempts` calls at most, the first included, and none begins more than `timeout`
    seconds after the first; None is no limit. A running call is never cut short. `stop(attempt,
    elapsed)`, with the number of calls made and the seconds they took, may return true to give up
    earlier. Nothing is waited for in vain: a wait that would end too late does not begin.

    After n attempts the wait is min(wait_max, wait_initial * 2**(n - 1) + random * wait_jitter)
    seconds, as in stamina (Hynek Schlawack, 2022), with random from 0 to 1; or `wait(n)`, if
    given, and 0 for what is negative. `on_retry(n, exception, seconds)` is called before each
    wait; what it raises ends the call. `sleep` is `time.sleep` by default, looked up when it is
    needed, so that gevent's patching is followed; for coroutine functions it is `asyncio.sleep`,
    and may be any other that is to be awaited.

    `stop` and `wait` may be tenacity's strategies as well, such as `stop_after_delay(60) |
    stop_after_attempt(5)`. They are asked as tenacity would ask them. Beside such a `stop` there
    is no limit to attempts, unless one is given.

    Retries over retries do not multiply: an attempt that failed after a retry below had made three
    counts as three. With `multiply=True` it counts as one. `budget` is a RetryBudget, a limit for
    the retries of many calls together.

    The last exception is raised as it is, never wrapped, with a note that tells attempts and time,
    in place of such a note from before; one that takes no notes goes without. Time counts from the
    first call if there is a `timeout`, a `stop` or a strategy of tenacity's, and else from the
    first failure, since success then costs no look at the clock. Neither note nor hook is told the
    arguments.

    Generator functions, async ones too, are called again if they fail before their first value;
    what comes later goes through. A wrong call of one fails when that value is asked for.

    Raises TypeError and ValueError, when decorating, for options of a wrong type or out of range,
    and for a coroutine function as `on`, `stop`, `wait` or `on_retry`, or as the `sleep` of what is
    not awaited, since nobody would await it.
    Calls share nothing but the budget, so they are as safe with threads, greenlets and asyncio as
    the function itself.

    **Assumes** that calling twice does no harm, and that the arguments can be used twice: an
    iterator or an open file is not rewound.
    """
    matches = matcher(on)
    _check_numbers(
        attempts=attempts,
        timeout=timeout,
        wait_initial=wait_initial,
        wait_max=wait_max,
        wait_jitter=wait_jitter,
    )
    predicate = on if callable(on) and not isinstance(on, type) else None
    _check_functions(
        on=predicate, stop=stop, wait=wait, on_retry=on_retry, clock=clock, random=random
    )
    if budget is not None and not isinstance(budget, RetryBudget):
        raise TypeError(f"got budget={budget!r}; give a RetryBudget, or None for no limit")
    if wrapped is None:
        return configured(
            retry,
            on=on,
            attempts=attempts,
            timeout=timeout,
            wait_initial=wait_initial,
            wait_max=wait_max,
            wait_jitter=wait_jitter,
            stop=stop,
            wait=wait,
            budget=budget,
            multiply=multiply,
            on_retry=on_retry,
            sleep=sleep,
            clock=clock,
            random=random,
        )
    need_callable("retry", wrapped)
    need_sleep(sleep, wrapped)
    if wait is None:
        wait = backoff(wait_initial, wait_max, wait_jitter, random)
    is_timed = timeout is not None or stop is not None or strategy(wait) is not None
    decide, is_late = deciding(
        matches=matches,
        attempts=None if attempts is _THREE and strategy(stop) else attempts,
        timeout=timeout,
        stop=_as_stop(stop),
        wait=_as_wait(wait),
        budget=budget,
        on_retry=on_retry,
        multiply=multiply,
        clock=clock,
        is_timed=is_timed,
    )
    return retried(wrapped, beginning(clock, is_timed, budget), decide, is_late, sleep)


def _as_stop(stop: Any) -> Callable[[Tries, Exception, float], bool] | None:
    if stop is None:
        return None
    if strategy(stop):
        return asked(stop)
    return lambda tries, error, elapsed: stop(tries.attempt, elapsed)


def _as_wait(wait: Any) -> Callable[[Tries, Exception, float], float]:
    if strategy(wait):
        return asked(wait)
    return lambda tries, error, elapsed: wait(tries.attempt)


def _check_numbers(*, attempts: int | None, **numbers: float | None) -> None:
    if attempts is not None and not (isinstance(attempts, int) and attempts >= 1):
        raise _wrong("attempts", attempts, int, "1 or more, or None for no limit")
    for name, seconds in numbers.items():
        if seconds is not None and not (isinstance(seconds, (int, float)) and seconds >= 0):
            raise _wrong(name, seconds, (int, float), "seconds, 0 or more")


def _wrong(name: str, value: Any, kind: Any, wanted: str) -> Exception:
    error = ValueError if isinstance(value, kind) else TypeError
    return error(f"got {name}={value!r}; give {wanted}")


def _check_functions(**functions: Any) -> None:
    for name, function in functions.items():
        if function is None:
            continue
        need_function(name, function)
        kind = strategy(function)
        if kind not in (None, name):
            raise TypeError(f"got {name}={function!r}, which is a strategy of tenacity for {kind}")
        if is_async(function):
            raise TypeError(
                f"got {name}={function!r}, a coroutine function; give a plain one, since it is "
                "called and not awaited"
            )
