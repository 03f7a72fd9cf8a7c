"""Limits that several processes share, by a strategy of the `limits` library."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from safepatch.decorators.refusing import RateLimitExceeded
from safepatch.decorators.sleeping import sleep_async

#: Seconds between two questions, at least, of one who waits.
SHORTEST = 0.01


class SharedLimit:
    """`burst` calls in any burst * interval seconds."""

    def __init__(
        self,
        store: Any,
        is_async: bool,
        name: str,
        interval: float,
        burst: int,
        on_limit: str,
        sleep: Callable[[float], Any] | None,
    ) -> None:
        _need_strategy(store, is_async)
        from limits import RateLimitItemPerSecond

        window = round(burst * interval)
        if window < 1 or abs(window - burst * interval) > 1e-9 * window:
            raise ValueError(
                f"got burst={burst}, which is used up in {burst * interval:.6g} seconds; with a "
                "store, give a burst such that burst * per / rate is a whole number of seconds"
            )
        self.item = RateLimitItemPerSecond(burst, window, "safepatch")
        self.store, self.name, self.may_wait, self.sleep = store, name, on_limit == "wait", sleep

    def enter(self, key: Any) -> None:
        """Return when a call may begin, or raise."""
        names = self.names(key)
        while not self.store.hit(self.item, *names):
            wait = self.wait(self.store.get_window_stats(self.item, *names))
            (self.sleep or time.sleep)(wait)

    async def enter_async(self, key: Any) -> None:
        names = self.names(key)
        while not await self.store.hit(self.item, *names):
            wait = self.wait(await self.store.get_window_stats(self.item, *names))
            await sleep_async(self.sleep, wait)

    def names(self, key: Any) -> tuple[str, ...]:
        return (self.name,) if key is None else (self.name, str(key))

    def wait(self, stats: Any) -> float:
        # The library tells times by this clock.
        wait: float = max(stats.reset_time - time.time(), SHORTEST)
        if self.may_wait:
            return wait
        raise RateLimitExceeded(self.name, wait)


def _need_strategy(store: Any, is_async: bool) -> None:
    import inspect

    hit = getattr(store, "hit", None)
    if not callable(hit) or not hasattr(store, "get_window_stats"):
        raise TypeError(
            f"got store={store!r}; give a strategy of the limits library, such as "
            "limits.strategies.MovingWindowRateLimiter(storage)"
        )
    kind, function, place = (
        ("a blocking", "a coroutine function", "limits.aio.strategies")
        if is_async
        else ("an async", "a plain function", "limits.strategies")
    )
    if inspect.iscoroutinefunction(hit) != is_async:
        raise TypeError(
            f"got store={store!r}, {kind} strategy, for {function}; give one of {place}"
        )
