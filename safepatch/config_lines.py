"""At which line of a configuration each key is written, which Python's TOML does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

Keys = tuple[str, ...]

# What can stand between pieces that matter, such as dots and blanks, is left out.
_PIECE = re.compile(
    r"""
    "{3}(?:[^\\]|\\.)*?"{3,5} | '{3}.*?'{3,5} | "(?:[^"\\\n]|\\.)*" | '[^'\n]*'
    | \#[^\n]* | [A-Za-z0-9_-]+ | [][{}=,\n]
    """,
    re.VERBOSE | re.DOTALL,
)


def lines(text: str) -> dict[str, int]:
    """The line where each patch is named first, in TOML that can be read, in linear time."""
    ours: dict[str, int] = {}
    plain: dict[str, int] = {}
    for keys, line in _keys(text):
        if keys[:3] == ("tool", "safepatch", "patches") and len(keys) > 3:
            ours.setdefault(keys[3], line)
        elif keys[:1] == ("patches",) and len(keys) > 1:
            plain.setdefault(keys[1], line)
    return ours or plain


def places(text: str) -> dict[Keys, int]:
    """The line where each key is written first, by the keys from the top of the document down."""
    found: dict[Keys, int] = {}
    for keys, line in _keys(text):
        found.setdefault(keys, line)
    return found


def _keys(text: str) -> Iterator[tuple[Keys, int]]:
    """All keys, from the top of the document down to each, with their lines."""
    table: Keys = ()
    key: list[str] = []
    within: list[tuple[str, Keys]] = []  # the open brackets of a value, and the keys down to each
    is_value = False
    for piece, line in _pieces(text):
        above = within[-1][1] if within else table
        if piece in ("]", "}") and within:
            within.pop()
            is_value = True  # or behind it
        elif piece in ("[", "{") and is_value:
            within.append((piece, (*above, *key)))
            key, is_value = [], piece == "["
        elif piece in (",", "\n"):
            if is_value and (within[-1][0] == "{" if within else piece == "\n"):
                key, is_value = [], False
        elif piece == "]" and key:  # behind the name of a table
            table, key = tuple(key), []
            yield table, line
        elif piece == "=":
            is_value = True
            yield (*above, *key), line
        elif not is_value and piece not in ("[", "]"):
            key.append(_unquoted(piece))


def _pieces(text: str) -> Iterator[tuple[str, int]]:
    """Brackets, commas, equals signs, ends of lines, words and texts, each with its line."""
    line = 1
    for found in _PIECE.finditer(text):
        piece = found[0]
        if not piece.startswith("#"):
            yield piece, line
        line += piece.count("\n")


def _unquoted(key: str) -> str:
    unquoted: str = tomllib.loads(f"key = {key}")["key"] if key[0] in "\"'" else key
    return unquoted
