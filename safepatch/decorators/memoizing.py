"""`memoize` keeps the results of a function."""

from __future__ import annotations

import math
from collections.abc import Callable, MutableMapping
from typing import Any, ParamSpec, TypeVar, overload

from safepatch.decorators.cache_options import Copy, Negative, check, error_filter
from safepatch.decorators.controls import Cached, CacheDecorator, wrap
from safepatch.decorators.engine import Engine
from safepatch.decorators.entries import COPYING
from safepatch.decorators.keys import KeyFunction
from safepatch.decorators.stores import DictStore, MappingStore
from safepatch.decorators.wrapping import configured, is_async, need_results

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


@overload
def memoize(wrapped: Callable[P, R_co], /) -> Cached[P, R_co]: ...
@overload
def memoize(
    *,
    maxsize: int | None = None,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
    cache: MutableMapping[Any, Any] | None = None,
    negative: Negative | None = None,
    verify: float = 0,
    random: Callable[[], float] | None = None,
) -> CacheDecorator: ...
def memoize(
    wrapped: Any = None,
    /,
    *,
    maxsize: int | None = None,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
    cache: MutableMapping[Any, Any] | None = None,
    negative: Negative | None = None,
    verify: float = 0,
    random: Callable[[], float] | None = None,
) -> Any:
    """Keep the results of a function, and answer equal calls with them.

    ::

        @memoize
        def country(code):
            return slow_lookup(code)

    Equal calls may be spelled differently: `f(1)`, `f(a=1)` and `f(1, b=<its default>)` share one
    result (of a wrapper around another function only the first two, since it may give defaults of
    its own). With `typed`, 1, 1.0 and True are different. `key` is called as the function is, and
    what it returns is the key instead. A call whose arguments cannot be hashed or compared, or for
    which `key` raises an Exception, goes straight to the function.

    Beyond `maxsize` results (None: no limit) those leave first that were not asked for lately, by
    SIEVE; see `safepatch.decorators.stores`. `cache` is a mapping to keep them in instead, for
    other policies: `cachetools.LFUCache(100)`. Give each function its own. Every look at it then
    takes a lock, since such caches change when they are read. What it does not take, by raising an
    Exception, is not kept.

    Callers cannot spoil a result for each other: with `copy="auto"` a list, dict, set or bytearray
    (not what is inside, and no subclass) is copied when it is kept and whenever it is given out;
    "deep" copies everything through and through, "no" nothing. What cannot be copied is not kept,
    nor is what can be used once only: iterators, coroutines and other awaitables.

    Errors are not kept, but for an Exception that is of a class in `negative`, or for which
    `negative(error)` is true. Each caller gets a new one that is equal, without the `__cause__`
    and traceback of the first. One that cannot be copied faithfully is not kept.

    A method has results for each instance, which is not kept alive, unless one of its results
    refers to it; `maxsize` is for all of them together. An instance that cannot be referred to
    weakly (`__slots__` without `__weakref__`) is known by its value, if its class has a `__hash__`
    of its own, and else calls go straight to the method.

    Of a coroutine function the results are kept, not the coroutines, so they serve any event loop.

    A hit takes no lock. Of equal calls made at the same time, by threads, greenlets (gevent's too,
    patched or not) or tasks of one event loop, one runs and the others wait for its result. They
    make their own calls if it fails, if waiting would close a circle (as in recursion), if it
    takes more than 10 seconds, or in the child after a fork. If it is killed or cancelled, another
    takes its place. A clear during a call wins: its result is not kept.

    `verify` is a share of the hits, from 0 to 1, chosen by `random` (which gives a float from 0 to
    1): they call the function as well, and `cache_info()` tells how many of them were `wrong`. The
    caller gets what is kept all the same.

    Raises TypeError, when decorating, for generator functions, and ValueError for options out of
    range. Calls raise what the function raises.

    **Assumes** that equal arguments have equal results, that arguments do not change after the
    call, that the parameters and defaults of a plain function stay as they are, and that a function
    whose qualified name has a class before the last dot is a method of it.
    """
    check(maxsize=maxsize, typed=typed, copy=copy, key=key, verify=verify)
    if cache is not None and (maxsize is not None or negative is not None):
        raise ValueError(
            f"got a cache with maxsize={maxsize!r} and negative={negative!r}; give the cache its "
            "own maxsize, and keep no errors in it"
        )
    is_kept = error_filter(negative)
    if wrapped is None:
        return configured(
            memoize,
            maxsize=maxsize,
            typed=typed,
            copy=copy,
            key=key,
            cache=cache,
            negative=negative,
            verify=verify,
            random=random,
        )
    need_results("memoize", wrapped)
    copying = COPYING[copy]
    engine = Engine(
        awaits=is_async(wrapped),
        store=DictStore(maxsize) if cache is None else MappingStore(cache, copying),
        copying=copying,
        is_kept=is_kept,
        error_life=0 if negative is None else math.inf,
    )
    return wrap(wrapped, engine, typed=typed, key=key, verify=verify, random=random)
