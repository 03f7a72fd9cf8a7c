"""What documents say in their tables, together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from safepatch.monitor.plan import Channel, Restart, Window
from safepatch.monitor.sources import filling, tables
from safepatch.monitor.sources.addresses import nearest, shown
from safepatch.monitor.sources.documents import Document
from safepatch.monitor.sources.notes import Notes

Struct = TypeVar("Struct", Channel, Window, Restart)

TABLES = ("monitor", "defaults", "endpoints", "channels", "windows", "restarts")


class Documents:
    """All documents that were read; what is wrong with them is noted."""

    def __init__(self, notes: Notes, environ: Mapping[str, str]) -> None:
        self.all: list[Document] = []
        self.notes = notes
        self.environ = environ

    def known(self, document: Document) -> None:
        """Tell of tables that there are not."""
        for key in document.table:
            if key not in TABLES:
                self.notes.wrong(
                    document, [str(key)], f"there is no such table{nearest(str(key), TABLES)}"
                )

    def table(self, document: Document, key: str) -> Mapping[str, Any]:
        """A table of a document, empty if it is not there."""
        table = document.table.get(key, {})
        if isinstance(table, Mapping):
            return table
        what = "a list" if isinstance(table, list | tuple) else shown(table)
        how = f"[{key}]" if key in TABLES[:2] else f"[{key}.NAME] for each"
        self.notes.wrong(document, [key], f"{what} is not a table; write {how}")
        return {}

    def merged(self, name: str, struct: type, also: tuple[str, ...] = ()) -> dict[str, Any]:
        """What all documents say in a table that there is once."""
        merged: dict[str, Any] = {}
        first: dict[str, str] = {}
        for document in self.all:
            found = self.values(document, struct, (name,), self.table(document, name), also)
            for key, value in found.items():
                if merged.setdefault(key, value) != value:
                    why = f"{value!r}, but {merged[key]!r} at {first[key]}; remove one of them"
                    self.notes.wrong(document, [name, key], why)
                first.setdefault(key, document.where(name, key))
                self.notes.written.setdefault((name, key), document)
        return merged

    def values(
        self,
        document: Document,
        struct: type,
        keys: tuple[str, ...],
        table: Mapping[str, Any],
        also: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """What a table says, by field; see `tables.values`."""

        def tell(key: str, message: str) -> None:
            self.notes.wrong(document, (*keys, key), message)

        return tables.values(struct, table, tell, document.folder, also)

    def things(self, key: str, struct: type[Struct]) -> dict[str, Struct]:
        """What all documents say in the tables of that kind, by name."""
        things: dict[str, Struct] = {}
        for document in self.all:
            for name, said in ((str(name), one) for name, one in self.table(document, key).items()):
                keys = (key, name)
                if not isinstance(said, Mapping):
                    self.notes.wrong(document, keys, f"{shown(said)} is not a table")
                elif name in things:
                    first = self.notes.written[keys].where(*keys)
                    self.notes.wrong(
                        document, keys, f"it is already at {first}; rename one of them"
                    )
                else:
                    found = self._filled(document, struct, keys, said)
                    things[name] = struct(name=name, **found)
                    self.notes.written[keys] = document
        return things

    def _filled(
        self, document: Document, struct: type, keys: tuple[str, str], said: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What a table says, with values of the environment, which no message shows."""
        if struct is Window:
            return self.values(document, struct, keys, said)

        def unset(key: str, message: str) -> None:
            self.notes.wrong(document, (*keys, key), message)

        def tell(key: str, message: str) -> None:
            hidden = "with the value of the environment it cannot be understood; look at that"
            self.notes.wrong(document, (*keys, key), hidden if key in secret else message)

        table, secret = filling.fill(said, self.environ, unset)
        return tables.values(struct, table, tell, document.folder)
