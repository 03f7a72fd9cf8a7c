"""Be told when a generator, or an async generator, begins its work and when it ends."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from safepatch.decorators.wrapping import kind_of

#: Told how it ended: the error or None, the value that the generator returned, and how many values
#: it had given until then. The error is a GeneratorExit if it was closed, which a `break` may do.
End = Callable[[BaseException | None, Any, int], object]
#: Given the arguments of the call, when the first value is asked for.
Begin = Callable[[tuple[Any, ...], dict[str, Any]], End | None]


def observed(wrapped: Callable[..., Any], begin: Begin) -> Any:
    """Make a function of the same kind that calls `begin`, and then what that returned, `end`.

    ::

        def begin(args, kwargs):
            started = time.perf_counter()
            return lambda error, result, given: print(given, time.perf_counter() - started)

        wrapper = observed(generator_function, begin)

    For a generator function or an async generator function: there the work is not done by the call
    but begins when the first value is asked for, and ends when there are no more, when an error
    comes out, or when the generator is closed. What was never asked for a value never began.

    What `begin` raises comes out in place of the first value, and the function is not called. If
    it returns None, that one generator is not observed, and costs what `yield from` does; of that
    close() returns None, while since Python 3.13 it returns what the generator does. `end` must not
    raise. It may run wherever garbage is collected, since that closes a generator.

    All that is sent, thrown, given, raised and returned goes through as it is. Arguments and values
    given are not kept alive. Wrong arguments are complained of when the first value is asked for.

    **Assumes** that the function is of a kind for which `is_generator` is true.
    """
    if kind_of(wrapped) == "async generator":
        return _observed_async(wrapped, begin)

    @functools.wraps(wrapped)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        end = begin(args, kwargs)
        if end is None:
            # Five times as quick for each value as what follows.
            inner = wrapped(*args, **kwargs)
            del args, kwargs
            return (yield from inner)
        # Values go out through a list, since a variable would keep them alive, and errors go in
        # through one, since a variable would make a cycle with their tracebacks.
        given, passing, thrown = 0, [], []
        try:
            inner = wrapped(*args, **kwargs)
            del args, kwargs
            # What stands for a generator, in a foreign decorator below, may be any iterable.
            inner = inner if hasattr(inner, "throw") else as_generator(inner)
            # Not `yield from`, which does not count, and does not hand through what the generator
            # does with GeneratorExit: since Python 3.13 close() returns what it returns.
            send = inner.send
            passing.append(send(None))
            while True:
                given += 1
                try:
                    sent = yield passing.pop()
                except BaseException as error:
                    thrown.append(error)
                # Not in `except`: what is raised inside gets no context that it had not.
                passing.append(inner.throw(thrown.pop()) if thrown else send(sent))
        except StopIteration as stop:
            passing.append(stop.value)
        except BaseException as error:
            end(error, None, given)
            raise
        end(None, passing[0], given)
        return passing.pop()

    return awaitable_like(wrapped, wrapper)


def _observed_async(wrapped: Callable[..., Any], begin: Begin) -> Any:
    @functools.wraps(wrapped)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        end = begin(args, kwargs) or _nothing
        given, passing, thrown = 0, [], []
        try:
            inner = wrapped(*args, **kwargs)
            del args, kwargs
            inner = inner if hasattr(inner, "athrow") else as_async_generator(inner)
            passing.append(await first_step(inner))
            while True:
                given += 1
                try:
                    sent = yield passing.pop()
                except BaseException as error:
                    thrown.append(error)
                passing.append(await (inner.athrow(thrown.pop()) if thrown else inner.asend(sent)))
        except StopAsyncIteration:
            pass
        except BaseException as error:
            end(error, None, given)
            raise
        end(None, None, given)

    return wrapper


def _nothing(error: BaseException | None, result: Any, given: int) -> None:
    pass


def first_step(inner: Any) -> Any:
    """Begin an async generator of which the event loop is not told.

    A loop that ends closes those it was told of, all at once; the one around this one closes it.
    """
    hooks = sys.get_asyncgen_hooks()
    if hooks == (None, None):
        return inner.__anext__()
    sys.set_asyncgen_hooks(None, None)
    try:
        return inner.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)


def as_generator(iterable: Any) -> Any:
    return (yield from iterable)


async def as_async_generator(iterable: Any) -> Any:
    async for item in iterable:
        yield item


def awaitable_like(wrapped: Any, wrapper: Any) -> Any:
    """Make what a generator function returns awaitable, if `types.coroutine` did so below."""
    import inspect
    import types

    code = getattr(wrapped, "__code__", None)
    flags = getattr(code, "co_flags", 0)
    return types.coroutine(wrapper) if flags & inspect.CO_ITERABLE_COROUTINE else wrapper
