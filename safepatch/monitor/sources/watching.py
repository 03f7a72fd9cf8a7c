"""Whether sources have changed since they were looked at last."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from safepatch.monitor.sources.documents import Source, is_file

_Look = tuple[int, int, int] | None  # None while there is no such file

#: How many looks in a row a file must be gone: editors take one away and put another in its place.
GONE_FOR = 3


class Watch:
    """Looks after the files among sources, and the files of lines that those name.

    Begin it before the sources are read, so that what changes meanwhile is seen. Addresses,
    mappings and standard input do not change. Of one greenlet or thread at a time.
    """

    def __init__(self, sources: Sequence[Source] | Source) -> None:
        if isinstance(sources, str | Path | Mapping):
            sources = [sources]
        self._named = [
            Path(source)
            for source in sources
            if isinstance(source, Path) or (isinstance(source, str) and is_file(source))
        ]
        self._known = self._look()
        self._before = self._known
        self._gone = 0

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are looked after."""
        return tuple(self._known)

    def changed(self) -> bool:
        """Whether a file is another than before; once for each change.

        That is told as soon as two looks in a row see the same, so that no half-written file is
        read; and of a file that is gone at the third look. A look takes microseconds a file.
        """
        seen = {path: _look(path) for path in self._known}
        is_steady, self._before = seen == self._before, seen
        if seen == self._known or not is_steady:
            self._gone = 0
            return False
        if None in seen.values() and self._gone < GONE_FOR - 2:
            self._gone += 1
            return False
        self._gone = 0
        self._known = self._before = self._look()
        return True

    def _look(self) -> dict[Path, _Look]:
        """How the files look now, and those that they name."""
        named = {path: _look(path) for path in self._named}
        return {**named, **{path: _look(path) for file in named for path in _listed(file)}}


def _look(path: Path) -> _Look:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _listed(path: Path) -> list[Path]:
    """The files of lines that a .toml file names, as far as it can be read."""
    if path.suffix.lower() != ".toml":
        return []
    try:
        text = path.read_text(encoding="utf-8-sig")
        if "lists" not in text:  # so that it need not be parsed
            return []
        said = tomllib.loads(text).get("monitor", {}).get("lists", [])
        names = [said] if isinstance(said, str) else said
        return [path.parent / os.path.expanduser(name) for name in names]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return []  # reading it tells what is wrong
