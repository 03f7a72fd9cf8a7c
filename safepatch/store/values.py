"""Documents as bytes: what can be stored, and comes back as it was."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import msgspec
from crc32c import crc32c

from safepatch.store.errors import NotStorableError

# A collection, a key, and a document as bytes, or None if it was removed.
Op: TypeAlias = tuple[str, str, bytes | None]

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode
checksum = crc32c

_ANY = {str, bool, type(None)}  # types of which every value can be stored
# Dicts and lists within one another. Reading takes as much of the stack as writing does, and who
# opens the store may be deeper in it than who wrote; Python allows for 1000 in all.
_LEVELS = 500


def encoded(collection: str, key: str, document: Any) -> bytes:
    """A document as bytes. Raises NotStorableError if it has no such form at all."""
    try:
        return encode(document)
    except Exception as error:
        raise refusal(collection, key, document, error) from error


def refusal(collection: str, key: str, document: Any, error: Exception) -> NotStorableError:
    """What to raise for a document that `encode` refused: where in it, and why."""
    try:
        need_storable(collection, key, document)
    except NotStorableError as found:
        return found
    return NotStorableError(collection, key, [], f"{error}")


def need_storable(collection: str, key: str, document: Any) -> None:
    """Raise NotStorableError for what would not come back as it is."""
    try:
        if not key.isascii() or not collection.isascii():
            f"{collection}{key}".encode()
        refused = _refused(document)
    except RecursionError:
        refused = [], f"it contains itself, or is nested more than {_LEVELS} levels deep"
    except UnicodeEncodeError:
        refused = [], "its key, or the name of its collection, is no text: it has half a character"
    if refused is not None:
        raise NotStorableError(collection, key, *refused)


def _refused(value: Any, levels: int = _LEVELS) -> tuple[list[str | int], str] | None:
    """Where in a value something cannot be stored, and why. Raises RecursionError for its depth.

    Types are compared exactly: a subclass, a tuple or a set would come back as something else.
    """
    kind = type(value)
    if kind in _ANY:
        return None
    if kind is int:
        return None if -(1 << 63) <= value < 1 << 64 else ([], f"{value!r} has more than 64 bits")
    if kind is float:
        return None if math.isfinite(value) else ([], f"{value!r} is not finite")
    if kind is dict:
        for name in value:
            if type(name) is not str:
                return [], f"the key {name!r} is of type {type(name).__name__}"
        inner: Any = value.items()
    elif kind is list:
        inner = enumerate(value)
    else:
        return [], f"{value!r} is of type {kind.__name__}"
    if not levels:
        raise RecursionError
    for step, part in inner:
        if type(part) not in _ANY and (refused := _refused(part, levels - 1)) is not None:
            return [step, *refused[0]], refused[1]
    return None
