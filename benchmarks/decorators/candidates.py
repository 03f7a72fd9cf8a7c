"""The caches that are compared, ours and those people use today: how each is made."""

from __future__ import annotations

import datetime
import functools
import threading
from collections.abc import Callable
from typing import Any

from safepatch.decorators import memoize, ttl_cache

#: Makes a decorator with a cache of its own, of so many results.
Maker = Callable[[int], Any]

#: Seconds a result lives, longer than any of this takes.
TTL = 36000.0

LRU = "functools.lru_cache(None)"
OURS = "safepatch ttl_cache"


#: The ones compared with, in the acceptance table.
CACHEBOX, LOCKED = "cachebox TTLCache", "cachetools TTLCache, lock"
AWAIT = "plain await"


def _cachetools_lock(maxsize: int, typed: bool = False) -> Any:
    import cachetools
    from cachetools.keys import hashkey, typedkey

    cache: Any = cachetools.TTLCache(maxsize, TTL)
    key = typedkey if typed else hashkey
    return cachetools.cached(cache, key=key, lock=threading.Lock())


def _cachetools_condition(maxsize: int) -> Any:
    import cachetools

    cache: Any = cachetools.TTLCache(maxsize, TTL)
    return cachetools.cached(cache, condition=threading.Condition())


def _cachetools_func(maxsize: int, typed: bool = False) -> Any:
    import cachetools.func

    return cachetools.func.ttl_cache(maxsize, TTL, typed=typed)


def _cachebox(maxsize: int, typed: bool = False) -> Any:
    import cachebox

    key = cachebox.make_typed_key if typed else cachebox.make_key
    return cachebox.cached(cachebox.TTLCache(maxsize, TTL), key_maker=key)


def _theine(maxsize: int, typed: bool = False) -> Any:
    import theine

    return theine.Memoize(maxsize, datetime.timedelta(seconds=TTL), typed=typed)


def _moka(maxsize: int, typed: bool = False) -> Any:
    import moka_py

    return moka_py.cached(maxsize, typed, ttl=TTL)


def _memoize_cachetools(maxsize: int) -> Any:
    import cachetools

    return memoize(cache=cachetools.LRUCache(maxsize))


#: For functions.
CACHES: dict[str, Maker] = {
    LRU: lambda maxsize: functools.lru_cache(None),
    OURS: lambda maxsize: ttl_cache(ttl=TTL, maxsize=maxsize),
    "safepatch memoize": lambda maxsize: memoize(maxsize=maxsize),
    "safepatch memoize(cache=LRUCache())": _memoize_cachetools,
    CACHEBOX: _cachebox,
    LOCKED: _cachetools_lock,
    "cachetools TTLCache, condition": _cachetools_condition,
    "cachetools.func.ttl_cache": _cachetools_func,
    "moka_py.cached": _moka,
    "theine.Memoize": _theine,
}

#: Of these, those that give each caller a copy of a list of his own.
COPYING = (OURS, "safepatch memoize", CACHEBOX)


def _alru(maxsize: int, ttl: float | None = None) -> Any:
    import async_lru

    return async_lru.alru_cache(maxsize, ttl=ttl)


def _aiocache(maxsize: int) -> Any:
    import aiocache  # its memory has no limit

    return aiocache.cached(ttl=TTL)


def _cashews(maxsize: int) -> Any:
    import cashews

    cache = cashews.Cache()
    cache.setup("mem://", size=maxsize)
    return cache(ttl=TTL)


#: For coroutine functions.
ASYNC: dict[str, Maker] = {
    AWAIT: lambda maxsize: lambda function: function,
    **{name: CACHES[name] for name in COPYING},
    "moka_py.cached": _moka,
    "theine.Memoize": _theine,
    "async_lru.alru_cache": _alru,
    "async_lru.alru_cache, ttl": functools.partial(_alru, ttl=TTL),
    "aiocache.cached": _aiocache,
    "cashews.cache": _cashews,
}

#: As CACHES, where 1, 1.0 and True are to be different.
TYPED: dict[str, Maker] = {
    LRU: lambda maxsize: functools.lru_cache(None, typed=True),
    OURS: lambda maxsize: ttl_cache(ttl=TTL, maxsize=maxsize, typed=True),
    "safepatch memoize": lambda maxsize: memoize(maxsize=maxsize, typed=True),
    "cachebox TTLCache": functools.partial(_cachebox, typed=True),
    "cachetools TTLCache, lock": functools.partial(_cachetools_lock, typed=True),
    "cachetools.func.ttl_cache": functools.partial(_cachetools_func, typed=True),
    "moka_py.cached": functools.partial(_moka, typed=True),
    "theine.Memoize": functools.partial(_theine, typed=True),
}

#: As CACHES, bounded: what a new result costs when an old one has to leave for it.
LRU_BOUNDED = "functools.lru_cache(maxsize)"
BOUNDED: dict[str, Maker] = {
    LRU_BOUNDED: lambda maxsize: functools.lru_cache(maxsize),
    **{name: make for name, make in CACHES.items() if name != LRU},
}
