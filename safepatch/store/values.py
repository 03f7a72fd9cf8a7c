"""Documents as bytes: what can be stored, and comes back as it was."""

from __future__ import annotations

import marshal
import math
from collections.abc import Set
from typing import Any, NoReturn, TypeAlias

import msgspec
from crc32c import crc32c

from safepatch.store.errors import NotStorableError

# A collection, a key, and a document as bytes, or None if it was removed.
Op: TypeAlias = tuple[str, str, bytes | None]

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode
checksum = crc32c

_SURE: Set[type] = frozenset({bool, type(None)})  # types of which every value can be stored
_ENCODED = _SURE | {int, str}  # and those of which every one can that `encode` takes
# Dicts and lists within one another. Reading takes as much of the stack as writing does, and who
# opens the store may be deeper in it than who wrote; Python allows for 1000 in all.
_LEVELS = 500
_LONG = 100  # characters of a value in a message


def encoded(collection: str, key: str, document: Any) -> bytes:
    """A document as bytes. Raises NotStorableError if it has no such form at all."""
    try:
        return encode(document)
    except Exception as error:
        refuse(collection, key, document, error)


def refuse(collection: str, key: str, document: Any, error: Exception) -> NoReturn:
    """Raise NotStorableError for what `encode` refused: where it is, and why.

    If nothing is wrong with the document, the error is not about it, and passes on.
    """
    try:
        need_storable(collection, key, document, _SURE)
    except NotStorableError as found:
        raise found from error
    raise error


def comes_back(document: Any, data: bytes) -> bool:
    """Whether a document that could be stored, and has the same bytes, still comes back as it is.

    That is quicker than to look at all that is in it.
    """
    try:
        marshal.dumps(document, 2)  # which refuses what is equal, and of a subclass
    except ValueError:
        return False
    same: bool = decode(data) == document
    return same


def need_storable(collection: str, key: str, document: Any, sure: Set[type] = _ENCODED) -> None:
    """Raise NotStorableError for what would not come back as it is, of what `encode` took.

    Values of types that are `sure` are not looked at.
    """
    try:
        if not key.isascii() or not collection.isascii():
            f"{collection}{key}".encode()
        refused = _refused(document, sure)
    except _TooDeepError:
        refused = [], f"it contains itself, or is nested more than {_LEVELS} levels deep"
    except UnicodeEncodeError:
        refused = [], "its key, or the name of its collection, is no text: it has half a character"
    if refused is not None:
        raise NotStorableError(collection, key, *refused)


class _TooDeepError(Exception):
    pass


def _refused(
    value: Any, sure: Set[type], levels: int = _LEVELS
) -> tuple[list[str | int], str] | None:
    """Where in a value something cannot be stored, and why. Raises _TooDeepError.

    Types are compared exactly: a subclass, a tuple or a set would come back as something else.
    """
    kind = type(value)
    if kind in sure:
        return None
    if kind is int:
        fits = -(1 << 63) <= value < 1 << 64
        return None if fits else ([], f"{_shown(value)} has more than 64 bits")
    if kind is float:
        return None if math.isfinite(value) else ([], f"{value!r} is not finite")
    if kind is str:
        return None if _is_text(value) else ([], f"{_shown(value)} has half a character")
    if kind is dict:
        for name in value:
            if type(name) is not str:
                return [], f"the key {_shown(name)} is of type {type(name).__name__}"
            if str not in sure and not _is_text(name):
                return [], f"the key {_shown(name)} has half a character"
        inner: Any = value.items()
    elif kind is list:
        inner = enumerate(value)
    else:
        return [], f"{_shown(value)} is of type {kind.__name__}"
    if not levels:
        raise _TooDeepError
    for step, part in inner:
        if type(part) not in sure and (found := _refused(part, sure, levels - 1)) is not None:
            return [step, *found[0]], found[1]
    return None


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # of a class that somebody else wrote
        return "what cannot be shown"
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
