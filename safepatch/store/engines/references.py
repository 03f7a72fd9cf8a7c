"""Whether anybody refers to a document, so that it must stay the same object."""

from __future__ import annotations

from collections.abc import Iterable
from sys import getrefcount
from typing import Any


def is_alone(parts: Iterable[Any]) -> bool:
    """Say whether nothing but a list or dict refers to its parts, and so on within them."""
    for part in parts:
        kind = type(part)
        if kind is dict or kind is list:
            if getrefcount(part) > _ALONE:
                return False
            if not is_alone(part.values() if kind is dict else part):
                return False
    return True


def _references(parts: Iterable[Any]) -> int:
    """How many there are to a part, seen in a loop as above, if there is no other."""
    for part in parts:
        return getrefcount(part)
    return 0


_ALONE = _references([{}])
