"""What a benchmark says: on what it ran, what it left out, what was promised; and where it is kept.

`found` is what was measured, for machines, and has "python", "machine", "versions" and "left out".
"""

from __future__ import annotations

import json
import pathlib
import platform
from collections.abc import Iterable
from typing import Any

RESULTS = pathlib.Path(__file__).parent / "results"


def report(found: dict[str, Any], tables: Iterable[str], promised: Iterable[str]) -> str:
    """All of it, for people."""
    left_out = found["left out"]
    lines = [
        f"Python {found['python']} on {found['machine']}",
        ", ".join(f"{name} {which}" for name, which in found["versions"].items()),
        *tables,
        "\nLeft out" if left_out else "\nNothing was left out",
        *(f"  {name}: {reason}" for name, reason in left_out.items()),
        "\nPromised and measured",
        *promised,
    ]
    return "\n".join(lines)


def keep(name: str, found: dict[str, Any], text: str) -> None:
    """Write it where the documents look for it, by the version of Python."""
    short = ".".join(platform.python_version_tuple()[:2])
    (RESULTS / f"{name}-{short}.json").write_text(json.dumps(found) + "\n")
    (RESULTS / f"{name}-{short}.txt").write_text(text + "\n")
