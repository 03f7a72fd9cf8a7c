"""What values an option takes, told by its type hint: a part of a JSON schema.

What an editor says about a value and what is said when it is read come from the same shape.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Container, Iterable, Sequence
from typing import Any

from safepatch.references import is_reference

Shape = dict[str, Any]

#: Text such as "module:name", which stands for the object of that name.
REFERENCE: Shape = {"$ref": "#/definitions/reference"}
#: A table {object = "module:name"}, where text would be taken as text.
OBJECT: Shape = {"$ref": "#/definitions/object"}

_PLAIN: dict[Any, Shape] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
}
_ARRAYS = (tuple, list, set, Container, Iterable, Sequence)
_TYPES = {"string": str, "boolean": bool, "null": type(None)}
_WORDS = {
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "an array",
    "object": "a table",
}


def shape(hint: Any, objects: Shape) -> Shape:
    """The values that a type hint allows; where it wants an object that cannot be written down,
    `objects`, one of the two above."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if hint in (Any, object):
        return {}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return _any_of([shape(argument, objects) for argument in arguments])
    if origin in _ARRAYS:
        return {"type": "array", "items": shape(arguments[0], objects)}
    return objects


def _any_of(shapes: list[Shape]) -> Shape:
    different = [one for place, one in enumerate(shapes) if one not in shapes[:place]]
    if {} in different:
        return {}
    return different[0] if len(different) == 1 else {"anyOf": different}


def fits(value: Any, wanted: Shape) -> bool:
    """Whether a value is of a shape."""
    if "anyOf" in wanted:
        return any(fits(value, one) for one in wanted["anyOf"])
    if "enum" in wanted:
        return any(value is one or value == one for one in wanted["enum"])
    if wanted == REFERENCE:
        return is_reference(value)
    if wanted == OBJECT:
        return is_object(value)
    kind = wanted.get("type")
    if kind == "array":
        return isinstance(value, (list, tuple)) and all(
            fits(item, wanted["items"]) for item in value
        )
    if kind == "object":
        return isinstance(value, dict)
    if kind in ("integer", "number"):
        allowed = int if kind == "integer" else (int, float)
        return isinstance(value, allowed) and not isinstance(value, bool)
    return kind is None or isinstance(value, _TYPES[kind])


def told(wanted: Shape) -> str:
    """A shape in words. TOML has no null: what may be None can be left out."""
    if "anyOf" in wanted:
        return " or ".join(told(one) for one in wanted["anyOf"] if one.get("type") != "null")
    if "enum" in wanted:
        return "one of " + ", ".join(repr(value) for value in wanted["enum"] if value is not None)
    if wanted == REFERENCE:
        return "a text such as 'module:name'"
    if wanted == OBJECT:
        return '{object = "module:name"}'
    if wanted.get("type") == "array":
        items = wanted["items"]
        return f"an array, each item {told(items)}" if items else "an array"
    return _WORDS[wanted["type"]]


def shown(value: Any) -> str:
    """A value as it is shown in a message."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def is_object(value: Any) -> bool:
    """Whether a value is {object = "module:name"}, which stands for that object."""
    return isinstance(value, dict) and set(value) == {"object"} and is_reference(value["object"])
