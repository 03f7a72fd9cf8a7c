"""Patches that fail open: what their decorators' own code raises does not reach the caller.

A call at the site and the calls of the link that belong to it find each other by a context
variable, so that threads, greenlets, tasks and recursion do not get in each other's way. The price
is paid by these patches alone.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any

from safepatch import events, kinds, stacks
from safepatch.errors import UnsupportedTargetError
from safepatch.outcomes import (
    Raised,
    ended_in_private,
    interruption_in,
    is_to_end_all,
    noted,
)

#: How many failures `fail_open=True` takes before the patch steps aside.
DEFAULT = 3


class Failures:
    """Those of one patch since it was applied.

    `stray` is another object after each call of the original that belongs to no known call at the
    site, such as one from a thread of the decorator's own.
    """

    __slots__ = ("after", "aside", "count", "last", "patch", "stray")

    def __init__(self, patch: Any, after: int) -> None:
        self.patch, self.after = patch, after
        self.count, self.last, self.aside = 0, "", False
        self.stray = object()

    def note(self, error: Exception) -> None:
        """Count one more; log the first, and that the patch steps aside with the last."""
        text = _written(error)
        with stacks.lock:
            self.count += 1
            number = self.count
            self.last = text
            if number == self.after:
                self.aside = True
                if self.patch.failures is self and self.patch.state == "applied":
                    self.patch.reason = self.reason()
        if number == 1:
            where = self.patch.applied_from
            said = f"(applied from {where}) fails open: its decorator raised {text}"
            events.log(self.patch, "failed open", events.ERROR, said, error)
        if number == self.after:
            said = f"{self.reason()}; calls go to what lies below it until it is applied anew"
            events.log(self.patch, "stepped aside", events.WARNING, said)

    def reason(self) -> str:
        many = "1 failure" if self.after == 1 else f"{self.after} failures"
        return f"stepped aside after {many} of its decorator, the last: {self.last}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "after": self.after,
            "failures": self.count,
            "last": self.last or None,
            "aside": self.aside,
        }


def _written(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # its __str__ is as foreign as the decorator
        return type(error).__name__


class _Call:
    """A call at the site: what passed through the link in it, and what the original last came to.

    `running` counts calls of the original that have begun and not ended; `last` is a tuple with the
    result, if it was none that it raised.
    """

    # In the class, where most calls leave them.
    last: tuple[Any] | Raised | None = None
    passed: tuple[BaseException, ...] = ()
    running = 0
    over = False

    def __init__(self, failures: Failures) -> None:
        self.failures, self.stray = failures, failures.stray
        self.handled = sys.exception()  # by the caller, just now
        outer: _Call | None = _calls.get()
        while outer is not None and outer.over:  # else callbacks that follow each other pile up
            outer = outer.outer
        self.outer: _Call | None = outer

    def raised(self, error: BaseException) -> None:
        self.running -= 1
        self.passed += (error,)
        self.last = noted(error)

    def forgives(self, error: Exception) -> bool:
        """Whether the caller is to get what the original came to, rather than this error.

        Not if it passed through the link, or was made of what did by `raise ... from`; nor where
        it cannot be told whether the original has run, for it must not run twice.
        """
        if any(passed is error or passed is error.__cause__ for passed in self.passed):
            return False
        self.failures.note(error)
        if self.running or self.stray is not self.failures.stray:
            return False
        last = self.last.error if type(self.last) is Raised else None
        interruption = interruption_in(error, self.handled)
        if interruption is None or interruption is last:
            return last is None or not ended_in_private(last)
        if is_to_end_all(interruption):
            self.last = noted(interruption)
            return True
        return ended_in_private(interruption)

    def end(self) -> None:
        """Tasks that were started inside keep this object alive; it is to keep nothing else."""
        self.over, self.last, self.passed, self.handled = True, None, (), None

    def step(self, step: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        before = _calls.set(self)
        try:
            return step(*args, **kwargs)
        finally:
            _calls.reset(before)

    @types.coroutine
    def steps(self, awaitable: Any) -> Generator[Any, Any, Any]:
        """Await, and be the current call only while that runs: coroutines take turns."""
        inner = kinds.steps(awaitable)
        step: Callable[[Any, Any], Any] = _send
        given: Any = None
        while True:
            try:
                asked = self.step(step, inner, given)
            except StopIteration as stop:
                return stop.value
            error = None
            try:
                step, given = _send, (yield asked)
            except GeneratorExit:
                self.step(_close, inner)
                raise
            except BaseException as thrown:
                error = thrown
            # Not in `except`: what is raised inside gets no context that it had not.
            if error is not None:
                step, given = _throw, error


def _send(inner: Any, value: Any) -> Any:
    return inner.send(value) if hasattr(inner, "send") else next(inner)


def _throw(inner: Any, error: BaseException) -> Any:
    if not hasattr(inner, "throw"):
        raise error
    return inner.throw(error)


def _close(inner: Any) -> None:
    if hasattr(inner, "close"):
        inner.close()


_calls: ContextVar[_Call | None] = ContextVar("safepatch.fail_open", default=None)


def _belongs_to(failures: Failures) -> _Call:
    """The call at the site that a call of the link is part of."""
    call = _calls.get()
    if call is not None and call.failures is failures and not call.over:  # nearly always
        return call
    while call is not None and call.failures is not failures:
        call = call.outer
    if call is None or call.over:
        failures.stray = object()
        return _Call(failures)
    return call


def check(original: Any, text: str, target: Any) -> None:
    """Refuse what runs after the call, piece by piece.

    How far the original got could be known, but not what of it the decorator has handed on.
    """
    kind = kinds.kind(original)
    if kind == kinds.PLAIN and not kinds.marked_coroutine(original):
        return
    if kind != kinds.COROUTINE:
        what = "a function that is marked as a coroutine function"
        what = kinds.NAMES[kind] if kind != kinds.PLAIN else what
        raise UnsupportedTargetError(
            f"cannot patch {text!r}, {what}, with fail_open: its body runs after the call, and "
            "when the decorator fails in the middle nobody can tell how to go on; leave it out",
            target=target,
            found=original,
        )


def link(original: Any, failures: Failures) -> Any:
    """The link for a patch that fails open: it notes what becomes of calls."""
    from safepatch.proxies import Watched

    def watch(below: Any, args: Any, kwargs: Any) -> Any:
        call = _belongs_to(failures)
        call.running += 1
        try:
            result = below(*args, **kwargs) if kwargs else below(*args)
        except BaseException as error:
            call.raised(error)
            raise
        call.running -= 1
        call.last = (result,)
        return result

    async def watch_awaiting(below: Any, args: Any, kwargs: Any) -> Any:
        call = _belongs_to(failures)
        call.running += 1
        try:
            result = await _result(below, args, kwargs)
        except BaseException as error:
            call.raised(error)
            raise
        call.running -= 1
        call.last = (result,)
        return result

    awaits = kinds.kind(original) == kinds.COROUTINE
    return Watched(original, watch_awaiting if awaits else watch)


async def _result(below: Any, args: Any, kwargs: Any) -> Any:
    result = below(*args, **kwargs)
    return await result if kinds.awaitable(result) else result


def failing_open(call: Any, link: Any, failures: Failures) -> Any:
    """Make a function that calls `call`, and where its own code fails, gives what the original
    came to; looks like `call`."""

    def guarded(*args: Any, **kwargs: Any) -> Any:
        if failures.aside:
            return link.__wrapped__(*args, **kwargs)
        this = _Call(failures)
        before = _calls.set(this)
        try:
            return call(*args, **kwargs) if kwargs else call(*args)
        except Exception as error:
            if not this.forgives(error):
                raise
            last = this.last
        finally:
            _calls.reset(before)
            this.end()
        # Not in `except`: what is raised here gets no context that it had not.
        if last is None:
            return link.__wrapped__(*args, **kwargs)
        try:
            return last.give() if type(last) is Raised else last[0]
        finally:
            del last  # the traceback of what it raises leads here: a circle else

    async def guarded_awaiting(*args: Any, **kwargs: Any) -> Any:
        if failures.aside:
            return await _result(link.__wrapped__, args, kwargs)
        this = _Call(failures)
        try:
            result = this.step(call, *args, **kwargs)
            if kinds.awaitable(result):
                return await this.steps(result)
            return result
        except Exception as error:
            if not this.forgives(error):
                raise
            last = this.last
        finally:
            this.end()
        if last is None:
            return await _result(link.__wrapped__, args, kwargs)
        try:
            return last.give() if type(last) is Raised else last[0]
        finally:
            del last

    awaits = kinds.kind(link) == kinds.COROUTINE
    return functools.update_wrapper(guarded_awaiting if awaits else guarded, call)
