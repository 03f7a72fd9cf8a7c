"""The store: state as plain dicts and lists in one process, with what it takes to keep it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import math
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

from safepatch.decorators.locks import give_lock
from safepatch.decorators.wrapping import kind_of, name_of
from safepatch.store.engines import engine_for
from safepatch.store.engines.addresses import absolute, is_directory, is_postgres, shown
from safepatch.store.errors import ClosedError, StoreError
from safepatch.store.handover import hand_over, need_whole
from safepatch.store.keeping import Block, Kept, logger
from safepatch.store.snapshots import Snapshots
from safepatch.store.threads import beside, need_libev

Mode = Literal["journal", "snapshot"]


class Store:
    """Collections of documents that are kept, in a directory or by another engine.

    ::

        store = Store("state/")

        @durable(store)
        def subscribe(address):
            store.root["users"].setdefault(address, {})["newsletter"] = True

    `path` is a directory, or `sqlite:///FILE`, or `postgresql://...`; a relative one is from where
    the store is made, whatever the working directory becomes. Nothing is opened, and no disk
    touched, before the first use of `.root`, a transaction or `with`. With
    `mode="snapshot"` the root is a plain dict, of which an image is written every so often, and
    there are no transactions.

    `every`, in seconds, is how often an image is written, or, with a journal, how often documents
    are looked for that were changed outside of transactions; 0 for never. `segment` is the size in
    bytes at which a new file of the journal begins; when the closed ones have become larger than
    the documents, another process merges them. `keep`, in seconds, is how long files are kept that
    are not needed any more, for `safepatch store restore --at`. `in_memory` is how many documents
    of an SQLite file are kept in memory, about; others are read when they are needed, which blocks
    for a moment. `migrations` are functions that are called with the root, each once in the life of
    a store, in this order.

    In PostgreSQL, `shard=(2, 8)` is the third of eight stores that share a database, and with
    `standby=True` opening waits until whoever has the store open is gone.

    Opening raises LockedError if the store is open elsewhere, CorruptError for files that a crash
    does not explain, and changes nothing then. A child of a fork cannot use its parent's store.
    Safe in threads and greenlets; tasks of asyncio use it by `asyncio.to_thread()`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: Mode = "journal",
        every: float = 60.0,
        *,
        segment: int = 32 << 20,
        keep: float = 0.0,
        in_memory: int = 100_000,
        shard: tuple[int, int] = (0, 1),
        standby: bool = False,
        migrations: Sequence[Callable[[Any], object]] = (),
    ) -> None:
        if mode not in ("journal", "snapshot"):
            raise ValueError(f"got mode={mode!r}; give 'journal' or 'snapshot'")
        numbers = {"segment": segment, "keep": keep, "in_memory": in_memory}
        for option, value in {"every": every, **numbers}.items():
            if not (isinstance(value, (int, float)) and 0 <= value < math.inf):
                raise ValueError(f"got {option}={value!r}; give a number that is not negative")
        if not (isinstance(migrations, Sequence) and all(map(callable, migrations))):
            raise TypeError(f"got migrations={migrations!r}; give a list of functions")
        for step in migrations:
            if (kind := kind_of(step)) != "plain":
                raise TypeError(
                    f"got the migration {name_of(step)!r}, a {kind} function, whose work is done "
                    "after the call; give a plain function"
                )
        if migrations and mode == "snapshot":
            raise ValueError("there are no migrations of snapshots; change the root after opening")
        self.path, self.mode, self.every = os.fspath(path), mode, every
        if not isinstance(self.path, str):
            raise TypeError(f"got the path {path!r}; give it as a text")
        if mode == "snapshot" and not is_directory(self.path):
            raise ValueError(
                f"got mode='snapshot' for {shown(self.path)!r}; images are written to a directory"
            )
        self._shown = shown(self.path)
        self._migrations = migrations
        options = {**numbers, "shard": shard, "standby": standby}
        make = _snapshots if mode == "snapshot" else _kept
        self._make = functools.partial(make, absolute(self.path), **options)
        engine_for(self.path, **options)  # type: ignore[arg-type]  # a wrong address is told at once
        self.lock: Any
        give_lock(self)
        self._kept: Any = None
        self._closing: Any = None  # what is being closed
        self._over: str | None = None  # why it cannot be used any more
        self._stop = threading.Event()

    @property
    def root(self) -> Any:
        """The collections; opens the store. Raises ClosedError, and what opening raises."""
        return (self._kept or self.opened()).root

    def opened(self) -> Any:
        """Open the store, if it is not; what does the work, for `durable` and the like."""
        if self._kept is not None:
            return self._kept
        # Before waiting for who closes it, who may be waiting for a transaction in this thread.
        self._need_usable()
        with self.lock:
            self._need_usable()
            if self._kept is None:
                if self in _open:
                    raise StoreError(
                        "cannot use the store while it is being opened; a migration is in a "
                        "transaction already, and is given the root"
                    )
                need_libev()
                _open.add(self)  # from now on a child of a fork cannot use it
                try:
                    kept = self._make()
                    try:
                        kept.migrate(self._migrations)
                    except BaseException:
                        kept.close()
                        raise
                    self._kept = kept
                finally:
                    if self._kept is None:
                        _open.discard(self)
                kept.watch()
                if self.every:
                    self._begin_ticking(kept)
            return self._kept

    def _need_usable(self) -> None:
        if self._over is not None:
            raise ClosedError(f"cannot use the store {self._shown!r}: {self._over}")

    def _begin_ticking(self, kept: Any) -> None:
        stop, every = threading.Event(), self.every

        def run() -> None:
            while not stop.wait(every):
                try:
                    kept.tick()
                except Exception:
                    if not stop.is_set():  # and closing tells by itself of what fails
                        logger.exception(
                            "%s: what is done every %s seconds failed", self._shown, every
                        )

        self._stop = stop
        beside(run, "safepatch-store")

    def transaction(self, *, reads_only: bool = False) -> Block:
        """A block that is a transaction, as a call of a function under `durable` is; see there.

        With `reads_only=True` nothing may be assigned or removed. Raises ValueError for a store in
        snapshot mode.
        """
        self.need_transactions()
        return Block(self.opened, reads_only)

    def need_transactions(self) -> None:
        """Raise ValueError where there are none."""
        if self.mode == "snapshot":
            raise ValueError(
                f"the store {self._shown!r} has mode='snapshot', so that nothing is on disk when a "
                "function returns; use mode='journal' for transactions and hand-overs, after "
                "`safepatch store copy` to a new place"
            )

    def sync(self) -> list[tuple[str, str]]:
        """Have all changes on disk, also those made outside of transactions.

        Those are found by comparing all documents with what was last written: a second or two for
        a million. Returns their collections and keys. Raises NotStorableError for documents that
        cannot be stored, after all others are on disk. In snapshot mode an image is written, and
        nothing is found.
        """
        found: list[tuple[str, str]] = self.opened().sync()
        return found

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write all that there is now to a new place, which can be opened as a store.

        It is one moment, with what was changed outside of transactions. Raises FileExistsError if
        there is something already, ValueError for an address, and OSError. The store goes on
        meanwhile.
        """
        path = os.fspath(path)
        if isinstance(path, str) and not is_directory(path):
            raise ValueError(
                f"cannot back up to {shown(path)!r}; give a path, and have `safepatch store copy` "
                "write what is there then to another engine"
            )
        self.opened().backup(path)

    def hand_over(self, path: str | os.PathLike[str]) -> None:
        """Have another engine keep all that there is, while transactions go on.

        ::

            store.hand_over("sqlite:///state.db")

        When it returns the new one has everything, this object goes on with it, and the old place
        refuses to be opened. Have your program name the new one when it starts again. All documents
        are in memory from then on, until the store is opened again. Raises StoreError if there is
        something at the new place, or within a transaction. If it fails, the old place stays as it
        was, and is gone on with.
        """
        self.need_transactions()
        path = os.fspath(path)
        place = absolute(path)
        # It is not waited for, and only in PostgreSQL there are shards.
        options = {**self._make.keywords, "standby": False}
        if not is_postgres(place):
            options["shard"] = (0, 1)
        make = functools.partial(engine_for, place, **options)
        kept, new = self.opened(), make()
        try:
            hand_over(kept, new, make, shown(place), shown(self._make.args[0]))
        finally:
            if kept.engine is new:
                self.path, self._shown = path, shown(path)
                self._make = functools.partial(_kept, place, **options)

    def compact(self) -> None:
        """Make what is on disk no larger than it must be; the store goes on meanwhile."""
        self.opened().compact()

    def verify(self) -> dict[str, Any]:
        """Read all that is on disk, and count it: "files", "bytes", and "documents" by collection,
        or "entries" in snapshot mode. Raises CorruptError. The store goes on meanwhile."""
        counted: dict[str, Any] = self.opened().verify()
        return counted

    def stats(self) -> dict[str, Any]:
        """Numbers, in no time: "documents" by collection, "commits", "batches" (writes that they
        shared), "waiting" and "open" transactions, "rolled_back", "found_by_scrub" (changes outside
        of transactions), "failure" (what stopped the store, or None), and what the engine has to
        tell, such as bytes. In snapshot mode "entries", "images" and "image_bytes"."""
        numbers: dict[str, Any] = self.opened().stats()
        return numbers

    def close(self) -> None:
        """Have all changes on disk, as `sync` does, and let others open the store. Idempotent.

        `with store:` opens it again; without that, using it raises ClosedError. It is called when
        the program ends, too. Raises what `sync` raises, and the store is closed then as well; but
        StoreError, and nothing is done, in a signal's handler that has come amid a write.
        """
        self._close(last=False)

    def _close(self, *, last: bool) -> None:
        with self.lock:
            if self._kept is not None:
                self._kept.commits.need_not_amid_write()
            self._over = self._over or "it was closed"
            kept, self._kept = self._kept, None
            self._stop.set()
            if kept is not None:
                self._closing = kept
                try:
                    kept.close(last=last)
                finally:
                    self._closing = None
                    _open.discard(self)

    def __enter__(self) -> Store:
        with self.lock:
            if self._over == "it was closed":
                self._over = None
        self.opened()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = self._over or ("open" if self._kept else "not yet open")
        return f"<Store {self._shown!r}, {state}>"

    def forget(self) -> None:
        """In the child of a fork: leave the store to the parent."""
        kept, self._kept = self._kept or self._closing, None
        self._over = (
            "it belongs to the process that this one was forked from; open a store of its own in "
            "each process, or let one process serve the others"
        )
        if kept is not None:
            kept.forget()


def _kept(path: str, **options: Any) -> Kept:
    kept = Kept(engine_for(path, **options))
    try:
        need_whole(kept.root[""], shown(path))
    except BaseException:
        kept.engine.close()
        raise
    return kept


def _snapshots(path: str, **options: Any) -> Snapshots:
    return Snapshots(path)


_open: set[Store] = set()


def _close_all() -> None:
    with contextlib.ExitStack() as all_of_them:  # also if one of them fails
        for store in [*_open]:
            # What is being opened by another thread, as a standby that waits, has nothing to keep.
            if store._kept is not None or store._closing is not None:
                all_of_them.callback(store._close, last=True)


def _forget_all() -> None:
    for store in [*_open]:
        store.forget()
    _open.clear()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
