"""Do not call, for a while, what keeps failing."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from safepatch.decorators.circuits import Circuit, State
from safepatch.decorators.observing import observed
from safepatch.decorators.wrapping import (
    configured,
    is_async,
    is_generator,
    is_positive,
    name_of,
    need_callable,
)

P = ParamSpec("P")
P2 = ParamSpec("P2")
S = TypeVar("S")
R2 = TypeVar("R2")
R_co = TypeVar("R_co", covariant=True)
Failures = type[BaseException] | tuple[type[BaseException], ...] | Callable[[Exception], bool]


class Broken(Protocol[P, R_co]):
    """A function behind a circuit breaker."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    # As in counts.py, which see.
    @overload
    def __get__(
        self: Callable[Concatenate[S, P2], R2], instance: object, owner: S, /
    ) -> Broken[P2, R2]: ...
    @overload
    def __get__(self, instance: None, owner: Any = None, /) -> Broken[P, R_co]: ...
    @overload
    def __get__(
        self: Broken[Concatenate[S, P2], R2], instance: S, owner: Any = None, /
    ) -> Broken[P2, R2]: ...

    def breaker_state(self) -> State:
        """Say "closed", "open", or "half-open": the next call, or one under way, is a probe."""

    def breaker_reset(self) -> None:
        """Close it, whatever happened. Calls that are under way no longer count."""


class BreakerDecorator(Protocol):
    def __call__(self, wrapped: Callable[P, R_co], /) -> Broken[P, R_co]: ...


@overload
def circuit_breaker(wrapped: Callable[P, R_co], /) -> Broken[P, R_co]: ...
@overload
def circuit_breaker(
    *,
    failures: int = 5,
    reset_after: float = 30.0,
    on: Failures = Exception,
    clock: Callable[[], float] = time.monotonic,
) -> BreakerDecorator: ...
def circuit_breaker(
    wrapped: Any = None,
    /,
    *,
    failures: int = 5,
    reset_after: float = 30.0,
    on: Failures = Exception,
    clock: Callable[[], float] = time.monotonic,
) -> Any:
    """Stop calling a function that keeps failing, and try it again after a while.

    ::

        @circuit_breaker(failures=5, reset_after=30)
        def charge(account, amount): ...

        charge.breaker_state()  # "closed", "open" or "half-open"

    Closed, all calls go through. After `failures` failures one after the other it is open: calls
    raise CircuitOpenError, with the seconds in `retry_after`, and the function is not called. From
    `reset_after` seconds later on it is half-open: one call goes through to see, the others are
    refused until it is over. If it succeeds the breaker is closed, if it fails it is open again.
    The pattern is Michael Nygard's (Release It!, 2007).

    `on` says which exceptions are failures: a class, a tuple of classes, or a function that is
    given the Exception and returns a bool (one that raises says yes). Any other Exception counts
    as a success: the function was there to complain. What is no Exception (a cancellation, a
    killed greenlet, a timeout from outside, KeyboardInterrupt) says nothing, and the next call
    sees instead. So does a call that takes longer than `reset_after` to see: another may then try
    as well. Calls that it makes itself, as in recursion, are let through with it.

    Calls that began before the breaker opened no longer count when they end. No lock is held while
    the function runs. A coroutine function counts when it was awaited, a generator when it has
    given all; one that is closed early says nothing, and what is thrown into it and comes out
    counts as its own. Each decorated function has one breaker, for all instances if it is a method.
    `breaker_reset()` closes it by hand.

    Raises TypeError, when decorating, for what cannot be called and an `on` of the wrong type, and
    ValueError for options out of range. Safe with threads, greenlets, asyncio and fork. `clock`
    tells seconds, and must never go back.

    **Assumes** that failures mean the function will fail for others too, so what the caller did
    wrong (ValueError, say) should not be among `on`.
    """
    if isinstance(failures, bool) or not isinstance(failures, int) or failures < 1:
        raise ValueError(f"got failures={failures!r}; give a whole number, 1 or more")
    if not is_positive(reset_after):
        raise ValueError(f"got reset_after={reset_after!r}; give seconds, above 0")
    fails = _matcher(on)
    if wrapped is None:
        return configured(
            circuit_breaker, failures=failures, reset_after=reset_after, on=on, clock=clock
        )
    need_callable("put a circuit breaker on", wrapped)
    breaker = Circuit(name_of(wrapped), failures, reset_after, fails, clock)
    admit, succeed, fail = breaker.admit, breaker.succeed, breaker.fail

    if is_generator(wrapped):

        def begin(args: Any, kwargs: Any) -> Callable[[BaseException | None, Any, int], None]:
            turn = breaker.turn or admit()

            def end(error: BaseException | None, result: Any, given: int) -> None:
                if error is None:
                    succeed(turn)
                else:
                    fail(turn, error)

            return end

        wrapper: Any = observed(wrapped, begin)

    elif is_async(wrapped):

        @functools.wraps(wrapped)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            turn = breaker.turn or admit()
            try:
                result = await wrapped(*args, **kwargs)
            except BaseException as error:
                fail(turn, error)
                raise
            if breaker.failed:
                succeed(turn)
            return result

    else:

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            turn = breaker.turn or admit()
            try:
                result = wrapped(*args, **kwargs)
            except BaseException as error:
                fail(turn, error)
                raise
            if breaker.failed:
                succeed(turn)
            return result

    wrapper.breaker_state, wrapper.breaker_reset = breaker.state, breaker.close
    return wrapper


def _matcher(on: Any) -> Callable[[BaseException], bool]:
    """Make the function that says whether an exception is a failure; raises TypeError early."""
    if callable(on) and not isinstance(on, type):
        return functools.partial(_asked, on)
    for kind in on if isinstance(on, tuple) else (on,):
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(
                f"got on={on!r}; give an exception class, a tuple of them, or a function of the "
                "exception"
            )
    return lambda error: isinstance(error, on)


def _asked(on: Callable[[Exception], object], error: BaseException) -> bool:
    """Ask somebody's function; one that fails must not take the place of the error, which is one
    in any case."""
    try:
        return isinstance(error, Exception) and bool(on(error))
    except Exception:
        return True
