"""Engines that keep what a store keeps, for tests of what all of them promise.

An engine is a function of a fresh directory that gives what `Store` is called with.
"""

from typing import Any

ENGINES: dict[str, Any] = {
    "journal": lambda path: ((path / "state",), {}),
    # So few in memory that documents come and go all the time.
    "sqlite": lambda path: ((f"sqlite:///{path}/state.db",), {"in_memory": 1}),
}
