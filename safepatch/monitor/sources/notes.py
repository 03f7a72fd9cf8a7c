"""What is wrong with sources, noted while they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from safepatch.monitor.sources.documents import Document, dotted


class Notes:
    """All problems, and where the tables are that they may be about.

    `broken` are the keys of tables in which something is wrong, ("endpoints", "shop").
    """

    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []
        self.written: dict[tuple[str, str], Document] = {}
        self.broken: set[tuple[str, ...]] = set()

    def tell(self, where: str, message: str) -> None:
        """Something is wrong there."""
        self.problems.append((where, message))

    def wrong(self, document: Document, keys: Iterable[str], message: str) -> None:
        """Something is wrong with a key of a document, or with its table."""
        keys = tuple(filter(None, keys))
        self.broken.add(keys[:2])
        self.tell(document.where(*keys), f"{dotted(*keys)}: {message}")

    def at(self, table: str, name: str, key: str, message: str) -> None:
        """Tell of a key of that table, or of [defaults] where it was taken from there."""
        document = self.written.get((table, name))
        if document and key in _mapping(_mapping(document.table.get(table)).get(name)):
            self.wrong(document, (table, name, key), message)
        elif document := self.written.get(("defaults", key)):
            self.wrong(document, ("defaults", key), message)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
