"""The caches under test: ours, those of other libraries, and one as people make it by hand.

Each is a decorator that takes the options a row wants, and refuses by `NotOffered` those it has
not. What it decorates can be told to forget by `forget` and `forget_all`.
"""

import functools
import inspect
import threading

import rows
from rows import NotOffered


def only(options, *offered):
    """Refuse options that a cache has not."""
    unknown = set(options) - set(offered)
    if unknown:
        raise NotOffered(", ".join(sorted(unknown)))


def memoize(function, **options):
    from safepatch.decorators import memoize

    return memoize(function, **options)


def ttl_cache(function, *, ttl=3600, **options):
    from safepatch.decorators import ttl_cache

    return ttl_cache(function, ttl=ttl, **options)


def single_flight(function, **options):
    from safepatch import decorators

    return decorators.single_flight(function, **options)


def lru_cache(function, **options):
    only(options, "maxsize", "typed")
    return functools.lru_cache(**{"maxsize": None, **options})(function)


def cachetools_cached(function, make, **options):
    import cachetools

    only(options, "maxsize", "typed", "ttl", "clock", "cache")
    mapping = options.get("cache")
    if mapping is None:
        clock = {"timer": options["clock"]} if "clock" in options else {}
        size = options.get("maxsize", 1000)
        mapping = cachetools.TTLCache(size, options.get("ttl", 3600), **clock)
    key = cachetools.keys.typedkey if options.get("typed") else cachetools.keys.hashkey
    return cachetools.cached(mapping, key=key, **make())(function)


def cachetools_lock(function, **options):
    # Not a plain Lock, so that what happens while keys are compared is not held against it.
    return cachetools_cached(function, lambda: {"lock": threading.RLock()}, **options)


def cachetools_condition(function, **options):
    return cachetools_cached(function, lambda: {"condition": threading.Condition()}, **options)


def cachetools_without_lock(function, **options):
    return cachetools_cached(function, dict, **options)


def cachebox(function, **options):
    import cachebox

    only(options, "maxsize", "typed", "ttl", "copy")
    deep = {"postprocess": cachebox.postprocess_deepcopy} if options.get("copy") == "deep" else {}
    key = cachebox.make_typed_key if options.get("typed") else cachebox.make_key
    cache = cachebox.TTLCache(options.get("maxsize", 1000), options.get("ttl", 3600))
    return cachebox.cached(cache, key_maker=key, **deep)(function)


def async_lru(function, **options):
    import async_lru

    only(options, "maxsize", "typed", "ttl")
    if not inspect.iscoroutinefunction(function):
        raise NotOffered("functions")
    return async_lru.alru_cache(**options)(function)


def wrapt_lru_cache(function, **options):
    import wrapt

    only(options, "maxsize", "typed")
    if not hasattr(wrapt, "lru_cache"):
        raise NotOffered("this version of wrapt")
    return wrapt.lru_cache(**options)(function)


def hand_made(function, **options):
    import hand_made

    return hand_made.cached(function, **options)


SUBJECTS = {
    rows.MEMOIZE: memoize,
    rows.TTL_CACHE: ttl_cache,
    rows.SINGLE_FLIGHT: single_flight,
    rows.LRU: lru_cache,
    rows.LOCK: cachetools_lock,
    rows.CONDITION: cachetools_condition,
    rows.NO_LOCK: cachetools_without_lock,
    rows.CACHEBOX: cachebox,
    rows.ASYNC_LRU: async_lru,
    rows.WRAPT: wrapt_lru_cache,
    rows.HAND_MADE: hand_made,
}


def subject(name, control=None):
    """A decorator, to be used bare or with options; `control` stands for the one made by hand."""
    decorate = control if control and name == rows.HAND_MADE else SUBJECTS[name]

    def cache(function=None, /, **options):
        if function is None:
            return functools.partial(cache, **options)
        return decorate(function, **options)

    return cache


def forget_all(cached):
    for name in ("cache_clear", "clear_cache"):
        if hasattr(cached, name):
            return getattr(cached, name)()
    raise NotOffered("clearing")


def forget(cached, *args):
    if hasattr(cached, "cache_invalidate"):  # async_lru has it as well
        cached.cache_invalidate(*args)
    elif hasattr(cached, "cache_key"):
        cached.cache.pop(cached.cache_key(*args), None)
    elif hasattr(cached, "cache"):
        import cachebox

        cached.cache.pop(cachebox.make_key(*args), None)
    else:
        raise NotOffered("forgetting one call")
