"""Do not call more often than so many times in so many seconds."""

from __future__ import annotations

import functools
import math
import time
from bisect import bisect, insort
from collections.abc import Callable, Hashable
from typing import Any, Literal, Protocol, TypeVar, overload

from safepatch.decorators.locks import give_lock
from safepatch.decorators.refusing import RateLimitExceeded
from safepatch.decorators.shared_rates import SharedLimit
from safepatch.decorators.sleeping import need_sleep, sleep_async
from safepatch.decorators.wrapping import (
    configured,
    is_async,
    is_positive,
    name_of,
    need_results,
)

F = TypeVar("F", bound=Callable[..., Any])
OnLimit = Literal["wait", "raise"]


class RateDecorator(Protocol):
    def __call__(self, wrapped: F, /) -> F: ...


@overload
def rate_limit(
    wrapped: F,
    /,
    *,
    rate: float,
    per: float = 1.0,
    burst: int = 1,
    on_limit: OnLimit = "wait",
    key: Callable[..., Hashable] | None = None,
    store: Any = None,
    name: str | None = None,
    sleep: Callable[[float], Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> F: ...
@overload
def rate_limit(
    *,
    rate: float,
    per: float = 1.0,
    burst: int = 1,
    on_limit: OnLimit = "wait",
    key: Callable[..., Hashable] | None = None,
    store: Any = None,
    name: str | None = None,
    sleep: Callable[[float], Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RateDecorator: ...
def rate_limit(
    wrapped: Any = None,
    /,
    *,
    rate: float,
    per: float = 1.0,
    burst: int = 1,
    on_limit: OnLimit = "wait",
    key: Callable[..., Hashable] | None = None,
    store: Any = None,
    name: str | None = None,
    sleep: Callable[[float], Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Any:
    """Let through `rate` calls of a function in `per` seconds, and make the others wait.

    ::

        @rate_limit(rate=100, per=60, burst=5)
        def fetch(url): ...

    Calls are let through one every per/rate seconds, and up to `burst` at once after a pause. So in
    any stretch of T seconds at most burst + rate * T / per are: the Generic Cell Rate Algorithm
    (ITU-T I.371, 1996; Brandur Leach, Rate Limiting, Cells, and GCRA, 2015). Who comes too early
    waits, with `on_limit="raise"` gets a RateLimitExceeded with the seconds in `retry_after`.

    Who waits has a time of its own, in the order of coming, and sleeps until then. Killed or
    cancelled it gives the time back, for those who come later; nobody who waits has to move.

    There is one limit for each decorated function, for all instances if it is a method. With
    `key`, a function of the same arguments, there is one for each value that it returns. Those
    that have not been asked for long enough to be as new are forgotten.

    `store` shares a limit between processes, or functions: a strategy of the `limits` library
    (the extra `limits`), such as `MovingWindowRateLimiter(RedisStorage(...))`; for a coroutine
    function one of `limits.aio.strategies`. The limit is then known by `name`, by default the
    function's, and by the text of the key. It is `burst` calls in any burst * per / rate seconds,
    which must be whole: with a moving window, the same promise as above, as far as the clocks of
    the machines agree; calls in a burst are not spread, and who waits asks again when its turn may
    have come, in no fair order. What the store raises is raised, and the function is not called.

    Raises TypeError, when decorating, for generator functions, whose work comes after the call, and
    ValueError for options out of range. Safe with threads, greenlets, asyncio (in any number of
    event loops) and fork; no thread is started. `sleep` is `time.sleep` by default, looked up when
    it is needed, so that gevent's patching is followed; for coroutine functions it is
    `asyncio.sleep`. `clock` tells seconds, must never go back, and is not asked with a `store`.

    **Assumes** that the work of a call begins when it is let through, and that one call is as
    costly as another.
    """
    for option, number in (("rate", rate), ("per", per)):
        if not is_positive(number):
            raise ValueError(f"got {option}={number!r}; give a number above 0")
    if not is_positive(per / rate):
        raise ValueError(f"got per={per!r} and rate={rate!r}; per / rate is {per / rate!r}")
    if isinstance(burst, bool) or not isinstance(burst, int) or burst < 1:
        raise ValueError(f"got burst={burst!r}; give a whole number, 1 or more")
    if on_limit not in ("wait", "raise"):
        raise ValueError(f"got on_limit={on_limit!r}; give 'wait' or 'raise'")
    if key is not None and (not callable(key) or is_async(key)):
        raise TypeError(f"got key={key!r}; give a plain function of the arguments")
    if store is None and name is not None:
        raise ValueError(f"got name={name!r} without a store; functions share a limit by a store")
    if wrapped is None:
        return configured(
            rate_limit,
            rate=rate,
            per=per,
            burst=burst,
            on_limit=on_limit,
            key=key,
            store=store,
            name=name,
            sleep=sleep,
            clock=clock,
        )
    need_results("limit the rate of", wrapped)
    need_sleep(sleep, wrapped)
    name = name or name_of(wrapped)
    if store is None:
        limit: Any = _Limit(name, per / rate, burst, on_limit == "wait", sleep, clock)
    else:
        limit = SharedLimit(store, is_async(wrapped), name, per / rate, burst, on_limit, sleep)

    if is_async(wrapped):
        enter_async = limit.enter_async

        @functools.wraps(wrapped)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            await enter_async(None if key is None else key(*args, **kwargs))
            return await wrapped(*args, **kwargs)

    else:
        enter = limit.enter

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            enter(None if key is None else key(*args, **kwargs))
            return wrapped(*args, **kwargs)

    return wrapper


class _Line:
    """Those who were let through, or are to be: `free_at` is when all that they took is back, in
    GCRA the theoretical arrival time. `returned` are turns given back that are not the last, as
    (its end, its beginning), sorted."""

    __slots__ = ("free_at", "returned")

    def __init__(self, now: float) -> None:
        self.free_at = now
        self.returned: list[tuple[float, float]] = []


class _Limit:
    """The lines of one function, by key."""

    def __init__(
        self,
        name: str,
        interval: float,
        burst: int,
        may_wait: bool,
        sleep: Callable[[float], Any] | None,
        clock: Callable[[], float],
    ) -> None:
        self.name, self.interval, self.ahead = name, interval, (burst - 1) * interval
        self.may_wait, self.sleep, self.clock = may_wait, sleep, clock
        self.lines: dict[Hashable, _Line] = {}
        #: So many lines are looked through for those as good as new.
        self.many = 64
        self.lock: Any
        give_lock(self)

    def enter(self, key: Hashable) -> None:
        """Return when a call may begin, or raise."""
        now = self.clock()
        line, turn = self.take(key, now)
        start = turn - self.ahead
        try:
            while start > now:
                (self.sleep or time.sleep)(start - now)
                now = self.clock()
        except BaseException:
            self.give_back(line, turn)
            raise

    async def enter_async(self, key: Hashable) -> None:
        now = self.clock()
        line, turn = self.take(key, now)
        start = turn - self.ahead
        try:
            while start > now:
                await sleep_async(self.sleep, start - now)
                now = self.clock()
        except BaseException:
            self.give_back(line, turn)
            raise

    def take(self, key: Hashable, now: float) -> tuple[_Line, float]:
        """Take the next turn, which may be used from `ahead` seconds before it."""
        with self.lock:
            line = self.lines.get(key)
            if line is None:
                if len(self.lines) >= self.many:
                    self.forget(now)
                # Comparing keys may let others in, who may have made it by now.
                line = self.lines.setdefault(key, _Line(now))
            turn = line.free_at if line.free_at > now else now
            wait = turn - self.ahead - now
            if wait <= 0 or self.may_wait:
                line.free_at = turn + self.interval
                return line, turn
        raise RateLimitExceeded(self.name, wait)

    def give_back(self, line: _Line, turn: float) -> None:
        """Take back the end of the line, as far as nobody is to come there.

        Turns between those of others stay empty, since nobody is to come earlier than one who
        came first.
        """
        now = self.clock()
        with self.lock:
            returned = line.returned
            insort(returned, (turn + self.interval, turn))
            # The same sum as in `take`, so the ends of turns are equal to the beginnings of next.
            while returned and returned[-1][0] == line.free_at:
                line.free_at = returned.pop()[1]
            del returned[: bisect(returned, (now, math.inf))]

    def forget(self, now: float) -> None:
        for key, line in list(self.lines.items()):
            if line.free_at <= now:
                self.lines.pop(key, None)
        self.many = max(64, 2 * len(self.lines))
