"""Conditions, columns and an order for documents; what is typed is parsed, and never evaluated."""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

MISSING: Any = object()
Condition = Callable[[str, Any], bool]

_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "=": operator.eq, "<": operator.lt,
    ">": operator.gt,
}  # fmt: skip
# bool first, for True is an int too.
_KINDS = ((bool, 1), ((int, float), 2), (str, 3), (list, 4), (dict, 5))


def at(path: str, key: str, document: Any) -> Any:
    """What is at a path in a document, or MISSING: `options.newsletter`, `tags.0`, or `@key`.

    A dot that belongs to a key is written `\\.`.
    """
    if path == "@key":
        return key
    for name in _steps(path):
        if isinstance(document, dict):
            document = document.get(name, MISSING)
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return MISSING
    return document


@functools.cache
def _steps(path: str) -> list[str]:
    return [step.replace("\\.", ".") for step in re.split(r"(?<!\\)\.", path)]


def condition(text: str) -> Condition:
    """A condition such as `options.newsletter=true`; a path alone asks whether something is there.

    The value is JSON, or else a text. What is of another type than the value is not equal to it,
    and neither less nor greater.
    """
    found = re.fullmatch(r"(.*?)(!=|<=|>=|=|<|>)(.*)", text, re.DOTALL)
    if not text or (found is not None and not found[1]):
        raise ValueError(f"got --where {text!r}; begin with a path, such as 'options.newsletter'")
    if found is None:
        return lambda key, document: at(text, key, document) is not MISSING
    path, sign, typed = found.groups()
    if sign == "=" and typed.startswith("="):
        raise ValueError(
            f"got --where {text!r}; write one '=', or a text that begins with it as '\"=...\"'"
        )
    if sign in ("<", ">", "<=", ">=") and not typed:
        raise ValueError(f"got --where {text!r}; give a value to compare with")
    compare, wanted = _SIGNS[sign], _value(typed)

    def holds(key: str, document: Any) -> bool:
        value = at(path, key, document)
        if value is MISSING or _kind(value) != _kind(wanted):
            return sign == "!=" and value is not MISSING
        if isinstance(value, (dict, list, type(None))) and sign not in ("=", "!="):
            return False
        return compare(value, wanted)

    return holds


def _value(typed: str) -> Any:
    try:
        return json.loads(typed)
    except (ValueError, RecursionError):  # as for thousands of brackets, which no document has
        return typed


def _kind(value: Any) -> int:
    return next((number for kind, number in _KINDS if isinstance(value, kind)), 0)


def chosen(
    documents: Mapping[str, Any], conditions: Iterable[Condition]
) -> Iterator[tuple[str, Any]]:
    """The keys and documents for which all conditions hold."""
    conditions = [*conditions]
    for key, document in documents.items():
        if all(holds(key, document) for holds in conditions):
            yield key, document


def in_order(found: Iterable[tuple[str, Any]], path: str) -> list[tuple[str, Any]]:
    """Sorted by what is at a path: null, bools, numbers, texts; then what is neither."""

    def place(each: tuple[str, Any]) -> tuple[int, Any]:
        value = at(path, *each)
        kind = 6 if value is MISSING else _kind(value)
        return kind, value if kind in (1, 2, 3) else 0

    return sorted(found, key=place)


def shown(value: Any) -> str:
    """A value as a cell of a table."""
    if value is MISSING:
        return ""
    if isinstance(value, str) and value.isprintable():
        return value
    return json.dumps(value, ensure_ascii=isinstance(value, str))
