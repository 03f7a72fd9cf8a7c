"""Where the user's code called us: for `applied_from` and for warnings that point at that line."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from types import FrameType

from safepatch.kinds import FILE

_PACKAGE = os.path.dirname(__file__) + os.sep
# Who runs a coroutine is the user's business, not asyncio's, which is not imported to say so.
_ASYNCIO = os.path.join(os.path.dirname(os.__file__), "asyncio") + os.sep
_PASSED = (_PACKAGE, FILE, "<frozen importlib", contextlib.__file__, _ASYNCIO)


def caller() -> FrameType:
    """The innermost frame that is not ours."""
    frame = sys._getframe(2)  # the two nearest are ours; a frame that nobody asks for is cheaper
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PASSED):
        frame = frame.f_back
    return frame


def where() -> str:
    """file:line of the caller's code."""
    frame = caller()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the caller's line, however deep in here we are."""
    frame = caller()
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__", "<unknown>"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def warn_at(place: str, message: str, category: type[Warning]) -> None:
    """Warn at a line noted earlier; in an import, which must not fail, so never raises."""
    filename, _, line = place.rpartition(":")
    try:
        warnings.warn_explicit(message, category, filename, int(line))
    except Warning:
        import logging

        logging.getLogger("safepatch").warning("%s: %s", place, message)
