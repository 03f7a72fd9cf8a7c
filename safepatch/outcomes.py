"""What a call came to, kept to be given later; and which errors are not for a program to catch."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple


class Raised(NamedTuple):
    """An exception as it was when it passed through the link, before the decorator saw it."""

    error: BaseException
    traceback: Any
    context: BaseException | None
    cause: BaseException | None
    suppressed: bool
    notes: list[str] | None

    def give(self) -> Any:
        error = self.error
        if self.notes is None:
            vars(error).pop("__notes__", None)
        else:
            error.__notes__ = self.notes
        try:
            raise error.with_traceback(self.traceback)
        finally:
            # `raise` has made a context of whatever the caller is handling just now.
            error.__context__, error.__cause__ = self.context, self.cause
            error.__suppress_context__ = self.suppressed
            del error, self  # the traceback leads to this frame: a circle else


def noted(error: BaseException) -> Raised:
    notes = getattr(error, "__notes__", None)
    return Raised(
        error,
        error.__traceback__,
        error.__context__,
        error.__cause__,
        error.__suppress_context__,
        None if notes is None else [*notes],
    )


def interruption_in(error: BaseException, handled: BaseException | None) -> BaseException | None:
    """What is no Exception and was on its way when this error took its place: Ctrl-C, say.

    One that was converted by `raise ... from` is on its way no more.
    """
    for _ in range(100):  # somebody may have made a circle
        if error.__suppress_context__ or error.__context__ in (None, handled):
            return None
        error = error.__context__
        if not isinstance(error, Exception):
            return error
    return None


def is_to_end_all(error: BaseException) -> bool:
    """Whether it surely is for the caller. A gevent.Timeout may be the decorator's own."""
    if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
        return True
    if type(error).__name__ == "GreenletExit":
        return True
    return type(error).__name__ == "CancelledError" and not ended_in_private(error)


def ended_in_private(error: BaseException) -> bool:
    """Whether it cancelled a part of a task, as time-outs do, which has said so since."""
    if type(error).__name__ != "CancelledError" or "asyncio" not in sys.modules:
        return False
    import asyncio

    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and not task.cancelling()
