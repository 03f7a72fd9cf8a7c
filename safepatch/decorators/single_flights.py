"""`single_flight` shares the result of a function among those who call it at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from safepatch.decorators.cache_options import Copy, check
from safepatch.decorators.controls import Cached, CacheDecorator, wrap
from safepatch.decorators.engine import Engine
from safepatch.decorators.entries import COPYING
from safepatch.decorators.keys import KeyFunction
from safepatch.decorators.stores import NoStore
from safepatch.decorators.wrapping import configured, is_async, need_results

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


@overload
def single_flight(wrapped: Callable[P, R_co], /) -> Cached[P, R_co]: ...
@overload
def single_flight(
    *, typed: bool = False, copy: Copy = "auto", key: KeyFunction | None = None
) -> CacheDecorator: ...
def single_flight(
    wrapped: Any = None,
    /,
    *,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
) -> Any:
    """Let one of several equal calls at the same time run, and share its result.

    ::

        @single_flight
        def report(month): ...

    Nothing is kept after that: `memoize` with no memory, which see for which calls are equal, for
    `copy`, and for when one call does not wait for another. Each who waited makes a call of its own
    if the one it waited for raises. In `cache_info()`, hits are the calls that got the result of
    another.

    Thread, greenlet and async safety, and what is raised, are those of `memoize`.

    **Assumes** that equal arguments have equal results for calls that overlap.
    """
    check(maxsize=None, typed=typed, copy=copy, key=key, verify=0)
    if wrapped is None:
        return configured(single_flight, typed=typed, copy=copy, key=key)
    need_results("share the calls of", wrapped)
    return wrap(
        wrapped,
        Engine(awaits=is_async(wrapped), store=NoStore(), copying=COPYING[copy]),
        typed=typed,
        key=key,
    )
