"""A cache as it is made by hand, naive on purpose: it stands in where no library falls.

It has all the options that ours have, each done in the first way that comes to mind.
"""

import asyncio
import functools
import inspect
import threading
import time


def text_of(args, kwargs):
    # As several libraries do it, so that lists do not stand in the way.
    return " ".join(map(str, args)) + " ".join(f"{name}={kwargs[name]}" for name in kwargs)


def cached(function, **options):
    if inspect.iscoroutinefunction(function):
        return cached_tasks(function, **options)
    return cached_results(function, **options)


def cached_tasks(function, **options):
    tasks = {}

    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        key = text_of(args, kwargs)
        if key not in tasks:
            tasks[key] = asyncio.ensure_future(function(*args, **kwargs))
        return await tasks[key]

    wrapper.cache_clear = tasks.clear
    wrapper.cache_invalidate = lambda *args: tasks.pop(text_of(args, {}), None)
    return wrapper


def cached_when_awaited(function, **options):
    results = {}

    @functools.wraps(function)
    async def wrapper(*args):
        if args not in results:
            results[args] = await function(*args)
        return results[args]

    wrapper.cache_clear = results.clear
    wrapper.cache_invalidate = lambda *args: results.pop(args, None)
    return wrapper


def cached_with_a_lock(function, **options):
    cached, lock = cached_when_awaited(function), asyncio.Lock()

    @functools.wraps(function)
    async def wrapper(*args):
        async with lock:
            return await cached(*args)

    return wrapper


def cached_results(
    function, *, ttl=3600, stale_while_revalidate=0, stale_if_error=0, negative_ttl=0, **options
):
    results, refreshes = {}, {}
    clock = options.get("clock", lambda: time.time())

    def fill(key, args, kwargs):
        now = clock()
        value = function(*args, **kwargs)
        results[key] = value, now + ttl
        return value

    def refresh(key, args, kwargs):
        try:
            fill(key, args, kwargs)
        except Exception:
            results.pop(key, None)

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        key = text_of(args, kwargs)
        value, expires = results.get(key, (None, 0))
        if clock() < expires:
            if isinstance(value, Exception):
                raise value
            if value is not None:
                return value
        elif value is not None and stale_while_revalidate:
            refreshes[key] = functools.partial(refresh, key, args, kwargs)
            threading.Thread(target=refreshes[key], daemon=True).start()
            return value
        try:
            return fill(key, args, kwargs)
        except BaseException as error:
            if value is not None and stale_if_error:
                return value
            if negative_ttl or "negative" in options:
                results[key] = error, clock() + (negative_ttl or ttl)
            raise

    wrapper.cache_clear = results.clear
    wrapper.cache_invalidate = lambda *args: results.pop(text_of(args, {}), None)
    wrapper.cache_items = lambda: [(key, value) for key, (value, _) in results.items()]
    return wrapper
