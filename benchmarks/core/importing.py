"""What it costs to import safepatch, and to apply the first patch, in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

FIRST_PATCH = """
import safepatch
import colorsys
safepatch.apply((colorsys, "rgb_to_hsv"), lambda wrapped: lambda *args: wrapped(*args))
"""
STATEMENTS = {
    "import safepatch": "import safepatch",
    "import safepatch, first patch": FIRST_PATCH,
    "import safepatch.decorators": "import safepatch.decorators",
    "import wrapt": "import wrapt",
    "import unittest.mock": "import unittest.mock",
}


def imports(rounds: int) -> dict[str, float]:
    """Seconds for each statement, the least of several interpreters, started in turn."""
    found = dict.fromkeys(STATEMENTS, float("inf"))
    for _ in range(rounds):
        for name, statement in STATEMENTS.items():
            found[name] = min(found[name], _seconds(statement))
    return found


def _seconds(statement: str) -> float:
    timed = f"import time; start = time.perf_counter()\n{statement}\n"
    timed += "print(time.perf_counter() - start)"
    ran = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True)
    return float(ran.stdout)
