"""Telling the log what becomes of patches: one record an event, its facts as attributes.

The logger is "safepatch". What was asked for is told at DEBUG, what came without being asked for
(failed in an import, superseded), at INFO; so nothing is printed where nobody has set up logging.
"""

from __future__ import annotations

import sys
from typing import Any

# The numbers of logging, which is not imported to name them.
DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
_LEVELS = {"failed": INFO, "superseded": INFO}


_logger: Any = None


def tell(patch: Any, event: str) -> None:
    """Log that a patch is now applied, undone, pending, skipped, failed or superseded.

    Call it without the lock, for handlers are foreign code. Never raises.
    """
    # Who has not imported it has set no handler that could take what is below a warning.
    if "logging" in sys.modules and _is_heard(level := _LEVELS.get(event, DEBUG)):
        reason = f": {patch.reason}" if patch.reason else ""
        log(patch, event, level, f"is {event}{reason}")


def log(patch: Any, event: str, level: int, text: str, error: BaseException | None = None) -> None:
    """Log a sentence whose subject is a patch. Never raises."""
    try:
        if _is_heard(level):
            facts = {
                "event": event,
                "patch": patch.name,
                "target": patch.text,
                "registry": repr(patch.registry),
                "applied_from": patch.applied_from,
                "reason": patch.reason,
            }
            message = "patch %r of %r %s"
            _logger.log(level, message, patch.name, patch.text, text, exc_info=error, extra=facts)
    except Exception:  # noqa: S110
        # A filter's, or a handler's: whoever applies a patch, or calls, has nothing to do with it.
        pass


def _is_heard(level: int) -> bool:
    global _logger
    try:
        if _logger is None:
            import logging

            _logger = logging.getLogger("safepatch")
        return bool(_logger.isEnabledFor(level))
    except Exception:  # somebody imports it just now, or has a class of loggers of his own
        return False
