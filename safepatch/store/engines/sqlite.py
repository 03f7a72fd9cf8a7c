"""A store in a file of SQLite: documents as JSON in a table, read when they are needed."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from safepatch.decorators.locks import give_lock
from safepatch.store import directories
from safepatch.store.documents import Root
from safepatch.store.engines.memory import OnDemandRoot
from safepatch.store.engines.rows import Rows, connect, failed, size, verify
from safepatch.store.errors import StoreError
from safepatch.store.values import Op, checksum, decode

T = TypeVar("T")
encode = msgspec.json.Encoder().encode
_KIND = 0x53506174  # "SPat", which tells `file` and us whose file it is
_SHAPE = 1
_PAGES = 256  # that are freed in one go, about 1 MB

# People can query it: `SELECT document ->> '$.name' FROM documents WHERE collection = 'users'`.
_TABLE = """
BEGIN IMMEDIATE;
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order in which they came; never used again
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    document TEXT NOT NULL,  -- JSON
    crc INTEGER,  -- CRC32C of that, or NULL to go without
    UNIQUE (collection, key)
);
CREATE INDEX in_order ON documents (collection);
PRAGMA application_id = {kind};
PRAGMA user_version = {shape};
COMMIT;
"""
# Many rows in one statement. For Python lets go of its lock at each, and under load it takes a
# thread up to 5 ms to get it back.
_PUTS = {
    rows: f"""
    INSERT INTO documents (collection, key, document, crc)
    VALUES {", ".join(["(?, ?, ?, ?)"] * rows)}
    ON CONFLICT (collection, key) DO UPDATE SET document = excluded.document, crc = excluded.crc
    """  # noqa: S608
    for rows in (128, 32, 8, 1)
}
_REMOVE = "DELETE FROM documents WHERE collection = ? AND key = ?"

# A child of a fork must not even close what its parent has open; so it stays here.
_of_the_parent: list[Any] = []


class SQLite:
    """A store's file while it is open; an engine, which see `engines`.

    One connection writes, and does all that may write, such as checkpoints; another one reads. So
    that the error of SQLite up to 3.51.2 that may damage a file where two write, cannot happen.
    """

    most = 1 << 27  # bytes of a transaction; as text a document may take six times as much

    def __init__(self, path: str, *, in_memory: int) -> None:
        self.path, self.in_memory = path, in_memory
        self.lock: Any
        give_lock(self)
        self._lock_file: int | None = None
        self._writer: sqlite3.Connection | None = None
        self._opened: os.stat_result
        self._rows: Rows | None = None
        self._failure: BaseException | None = None

    # -- opening

    def open(self) -> Root:
        """Create the file, or see what it is. Raises LockedError, CorruptError, StoreError."""
        self.path = os.path.realpath(self.path)  # as SQLite does it, so that all have one lock
        directory, name = os.path.split(self.path)
        directories.make(directory)
        self._lock_file = directories.lock(directory, f"{name}-lock", of=self.path)
        try:
            self._writer = connect(self.path, reads_only=False)
            if self._is_new(self._writer):
                self._create(self._writer)
                directories.sync_directory(directory)
            else:
                self._use_log(self._writer)  # which somebody else may have switched off
            self._opened = os.stat(self.path)
            self._rows = Rows(self.path)
            return OnDemandRoot(self._rows, self.in_memory)
        except sqlite3.Error as error:
            self.close()
            raise failed(self.path, error) from error
        except BaseException:
            self.close()
            raise

    def _is_new(self, writer: sqlite3.Connection) -> bool:
        """Whether there is nothing in the file. Raises StoreError for a file of somebody else."""
        kind, shape, tables = (
            _one(writer, "PRAGMA application_id"),
            _one(writer, "PRAGMA user_version"),
            _one(writer, "SELECT count(*) FROM sqlite_master"),
        )
        if not (kind or tables):
            return True
        if kind != _KIND:
            raise StoreError(
                f"cannot open {self.path!r}: it is a database of another program; name a new file"
            )
        if shape != _SHAPE:
            raise StoreError(
                f"cannot open {self.path!r}: a newer version of safepatch has written it, with "
                f"tables of shape {shape} where this one knows {_SHAPE}; use that"
            )
        return False

    def _create(self, writer: sqlite3.Connection) -> None:
        writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._use_log(writer)
        writer.executescript(_TABLE.format(kind=_KIND, shape=_SHAPE))

    def _use_log(self, writer: sqlite3.Connection) -> None:
        """Have commits on disk when they are over, and nobody who reads in the way of them."""
        if (mode := _one(writer, "PRAGMA journal_mode = WAL")) != "wal":
            raise StoreError(
                f"cannot open {self.path!r}: SQLite can have no write-ahead log there, but only "
                f"{mode!r}; use a local disk"
            )

    # -- writing

    def write(self, batch: Sequence[Sequence[Op]]) -> None:
        """Write transactions, as one of SQLite; they are on disk when it returns."""
        last = {(name, key): document for ops in batch for name, key, document in ops}
        put = [
            (*place, *_row(document)) for place, document in last.items() if document is not None
        ]
        removed = [place for place, document in last.items() if document is None]
        self._writing(lambda writer: _write(writer, put, removed))

    def rest(self) -> None:
        """Nothing: what was written is complete."""

    def _writing(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do what may write. After an error nothing is written any more, for who knows what is."""
        with self.lock:
            if self._failure is not None:
                raise StoreError(f"a write to {self.path!r} has failed") from self._failure
            assert self._writer is not None
            try:
                self._need_file()  # what is written to another one would be lost with it
                return action(self._writer)
            except BaseException as error:
                self._failure = error
                raise

    # -- looking after it

    def compact(self) -> None:
        """Give the room of what was removed back to the disk, little by little."""
        while self._writing(_free):
            pass
        self._writing(_checkpoint)

    def backup(self, path: str) -> None:
        """Copy all that is on disk to a new file, as it is at one moment."""
        self._need_file()
        directories.need_nothing(path)
        directory = os.path.dirname(os.path.abspath(path))
        directories.make(directory)
        unfinished = directories.beside(path)
        if os.path.lexists(unfinished):
            os.unlink(unfinished)
        try:
            with (
                contextlib.closing(connect(self.path, reads_only=True)) as source,
                contextlib.closing(connect(unfinished, reads_only=False)) as copy,
            ):
                source.backup(copy)
        except sqlite3.Error as error:
            raise failed(path, error) from error
        os.rename(unfinished, path)
        directories.sync_directory(directory)

    def verify(self) -> dict[str, Any]:
        """Have SQLite check its file, and read all documents. Raises CorruptError."""
        self._need_file()
        return verify(self.path)

    def _need_file(self) -> None:
        # SQLite goes on in a file that has another name by now, and makes one where none is.
        directories.need_same(self.path, self._opened, f"the file {self.path!r}")

    def stats(self) -> dict[str, Any]:
        assert self._rows is not None
        return {
            "reads": self._rows.reads,
            "file_bytes": size(self.path),
            "log_bytes": size(f"{self.path}-wal"),
        }

    # -- closing

    def forget(self) -> None:
        _of_the_parent.append((self._writer, self._rows and self._rows.forget()))
        self._writer = None
        self._unlock()

    def close(self) -> None:
        try:
            if self._rows is not None:
                self._rows.close()
            if self._writer is not None:
                self._writer.close()  # the last one, which puts all into the file itself
        finally:
            self._writer = None
            self._unlock()

    def _unlock(self) -> None:
        if self._lock_file is not None:
            directories.unlock(self._lock_file)
            self._lock_file = None


def _one(connection: sqlite3.Connection, query: str) -> Any:
    return connection.execute(query).fetchall()[0][0]


def _row(document: bytes) -> tuple[str, int]:
    text = encode(decode(document))
    return text.decode(), checksum(text)


def _write(
    writer: sqlite3.Connection, put: list[tuple[str, str, str, int]], removed: list[tuple[str, str]]
) -> None:
    writer.execute("BEGIN IMMEDIATE")
    at = 0
    for rows, query in _PUTS.items():
        while at + rows <= len(put):
            writer.execute(query, [value for row in put[at : at + rows] for value in row])
            at += rows
    writer.executemany(_REMOVE, removed)
    writer.execute("COMMIT")


def _free(writer: sqlite3.Connection) -> bool:
    """Give some pages back; whether there are more."""
    writer.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
    return bool(_one(writer, "PRAGMA freelist_count"))


def _checkpoint(writer: sqlite3.Connection) -> None:
    """Put what is in the log into the file, and make the log empty, if nobody is reading it."""
    wait = _one(writer, "PRAGMA busy_timeout")
    writer.execute("PRAGMA busy_timeout = 0")
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    writer.execute(f"PRAGMA busy_timeout = {wait}")
