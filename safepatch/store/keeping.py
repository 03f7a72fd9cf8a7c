"""The documents of an open store, and their transactions."""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any

from safepatch.decorators.locks import give_lock
from safepatch.store.commits import Commits
from safepatch.store.documents import Collection, Root
from safepatch.store.engines import Engine
from safepatch.store.errors import (
    ClosedError,
    FailedError,
    NotStorableError,
    ReadOnlyError,
    StoreError,
)
from safepatch.store.threads import current, off_loop, pause
from safepatch.store.transactions import MISSING, Reading, Transaction, is_around, too_large
from safepatch.store.values import Op, checksum, decode, encoded, need_storable

logger = logging.getLogger("safepatch.store")
MIGRATIONS = "migrations"  # of what the store notes for itself: how many it went through
_SLICE = 200  # documents that are looked at in one go
_MANY = 50_000  # documents
_MOST = 1 << 30  # bytes of a transaction


class Kept:
    """What `Store` does while it is open. Safe in threads and greenlets."""

    def __init__(self, engine: Engine) -> None:
        self.root = _read(engine)
        self.open = self.root.open
        self.commits = Commits(engine.write, engine.rest)
        self.use(engine)
        self.rolled_back = self.found = 0
        # Held while a transaction's body runs. A thread may take it again, so that it keeps out
        # other threads, but not the greenlets of one; and it is native, whatever gevent patches.
        self.lock: Any
        give_lock(self)
        self.root.kept = self

    def use(self, engine: Engine) -> None:
        """Have an engine, which must have all that was committed, keep what comes from now on."""
        self.engine = engine
        self.most = min(_MOST, getattr(engine, "most", _MOST))
        self.commits.write, self.commits.rest = engine.write, engine.rest
        self.commits.begin = getattr(engine, "begin", None)

    # -- transactions

    def begin(self, transaction: Transaction) -> None:
        """Begin a transaction of what runs here, which holds the lock until its end."""
        if self.commits.failure is not None:
            self.commits.need_working()
        who = transaction.who = current()
        above = self.open.setdefault(who, transaction)
        if above is not transaction:
            if type(above) is Reading and type(transaction) is not Reading:
                raise ReadOnlyError(
                    "cannot begin a transaction that writes within one that only reads"
                )
            transaction.above = above
            self.open[who] = transaction

    def commit(self, transaction: Transaction) -> int:
        """End a transaction; a ticket to wait for, 0 within another one.

        Raises NotStorableError. If another one is open within it, which is one that a generator has
        begun and not ended, StoreError says so. After an error it is still open.
        """
        if self.open.get(transaction.who) is not transaction:
            if self._is_open(transaction):
                raise StoreError(
                    "cannot commit: a transaction within this one is still open, as when a "
                    "generator yields, or a coroutine awaits, in `with store.transaction()`; end "
                    "that one first"
                )
            raise ClosedError(
                "cannot commit: the transaction is over, since the one around it has ended; or it "
                "is of the process that was forked"
            )
        above, ticket = transaction.above, 0
        ops = transaction.ops(self.most) if above is None else []
        try:
            if above is None:
                ticket = self._append(ops) if ops else self.commits.appended
                transaction.let_go()
            else:
                transaction.hand_to(above)
            self._leave(transaction)
        except StoreError:  # it was refused
            raise
        except BaseException as error:
            # Such as Ctrl-C, after it was given away, so that it cannot be brought back any more.
            self.commits.stop(error)
            raise
        return ticket

    def undo(self, transaction: Transaction) -> None:
        """End a transaction, if it was not, and those within it; bring back what they touched.

        To be called twice, for Ctrl-C may come before or amid the first time.
        """
        while self._is_open(transaction):
            innermost = self.open[transaction.who]
            try:
                innermost.undo()
            except Exception as error:
                self.commits.stop(error)
                raise
            self.rolled_back += 1
            self._leave(innermost)

    def _is_open(self, transaction: Transaction) -> bool:
        innermost = self.open.get(transaction.who)
        return innermost is transaction or (
            innermost is not None and is_around(transaction, innermost)
        )

    def _leave(self, transaction: Transaction) -> None:
        if transaction.above is None:
            del self.open[transaction.who]
        else:
            self.open[transaction.who] = transaction.above

    def _append(self, ops: list[Op]) -> int:
        ticket = self.commits.append(ops)
        for name, key, document in ops:
            self.root[name].note(key, document, ticket)
        return ticket

    # -- what was changed outside of transactions

    def scrub(self) -> Iterator[list[tuple[str, str]]]:
        """Find documents that were changed outside of transactions, and commit them, in slices.

        Yields the collections and keys that were found, after each slice. Of documents that an open
        transaction holds, what they were before it counts. Raises NotStorableError, after all
        others were committed.
        """
        refused: NotStorableError | None = None
        for collection in [*dict.values(self.root)]:
            for keys in sliced(self.keys(collection)):
                found, error = self.look(collection, keys)
                refused = error or refused
                yield found
        if refused is not None:
            raise refused

    def keys(self, collection: Collection) -> list[str]:
        """Keys of documents that are in memory, or were in it and may have to be brought back."""
        with self.lock:  # for who makes room takes a document out to look at it
            known = [dict.fromkeys(keys) for keys in (collection.sums, collection.held)]
            return [*(dict.fromkeys(dict.keys(collection)) | known[0] | known[1])]

    def look(
        self, collection: Collection, keys: Iterable[str]
    ) -> tuple[list[tuple[str, str]], NotStorableError | None]:
        """Commit those documents that were changed outside of transactions, but what is refused."""
        refused: NotStorableError | None = None
        ops: list[Op] = []
        with self.lock:
            for key in keys:
                try:
                    ops += _changed(collection, key)
                except NotStorableError as error:
                    refused = error
            if ops:
                size = sum(len(document or b"") for _, _, document in ops)
                if size > self.most:
                    raise too_large(size, self.most)
                self._append(ops)
                self.found += len(ops)
        return [(name, key) for name, key, _ in ops], refused

    def sync(self) -> list[tuple[str, str]]:
        """Have all changes on disk, also those that were made outside of transactions."""
        found = []
        try:
            for part in self.scrub():
                found += part
                pause()
        finally:
            self.commits.wait(self.commits.appended)
        return found

    def tick(self) -> None:
        """What is done every so often: look for changes behind the store's back, and tell."""
        tell(self.sync())
        while self.root.make_room(_SLICE):
            pause()

    # -- the rest

    def watch(self) -> None:
        """Stop if the engine loses, while nothing is written, what it needs to write."""
        if hasattr(self.engine, "watch"):
            self.engine.watch(self.commits.stop)

    def migrate(self, steps: Sequence[Callable[[Root], object]]) -> None:
        """Call what was not called yet with the root, each in a transaction of its own."""
        meta = self.root[""]
        done = meta.get(MIGRATIONS, 0)
        if type(done) is not int or done < 0:
            raise StoreError(f"the store has {done!r} for the number of its migrations")
        if done > len(steps):
            raise StoreError(
                f"the store went through {done} migrations, but {len(steps)} are given; it was "
                "written by a newer program, and only that can read it rightly"
            )
        # No other greenlet runs meanwhile, which would find the store neither open nor closed.
        self.commits.inline = True
        for number, step in enumerate(steps[done:], done + 1):
            with Block(lambda: self, False):
                step(self.root)
                meta[MIGRATIONS] = number
        self.commits.inline = False

    def forget(self) -> None:
        self.open.clear()  # what was open goes on in the parent, and ends there
        self.commits.forget()
        self.engine.forget()

    def backup(self, path: str) -> None:
        self.sync()
        off_loop(self.engine.backup, path)

    def compact(self) -> None:
        off_loop(self.engine.compact)

    def verify(self) -> dict[str, Any]:
        return off_loop(self.engine.verify)

    def stats(self) -> dict[str, Any]:
        commits = self.commits
        return {
            "documents": {
                name: len(self.root[name])
                for name in [*dict.keys(self.root)]
                if name and self.root[name]
            },
            "commits": commits.appended,
            "batches": commits.batches,
            "waiting": commits.appended - commits.durable,
            "open": len(self.open),
            "rolled_back": self.rolled_back,
            "found_by_scrub": self.found,
            "failure": None if commits.failure is None else repr(commits.failure),
            "in_memory": sum(map(dict.__len__, dict.values(self.root))),
            **self.engine.stats(),
        }

    def close(self, *, last: bool = False) -> None:
        """Have all on disk, and end; `last` if the program ends, and with it all loops."""
        self.commits.inline = last
        try:
            if self.commits.failure is None:
                self.sync()
        finally:
            with contextlib.suppress(FailedError):
                self.commits.close()
            self.engine.close()


def _read(engine: Engine) -> Root:
    """Open an engine, without looking for garbage again and again among what was just made."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        root = engine.open()
        if sum(map(len, root.values())) > _MANY:
            # Documents are no garbage, yet each collection would look at them all, which takes half
            # a second for a million.
            gc.freeze()
    finally:
        if enabled:
            gc.enable()
    return root


def tell(found: list[tuple[str, str]]) -> None:
    """Warn of documents that were changed behind the store's back."""
    if found:
        named = ", ".join(f"{name}/{key}" for name, key in found[:20])
        more = f" and {len(found) - 20} more" if len(found) > 20 else ""
        logger.warning("changed outside of transactions, and committed: %s%s", named, more)


class Block:
    """A transaction for `with`; see `Store.transaction`."""

    __slots__ = ("_begun", "_block")

    def __init__(self, opened: Callable[[], Kept], reads_only: bool) -> None:
        self._block, self._begun = _block(opened, reads_only), False

    def __enter__(self) -> None:
        if self._begun:
            raise StoreError(
                "cannot begin this transaction again; call store.transaction() for each block"
            )
        self._begun = True
        self._block.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._block.__exit__(kind, error, at)


@contextlib.contextmanager
def _block(opened: Callable[[], Kept], reads_only: bool) -> Iterator[None]:
    # The same as what `durable` does with a call. If Ctrl-C comes just before `__exit__`, this is
    # ended by being collected.
    kept = opened()
    transaction = Reading() if reads_only else Transaction()
    with kept.lock:
        try:
            kept.begin(transaction)
            yield
            ticket = kept.commit(transaction)
        except BaseException:
            try:
                kept.undo(transaction)
            finally:  # once more, if Ctrl-C came before it or amid it
                kept.undo(transaction)
            raise
    kept.commits.wait(ticket)


def _changed(collection: Collection, key: str) -> Iterator[Op]:
    document, now = committed(collection, key)
    if now is None:
        if key in collection.sums:
            yield collection.name, key, None
    elif checksum(now) != collection.sums.get(key):
        need_storable(collection.name, key, document)
        yield collection.name, key, now


def committed(collection: Collection, key: str) -> tuple[Any, bytes | None]:
    """A document of those in memory, without what an open transaction does; and its bytes."""
    holder = collection.held.get(key)
    if holder is not None:
        before = holder.before(collection, key)
        return None if before is None else decode(before), before
    document = dict.get(collection, key, MISSING)
    return document, None if document is MISSING else encoded(collection.name, key, document)


def sliced(keys: list[str]) -> Iterator[list[str]]:
    remaining = iter(keys)
    while part := [*itertools.islice(remaining, _SLICE)]:
        yield part
