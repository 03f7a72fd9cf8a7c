"""`ttl_cache` keeps the results of a function for some time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from safepatch.decorators.cache_options import Copy, Negative, check, check_share, error_filter
from safepatch.decorators.controls import CacheDecorator, standard_random, wrap
from safepatch.decorators.engine import Engine
from safepatch.decorators.entries import COPYING
from safepatch.decorators.keys import KeyFunction
from safepatch.decorators.stores import DictStore
from safepatch.decorators.wrapping import configured, is_async, need_results


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
    check(maxsize=maxsize, typed=typed, copy=copy, key=key, verify=verify)
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
    check_share("jitter", jitter)
    if negative is not None and not negative_ttl:
        raise ValueError(f"got negative={negative!r} but no negative_ttl; say for how many seconds")
    is_kept = error_filter(negative)
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
