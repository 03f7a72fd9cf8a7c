"""What is found about a decorator, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from safepatch.testing.promises import PROMISES


class Finding(NamedTuple):
    """A promise that is not kept: the name it has in `PROMISES`, for which kind of functions, what
    was expected there, and what was found."""

    promise: str
    kind: str
    expected: str
    found: str


def told(found: Iterable[Finding]) -> str:
    """A text for people: what is assumed, and under each how that was seen."""
    # Dicts, because each is to be told once, and in order.
    seen: dict[str, dict[tuple[str, str], dict[str, None]]] = {name: {} for name in PROMISES}
    for promise, kind, expected, instead in found:
        seen[promise].setdefault((expected, instead), {})[kind] = None
    lines = []
    for name, differences in seen.items():
        if differences:
            lines.append(f"- that {PROMISES[name].assumed} [{name}]")
        for (expected, instead), kinds in differences.items():
            lines.append(f"    {', '.join(kinds)}: expected {expected}; found {instead}")
    return "\n".join(lines)


def name_of(decorator: Any) -> str:
    """What to call a decorator: a partial by what it is of."""
    decorator = getattr(decorator, "func", decorator)
    return str(getattr(decorator, "__qualname__", None) or repr(decorator))
