"""Caches for functions: `memoize` keeps results, `ttl_cache` keeps them for some time, and
`single_flight` only while they are being made."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Literal, ParamSpec, TypeVar, overload

from safepatch.decorators.controls import Cached, CacheDecorator, standard_random, wrap
from safepatch.decorators.engine import Engine
from safepatch.decorators.entries import COPYING
from safepatch.decorators.keys import KeyFunction
from safepatch.decorators.stores import DictStore, MappingStore, NoStore
from safepatch.decorators.wrapping import configured, is_async, need_results

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
Copy = Literal["auto", "deep", "no"]
Negative = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]


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
    _check(maxsize=maxsize, typed=typed, copy=copy, key=key, verify=verify)
    if cache is not None and (maxsize is not None or negative is not None):
        raise ValueError(
            f"got a cache with maxsize={maxsize!r} and negative={negative!r}; give the cache its "
            "own maxsize, and keep no errors in it"
        )
    is_kept = _error_filter(negative)
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


# No overload for `ttl_cache(function, ttl=300)`, which is there for partials only.
def ttl_cache(
    wrapped: None = None,
    /,
    *,
    ttl: float | None = None,
    maxsize: int | None = 1024,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
    ttl_of: Callable[[Any], float | None] | None = None,
    jitter: float = 0,
    stale_while_revalidate: float = 0,
    stale_if_error: float = 0,
    negative_ttl: float = 0,
    negative: Negative | None = None,
    verify: float = 0,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> CacheDecorator:
    """Keep the results of a function for `ttl` seconds each, and answer equal calls with them.

    ::

        @ttl_cache(ttl=300)
        def addresses(host, port=443):
            return socket.getaddrinfo(host, port)

    Everything that is not said here is as in `memoize`, which see. The time starts when the
    function returns, and is told by `clock`, in seconds, which must never go back.
    `ttl_of(result)` is the seconds that one result is fresh, instead; None means `ttl`, and 0 or
    less that it is not kept. `jitter` is the share of its life, 0 to 1, that a result may lose by
    chance, so that results that came together do not all expire together.

    For `stale_while_revalidate` seconds after it expired, a result is still given at once, while
    one call for a new one goes on in the background: in a greenlet under gevent, as a task for
    coroutine functions, else in a thread. For `stale_if_error` seconds after it expired, it is
    given where the call raises an Exception.

    With a `negative_ttl` above 0, an Exception is remembered for that many seconds: raised again,
    or, while `stale_if_error` has an old result, given that without another try. `negative` says
    which, as in `memoize`; by default all are.

    Thread, greenlet and async safety are those of `memoize`. Raises TypeError, when decorating,
    for generator functions, and ValueError for options out of range.

    **Assumes** what `memoize` assumes, and that a result may be up to `ttl` seconds old, or as much
    older as was asked for; with `stale_while_revalidate`, that the function may be called in
    another thread, greenlet or task, where what it raises is lost.
    """
    _check(maxsize=maxsize, typed=typed, copy=copy, key=key, verify=verify)
    if ttl is None and ttl_of is None:
        raise TypeError("got neither ttl nor ttl_of; say how many seconds results may be kept")
    if ttl is not None and not ttl > 0:
        raise ValueError(f"got ttl={ttl!r}; give a number of seconds above 0")
    for name, seconds in (
        ("stale_while_revalidate", stale_while_revalidate),
        ("stale_if_error", stale_if_error),
        ("negative_ttl", negative_ttl),
    ):
        if not seconds >= 0:
            raise ValueError(f"got {name}={seconds!r}; give seconds, or 0 for none of that")
    _check_share("jitter", jitter)
    if negative is not None and not negative_ttl:
        raise ValueError(f"got negative={negative!r} but no negative_ttl; say for how many seconds")
    is_kept = _error_filter(negative)
    if wrapped is None:
        return configured(
            ttl_cache,
            ttl=ttl,
            maxsize=maxsize,
            typed=typed,
            copy=copy,
            key=key,
            ttl_of=ttl_of,
            jitter=jitter,
            stale_while_revalidate=stale_while_revalidate,
            stale_if_error=stale_if_error,
            negative_ttl=negative_ttl,
            negative=negative,
            verify=verify,
            clock=clock,
            random=random,
        )
    need_results("cache", wrapped)
    engine = Engine(
        awaits=is_async(wrapped),
        store=DictStore(maxsize),
        copying=COPYING[copy],
        clock=clock,
        life=_lives(ttl, ttl_of, jitter, random),
        is_kept=is_kept,
        error_life=negative_ttl,
        while_refreshed=stale_while_revalidate,
        if_failing=stale_if_error,
    )
    return wrap(wrapped, engine, typed=typed, key=key, verify=verify, random=random)


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
    _check(maxsize=None, typed=typed, copy=copy, key=key, verify=0)
    if wrapped is None:
        return configured(single_flight, typed=typed, copy=copy, key=key)
    need_results("share the calls of", wrapped)
    return wrap(
        wrapped,
        Engine(awaits=is_async(wrapped), store=NoStore(), copying=COPYING[copy]),
        typed=typed,
        key=key,
    )


def _check(
    *, maxsize: int | None, typed: bool, copy: str, key: KeyFunction | None, verify: float
) -> None:
    is_whole = isinstance(maxsize, int) and not isinstance(maxsize, bool)
    if maxsize is not None and not (is_whole and maxsize > 0):
        raise ValueError(
            f"got maxsize={maxsize!r}; give a whole number, 1 or more, or None for no limit"
        )
    if copy not in COPYING:
        raise ValueError(f"got copy={copy!r}; give one of {', '.join(map(repr, COPYING))}")
    if typed and key is not None:
        raise ValueError("got typed=True and a key; let the key function put the types in")
    _check_share("verify", verify)


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"got {name}={share!r}; give a share, from 0 to 1")


def _error_filter(negative: Negative | None) -> Callable[[Exception], bool] | None:
    """Make the function that says which errors are kept; raises TypeError early."""
    if negative is None:
        return None
    if callable(negative) and not isinstance(negative, type):
        return negative
    kinds = negative if isinstance(negative, tuple) else (negative,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(
                f"got negative={negative!r}; give classes of Exception, or a function of the error"
            )
    return lambda error: isinstance(error, kinds)


def _lives(
    ttl: float | None,
    ttl_of: Callable[[Any], float | None] | None,
    jitter: float,
    random: Callable[[], float] | None,
) -> Callable[[Any], float]:
    """Make the function that says how many seconds a result is fresh."""
    if ttl is not None and ttl_of is None and not jitter:
        return lambda result: ttl
    chance = random or standard_random()

    def life(result: Any) -> float:
        own = None if ttl_of is None else ttl_of(result)
        seconds = (ttl or 0) if own is None else own
        return seconds * (1 - jitter * chance())

    return life
