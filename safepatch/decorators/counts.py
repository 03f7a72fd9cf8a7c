"""Count the calls of a function."""

from __future__ import annotations

import functools
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from safepatch.decorators.observing import observed
from safepatch.decorators.tallies import tally
from safepatch.decorators.wrapping import (
    configured,
    is_async,
    is_generator,
    need_callable,
    need_function,
)

P = ParamSpec("P")
P2 = ParamSpec("P2")
S = TypeVar("S")
R2 = TypeVar("R2")
R_co = TypeVar("R_co", covariant=True)


#: Seconds, as prometheus_client and OpenTelemetry have them by default.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class CallStats(NamedTuple):
    """Finished calls, how many of them raised anything, the seconds they took together, and how
    many took how long.

    `histogram` has pairs of seconds and calls, shortest first: the calls that took at most these
    seconds, and more than those of the pair before. The last pair, of infinite seconds, has the
    rest. So all its calls together are `calls`.
    """

    calls: int
    errors: int
    seconds: float
    histogram: tuple[tuple[float, int], ...]


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
def count_calls(
    *, buckets: Iterable[float] = BUCKETS, clock: Callable[[], float] = time.perf_counter
) -> CountDecorator: ...
def count_calls(
    wrapped: Any = None,
    /,
    *,
    buckets: Iterable[float] = BUCKETS,
    clock: Callable[[], float] = time.perf_counter,
) -> Any:
    """Count calls and errors of a function, and how long they took: `wrapper.stats()`.

    ::

        @count_calls
        def fetch(url): ...

        fetch.stats()  # CallStats(calls=3, errors=1, seconds=0.61, histogram=((0.005, 0), ...))

    A call counts when it is over; of a coroutine function, when it was awaited. Calls that overlap
    each add their full time, and so do inner calls of a recursion. A generator, an async one too,
    counts when it is over, with the seconds since the first value was asked for, those that the
    caller took between values included; to close it is no error.

    `buckets` are the bounds of the histogram, in seconds, the shortest first. Raises ValueError if
    they are not, and TypeError, when decorating, for what cannot be called.

    `exporters` hands the numbers to prometheus_client or OpenTelemetry.

    Safe with threads, greenlets and asyncio, without a lock: each thread counts for itself, and
    what it counted stays when it ends.

    **Assumes** that no signal handler calls the function just while a call is being added; that
    one call could be lost.
    """
    bounds = _bounds(buckets)
    need_function("clock", clock)
    if wrapped is None:
        return configured(
            count_calls, buckets=BUCKETS if bounds == BUCKETS else bounds, clock=clock
        )
    need_callable("count calls of", wrapped)
    # The calls of each bucket, and then errors and seconds.
    local, begin_thread, total = tally(len(bounds) + 3)
    shortest = bounds[0] if bounds else float("inf")

    def add(failed: bool, spent: float) -> None:
        try:
            numbers = local.numbers
        except AttributeError:
            numbers = begin_thread()
        # Most calls are in the first bucket, and to see that costs less than to look for it.
        numbers[0 if spent <= shortest else bisect_left(bounds, spent)] += 1
        numbers[-1] += spent
        if failed:
            numbers[-2] += 1

    def stats() -> CallStats:
        *calls, errors, seconds = total()
        histogram = tuple(zip((*bounds, float("inf")), calls, strict=True))
        return CallStats(sum(calls), errors, float(seconds), histogram)

    counted = counting(wrapped, add, clock)
    counted.stats = stats
    return counted


def _bounds(buckets: Iterable[float]) -> tuple[float, ...]:
    bounds = tuple(map(float, buckets))
    # Not-a-number is less than nothing.
    if not all(one < other for one, other in pairwise((*bounds, float("inf")))):
        raise ValueError(f"got buckets={bounds}; give seconds, each more than the one before")
    return bounds


def counting(
    wrapped: Any,
    add: Callable[[bool, float], None],
    clock: Callable[[], float] = time.perf_counter,
) -> Any:
    """Make the wrapper, of the same kind as the function, that calls `add` after each call, with
    whether it failed and the seconds it took."""
    if is_generator(wrapped):

        def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            started = clock()
            return lambda error, result, given: add(
                error is not None and not isinstance(error, GeneratorExit), clock() - started
            )

        return observed(wrapped, begin)

    # Python copies the keywords of a call even where there are none, which costs more than the
    # question for them.
    if is_async(wrapped):

        @functools.wraps(wrapped)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            try:
                result = await (wrapped(*args, **kwargs) if kwargs else wrapped(*args))
            except BaseException:
                add(True, clock() - started)
                raise
            add(False, clock() - started)
            return result

    else:

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            try:
                result = wrapped(*args, **kwargs) if kwargs else wrapped(*args)
            except BaseException:
                add(True, clock() - started)
                raise
            add(False, clock() - started)
            return result

    return wrapper
