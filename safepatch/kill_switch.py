"""SAFEPATCH_DISABLE: whoever starts the process switches patches off, by name or target."""

from __future__ import annotations

import os

_said: set[tuple[str, str]] = set()  # the patches of which it was logged that they are disabled


def disables(target: str, name: str, group: str) -> bool:
    """Whether the environment names a patch, its group or its target; says so once in the log."""
    listed = os.environ.get("SAFEPATCH_DISABLE", "").replace(":", ".").split(",")
    mine = {"*", *(text.replace(":", ".") for text in (target, name, group))}
    if mine.isdisjoint(part.strip() for part in listed if part.strip()):
        return False
    if (name, target) not in _said:
        import logging

        _said.add((name, target))
        logging.getLogger("safepatch").warning(
            "patch %r of %r is skipped: SAFEPATCH_DISABLE names it", name, target
        )
    return True
