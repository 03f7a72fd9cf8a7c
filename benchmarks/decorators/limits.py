"""What rate limiters cost where they let calls pass, and circuit breakers that are closed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from benchmarks.decorators.measuring import (
    BY_HAND,
    Makers,
    Seconds,
    by_kind,
    pass_through,
    pass_through_async,
    try_except,
    try_except_async,
)
from safepatch.decorators import circuit_breaker, rate_limit

#: Calls a second, and at once: so many that nobody has to wait.
RATE = 10**7


def _asking(ask: Callable[[], Any]) -> Any:
    """A decorator that asks somebody whether the call may be made."""

    def decorator(wrapped: Any) -> Any:
        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not ask():
                raise RuntimeError("the benchmark came to the limit")
            return wrapped(*args, **kwargs)

        return wrapper

    return decorator


def _rate_limit() -> Any:
    return rate_limit(rate=RATE, burst=RATE)


def _limits(strategy: str) -> Any:
    import limits

    limiter = getattr(limits.strategies, strategy)(limits.storage.MemoryStorage())
    return _asking(functools.partial(limiter.hit, limits.RateLimitItemPerSecond(RATE), "lookup"))


def _pyrate_limiter() -> Any:
    import pyrate_limiter

    rate = pyrate_limiter.Rate(RATE, pyrate_limiter.Duration.SECOND)
    return pyrate_limiter.Limiter(rate).as_decorator(name="lookup")


def _pyrate_limiter_gcra() -> Any:
    import pyrate_limiter

    rate = pyrate_limiter.Rate(RATE, pyrate_limiter.Duration.SECOND)
    bucket = pyrate_limiter.StateBucket([rate], pyrate_limiter.GCRA())
    return pyrate_limiter.Limiter(bucket).as_decorator(name="lookup")


def _throttled() -> Any:
    import throttled

    return throttled.Throttled(key="lookup", using="gcra", quota=throttled.per_sec(RATE, RATE))


def _aiolimiter() -> Any:
    import aiolimiter

    limiter = aiolimiter.AsyncLimiter(RATE, 1)

    def decorator(wrapped: Any) -> Any:
        @functools.wraps(wrapped)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            async with limiter:
                return await wrapped(*args, **kwargs)

        return wrapper

    return decorator


RATES: Makers = {
    BY_HAND: lambda: pass_through,
    "safepatch rate_limit": _rate_limit,
    "limits FixedWindow": lambda: _limits("FixedWindowRateLimiter"),
    "limits SlidingWindowCounter": lambda: _limits("SlidingWindowCounterRateLimiter"),
    "pyrate_limiter": _pyrate_limiter,
    "pyrate_limiter GCRA": _pyrate_limiter_gcra,
    "throttled-py GCRA": _throttled,
}
ASYNC_RATES: Makers = {
    BY_HAND: lambda: pass_through_async,
    "safepatch rate_limit": _rate_limit,
    "aiolimiter": _aiolimiter,
    "pyrate_limiter": _pyrate_limiter,
}


def _circuit_breaker() -> Any:
    return circuit_breaker(failures=5, reset_after=30.0)


def _purgatory() -> Any:
    import purgatory

    return purgatory.SyncCircuitBreakerFactory()("lookup")


def _purgatory_async() -> Any:
    import purgatory

    return purgatory.AsyncCircuitBreakerFactory()("lookup")


def _pybreaker() -> Any:
    import pybreaker

    return pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)


BREAKERS: Makers = {
    BY_HAND: lambda: try_except,
    "safepatch circuit_breaker": _circuit_breaker,
    "purgatory": _purgatory,
    "pybreaker": _pybreaker,
}
#: Without pybreaker, which sees no failure of a coroutine function.
ASYNC_BREAKERS: Makers = {
    BY_HAND: lambda: try_except_async,
    "safepatch circuit_breaker": _circuit_breaker,
    "purgatory": _purgatory_async,
}


def rates(rounds: int) -> dict[str, Seconds]:
    return by_kind(RATES, ASYNC_RATES, rounds)


def breakers(rounds: int) -> dict[str, Seconds]:
    return by_kind(BREAKERS, ASYNC_BREAKERS, rounds)
