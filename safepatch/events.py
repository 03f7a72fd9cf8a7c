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


def tell(patch: Any, event: str) -> None:
    """Log that a patch is now applied, undone, pending, skipped, failed or superseded.

    Call it without the lock, for handlers are foreign code. Never raises.
    """
    # Who has not imported it has set no handler that could take what is below a warning.
    if "logging" in sys.modules:
        reason = f": {patch.reason}" if patch.reason else ""
        log(patch, event, _LEVELS.get(event, DEBUG), f"is {event}{reason}")


def log(patch: Any, event: str, level: int, text: str, error: BaseException | None = None) -> None:
    """Log a sentence whose subject is a patch. Never raises."""
    try:
        import logging

        logger = logging.getLogger("safepatch")
        if logger.isEnabledFor(level):
            facts = {
                "event": event,
                "patch": patch.name,
                "target": patch.text,
                "registry": repr(patch.registry),
                "applied_from": patch.applied_from,
                "reason": patch.reason,
            }
            message = "patch %r of %r %s"
            logger.log(level, message, patch.name, patch.text, text, exc_info=error, extra=facts)
    except Exception:  # noqa: S110
        # A filter's, or a handler's: whoever applies a patch, or calls, has nothing to do with it.
        pass
