# mypy: disable-error-code="empty-body"
"""The decorators as a user writes them; checked by type checkers, never run."""

from collections.abc import AsyncIterator, Iterator
from typing import Literal, assert_type

import tenacity

from safepatch.decorators import (
    CacheInfo,
    CallStats,
    FaultInfo,
    RetryBudget,
    circuit_breaker,
    count_calls,
    exporters,
    fault,
    log_calls,
    memoize,
    rate_limit,
    retry,
    timeout,
    ttl_cache,
)


@memoize
def bare(a: int, b: str = "") -> list[int]: ...


@ttl_cache(ttl=300)
async def later(host: str) -> bytes: ...


@count_calls(buckets=[0.1, 1])
def counted(a: int) -> int: ...


assert_type(counted(1), int)
assert_type(counted.stats(), CallStats)
assert_type(counted.stats().histogram, tuple[tuple[float, int], ...])
exporters.prometheus([counted])
exporters.opentelemetry([counted], prefix="shop")


@log_calls(level="INFO", hide=["pin"])
def lines(pin: str) -> Iterator[str]: ...


assert_type(lines("1"), Iterator[str])
assert_type(bare(1, b="b"), list[int])
assert_type(bare.cache_info(), CacheInfo)
bare.cache_invalidate(1, b="b")
bare("no")  # type: ignore[arg-type]


async def use() -> None:
    assert_type(await later("host"), bytes)


class Client:
    @memoize
    def method(self, a: int) -> str: ...

    @classmethod
    @memoize
    def cached(cls, a: int) -> str: ...

    @classmethod
    @ttl_cache(ttl=5)
    def cached_for_a_time(cls, a: int) -> str: ...

    @classmethod
    @count_calls
    def counted(cls) -> str: ...

    @classmethod
    @log_calls
    @retry(on=OSError)
    def retried(cls, a: int) -> str: ...

    @staticmethod
    @memoize
    def static(a: int) -> str: ...

    @property
    @memoize
    def value(self) -> int: ...


assert_type(Client().method(1), str)
assert_type(Client.method(Client(), 1), str)
Client.method.cache_invalidate(Client(), 1)
assert_type(Client.cached(1), str)
assert_type(Client().cached(a=1), str)
assert_type(Client.cached_for_a_time(1), str)
assert_type(Client.counted(), str)
assert_type(Client().counted(), str)
assert_type(Client.retried(1), str)
assert_type(Client.static(1), str)
assert_type(Client().value, int)


class Special(Client): ...


assert_type(Special().method(1), str)
assert_type(Special.cached(1), str)
assert_type(Special().counted(), str)
Special.cached("no")  # type: ignore[arg-type]


budget = RetryBudget(share=0.2, reserve=5)


@retry(
    on=(OSError, "requests:ConnectionError"),
    stop=tenacity.stop_after_delay(60) | tenacity.stop_after_attempt(5),
    wait=tenacity.wait_fixed(1) + tenacity.wait_random(0, 2),
    budget=budget,
)
async def by_strategies(host: str) -> bytes: ...


@retry(on=lambda error: error.args == (1,), stop=lambda n, seconds: n > 3, wait=lambda n: n * 2.0)
def by_functions(host: str) -> Iterator[bytes]: ...


@retry(on=OSError, attempts=None, timeout=60, multiply=True, on_retry=print)
async def by_time(host: str) -> AsyncIterator[bytes]:
    yield b""


async def use_retried() -> None:
    assert_type(await by_strategies("host"), bytes)
    assert_type(by_functions("host"), Iterator[bytes])
    assert_type([item async for item in by_time("host")], list[bytes])


by_functions(5)  # type: ignore[arg-type]
retry(on=OSError, stop=5)  # type: ignore[call-overload]
retry(on=OSError, stop=tenacity.wait_fixed(1))  # type: ignore[arg-type]
retry(attempts=5)  # type: ignore[call-overload]


# Limits of time, rate and failures.
@timeout(seconds=5)
async def timed(host: str) -> bytes: ...
@rate_limit(rate=10, key=lambda host: host)
def rated(host: str) -> bytes: ...
@circuit_breaker
def broken(host: str) -> bytes: ...
@fault(error=OSError, share=0.5)
async def faulty(host: str) -> bytes: ...


class Server:
    @circuit_breaker(failures=3, on=(OSError, KeyError))
    def ask(self, a: int) -> str: ...
    @classmethod
    @fault(delay=1.5, schedule={3})
    def late(cls, a: int) -> str: ...
    @timeout(seconds=5, threads="signal")
    @rate_limit(rate=1, on_limit="raise")
    def slow(self, a: int) -> str: ...


async def wait() -> None:
    assert_type(await timed("host"), bytes)
    assert_type(await faulty("host"), bytes)
    await timed(5)  # type: ignore[arg-type]


assert_type(rated("host"), bytes)
rated(5)  # type: ignore[arg-type]
assert_type(broken("host"), bytes)
assert_type(broken.breaker_state(), Literal["closed", "open", "half-open"])
broken.breaker_reset()
broken(5)  # type: ignore[arg-type]
assert_type(faulty.fault_info(), FaultInfo)
assert_type(Server().ask(1), str)
assert_type(Server().ask.breaker_state(), Literal["closed", "open", "half-open"])
assert_type(Server.late(1), str)
assert_type(Server().slow(1), str)
circuit_breaker(on="OSError")  # type: ignore[call-overload]
timeout(bare, seconds="5")  # type: ignore[call-overload]
rate_limit(rate=1, on_limit="drop")  # type: ignore[call-overload]
fault(error=5)  # type: ignore[call-overload]
