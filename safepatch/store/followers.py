"""Followers: other processes that read a store in PostgreSQL, and see what its writer writes."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from importlib import import_module
from typing import Any

from safepatch.decorators.locks import give_lock
from safepatch.decorators.waiting import hub
from safepatch.store.documents import Collection, Root
from safepatch.store.engines import postgres_reading as reading
from safepatch.store.engines.addresses import shown
from safepatch.store.engines.postgres_connections import (
    Connection,
    Error,
    blocking,
    connect,
    forget,
    listen,
    parameters,
)
from safepatch.store.engines.postgres_reading import Changes
from safepatch.store.errors import ClosedError, ReadOnlyError, StoreError
from safepatch.store.handover import COMING, GONE
from safepatch.store.shards import need_shard

logger = logging.getLogger("safepatch.store")
_LOOK = 0.5  # seconds between two looks, if nothing is told meanwhile
_AGAIN = 0.5  # seconds between two attempts to connect


class Follower:
    """A copy of a shard of a store in PostgreSQL, in memory, that is kept up to date.

    ::

        follower = Follower("postgresql://db.example.com/app")
        follower.root["users"]["me@example.com"]

    It connects at the first use of `.root`, or by `with`, and raises StoreError if there is no such
    store. `.root` refuses to be changed; do not change the documents in it either. It shows whole
    batches, about as soon as they are written. While the server cannot be reached it stays as it
    is; `age()` tells for how long, and what was missed is read later.

    Safe in threads and greenlets; see `transaction()`. In the child of a fork it is over.
    """

    def __init__(self, url: str, *, shard: tuple[int, int] = (0, 1)) -> None:
        need_shard(shard)
        parameters(url)
        self.url, self.shard = url, shard
        self.sequence = 0  # of the last batch that it shows
        self._writer = ""
        self._root: Root | None = None
        self._over: str | None = None
        self._asked = 0.0  # monotonic: when it last asked for what there is
        self._seen = 0.0  # and when for what it shows
        self._connection: Connection | None = None
        self._behind = False  # there may be more to see at once
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.lock: Any
        give_lock(self)
        _all.add(self)

    @property
    def root(self) -> Any:
        """The collections, which cannot be changed here."""
        if self._root is None:
            self._open()
        return self._root

    def transaction(self) -> Any:
        """A block in which nothing changes, as long as no other greenlet runs in it.

        Threads need it to look at several documents, or to iterate.
        """
        self._open()
        return self.lock

    def age(self) -> float:
        """Seconds since it was last known to show what there is."""
        return time.monotonic() - self._seen

    def wait(self, sequence: int, timeout: float = 10.0) -> None:
        """Wait until it shows a batch, as of `store.stats()["sequence"]`.

        Raises TimeoutError, and ClosedError if it ends before that.
        """
        self._open()
        end = time.monotonic() + timeout
        while self.sequence < sequence:
            if time.monotonic() >= end:
                raise TimeoutError(
                    f"the follower of {shown(self.url)!r} shows batch {self.sequence}, and not "
                    f"{sequence} after {timeout:g} seconds; it was up to date {self.age():.1f} "
                    "seconds ago"
                )
            time.sleep(0.005)  # of gevent, where that has patched it
            self._open()  # which tells why, if it has ended

    def close(self) -> None:
        """Let go of the connection, which may take half a second. Idempotent.

        If the server does not answer, it returns after a second, and that is done later.
        """
        self._end("it was closed")
        # Which may be waiting for this one, within its transaction(), or for the server.
        if self._thread is not None and not self.lock._is_owned():
            self._thread.join(2 * _LOOK)

    def __enter__(self) -> Follower:
        self._open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _end(self, why: str) -> None:
        self._over, self._root = self._over or why, None
        self._stop.set()

    # -- keeping up

    def _open(self) -> None:
        with self.lock:
            if self._over is not None:
                raise ClosedError(f"cannot follow {shown(self.url)!r}: {self._over}")
            if self._root is not None:
                return
            root, self.sequence, self._writer = _Root(), 0, ""
            try:
                found = blocking(self._changes)
                if (why := _not_whole(found)) is not None:
                    raise StoreError(f"cannot follow {shown(self.url)!r}: {why}")
                self._apply(root, found)
            except BaseException:
                self._leave()
                raise
            self._root = root
            self._thread = threading.Thread(
                target=self._run, args=[root], name="safepatch-follower", daemon=True
            )
            self._thread.start()

    def _run(self, root: Root) -> None:
        here = hub()
        # Under gevent this is a greenlet, so that others see all that it changes at once.
        pool = here and import_module("gevent.threadpool").ThreadPool(1, hub=here)
        while not self._stop.is_set():
            found = pool.apply(self._look) if pool else self._look()
            if isinstance(found, Changes):
                if (why := _not_whole(found)) is None:
                    self._apply(root, found)
                else:
                    logger.warning("a follower of %r ends: %s", shown(self.url), why)
                    self._end(why)
            elif found is not None and not self._stop.is_set():
                logger.warning("a follower has lost its connection, and tries again: %s", found)
                self._stop.wait(_AGAIN)
        self._leave()
        if pool:
            pool.kill()

    def _look(self) -> Changes | Exception | None:
        """Wait for a while until there is something to see; in a thread that may block.

        What is wrong is not raised, since gevent prints what is raised in its threads.
        """
        try:
            connection = self._connection
            if connection is None:
                return self._changes()
            if not self._behind:
                listen(connection, _LOOK)
            asked = time.monotonic()
            now = reading.head(connection, self.shard[0])
            self._behind = now != (self.sequence, self._writer)
            if self._behind:
                return self._changes()
            self._seen = asked
        except (Error, StoreError, TimeoutError) as error:
            self._leave()
            return error
        return None

    def _changes(self) -> Changes:
        shard, shards = self.shard
        if self._connection is None:
            connection = connect(self.url, "primary")
            self._connection = connection
            try:
                reading.subscribe(connection, shard, shards)
            except BaseException:
                self._leave()
                raise
        self._asked = time.monotonic()
        return reading.changes(self._connection, shard, self.sequence, self._writer)

    def _apply(self, root: Root, found: Changes) -> None:
        """Come to a batch, at once."""
        with self.lock:
            for name, key in found.removed:
                dict.pop(root[name], key, None)
            for name, documents in found.documents.items():
                dict.update(root[name], documents)
            if found.whole:
                for name, collection in [*dict.items(root)]:
                    for key in dict.keys(collection) - found.documents.get(name, {}).keys():
                        dict.pop(collection, key)
            self.sequence, self._writer = found.sequence, found.writer
            self._seen = self._asked

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _not_whole(found: Changes) -> str | None:
    """Why what is found is not to be shown: all has gone elsewhere, or has yet to come."""
    meta = found.documents.get("", {})
    if (address := meta.get(GONE)) is not None:
        return f"it was handed over to {address!r}; follow that"
    if (address := meta.get(COMING)) is not None:
        return (
            f"it has a part of {address!r}, which is being handed over, or was until that was cut "
            "off; follow it when all is there"
        )
    return None


class _Collection(Collection):
    """Documents that are not to be changed."""

    __slots__ = ()

    def __setitem__(self, key: str, document: Any) -> None:
        raise _read_only(self.name, key)

    def __delitem__(self, key: str) -> None:
        raise _read_only(self.name, key)


class _Root(Root):
    __slots__ = ()

    def _make(self, name: str) -> Collection:
        return _Collection(name, self.open)


def _read_only(collection: str, key: str) -> ReadOnlyError:
    return ReadOnlyError(
        f"cannot change document {key!r} of {collection!r}: this process follows the store; have "
        "the process that has it open write"
    )


_all: weakref.WeakSet[Follower] = weakref.WeakSet()


def _end_all() -> None:
    for follower in [*_all]:
        follower._end("it belongs to the process that this one was forked from")
        if follower._connection is not None:
            forget(follower._connection)
            follower._connection = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_end_all)
