"""The check of decorators as a user writes it; checked by type checkers, never run."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, assert_type

from safepatch.decorators import count_calls, memoize, ttl_cache
from safepatch.testing import Finding, NotTransparent, check_transparent, findings

P = ParamSpec("P")
R = TypeVar("R")


def own(wrapped: Callable[P, R]) -> Callable[P, R]: ...  # type: ignore[empty-body]


def test_own() -> None:
    check_transparent(own)
    check_transparent(memoize, except_for={"calls": "it is a cache"}, deadline=10)
    check_transparent(ttl_cache(ttl=5))
    check_transparent(count_calls())
    check_transparent(own, except_for=["calls"])  # type: ignore[arg-type]
    assert_type(findings(own), list[Finding])
    try:
        check_transparent(own)
    except NotTransparent as error:
        assert_type(error.findings, list[Finding])
        assert_type(error.needless, list[str])


def any_callable(wrapped: Any) -> Any: ...


check_transparent(any_callable)
check_transparent("no")  # type: ignore[arg-type]
