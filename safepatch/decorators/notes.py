"""Notes on exceptions, for those who read the traceback."""

from __future__ import annotations

import contextlib


def note(error: BaseException, kind: str, rest: str) -> None:
    """Add a note, in place of those of its kind: one error may be raised again and again."""
    # An error of ours must not take the place of one that takes no notes, such as a frozen
    # dataclass.
    with contextlib.suppress(Exception):
        notes = getattr(error, "__notes__", [])
        notes[:] = [text for text in notes if not text.startswith(f"retry: {kind}")]
        error.add_note(f"retry: {kind} {rest}")
