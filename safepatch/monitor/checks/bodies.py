"""What is looked for in an answer's body: words, a regular expression, values in JSON."""

from __future__ import annotations

import codecs
import functools
import importlib
import json
import re
from typing import Any

from safepatch.monitor.courses import CheckError
from safepatch.monitor.plan import Options

#: Seconds that a regular expression may take, which may grow much faster than a body does, and in
#: which nothing else is checked.
PATIENCE = 0.1

_STEP = re.compile(r"""\.?([^\s.\[\]"']+)|\[(-?\d+)\]|\[("(?:[^"\\]|\\.)*")\]""")


# The encodings of browsers, by Python's names. Python has others, such as punycode, with which a
# time is taken that grows with the square of a body.
_CHARSETS = re.compile(
    r"utf-8|utf-8-sig|utf-16(-[bl]e)?|ascii|iso8859-\d+|cp\d+|koi8-[ru]|mac-(roman|cyrillic)|tis-620"
    r"|gbk|gb2312|gb18030|big5|big5hkscs|euc_jp|euc_kr|shift_jis|iso2022_jp"
)


def decoded(body: bytes, kind: str) -> str:
    """The text of a body with that Content-Type; UTF-8 where that tells nothing of use."""
    _, _, charset = kind.lower().partition("charset=")
    charset = charset.partition(";")[0].strip("\"' ") or "utf-8"
    try:
        known = _CHARSETS.fullmatch(codecs.lookup(charset[:40]).name)
    except (LookupError, ValueError):  # ValueError for NUL
        known = None
    return body.decode(charset if known else "utf-8", "replace")


def expects(options: Options) -> bool:
    """Whether anything is looked for in a body."""
    return bool(options.contains or options.lacks or options.matches or options.json)


def expect(text: str, options: Options) -> None:
    """See that a text has what it is to have. Raises CheckError("content") with what is wrong."""
    for words in options.contains:
        if words not in text:
            raise CheckError("content", f"{words!r} is not in it; it begins with {shown(text)}")
    for words in options.lacks:
        if words in text:
            raise CheckError("content", f"{words!r} is in it: {_around(text, words)}")
    if options.matches and not _found(options.matches, text):
        raise CheckError(
            "content", f"{options.matches!r} matches nothing in it; it begins with {shown(text)}"
        )
    if options.json:
        _expect_json(text, options.json)


def shown(text: str, most: int = 80) -> str:
    """The beginning of a text, as a literal of Python."""
    text = " ".join(text[: 4 * most].split())
    return repr(text[:most] + "...") if len(text) > most else repr(text)


def _around(text: str, words: str) -> str:
    at = text.index(words)
    return shown(text[max(0, at - 30) : at + len(words) + 30], 60 + len(words))


def _found(pattern: str, text: str) -> bool:
    try:
        return _compiled(pattern).search(text, timeout=PATIENCE) is not None
    except TimeoutError:
        raise CheckError(
            "internal",
            f"{pattern!r} took longer than {PATIENCE:g} s to be looked for; write one that does not"
            " repeat what repeats",
        ) from None


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    try:
        # Not `re`, which cannot be made to give up.
        regex = importlib.import_module("regex")
    except ModuleNotFoundError:
        message = "matches needs 'regex'; install it with pip install 'safepatch-py[monitor]'"
        raise CheckError("internal", message) from None
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise CheckError("internal", f"{pattern!r} is no regular expression: {error}") from None


def _expect_json(text: str, wanted: dict[str, Any]) -> None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckError(
            "content", f"it is no JSON ({error}); it begins with {shown(text)}"
        ) from None
    for path, value in wanted.items():
        found = value_at(document, path)
        if not _same(found, value):
            raise CheckError("content", f"{path} is {_json(found)}, not {_json(value)}")


def value_at(document: Any, path: str) -> Any:
    """What a JSON document has at a path: "data.items[0].name", 'labels["a.b"]', "[-1]".

    Names are split by dots, or in brackets and quoted as in JSON; numbers in brackets are places in
    lists, negative ones from the end. "" is all of it. Raises CheckError("content") with how far
    the path leads, CheckError("internal") for what is no path.
    """
    value = document
    done = ""
    for written, key in steps(path):
        try:
            if not isinstance(value, dict if isinstance(key, str) else list):
                raise LookupError
            value = value[key]  # type: ignore[index]
        except LookupError:
            raise CheckError(
                "content", f"it has no {path}: {done or 'the document'} is {_json(value)}"
            ) from None
        done += written
    return value


@functools.lru_cache(maxsize=1024)
def steps(path: str) -> tuple[tuple[str, str | int], ...]:
    """The steps of a path: what was written, and the key or place it means."""
    found: list[tuple[str, str | int]] = []
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None or (path[at] == "." and not found):
            raise CheckError(
                "internal",
                f"{path!r} is no path into JSON, from {path[at:]!r} on; write "
                """data.items[0].name, or data["a.b"]""",
            )
        name, place, quoted = step.groups()
        if name is not None and found and path[at] != ".":
            raise CheckError(
                "internal", f"{path!r} is no path into JSON: a dot is missing before {name}"
            )
        key = name if name is not None else int(place) if place else json.loads(quoted)
        found.append((step.group(), key))
        at = step.end()
    return tuple(found)


def _same(found: Any, wanted: Any) -> bool:
    """Whether two values are equal in JSON, where true is not 1."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return found.keys() == wanted.keys() and all(_same(found[k], wanted[k]) for k in wanted)
    if isinstance(wanted, (list, tuple)) and isinstance(found, list):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
