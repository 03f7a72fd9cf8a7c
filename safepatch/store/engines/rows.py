"""Reading documents from a table of SQLite, one by one or in pages."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any, TypeAlias

import msgspec

from safepatch.decorators.locks import give_lock
from safepatch.store.errors import ClosedError, CorruptError, StoreError
from safepatch.store.values import checksum

decode = msgspec.json.Decoder().decode
PAGE = 200  # documents
TOOL = "`.recover` of the program sqlite3 can save"
_WAIT = 60.0  # seconds, for a tool of somebody else's that is writing

# A document as JSON, and the checksum of that, or None if somebody else has written it.
Row: TypeAlias = tuple[str, int | None]


def connect(path: str, *, reads_only: bool) -> sqlite3.Connection:
    """Open a file of SQLite, to be used by any thread, one at a time."""
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    try:
        # A commit is on disk when it is over, whatever the library was compiled for.
        connection.execute("PRAGMA synchronous = FULL")
        if reads_only:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def failed(path: str, error: sqlite3.Error) -> StoreError:
    """What an error of SQLite is for those who use a store."""
    # Its children are of locks, full disks and the like.
    if type(error) is sqlite3.DatabaseError:
        return CorruptError(path, 0, str(error), TOOL)
    return StoreError(f"cannot use {path!r}: {error}; see to the cause, and open it again")


class Rows:
    """The documents on disk. Safe in threads; a read blocks the thread, and so a loop in it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.reads = 0
        self.lock: Any
        give_lock(self)
        self._connection: sqlite3.Connection | None = connect(path, reads_only=True)

    def _all(self, query: str, *values: Any) -> list[Any]:
        """What a query finds. All of it, for a query that is not over keeps the log from ending."""
        with self.lock:
            if self._connection is None:
                raise ClosedError(f"cannot read from {self.path!r}: the store is closed")
            try:
                return self._connection.execute(query, values).fetchall()
            except UnicodeEncodeError:  # half a character, which is no text on disk
                return []
            except sqlite3.Error as error:
                raise failed(self.path, error) from error

    def read(self, name: str, key: str) -> Row | None:
        self.reads += 1
        query = "SELECT document, crc FROM documents WHERE collection = ? AND key = ?"
        found = self._all(query, name, key)
        return found[0] if found else None

    def document(self, name: str, key: str, row: Row) -> Any:
        """What a document is. Raises CorruptError."""
        return document(self.path, name, key, row)

    def counts(self) -> list[tuple[str, int]]:
        """How many documents there are, by collection."""
        return self._all("SELECT collection, count(*) FROM documents GROUP BY collection")

    def last(self, name: str) -> int:
        """The place of the newest document of a collection; 0 if there is none."""
        found = self._all("SELECT max(id) FROM documents WHERE collection = ?", name)
        return found[0][0] or 0 if found else 0

    def place(self, name: str, key: str) -> int | None:
        found = self._all("SELECT id FROM documents WHERE collection = ? AND key = ?", name, key)
        return found[0][0] if found else None

    def page(
        self, name: str, at: int, last: int, backwards: bool, documents: bool
    ) -> list[tuple[int, str, Row]]:
        """The next places, keys and documents after a place, up to the last."""
        columns = "id, key, document, crc" if documents else "id, key, '', NULL"
        lowest, highest = (0, at - 1) if backwards else (at + 1, last)
        found = self._all(
            f"SELECT {columns} FROM documents WHERE collection = ? AND id BETWEEN ? AND ? "  # noqa: S608
            f"ORDER BY id {'DESC' if backwards else 'ASC'} LIMIT {PAGE}",
            name, lowest, highest,
        )  # fmt: skip
        return [(place, key, (text, crc)) for place, key, text, crc in found]

    def forget(self) -> sqlite3.Connection | None:
        with self.lock:
            connection, self._connection = self._connection, None
        return connection

    def close(self) -> None:
        if (connection := self.forget()) is not None:
            connection.close()


def document(path: str, name: str, key: str, row: Row) -> Any:
    """What a document is. Raises CorruptError."""
    text, crc = row
    try:
        if crc is not None and checksum(text.encode()) != crc:
            raise ValueError("its checksum is wrong; set `crc` to NULL after changing it by hand")
        return decode(text)
    except (ValueError, TypeError, AttributeError, msgspec.DecodeError) as error:
        found = f"document {key!r} of {name!r} is damaged: {error}"
        raise CorruptError(path, 0, found, TOOL) from error


def verify(path: str) -> dict[str, Any]:
    """Have SQLite check a file, and read all documents. Raises CorruptError."""
    try:
        with contextlib.closing(connect(path, reads_only=True)) as connection:
            return _verified(path, connection)
    except sqlite3.Error as error:
        raise failed(path, error) from error


def _verified(path: str, connection: sqlite3.Connection) -> dict[str, Any]:
    connection.execute("BEGIN")  # so that all is of one moment
    if (found := connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
        raise CorruptError(path, 0, found, TOOL)
    counts: dict[str, int] = {}
    all_ = connection.execute("SELECT collection, key, document, crc FROM documents")
    for name, key, text, crc in all_:
        document(path, name, key, (text, crc))
        counts[name] = counts.get(name, 0) + 1
    counts.pop("", None)
    return {"files": 1, "bytes": size(path), "documents": counts}


def size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0
