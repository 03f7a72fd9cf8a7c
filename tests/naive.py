"""Decorators as people write them, each with a flaw that hides until somebody calls otherwise."""

import asyncio
import concurrent.futures
import contextlib
import copy
import functools
import inspect
import logging
import threading


def faithful(wrapped):
    """Not naive: a wrapper of the same kind, that does nothing else."""
    if inspect.iscoroutinefunction(wrapped):

        @functools.wraps(wrapped)
        async def wrapper(*args, **kwargs):
            return await wrapped(*args, **kwargs)

    elif inspect.isgeneratorfunction(wrapped):

        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            return (yield from wrapped(*args, **kwargs))

    elif inspect.isasyncgenfunction(wrapped):
        # Python has no `yield from` for these.
        return wrapped

    else:

        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            return wrapped(*args, **kwargs)

    return wrapper


def plain_only(decorator):
    """Put a decorator on plain functions, and nothing on others, to see its own flaw only."""

    @functools.wraps(decorator, updated=())
    def decorate(wrapped):
        others = (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        )
        return wrapped if any(is_other(wrapped) for is_other in others) else decorator(wrapped)

    return decorate


def for_plain(call):
    """A decorator of plain functions whose wrapper is `call(wrapped, args, kwargs)`."""

    @functools.wraps(call)
    def decorate(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            return call(wrapped, args, kwargs)

        return wrapper

    return plain_only(decorate)


def for_coroutines(call):
    """The same of coroutine functions, with a `call` to be awaited."""

    @functools.wraps(call)
    def decorate(wrapped):
        @functools.wraps(wrapped)
        async def wrapper(*args, **kwargs):
            return await call(wrapped, args, kwargs)

        return wrapper if inspect.iscoroutinefunction(wrapped) else wrapped

    return decorate


def closure(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        return wrapped(*args, **kwargs)

    return wrapper


@plain_only
def no_wraps(wrapped):
    return lambda *args, **kwargs: wrapped(*args, **kwargs)


@plain_only
def positional_only(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args):
        return wrapped(*args)

    return wrapper


@plain_only
def for_methods(wrapped):
    @functools.wraps(wrapped)
    def wrapper(self, *args, **kwargs):
        return wrapped(self, *args, **kwargs)

    return wrapper


@plain_only
def with_an_option(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, timeout=None, **kwargs):
        return wrapped(*args, **kwargs)

    return wrapper


@for_plain
def swallowing(wrapped, args, kwargs):
    with contextlib.suppress(BaseException):
        return wrapped(*args, **kwargs)


@for_plain
def retrying(wrapped, args, kwargs):
    for _ in range(2):
        with contextlib.suppress(Exception):
            return wrapped(*args, **kwargs)
    return wrapped(*args, **kwargs)


@for_plain
def retrying_all(wrapped, args, kwargs):
    while True:
        with contextlib.suppress(BaseException):
            return wrapped(*args, **kwargs)


@for_plain
def wrapping_errors(wrapped, args, kwargs):
    try:
        return wrapped(*args, **kwargs)
    except Exception as error:
        raise RuntimeError("it failed") from error


@for_plain
def marking_errors(wrapped, args, kwargs):
    try:
        return wrapped(*args, **kwargs)
    except Exception as error:
        error.told = True
        raise


@for_plain
def dropping_causes(wrapped, args, kwargs):
    try:
        return wrapped(*args, **kwargs)
    except Exception as error:
        raise error from None


@plain_only
def full_after_an_exit(wrapped):
    """Four may be in it at once; one that does not end by an Exception stays in for ever."""
    places = threading.Semaphore(4)

    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        if not places.acquire(blocking=False):
            raise RuntimeError("too many")
        try:
            result = wrapped(*args, **kwargs)
        except Exception:
            places.release()
            raise
        places.release()
        return result

    return wrapper


@for_plain
def sorting_keywords(wrapped, args, kwargs):
    return wrapped(*args, **dict(sorted(kwargs.items())))


@for_plain
def awaiting_for_the_caller(wrapped, args, kwargs):
    result = wrapped(*args, **kwargs)

    async def awaited():
        return await result

    return awaited() if inspect.isawaitable(result) else result


@for_plain
def calling_while_handling(wrapped, args, kwargs):
    try:
        return {}[args]
    except (KeyError, TypeError):
        return wrapped(*args, **kwargs)


@for_plain
def copying_arguments(wrapped, args, kwargs):
    return wrapped(*map(copy.copy, args), **kwargs)


@for_plain
def replacing_false(wrapped, args, kwargs):
    return wrapped(*args, **kwargs) or None


@for_plain
def in_another_thread(wrapped, args, kwargs):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(wrapped, *args, **kwargs).result()


@for_plain
def printing(wrapped, args, kwargs):
    logging.debug(f"{wrapped.__name__}{args}")
    return wrapped(*args, **kwargs)


last_call = []


@for_plain
def remembering(wrapped, args, kwargs):
    last_call[:] = args, kwargs
    return wrapped(*args, **kwargs)


def locking(lock, wrapped):
    def call(wrapped, args, kwargs):
        with lock:
            return wrapped(*args, **kwargs)

    return for_plain(call)(wrapped)


def locked(wrapped):
    return locking(threading.Lock(), wrapped)


def locked_by_thread(wrapped):
    return locking(threading.RLock(), wrapped)


def locked_by_task(wrapped):
    lock = asyncio.Lock()

    async def call(wrapped, args, kwargs):
        async with lock:
            return await wrapped(*args, **kwargs)

    return for_coroutines(call)(wrapped)


@for_coroutines
async def uncancelled(wrapped, args, kwargs):
    try:
        return await wrapped(*args, **kwargs)
    except asyncio.CancelledError:
        return None


@for_coroutines
async def in_another_task(wrapped, args, kwargs):
    return await asyncio.create_task(wrapped(*args, **kwargs))


def sharing_a_task(wrapped):
    """A single flight, as if there were one event loop in the world."""
    tasks = {}

    async def call(wrapped, args, kwargs):
        if args not in tasks:
            tasks[args] = asyncio.ensure_future(wrapped(*args, **kwargs))
        return await tasks[args]

    return for_coroutines(call)(wrapped)


@plain_only
def by_text(wrapped):
    """A cache whose keys are texts."""
    results = {}

    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        key = ",".join(map(str, args))
        if key not in results:
            results[key] = wrapped(*args, **kwargs)
        return results[key]

    return wrapper


@plain_only
def keeping_errors(wrapped):
    errors = {}

    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        key = len(args)
        if key in errors:
            raise errors[key]
        try:
            return wrapped(*args, **kwargs)
        except Exception as error:
            errors[key] = error
            raise

    return wrapper


@plain_only
class AsAClass:
    def __init__(self, wrapped):
        functools.update_wrapper(self, wrapped)

    def __call__(self, *args, **kwargs):
        return self.__wrapped__(*args, **kwargs)


@plain_only
class WithSlots:
    __slots__ = ("wrapped",)

    def __init__(self, wrapped):
        self.wrapped = wrapped

    def __call__(self, *args, **kwargs):
        return self.wrapped(*args, **kwargs)


everything = []


@plain_only
def registering(wrapped):
    everything.append(wrapped)
    return wrapped


@plain_only
def marking(wrapped):
    wrapped.is_marked = True
    return wrapped


def decorate_once():
    """A decorator with one place for all functions."""
    place = []

    def decorate(wrapped):
        place[:] = [wrapped]

        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            return place[0](*args, **kwargs)

        return wrapper

    return plain_only(decorate)


@plain_only
def as_a_coroutine(wrapped):
    @functools.wraps(wrapped)
    async def wrapper(*args, **kwargs):
        return wrapped(*args, **kwargs)

    return wrapper


def looping_over(wrapped):
    if not inspect.isgeneratorfunction(wrapped):
        return wrapped

    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        for value in wrapped(*args, **kwargs):
            print(end="")
            yield value

    return wrapper


def as_a_list(wrapped):
    if not inspect.isgeneratorfunction(wrapped):
        return wrapped

    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        return iter(list(wrapped(*args, **kwargs)))

    return wrapper


@plain_only
def forgetful(wrapped):
    """It returns nothing to put in the function's place."""


@plain_only
def only_by_name(wrapped):
    """It takes itself for a decorator of functions with a name."""
    print_as = wrapped.__name__

    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        assert print_as
        return wrapped(*args, **kwargs)

    return wrapper
