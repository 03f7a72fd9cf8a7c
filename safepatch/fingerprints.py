"""Fingerprints of functions: a hash of what their source says, the same on every Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from safepatch.errors import UnsupportedTargetError


def fingerprint_of(function: Any) -> str:
    """Hash a function's source: "sha256:..." over its tokens.

    Comments, docstrings, blank lines and layout do not count, and the same source gives the same
    fingerprint on every Python. Raises UnsupportedTargetError where there is no source (C code).
    """
    import hashlib
    import inspect
    import tokenize

    while isinstance(function, property) or type(function).__name__ == "cached_property":
        function = getattr(function, "fget", None) or function.func
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise UnsupportedTargetError(
            f"cannot take a fingerprint of {function!r}: it has no Python source; "
            "guard it by requires= or signature= instead",
            target=function,
            found=function,
        ) from error
    try:
        normal = "\0".join(_outdented(list(_tokens(source))))
    except (tokenize.TokenError, SyntaxError):  # part of a line, as a lambda may be
        normal = " ".join(source.split())
    return "sha256:" + hashlib.sha256(normal.encode()).hexdigest()


def _outdented(tokens: list[str]) -> list[str]:
    """Without the block that a method is indented by. Not by textwrap.dedent, which changes texts
    of several lines, and nothing if a comment starts at the margin."""
    return tokens[1:-1] if tokens[:1] == ["{"] else tokens


def _tokens(source: str) -> Iterator[str]:
    """The tokens that matter, each string literal whole."""
    import io
    import tokenize

    lines = io.StringIO(source).readlines()  # str.splitlines() splits at more than tokenize
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
    opening = {number for name, number in vars(tokenize).items() if name.endswith("STRING_START")}
    closing = {number for name, number in vars(tokenize).items() if name.endswith("STRING_END")}
    marks = {tokenize.INDENT: "{", tokenize.DEDENT: "}", tokenize.NEWLINE: ";"}
    statement: list[str] = []
    only_text = True  # so far the statement is nothing but string literals, perhaps in brackets
    depth, start = 0, (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        # From 3.12 on an f-string is many tokens; taken as the text between its ends it is one.
        if token.type in opening:
            start = start if depth else token.start
            depth += 1
        elif token.type in closing:
            depth -= 1
            if not depth:
                statement.append(_between(lines, start, token.end))
                only_text = False
        elif depth or token.type in skipped:
            continue
        elif token.type in marks:
            # A statement that is but text only documents.
            if statement and not only_text:
                yield from statement
                yield marks[tokenize.NEWLINE]
            if token.type != tokenize.NEWLINE:
                yield marks[token.type]
            statement, only_text = [], True
        else:
            statement.append(token.string)
            only_text = only_text and (token.string in "()" or _is_text(token.type, token.string))
    yield from statement


def _is_text(kind: int, literal: str) -> bool:
    """Whether a token is a string literal, and no f-string: those are one token up to 3.11."""
    import token

    prefix = literal[: literal.find(literal[-1])].lower()
    return kind == token.STRING and "f" not in prefix


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    middle = lines[start[0] : end[0] - 1]
    return "".join([lines[start[0] - 1][start[1] :], *middle, lines[end[0] - 1][: end[1]]])
