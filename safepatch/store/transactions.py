"""Transactions: what was touched, what it was before, and what became of it."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from safepatch.store.documents import Collection
from safepatch.store.errors import ConflictError, ReadOnlyError, StoreError
from safepatch.store.values import (
    Op,
    checksum,
    comes_back,
    decode,
    encode,
    need_storable,
    refuse,
)

MISSING: Any = object()


class Transaction(msgspec.Struct, eq=False):
    """One transaction, or one within another; it belongs to a thread or a greenlet, which is `who`.

    The first touch of a document keeps its bytes: they show at the end whether it was changed, and
    bring it back if the transaction fails.
    """

    who: Any = None  # as long as it has not begun
    above: Transaction | None = None
    # (collection, key, object, its bytes, who held it before), oldest first
    touched: list[tuple[Collection, str, Any, bytes | None, Transaction | None]] = []

    def touch(self, collection: Collection, key: str) -> None:
        """Keep what a document is. Raises ConflictError if somebody else holds it."""
        holder = collection.held.get(key)
        if holder is not None:
            if holder is self:
                return
            if not is_around(holder, self):
                raise ConflictError(collection.name, key)
        if type(key) is not str and isinstance(key, str):
            key = str.__str__(key)  # for it may be written; a subclass has another text for `str()`
        document = dict.get(collection, key, MISSING)
        try:
            before = None if document is MISSING else encode(document)
        except Exception as error:
            refuse(collection.name, key, document, error)
        if holder is not None and before is not None:
            # What was done by the one around this one, and is to be brought back as it is now.
            need_storable(collection.name, key, document)
        collection.held[key] = self
        self.touched.append((collection, key, document, before, holder))

    change = touch

    def ops(self, most: int) -> list[Op]:
        """What is to be written, also if it was changed before the transaction, and outside of one.

        For what it has read must be on disk, too. Raises NotStorableError, and StoreError for more
        than so many bytes, with nothing changed.
        """
        found: list[Op] = []
        size = 0
        for collection, key, _, before, _ in self.touched:
            document = dict.get(collection, key, MISSING)
            if document is MISSING:
                if key in collection.sums:
                    found.append((collection.name, key, None))
                continue
            try:
                after = encode(document)
            except Exception as error:
                refuse(collection.name, key, document, error)
            if after != before or checksum(after) != collection.sums.get(key):
                need_storable(collection.name, key, document)
                found.append((collection.name, key, after))
                size += len(after)
            elif not comes_back(document, after):  # such as a tuple in the place of a list
                need_storable(collection.name, key, document)
        if size > most:
            raise too_large(size, most)
        return found

    def before(self, collection: Collection, key: str) -> bytes | None:
        """What a document was that the transaction holds, and that those around it may hold too."""
        before, holder = next(
            (before, holder)
            for touched, touched_key, _, before, holder in self.touched
            if touched is collection and touched_key == key
        )
        return before if holder is None else holder.before(collection, key)

    def let_go(self) -> None:
        """Let go of what was touched."""
        for collection, key, _, _, _ in self.touched:
            collection.held.pop(key, None)

    def hand_to(self, above: Transaction) -> None:
        """Let the transaction around this one have what was touched."""
        for collection, key, document, before, holder in self.touched:
            collection.held[key] = above
            if holder is not above:
                above.touched.append((collection, key, document, before, holder))

    def undo(self) -> None:
        """Bring all back that was touched, and let go of it. If it raises, it may be called again.

        The last first: an object under two keys may have been changed between its touches.
        """
        while self.touched:
            collection, key, document, before, holder = self.touched[-1]
            if before is None:
                collection.drop(key, None)
            else:
                collection.put(key, _as_it_was(document, before))
            if holder is None:
                collection.held.pop(key, None)
            else:
                collection.held[key] = holder
            self.touched.pop()


class Reading(Transaction):
    """One that keeps nothing and changes nothing, so that it may look at all documents quickly."""

    def touch(self, collection: Collection, key: str) -> None:
        """Raise ConflictError for a document that somebody else has changed and not committed."""
        holder = collection.held.get(key)
        if holder is None or is_around(holder, self):
            return
        document = dict.get(collection, key, MISSING)
        try:
            now = None if document is MISSING else encode(document)
        except Exception as error:  # it was changed to what cannot be stored
            raise ConflictError(collection.name, key) from error
        if now != holder.before(collection, key):
            raise ConflictError(collection.name, key)

    def change(self, collection: Collection, key: str) -> None:
        raise ReadOnlyError(
            f"cannot change document {key!r} of {collection.name!r} in a transaction that only "
            "reads; use one without reads_only=True"
        )


def too_large(size: int, most: int) -> StoreError:
    return StoreError(f"cannot commit {size} bytes of documents at once; the most is {most}")


def is_around(transaction: Transaction, inner: Transaction) -> bool:
    """Say whether one is within the other, however deep."""
    above = inner.above
    while above is not None and above is not transaction:
        above = above.above
    return above is not None


def _as_it_was(document: Any, before: bytes) -> Any:
    """The same object, for others may refer to it; with its old content, if it has another."""
    with contextlib.suppress(Exception):  # there may be something in it that cannot be stored
        if encode(document) == before and comes_back(document, before):
            return document
    old = decode(before)
    if type(document) is dict and type(old) is dict:
        document.clear()
        document.update(old)
        return document
    if type(document) is list and type(old) is list:
        document[:] = old
        return document
    return old
