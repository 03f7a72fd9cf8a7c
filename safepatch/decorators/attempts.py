"""Call again: the wrappers of retry, one for each kind of function.

The first attempt is made by the wrapper itself, at the cost of a plain try/except. All else happens
only after a failure. Attempts are made outside of `except`, so that no error has the one before it
as its context.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from types import FrameType
from typing import Any

from safepatch.decorators import nesting
from safepatch.decorators.observing import (
    as_async_generator,
    as_generator,
    awaitable_like,
    first_step,
)
from safepatch.decorators.sleeping import sleep_async
from safepatch.decorators.wrapping import kind_of


class Tries:
    """What is known of one call once it has failed."""

    __slots__ = ("attempt", "call", "retries", "since", "slept", "started", "state", "upcoming")

    def __init__(self, call: tuple[Any, Any, Any], since: int, started: Any) -> None:
        self.call = call
        #: The attempts that were made, those of retries below included.
        self.attempt = 1
        self.retries = 0
        #: The latest mark of `nesting` when the latest attempt began.
        self.since = since
        self.started: float = started
        #: Seconds: those slept, as far as was asked for, and those of the next sleep.
        self.slept = self.upcoming = 0.0
        #: For tenacity's strategies.
        self.state: Any = None

    def begin_next(self) -> None:
        self.attempt += 1
        self.retries += 1
        self.slept += self.upcoming
        self.since = nesting.latest


#: Seconds to wait before the next attempt; None, and a note, if there is to be none.
Decide = Callable[[Tries, Exception], float | None]
#: Whether the wait took so long that there is to be none after all; with a note.
IsLate = Callable[[Tries, Exception], bool]


def retried(
    wrapped: Callable[..., Any],
    begin: Callable[[], Any] | None,
    decide: Decide,
    is_late: IsLate,
    sleep: Callable[[float], Any] | None,
) -> Any:
    """Wrap a function of any kind. `begin` is called before the first attempt of each call, and
    what it returned is given on as `started`."""
    kind = kind_of(wrapped)
    if kind == "plain":
        return _plain(wrapped, begin, decide, is_late, sleep)
    if kind == "coroutine":
        return _coroutine(wrapped, begin, decide, is_late, sleep)
    if kind == "generator":
        return _generator(wrapped, _plain(_started(wrapped), begin, decide, is_late, sleep))
    start = _coroutine(_started_async(wrapped), begin, decide, is_late, sleep)
    return _async_generator(wrapped, start)


def _plain(wrapped: Any, begin: Any, decide: Any, is_late: Any, sleep: Any) -> Any:
    def pause(tries: Tries, error: Exception) -> bool:
        seconds = decide(tries, error)
        if seconds is None:
            return False
        (sleep or time.sleep)(seconds)
        return not is_late(tries, error)

    def again(tries: Tries, args: Any, kwargs: Any) -> Any:
        while True:
            tries.begin_next()
            try:
                return wrapped(*args, **kwargs)
            except Exception as error:
                _trim(error, sys._getframe())
                if not pause(tries, error):
                    raise

    @functools.wraps(wrapped)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        since = nesting.latest
        started = None if begin is None else begin()
        try:
            return wrapped(*args, **kwargs)
        except Exception as error:
            tries = Tries((wrapped, args, kwargs), since, started)
            if not pause(tries, error):
                raise
        return again(tries, args, kwargs)

    return wrapper


def _coroutine(wrapped: Any, begin: Any, decide: Any, is_late: Any, sleep: Any) -> Any:
    async def pause(tries: Tries, error: Exception) -> bool:
        seconds = decide(tries, error)
        if seconds is None:
            return False
        await sleep_async(sleep, seconds)
        return not is_late(tries, error)

    async def again(tries: Tries, args: Any, kwargs: Any) -> Any:
        while True:
            tries.begin_next()
            try:
                return await wrapped(*args, **kwargs)
            except Exception as error:
                _trim(error, sys._getframe())
                if not await pause(tries, error):
                    raise

    @functools.wraps(wrapped)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        since = nesting.latest
        started = None if begin is None else begin()
        try:
            return await wrapped(*args, **kwargs)
        except Exception as error:
            tries = Tries((wrapped, args, kwargs), since, started)
            if not await pause(tries, error):
                raise
        return await again(tries, args, kwargs)

    return wrapper


def _started(wrapped: Any) -> Any:
    """Make a function that returns a generator and its first value; or None and what it returned
    without giving one, since a StopIteration is not to be taken for a failure."""

    @functools.wraps(wrapped)
    def start(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        inner = wrapped(*args, **kwargs)
        # What stands for a generator, in a foreign decorator below, may be any iterable.
        inner = inner if hasattr(inner, "throw") else as_generator(inner)
        try:
            return inner, inner.send(None)
        except StopIteration as stop:
            return None, stop.value

    return start


def _started_async(wrapped: Any) -> Any:
    @functools.wraps(wrapped)
    async def start(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        inner = wrapped(*args, **kwargs)
        inner = inner if hasattr(inner, "athrow") else as_async_generator(inner)
        try:
            return inner, await first_step(inner)
        except StopAsyncIteration:
            return None, None

    return start


def _generator(wrapped: Any, start: Any) -> Any:
    @functools.wraps(wrapped)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        # Values and errors are kept in lists, since a variable would keep them alive. By hand, not
        # by `yield from`, which cannot begin with the second value, and takes another way with
        # GeneratorExit: since Python 3.13 close() returns what the generator returns.
        inner, *passing = start(*args, **kwargs)
        del args, kwargs
        if inner is None:
            return passing.pop()
        thrown: list[BaseException] = []
        try:
            while True:
                try:
                    sent = yield passing.pop()
                except BaseException as error:
                    thrown.append(error)
                # Not in `except`: what is raised inside gets no context that it had not.
                passing.append(inner.throw(thrown.pop()) if thrown else inner.send(sent))
        except StopIteration as stop:
            return stop.value

    return awaitable_like(wrapped, wrapper)


def _async_generator(wrapped: Any, start: Any) -> Any:
    @functools.wraps(wrapped)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner, *passing = await start(*args, **kwargs)
        del args, kwargs
        if inner is None:
            return
        thrown: list[BaseException] = []
        try:
            while True:
                try:
                    sent = yield passing.pop()
                except BaseException as error:
                    thrown.append(error)
                passing.append(await (inner.athrow(thrown.pop()) if thrown else inner.asend(sent)))
        except StopAsyncIteration:
            pass

    return wrapper


def _trim(error: BaseException, frame: FrameType) -> None:
    """Take off the traceback what earlier attempts of this call put before: an exception object
    that is raised again and again gathers it all."""
    # An error of ours must not take the place of one that lets nobody see its attributes.
    with contextlib.suppress(Exception):
        entry = kept = error.__traceback__
        while entry is not None:
            if entry.tb_frame is frame:
                kept = entry
            entry = entry.tb_next
        # Not by the attribute, which a frozen dataclass refuses to set.
        error.with_traceback(kept)
