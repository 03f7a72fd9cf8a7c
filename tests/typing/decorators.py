# mypy: disable-error-code="empty-body"
"""The decorators as a user writes them; checked by type checkers, never run."""

from collections.abc import Iterator
from typing import assert_type

from safepatch.decorators import (
    CacheInfo,
    CallStats,
    count_calls,
    exporters,
    log_calls,
    memoize,
    retry,
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
