"""Caches for functions: `memoize` keeps results, `ttl_cache` keeps them for some time."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Literal, ParamSpec, TypeVar, overload

from safepatch.decorators.engine import Cached, CacheDecorator, Engine, wrap
from safepatch.decorators.keys import KeyFunction, key_function
from safepatch.decorators.stores import COPYING, DictStore, MappingStore
from safepatch.decorators.wrapping import configured, need_results

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
Copy = Literal["auto", "deep", "no"]


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
) -> Any:
    """Keep the results of a function, and answer equal calls with them.

    ::

        @memoize
        def country(code):
            return slow_lookup(code)

    Equal calls may be spelled differently: `f(1)`, `f(a=1)` and `f(1, b=<its default>)` share one
    result. With `typed`, 1, 1.0 and True are different. `key` is called as the function is, and
    what it returns is the key instead. A call whose arguments cannot be hashed or compared, or for
    which `key` raises an Exception, goes straight to the function.

    Beyond `maxsize` results (None: no limit) the oldest are dropped, up to a sixteenth at a time.
    `cache` is a mapping to keep them in instead, for other policies: `cachetools.LFUCache(100)`.
    Give each function its own. Every look at it then takes a lock, since such caches change when
    they are read. What it does not take, by raising an Exception, is not kept.

    Callers cannot spoil a result for each other: with `copy="auto"` a list, dict, set or bytearray
    (not what is inside, and no subclass) is copied when it is kept and whenever it is given out;
    "deep" copies everything through and through, "no" nothing. What cannot be copied is not kept,
    nor is what can be used once only: iterators, coroutines and other awaitables. Errors are not
    kept.

    Of a coroutine function the results are kept, not the coroutines, so they serve any event loop;
    awaited at the same time, equal calls all run, and the one begun last is kept.

    A hit takes no lock. Of equal calls made at the same time, by threads or greenlets (gevent's
    too, patched or not), one runs and the others wait for its result. They make their own calls if
    it fails, if waiting would close a circle (as in recursion), if it takes more than 10 seconds,
    or in the child after a fork. A clear during a call wins: its result is not kept.

    Raises TypeError, when decorating, for generator functions, and ValueError for options out of
    range. Calls raise what the function raises.

    **Assumes** that equal arguments have equal results, that arguments do not change after the
    call, and that the signature tells the truth. On a method the instance is part of the key: it
    needs a hash, and it is kept alive until its results are dropped.
    """
    _check(maxsize=maxsize, typed=typed, copy=copy, key=key)
    if cache is not None and maxsize is not None:
        raise ValueError(f"got maxsize={maxsize!r} and a cache; give the cache its own maxsize")
    if wrapped is None:
        return configured(memoize, maxsize=maxsize, typed=typed, copy=copy, key=key, cache=cache)
    need_results("memoize", wrapped)
    store = DictStore(maxsize) if cache is None else MappingStore(cache, COPYING[copy])
    engine = Engine(store, COPYING[copy], time.monotonic, lambda: math.inf, 0)
    return wrap(wrapped, engine, key or key_function(wrapped, typed))


@overload
def ttl_cache(
    wrapped: Callable[P, R_co],
    /,
    *,
    ttl: float,
    maxsize: int | None = 1024,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
    jitter: float = 0,
    negative_ttl: float = 0,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> Cached[P, R_co]: ...
@overload
def ttl_cache(
    *,
    ttl: float,
    maxsize: int | None = 1024,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
    jitter: float = 0,
    negative_ttl: float = 0,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> CacheDecorator: ...
def ttl_cache(
    wrapped: Any = None,
    /,
    *,
    ttl: float,
    maxsize: int | None = 1024,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
    jitter: float = 0,
    negative_ttl: float = 0,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> Any:
    """Keep the results of a function for `ttl` seconds each, and answer equal calls with them.

    ::

        @ttl_cache(ttl=300)
        def addresses(host, port=443):
            return socket.getaddrinfo(host, port)

    Everything else is as in `memoize`, which see. The time starts when the function returns, and
    is told by `clock`, in seconds, which must never go back. `jitter` is the share of its life, 0
    to 1, that a result may lose by chance, so that results that came together do not all expire
    together; `random` gives a float from 0 to 1 (by default `random.random`).

    With a `negative_ttl` above 0, an Exception is kept as well, for that many seconds. Each caller
    gets a new one that is equal, without the `__cause__` and traceback of the first. One that
    cannot be copied faithfully is not kept.

    Thread, greenlet and async safety are those of `memoize`. Raises TypeError, when decorating,
    for generator functions, and ValueError for options out of range.

    **Assumes** what `memoize` assumes, and that a result may be up to `ttl` seconds old.
    """
    _check(maxsize=maxsize, typed=typed, copy=copy, key=key)
    if not ttl > 0:
        raise ValueError(f"got ttl={ttl!r}; give a number of seconds above 0")
    if not negative_ttl >= 0:
        raise ValueError(f"got negative_ttl={negative_ttl!r}; give seconds, or 0 to keep no errors")
    if not 0 <= jitter <= 1:
        raise ValueError(f"got jitter={jitter!r}; give a share of the ttl, from 0 to 1")
    if wrapped is None:
        return configured(
            ttl_cache,
            ttl=ttl,
            maxsize=maxsize,
            typed=typed,
            copy=copy,
            key=key,
            jitter=jitter,
            negative_ttl=negative_ttl,
            clock=clock,
            random=random,
        )
    need_results("cache", wrapped)
    life = functools.partial(_life, ttl, jitter, random) if jitter else lambda: ttl
    engine = Engine(DictStore(maxsize), COPYING[copy], clock, life, negative_ttl)
    return wrap(wrapped, engine, key or key_function(wrapped, typed))


def _check(*, maxsize: int | None, typed: bool, copy: str, key: KeyFunction | None) -> None:
    is_whole = isinstance(maxsize, int) and not isinstance(maxsize, bool)
    if maxsize is not None and not (is_whole and maxsize > 0):
        raise ValueError(
            f"got maxsize={maxsize!r}; give a whole number, 1 or more, or None for no limit"
        )
    if copy not in COPYING:
        raise ValueError(f"got copy={copy!r}; give one of {', '.join(map(repr, COPYING))}")
    if typed and key is not None:
        raise ValueError("got typed=True and a key; let the key function put the types in")


def _life(ttl: float, jitter: float, random: Callable[[], float] | None) -> float:
    if random is None:
        import random as standard

        random = standard.random
    return ttl * (1 - jitter * random())
