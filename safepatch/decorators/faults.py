"""Let calls fail, or take longer, on purpose: for tests of those who make the calls."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Container
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from safepatch.decorators.entries import again
from safepatch.decorators.locks import give_lock
from safepatch.decorators.observing import observed
from safepatch.decorators.sleeping import need_sleep, sleep_async
from safepatch.decorators.wrapping import (
    configured,
    is_positive,
    kind_of,
    name_of,
    need_callable,
)

P = ParamSpec("P")
P2 = ParamSpec("P2")
S = TypeVar("S")
R2 = TypeVar("R2")
R_co = TypeVar("R_co", covariant=True)
Fault = BaseException | Callable[[], BaseException]
Schedule = Container[int] | Callable[[int], bool]


class FaultInfo(NamedTuple):
    """Calls that were made, and how many of them got the fault."""

    calls: int
    faults: int


class Faulty(Protocol[P, R_co]):
    """A function that fails on purpose."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    # As in counts.py, which see.
    @overload
    def __get__(
        self: Callable[Concatenate[S, P2], R2], instance: object, owner: S, /
    ) -> Faulty[P2, R2]: ...
    @overload
    def __get__(self, instance: None, owner: Any = None, /) -> Faulty[P, R_co]: ...
    @overload
    def __get__(
        self: Faulty[Concatenate[S, P2], R2], instance: S, owner: Any = None, /
    ) -> Faulty[P2, R2]: ...

    def fault_info(self) -> FaultInfo:
        """Count, by all threads. Safe to call at any time."""


class FaultDecorator(Protocol):
    def __call__(self, wrapped: Callable[P, R_co], /) -> Faulty[P, R_co]: ...


@overload
def fault(
    wrapped: Callable[P, R_co],
    /,
    *,
    error: Fault | None = None,
    delay: float = 0.0,
    share: float = 1.0,
    schedule: Schedule | None = None,
    seed: int | str | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> Faulty[P, R_co]: ...
@overload
def fault(
    *,
    error: Fault | None = None,
    delay: float = 0.0,
    share: float = 1.0,
    schedule: Schedule | None = None,
    seed: int | str | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> FaultDecorator: ...
def fault(
    wrapped: Any = None,
    /,
    *,
    error: Fault | None = None,
    delay: float = 0.0,
    share: float = 1.0,
    schedule: Schedule | None = None,
    seed: int | str | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> Any:
    """Raise an error instead of calling, or call later, in some of the calls: for tests.

    ::

        flaky = fault(error=ConnectionError("down"), share=0.2, seed=1)
        with safepatch.patch("shop.bank:charge", flaky) as charge:
            ...
        charge.wrapper.fault_info()  # FaultInfo(calls=50, faults=11)

    A call that gets the fault first waits `delay` seconds; then `error` is raised and the function
    is not called, or, without an error, it is called. `error` is an exception, a class, or a
    function that makes one; each time a new one is raised, a copy of the one given.

    Which calls get it: `share` of them, 0 to 1, by chance; or those in `schedule`, which holds
    their numbers, the first being 1 (`{3}`, `range(1, 100, 10)`), or is a function that is given
    the number and returns a bool. With a `seed` chance decides in the same order each time, for
    each decorated function anew. Calls are numbered as they come, over all threads.

    `sleep` is `time.sleep` by default, looked up when it is needed, so that gevent's patching is
    followed; for coroutine functions it is `asyncio.sleep`. Of a generator function, of either
    kind, the fault comes in place of the first value; async ones cannot be delayed.

    Raises TypeError, when decorating, for what cannot be called and errors that are none, and
    ValueError for options out of range, and if there is neither error nor delay. Safe with
    threads, greenlets and asyncio.

    **Assumes** that the program is one that may fail.
    """
    make = _maker(error)
    if not (delay == 0 or is_positive(delay)):
        raise ValueError(f"got delay={delay!r}; give seconds, 0 or more")
    if error is None and not delay:
        raise ValueError("got neither error nor delay; give one of them, or both")
    if not 0 <= share <= 1:
        raise ValueError(f"got share={share!r}; give the part of the calls, from 0 to 1")
    if schedule is not None and share != 1.0:
        raise ValueError(f"got share={share!r} and a schedule; give one of them")
    if not (schedule is None or callable(schedule) or hasattr(schedule, "__contains__")):
        raise TypeError(
            f"got schedule={schedule!r}; give a set, list or range of numbers, or a function of one"
        )
    if wrapped is None:
        return configured(
            fault,
            error=error,
            delay=delay,
            share=share,
            schedule=schedule,
            seed=seed,
            sleep=sleep,
        )
    need_callable("let fail", wrapped)
    need_sleep(sleep, wrapped)
    kind = kind_of(wrapped)
    if kind == "async generator" and delay:
        raise TypeError(
            f"cannot delay {name_of(wrapped)!r}: it is an async generator function, which cannot "
            "be made to wait before its first value; give an error only, or decorate what it awaits"
        )
    chance = _Chance(share, schedule, seed)

    def strike() -> None:
        if delay:
            (sleep or time.sleep)(delay)
        if make is not None:
            raise make()

    if kind in ("generator", "async generator"):

        def begin(args: Any, kwargs: Any) -> None:
            if chance.next():
                strike()

        wrapper: Any = observed(wrapped, begin)

    elif kind == "coroutine":

        @functools.wraps(wrapped)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            if chance.next():
                if delay:
                    await sleep_async(sleep, delay)
                if make is not None:
                    raise make()
            return await wrapped(*args, **kwargs)

    else:

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if chance.next():
                strike()
            return wrapped(*args, **kwargs)

    wrapper.fault_info = chance.info
    return wrapper


def _maker(error: Any) -> Callable[[], BaseException] | None:
    """Make what makes the errors; raises TypeError for what makes none."""
    if error is None:
        return None
    if isinstance(error, BaseException):
        # A copy, so that nothing is raised twice, and its traceback does not grow.
        given: Any = error
        if again(given) is None:
            raise TypeError(
                f"got error={error!r}, which cannot be copied; give a function that makes one"
            )
        return lambda: again(given) or given
    if not callable(error) or (isinstance(error, type) and not issubclass(error, BaseException)):
        raise TypeError(
            f"got error={error!r}; give an exception, a class of them, or a function that makes one"
        )
    if isinstance(error, type):
        try:
            error()
        except Exception as trouble:
            raise TypeError(
                f"got error={error!r}, which cannot be made without arguments ({trouble}); give an "
                "exception, or a function that makes one"
            ) from None
    made: Callable[[], BaseException] = error
    return made


class _Chance:
    """Says of each call, as it comes, whether it is to get the fault."""

    def __init__(self, share: float, schedule: Any, seed: int | str | None) -> None:
        from random import Random

        self.share, self.random = share, Random(seed).random  # noqa: S311
        self.chosen = schedule if callable(schedule) or schedule is None else schedule.__contains__
        self.calls = self.faults = 0
        self.lock: Any
        give_lock(self)

    def next(self) -> bool:
        with self.lock:
            self.calls += 1
            number = self.calls
            struck = self.random() < self.share
        if self.chosen is not None:
            struck = bool(self.chosen(number))
        if struck:
            with self.lock:
                self.faults += 1
        return struck

    def info(self) -> FaultInfo:
        with self.lock:
            return FaultInfo(self.calls, self.faults)
