"""Where sources are: files, addresses, standard input and mappings, each as what it says."""

from __future__ import annotations

import functools
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from safepatch import config_lines
from safepatch.monitor.sources import lines
from safepatch.monitor.sources.addresses import shown
from safepatch.monitor.sources.lines import Line, Lines, Tell
from safepatch.monitor.sources.tables import near_file

Source = str | Path | Mapping[str, Any]
Input = str | bytes | IO[str] | IO[bytes]

_FILES = re.compile(r"\.(txt|toml|list|lst|conf|cfg|csv|json|ya?ml|ini|md)$", re.IGNORECASE)


class Document:
    """Tables of a .toml file, or a mapping that has the same.

    `label` says which, `folder` is where its paths begin.
    """

    def __init__(self, label: str, table: Mapping[str, Any], folder: Path, text: str = "") -> None:
        self.label = label
        self.table = table
        self.folder = folder
        self._text = text

    @functools.cached_property
    def _places(self) -> dict[tuple[str, ...], int]:
        return config_lines.places(self._text)

    def where(self, *keys: str) -> str:
        """Where a key is written, "monitor.toml:12"; of a mapping, the keys."""
        if not self._text:
            return self.label
        for end in range(len(keys), 0, -1):
            if keys[:end] in self._places:
                return f"{self.label}:{self._places[keys[:end]]}"
        below = (line for found, line in self._places.items() if found[:1] == keys[:1])
        return f"{self.label}:{next(below, 1)}"


def dotted(*keys: str) -> str:
    """Keys as they are written in TOML."""
    return ".".join(
        key if re.fullmatch("[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)
        for key in keys
        if key
    )


def is_file(source: str) -> bool:
    """Whether a text is meant to be a file: it is there, or looks like one."""
    if source == "-" or "://" in source:
        return False
    try:
        is_there = Path(source).exists()
    except (OSError, ValueError):
        is_there = False
    looks = "/" in source and not re.search(r"[.:\w]+\.[a-z]{2,}/", source)
    return is_there or looks or bool(_FILES.search(source))


def load(
    source: Source, number: int, stdin: Input | None, tell: Tell, pause: Callable[[], None]
) -> Iterator[Document | tuple[str, Lines]]:
    """What a source says: a document, or lines with the label of their file, or nothing."""
    if isinstance(source, Mapping):
        yield Document("the mapping", source, Path())
    elif not isinstance(source, str | Path):
        tell(f"source {number}", f"{shown(source)} is no file, address or mapping")
    elif source == "-":
        text = lines.decode(_input(stdin), "standard input", tell)
        yield "standard input", lines.read(text, "standard input", tell, pause)
    elif isinstance(source, str) and not source.strip():
        tell(f"argument {number}", "it is blank; write an address or the name of a file")
    elif isinstance(source, Path) or is_file(source):
        yield from _file(Path(source), tell, pause)
    elif re.fullmatch(r"[\w-]+", source) and (hint := near_file(Path(source))):
        tell(f"argument {number}", f"there is no file {source!r}{hint}")
    else:
        try:
            yield f"argument {number}", Lines([lines.argument(source.strip())], ())
        except ValueError as error:
            hint = f" (nor is there a file {source!r})" if "://" not in source else ""
            tell(f"argument {number}", f"{error}{hint}")


def _input(stdin: Input | None) -> bytes:
    given = _standard_input() if stdin is None else stdin
    read = given if isinstance(given, str | bytes) else given.read()
    return read.encode("utf-8", "surrogateescape") if isinstance(read, str) else read


@functools.cache
def _standard_input() -> bytes:
    """What the process was given: it can be read only once, and a source may be read again."""
    return sys.stdin.buffer.read()


def _file(
    path: Path, tell: Tell, pause: Callable[[], None]
) -> Iterator[Document | tuple[str, Lines]]:
    data = content(path, str(path), tell)
    if data is None:
        return
    text = lines.decode(data, str(path), tell)
    if path.suffix.lower() != ".toml":
        yield str(path), lines.read(text, str(path), tell, pause)
        return
    try:
        yield Document(str(path), tomllib.loads(text), path.parent, text)
    except (ValueError, RecursionError) as error:
        told = re.sub(r" \(at .*\)$", "", str(error))
        line = _line(str(error), text)
        tell(f"{path}:{line}" if line else str(path), f"this is no TOML: {told}{_why(text, line)}")


def content(path: Path, where: str, tell: Tell) -> bytes | None:
    """What a file has in it; None if it cannot be read, which is told."""
    is_own = where == str(path)
    what = "this" if is_own else f"the file {str(path)!r}"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        tell(
            where,
            f"there is no {'such file' if is_own else f'file {str(path)!r}'}{near_file(path)}",
        )
    except IsADirectoryError:
        tell(where, f"{what} is a folder; name the files in it")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        tell(where, f"{what} cannot be read: {why}")
    return None


def _line(error: str, text: str) -> int:
    """The line that an error of tomllib names, or 0."""
    found = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", error)
    last = text.count("\n") + (not text.endswith("\n"))
    return int(found[1] or last) if found else 0


def _why(text: str, line: int) -> str:
    """What to do about a line that is no TOML, or ""."""
    written = (["", *text.split("\n")][line] if line else "").strip()
    if found := re.search(r"=\s*(\d+(?:ms|s|m|h|d|w))\b", written):
        return f'; did you mean "{found[1]}", in quotes?'
    if re.match(r"[\w.\"-]+\s*=\s*[A-Za-z]", written):
        return "; a text is in quotes, and all that stands without them is true, false or a number"
    try:
        lines.unnamed(written)
    except ValueError:
        return ""
    return "; lines of addresses are to be in a file of another name, such as sites.txt"


def listed(path: Path, where: str, tell: Tell, pause: Callable[[], None]) -> Lines | None:
    """What a file of lines says that a document names."""
    if path.suffix.lower() == ".toml":
        tell(where, f"{str(path)!r} is no file of lines; give it as a source of its own")
        return None
    data = content(path, where, tell)
    if data is None:
        return None
    return lines.read(lines.decode(data, str(path), tell), str(path), tell, pause)


__all__ = ["Document", "Input", "Line", "Source", "content", "dotted", "is_file", "listed", "load"]
