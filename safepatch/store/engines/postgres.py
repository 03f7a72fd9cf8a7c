"""PostgreSQL as the place where a store keeps its documents; they are all in memory as well.

One batch is one transaction of the server. Who writes holds a lock of the server as long as his
connection lasts, and each transaction sees that nobody else has become the writer.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from safepatch.decorators.locks import give_lock
from safepatch.store import directories
from safepatch.store.documents import Root
from safepatch.store.engines import postgres_tables as tables
from safepatch.store.engines.addresses import shown
from safepatch.store.engines.journal import images
from safepatch.store.engines.postgres_connections import (
    Connection,
    Error,
    ask,
    blocking,
    connect,
    forget,
    no_warnings_from,
    parameters,
)
from safepatch.store.errors import LockedError, StoreError
from safepatch.store.shards import need_shard
from safepatch.store.threads import beside, native, off_loop
from safepatch.store.values import Op

logger = logging.getLogger("safepatch.store")
_EVERY = 0.2  # seconds between two looks at whether the lock is free
_GRACE = 1.0  # seconds in which the server should have seen that a process was killed
_PING = 1.0  # seconds between two looks at whether it is still ours
_PATIENCE = 5.0  # seconds for an answer to that
_REMOVALS = 100_000  # that those who follow may miss, and need not read all again
_LOCK = "SELECT pg_try_advisory_lock($1)"
_UNLOCK = "SELECT pg_advisory_unlock($1)"
_HOLDER = (
    "SELECT pid, host(client_addr), application_name FROM pg_locks"
    " LEFT JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
    " AND classid::bigint << 32 | objid::bigint = %s AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_OURS = (
    "SELECT FROM safepatch_shards WHERE shard = $1 AND writer = $2 AND backend = pg_backend_pid()"
)


class Postgres:
    """A shard of a store in PostgreSQL while it is open; an engine, which see `engines`."""

    most = 1 << 27  # bytes of a transaction; as text a document may take six times as much

    def __init__(self, url: str, *, shard: tuple[int, int], standby: bool) -> None:
        need_shard(shard)
        parameters(url)  # a wrong address is told at once
        self.url, self.standby = url, standby
        self.shard, self.shards = shard
        self.sequence = 0  # of the last batch
        self._writer = str(uuid.uuid4())
        self._connection: Connection | None = None
        self._loss: Exception | None = None  # by which it was lost
        self._number = 0  # of the lock
        self._removed, self._mark = 0, 0  # removals since a batch, and that one
        self._closed = threading.Event()
        self.lock: Any
        give_lock(self)

    # -- opening

    def open(self) -> Root:
        """Wait for our turn, or raise LockedError; make the tables, or read what is there.

        Blocks the whole thread, under gevent too.
        """
        try:
            return blocking(self._open)
        except BaseException:  # such as Ctrl-C, while it is being done in a thread
            self._closed.set()
            raise

    def _open(self) -> Root:
        root = Root()
        try:
            self._connection = connect(self.url)
            tables.create(self._connection)
            self._number = tables.lock_of(self._connection, self.shard)
            until = time.monotonic() + _GRACE
            while not self._lock(self._connected(), until):
                self._pause()
            self._need_wanted()
            self._take_over(self._connected())
            tables.fill(root, tables.read(self._connected(), self.shard))
            self._need_wanted()
        except (Error, TimeoutError) as error:
            self._leave()
            raise StoreError(f"cannot open {shown(self.url)!r}: {error}") from error
        except BaseException:
            self._leave()
            raise
        return root

    def _lock(self, connection: Connection, until: float) -> bool:
        """Say whether it has the lock now; raise LockedError if it is late, and no standby.

        It does not wait in the server, which would keep all that is removed meanwhile for as long.
        """
        try:
            if ask(connection, _LOCK, self._number, seconds=_PATIENCE) == [[b"t"]]:
                return True
            if not self.standby and time.monotonic() > until:
                raise LockedError(self._who(connection))
        except (Error, TimeoutError) as error:
            if not self.standby:
                raise
            logger.warning("a standby has lost its connection, and tries again: %s", error)
            self._connect_again()
        return False

    def _connect_again(self) -> None:
        """Connect, however long it takes, and find the lock, whose number may be another one now.

        It makes no tables: if there are none, they are being restored from a dump.
        """
        while True:
            self._leave()
            with contextlib.suppress(Error, StoreError):
                self._connection = connect(self.url)
                self._number = tables.lock_of(self._connection, self.shard)
                return
            self._pause()

    def _pause(self) -> None:
        self._need_wanted()
        native("time", "sleep")(_EVERY)

    def _need_wanted(self) -> None:
        if self._closed.is_set():
            raise StoreError(f"nobody waits for {shown(self.url)!r} to be opened any more")

    def _who(self, connection: Connection) -> str:
        found = connection.execute(_HOLDER, [self._number]).fetchone()
        pid, host, name = found or (None, None, None)
        return (
            f"cannot open shard {self.shard} of {self.shards} of {shown(self.url)!r}: it is open "
            f"already, by {name!r} at {host or 'the host of the server'}, whose server process is "
            f"{pid}; one at a time may have it: open it with standby=True to wait for its end"
        )

    def _take_over(self, connection: Connection) -> None:
        try:
            with no_warnings_from(connection):
                taken = tables.take_over(connection, self.shard, self.shards, self._writer)
        except StoreError as error:
            raise StoreError(f"cannot open {shown(self.url)!r}: {error}") from error
        self.sequence = self._mark = taken

    # -- writing

    def write(self, batch: Sequence[Sequence[Op]]) -> None:
        """Write transactions; they are on the server's disk when it returns."""
        with self.lock:
            connection = self._connected()
            try:
                self._write(connection, batch)
            except BaseException:
                self._leave()
                raise

    def rest(self) -> None:
        """Nothing: the server does by itself what can wait."""

    def _connected(self) -> Connection:
        if self._connection is None:
            raise self._loss or StoreError("the connection to PostgreSQL was lost")
        return self._connection

    def _write(self, connection: Connection, batch: Sequence[Sequence[Op]]) -> None:
        sequence, parts = self.sequence + 1, [*tables.slices(batch)]
        one = contextlib.nullcontext() if len(parts) == 1 else connection.transaction()
        about = {
            "sequence": sequence,
            "shard": self.shard,
            "writer": self._writer,
            "channel": tables.channel(self._number),
        }
        with no_warnings_from(connection), one:
            for part in parts:
                if not tables.write(connection, part, about):
                    raise self._fenced()
        self.sequence = sequence
        self._removed += sum(len(part["gone"]) for part in parts)
        if self._removed >= _REMOVALS:
            tables.forget(connection, self.shard, self._writer, self._mark)
            self._removed, self._mark = 0, sequence

    def _fenced(self) -> LockedError:
        return LockedError(
            f"another process has taken over shard {self.shard} of {shown(self.url)!r}, and "
            "writes now; nothing was written"
        )

    # -- what may be lost while nothing is written

    def watch(self, lost: Callable[[BaseException], object]) -> None:
        """Call if the connection, and with it the lock, is lost, or another writer has come."""

        def run() -> None:
            while not self._closed.wait(_PING):
                if (error := off_loop(self._lost)) is not None:
                    lost(error)
                    return

        beside(run, "safepatch-postgres")

    def _lost(self) -> Exception | None:
        """What is wrong; not raised, since gevent prints what is raised in its threads."""
        with self.lock:
            if self._closed.is_set():
                return None
            try:
                connection, about = self._connected(), (self.shard, self._writer)
                if ask(connection, _OURS, *about, seconds=_PATIENCE):
                    return None
                raise self._fenced()
            except Exception as error:
                self._loss = error
                self._leave()
                return error

    # -- looking, and closing

    def _documents(self) -> Iterator[tuple[str, str, Any, bytes]]:
        """All documents at one moment, read beside what is being written."""
        connection = connect(self.url)
        try:
            yield from tables.decoded(tables.read(connection, self.shard))
        finally:
            connection.close()

    def backup(self, path: str) -> None:
        """Write all documents of the shard as a directory, which `Store` opens as a journal."""
        directories.need_nothing(path)
        state: images.State = {}
        for collection, key, _, data in self._documents():
            state.setdefault(collection, {})[key] = data
        with directories.new(path) as place:
            images.put_image(place, self.sequence + 1, state, time.time())

    def compact(self) -> None:
        """Nothing: the server does that by itself, which it calls autovacuum."""

    def verify(self) -> dict[str, Any]:
        documents: Counter[str] = Counter()
        size = 0
        for collection, _, _, data in self._documents():
            size += len(data)
            if collection:
                documents[collection] += 1
        return {"bytes": size, "documents": dict(documents)}

    def stats(self) -> dict[str, Any]:
        return {"sequence": self.sequence, "shard": self.shard, "shards": self.shards}

    def forget(self) -> None:
        """Let go of the connection, which is the parent's."""
        if self._connection is not None:
            forget(self._connection)
        self._connection = None
        self._closed.set()

    def close(self) -> None:
        self._closed.set()
        with self.lock:
            if self._connection is not None:
                # The end of a connection is not waited for, and the next one may come before it.
                with contextlib.suppress(Error, TimeoutError):
                    ask(self._connection, _UNLOCK, self._number, seconds=_PATIENCE)
            self._leave()

    def _leave(self) -> None:
        """Give up the connection, and with it the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
