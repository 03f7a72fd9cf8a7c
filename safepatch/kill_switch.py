"""SAFEPATCH_DISABLE: whoever starts the process switches patches off, by name or target."""

from __future__ import annotations

import os
from collections.abc import Callable

_said: set[tuple[str, str]] = set()  # the patches of which it was logged that they are disabled


def disabled() -> list[str]:
    """The names and targets that the environment lists."""
    listed = os.environ.get("SAFEPATCH_DISABLE")
    return [text.strip() for text in listed.split(",")] if listed else []


def disables(texts: list[str], name: str, target: str, is_meant: Callable[[str], bool]) -> bool:
    """Whether everything is listed, or a text that is meant; says so once in the log, with the
    name of the patch and its target."""
    if not any(text == "*" or is_meant(text) for text in texts if text):
        return False
    if (name, target) not in _said:
        import logging

        _said.add((name, target))
        logging.getLogger("safepatch").warning(
            "patch %r of %r is skipped: SAFEPATCH_DISABLE names it", name, target
        )
    return True
