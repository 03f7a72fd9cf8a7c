"""Many documents at once: how long a restart takes and what they take in memory, and how long the
loop stands still while they are saved. All in child processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import Any

DOCUMENTS = 1_000_000
IMAGE, JOURNAL, DECODED = "safepatch, from an image", "safepatch, from a journal", "msgspec decodes"


def large(turns: int, many: int) -> dict[str, Any]:
    """By what was measured, by what was done, each a list of rounds."""
    with tempfile.TemporaryDirectory() as temporary:
        built = _child("documents", "build", temporary, many)
        opened: dict[str, list[Any]] = {JOURNAL: [], IMAGE: [], DECODED: []}
        for _ in range(turns):
            opened[JOURNAL].append(_child("documents", "open", temporary, many))
        compacted = _child("documents", "compact", temporary, many)
        for _ in range(turns):
            opened[IMAGE].append(_child("documents", "open", temporary, many))
            opened[DECODED].append(_child("documents", "decode", temporary, many))
        stalls = _child("stalls", "ours", temporary, many, turns)
    with tempfile.TemporaryDirectory() as temporary:
        stalls |= _child("stalls", "redis", temporary, many, turns)
    return {"built": built, "compacted": compacted, "opened": opened, "stalls": stalls}


def _child(module: str, *arguments: object) -> Any:
    command = [sys.executable, "-m", f"benchmarks.store.{module}", *map(str, arguments)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout)
