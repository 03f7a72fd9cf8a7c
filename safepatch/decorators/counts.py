"""Count the calls of a function."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from safepatch.decorators.threads import get_ident
from safepatch.decorators.wrapping import configured, is_async, need_callable

P = ParamSpec("P")
P2 = ParamSpec("P2")
S = TypeVar("S")
R2 = TypeVar("R2")
R_co = TypeVar("R_co", covariant=True)


class CallStats(NamedTuple):
    """Finished calls, how many of them raised anything, and the seconds they took together."""

    calls: int
    errors: int
    seconds: float


class Counted(Protocol[P, R_co]):
    """A function whose calls are counted."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    # The first is for what is below @classmethod, where mypy sees an access like any other: if the
    # class itself fits the first parameter, it is bound. (mypy solves S by a Callable only, not
    # by a protocol with this very __get__.)
    @overload
    def __get__(
        self: Callable[Concatenate[S, P2], R2], instance: object, owner: S, /
    ) -> Counted[P2, R2]: ...
    @overload
    def __get__(self, instance: None, owner: Any = None, /) -> Counted[P, R_co]: ...
    @overload
    def __get__(
        self: Counted[Concatenate[S, P2], R2], instance: S, owner: Any = None, /
    ) -> Counted[P2, R2]: ...

    def stats(self) -> CallStats:
        """What was counted until now, by all threads. Safe to call at any time."""


class CountDecorator(Protocol):
    def __call__(self, wrapped: Callable[P, R_co], /) -> Counted[P, R_co]: ...


@overload
def count_calls(wrapped: Callable[P, R_co], /) -> Counted[P, R_co]: ...
@overload
def count_calls(*, clock: Callable[[], float] = time.perf_counter) -> CountDecorator: ...
def count_calls(wrapped: Any = None, /, *, clock: Callable[[], float] = time.perf_counter) -> Any:
    """Count calls and errors of a function, and the seconds spent: `wrapper.stats()`.

    ::

        @count_calls
        def fetch(url): ...

        fetch.stats()  # CallStats(calls=3, errors=1, seconds=0.61)

    A call counts when it is over; of a coroutine function, when it was awaited. Calls that overlap
    each add their full time, and so do inner calls of a recursion. For a generator function only
    the making of generators is seen. Raises TypeError, when decorating, for what cannot be called.

    Safe with threads, greenlets and asyncio, without a lock: each thread counts for itself.

    **Assumes** that no signal handler calls the function just while a call is being added; that
    one call could be lost.
    """
    if wrapped is None:
        return configured(count_calls, clock=clock)
    need_callable("count calls of", wrapped)
    # Only its own thread ever writes an entry, so there is nothing to lock. Replacing a tuple
    # keeps the three numbers in step for those who read.
    by_thread: dict[int, tuple[int, int, float]] = {}

    def add(failed: int, spent: float) -> None:
        me = get_ident()
        calls, errors, seconds = by_thread.get(me, (0, 0, 0.0))
        by_thread[me] = (calls + 1, errors + failed, seconds + spent)

    def stats() -> CallStats:
        calls, errors, seconds = 0, 0, 0.0
        for one in list(by_thread.values()):
            calls, errors, seconds = calls + one[0], errors + one[1], seconds + one[2]
        return CallStats(calls, errors, seconds)

    if is_async(wrapped):

        @functools.wraps(wrapped)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            try:
                result = await wrapped(*args, **kwargs)
            except BaseException:
                add(1, clock() - started)
                raise
            add(0, clock() - started)
            return result

    else:

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            try:
                result = wrapped(*args, **kwargs)
            except BaseException:
                add(1, clock() - started)
                raise
            add(0, clock() - started)
            return result

    counted: Any = wrapper
    counted.stats = stats
    return counted
