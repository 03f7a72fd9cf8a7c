"""Where the program was when it imported safepatch, and what its environment said then."""

from __future__ import annotations

import os

#: SAFEPATCH_CONFIG; a relative path is taken from `directory`, wherever the program goes later.
config = os.environ.get("SAFEPATCH_CONFIG")


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


directory = _here() if config else ""
