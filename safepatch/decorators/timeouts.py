"""Do not let a call take longer than so many seconds."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar, overload

from safepatch.decorators import alarms
from safepatch.decorators.wrapping import (
    configured,
    is_async,
    is_positive,
    name_of,
    need_results,
)

F = TypeVar("F", bound=Callable[..., Any])
Threads = Literal["refuse", "signal"]


class TimeoutDecorator(Protocol):
    def __call__(self, wrapped: F, /) -> F: ...


@overload
def timeout(wrapped: F, /, *, seconds: float, threads: Threads = "refuse") -> F: ...
@overload
def timeout(*, seconds: float, threads: Threads = "refuse") -> TimeoutDecorator: ...
def timeout(wrapped: Any = None, /, *, seconds: float, threads: Threads = "refuse") -> Any:
    """End a call that takes longer than `seconds`, with the builtin TimeoutError.

    ::

        @timeout(seconds=5)
        async def fetch(url): ...

    A coroutine function is cancelled by `asyncio.timeout`. A plain function is interrupted by
    `gevent.Timeout`, if the thread has a gevent hub, or gevent has patched the process. Both come
    to the function as an exception that is no Exception, at the point where it waits; what it does
    with it then, such as returning something after all, stands. What is raised for other reasons
    passes as it is: an error of the function, be it a TimeoutError, a cancellation or a timeout
    from outside, the timeout of a call around this one or inside it.

    In a thread without gevent nothing can end a call from outside, and RuntimeError is raised
    instead of calling the function. With `threads="signal"` the main thread is interrupted by
    SIGALRM, which ends also what computes in Python or waits in the system, at any point. It comes
    again each second until the call ends, since Python drops what is raised in finalizers. In other
    threads, on Windows, and if somebody else uses that signal, RuntimeError is raised as before. A
    call is never left running in a thread of its own: it would go on, with the caller's arguments,
    after the caller was told that it ended.

    A call that never waits cannot be ended, except by a signal: it ends late, and returns what it
    returns. Nor can what waits in a way that gevent has not patched.

    Raises TypeError, when decorating, for generator functions, whose work comes after the call, and
    ValueError for options out of range. The message names function and seconds, not the arguments.
    Safe with threads, greenlets and asyncio: calls share nothing but, with signals, the one timer.

    **Assumes** that the function can be interrupted wherever it waits, and leaves nothing broken
    behind then; and that a coroutine function runs in asyncio.
    """
    if not is_positive(seconds):
        raise ValueError(f"got seconds={seconds!r}; give a number above 0")
    if threads not in ("refuse", "signal"):
        raise ValueError(f"got threads={threads!r}; give 'refuse' or 'signal'")
    if wrapped is None:
        return configured(timeout, seconds=seconds, threads=threads)
    need_results("limit the time of", wrapped)
    message = f"{name_of(wrapped)} took longer than {seconds:g} seconds"

    if is_async(wrapped):

        @functools.wraps(wrapped)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            import asyncio

            own = None
            try:
                async with asyncio.timeout(seconds):
                    try:
                        return await wrapped(*args, **kwargs)
                    except TimeoutError as error:
                        own = error
                        raise
            except TimeoutError as error:
                if error is not own:
                    # It is a new one without a message, made by asyncio for this call.
                    error.args = (message,)
                raise
            finally:
                own = None  # which makes a cycle with its traceback

    else:

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if _has_gevent():
                return _call_in_gevent(seconds, message, wrapped, args, kwargs)
            if threads == "signal":
                return alarms.call(seconds, message, wrapped, args, kwargs)
            raise RuntimeError(
                f"cannot see to it that {message!r} is raised: this thread has no gevent hub, "
                "and nothing else interrupts a thread; the function was not called; decorate a "
                "coroutine function, or, for the main thread, give threads='signal'"
            )

    return wrapper


def _call_in_gevent(
    seconds: float, message: str, wrapped: Callable[..., Any], args: Any, kwargs: Any
) -> Any:
    gevent = importlib.import_module("gevent")
    limit = gevent.Timeout(seconds)
    try:
        # In here, so that what a signal handler raises meanwhile leaves no timer behind.
        limit.start()
        return wrapped(*args, **kwargs)
    except gevent.Timeout as error:
        if error is not limit:
            raise
        # Where it was interrupted is told by its cause.
        raise TimeoutError(message) from error
    finally:
        limit.close()
        limit = None  # which makes a cycle with its traceback


def _has_gevent() -> bool:
    """Say whether this greenlet may be interrupted by gevent; makes no hub to find out."""
    hub_module = sys.modules.get("gevent._hub_local")
    hub = None if hub_module is None else hub_module.get_hub_if_exists()
    if hub is not None:
        return hub is not importlib.import_module("greenlet").getcurrent()
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("time"))
