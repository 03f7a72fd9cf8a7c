"""A counter in each store: a context manager that opens it in a directory, and gives a function
that adds one and returns the new count when that is on disk.

All run under gevent, patched. Each store is set up as its documents recommend for that, and so that
a count that was returned survives a power cut; what was tried is said where it matters.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pathlib
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

Increment = Callable[[], int]

UNDURABLE, OURS = "no durability", "safepatch, durable"
INLINE, FSYNC = "fdatasync inline", "fsync inline"


@contextlib.contextmanager
def undurable(directory: pathlib.Path) -> Iterator[Increment]:
    yield itertools.count(1).__next__


@contextlib.contextmanager
def ours(directory: pathlib.Path) -> Iterator[Increment]:
    from safepatch.store import Store, durable

    with Store(directory / "state") as store:

        @durable(store)
        def increment() -> int:
            counts = store.root["counts"]
            counts["hits"] = count = counts.get("hits", 0) + 1
            return int(count)

        yield increment


@contextlib.contextmanager
def inline(
    directory: pathlib.Path, sync: Callable[[int], None] = os.fdatasync
) -> Iterator[Increment]:
    """Appends each count to a file, and blocks the loop until it is on disk.

    With fsync, which most people write, when the file was changed is on disk too.
    """
    path = directory / "counts"
    counts = path.read_text().split() if path.exists() else ["0"]
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    root = {"count": int(counts[-1])}

    def increment() -> int:
        root["count"] = count = root["count"] + 1
        os.write(file, b"%d\n" % count)
        sync(file)
        return count

    yield increment
    os.close(file)


@contextlib.contextmanager
def sqlite(directory: pathlib.Path) -> Iterator[Increment]:
    """Blocks the loop; in gevent's thread pool it was slower, one statement at a time as it is."""
    connection = sqlite3.connect(directory / "counter.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY, count INTEGER)")
    connection.execute("INSERT OR IGNORE INTO counter VALUES (1, 0)")

    def increment() -> int:
        (count,) = connection.execute(
            "UPDATE counter SET count = count + 1 WHERE id = 1 RETURNING count"
        ).fetchone()
        return int(count)

    yield increment
    connection.close()


@contextlib.contextmanager
def redis_server(directory: pathlib.Path, *options: str) -> Iterator[Any]:
    """A client of a server of its own on loopback. hiredis parses its answers, if installed."""
    import redis

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    with subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL) as server:
        # With fewer, or one for each of many greenlets, it was slower.
        pool = redis.BlockingConnectionPool(port=port, max_connections=100, timeout=60)
        client = redis.Redis(connection_pool=pool)
        try:
            _wait_for(client.ping, redis.ConnectionError)
            yield client
        finally:
            client.close()
            server.terminate()


@contextlib.contextmanager
def redis_aof(directory: pathlib.Path) -> Iterator[Increment]:
    options = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
    with redis_server(directory, *options) as client:
        yield lambda: int(client.incr("count"))


def _wait_for(ready: Callable[[], Any], not_yet: type[Exception]) -> None:
    """Also while the server loads what it has."""
    deadline = time.monotonic() + 60
    while True:
        try:
            ready()
            return
        except not_yet:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@contextlib.contextmanager
def zodb(directory: pathlib.Path) -> Iterator[Increment]:
    """A connection and a transaction manager for each request. The usual thread-local one is one
    for each greenlet under gevent: a connection of another greenlet would commit nothing."""
    import transaction
    import ZODB
    import ZODB.FileStorage

    database = ZODB.DB(ZODB.FileStorage.FileStorage(str(directory / "counter.fs")), pool_size=1100)

    def increment() -> int:
        manager = transaction.TransactionManager()
        connection = database.open(transaction_manager=manager)
        with manager:
            root = connection.root()
            root["count"] = count = root.get("count", 0) + 1
        connection.close()
        return int(count)

    yield increment
    database.close()


class _Counted:
    """What coopy keeps: it logs the calls of its methods."""

    def __init__(self) -> None:
        self.count = 0

    def increment(self) -> int:
        self.count += 1
        return self.count


@contextlib.contextmanager
def coopy_sync(directory: pathlib.Path, delay: float = 0.0) -> Iterator[Increment]:
    import coopy

    counted = coopy.open(
        _Counted, str(directory / "counter"), durability="sync", group_commit_delay=delay
    )
    with coopy.control(counted):
        yield counted.increment


def coopy_group(directory: pathlib.Path) -> AbstractContextManager[Increment]:
    """Its group commit waits for a fixed time before it writes."""
    return coopy_sync(directory, delay=0.002)


COUNTERS: Mapping[str, Callable[[pathlib.Path], AbstractContextManager[Increment]]] = {
    UNDURABLE: undurable,
    OURS: ours,
    INLINE: inline,
    FSYNC: functools.partial(inline, sync=os.fsync),
    "Redis, AOF always": redis_aof,
    "SQLite, WAL, FULL": sqlite,
    "ZODB": zodb,
    "coopy, sync": coopy_sync,
    "coopy, group commit 2 ms": coopy_group,
}
