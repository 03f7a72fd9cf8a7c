"""What wrappers tell of themselves, `stats()` and `cache_info()`, as data for JSON."""

from __future__ import annotations

import math
from typing import Any

_TELLING = ("stats", "cache_info")


def counters(wrapper: Any) -> dict[str, Any]:
    """What a wrapper tells, by the names of the methods that tell it; {} if it has none.

    A method that raises is told as {"error": "ValueError: ..."}. Never raises.
    """
    found = {name: _told(wrapper, name) for name in _TELLING}
    return {name: told for name, told in found.items() if told is not None}


def _told(wrapper: Any, name: str) -> Any:
    try:
        return plain(getattr(wrapper, name)()) if _has(wrapper, name) else None
    except Exception as error:  # it is not ours, and not what was asked for
        try:
            return {"error": f"{type(error).__name__}: {error}"}
        except Exception:
            return {"error": type(error).__name__}


def _has(wrapper: Any, name: str) -> bool:
    """Whether a wrapper tells it of itself. functools.wraps copies what lies below tells to what
    stands above it, and a proxy or a mock has whatever it is asked for."""
    from inspect import getattr_static

    own = getattr_static(wrapper, name, None)
    below = getattr(wrapper, "__wrapped__", None)
    return own is not None and own is not getattr(below, name, None) and callable(own)


def plain(value: Any, depth: int = 5) -> Any:
    """The same as dicts, lists, texts, numbers, booleans and None; what is none of these by its
    repr.

    Named tuples become dicts. JSON has no infinite numbers: they become "inf", "-inf" and "nan".
    What lies deeper than `depth`, as a list in itself does, is told by its repr too.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else str(value)
    if depth and isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(getattr(value, name), depth - 1) for name in _names(value)}
    if depth and isinstance(value, dict):
        return {str(key): plain(one, depth - 1) for key, one in value.items()}
    if depth and isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one, depth - 1) for one in value]
    return repr(value)


def _names(value: Any) -> tuple[str, ...]:
    """The fields of a named tuple, and what its class or it has beside them, as CacheInfo has."""
    return tuple(dict.fromkeys([*value._fields, *getattr(value, "__dict__", {})]))
