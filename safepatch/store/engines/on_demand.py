"""Documents that are read when they are needed, so that there may be more than fit into memory."""

from __future__ import annotations

import contextlib
from collections.abc import ItemsView, Iterable, Iterator, MutableMapping, ValuesView
from typing import TYPE_CHECKING, Any

from safepatch.store.documents import Collection, Open
from safepatch.store.engines.references import is_alone
from safepatch.store.engines.rows import PAGE, Row
from safepatch.store.errors import FailedError, NotStorableError
from safepatch.store.transactions import MISSING
from safepatch.store.values import checksum, encoded

if TYPE_CHECKING:
    from safepatch.store.engines.memory import OnDemandRoot


class OnDemand(Collection):
    """A collection of which some documents are in memory.

    What it has of a dict is what is in memory. `sums` is of that, too, and of what was removed from
    it outside of transactions. Where memory has no answer, the disk has it.
    """

    __slots__ = ("count", "fresh", "pending", "root")

    def __init__(self, name: str, open_: Open, root: OnDemandRoot) -> None:
        super().__init__(name, open_)
        self.root = root
        self.count = 0
        self.pending: dict[str, int] = {}  # tickets of what may not be on disk yet, or still
        self.fresh: dict[str, None] = {}  # what came, and may not have a place on disk yet

    # -- one document

    def __missing__(self, key: str) -> Any:
        document = self._load(key)
        if document is MISSING:
            raise KeyError(key)
        return document

    get = MutableMapping.get  # type: ignore[assignment]

    def __contains__(self, key: object) -> bool:
        if self.open:
            self._touch(key)
        return self._load(key) is not MISSING

    def _touch(self, key: Any) -> None:
        self._load(key)
        Collection._touch(self, key)

    def _change(self, key: str) -> None:
        self._load(key)
        Collection._change(self, key)

    def __setitem__(self, key: str, document: Any) -> None:
        with self.root.rows.lock:
            new = self._load(key) is MISSING
            Collection.__setitem__(self, key, document)
            if new:
                self._came(key)

    def __delitem__(self, key: str) -> None:
        with self.root.rows.lock:
            self._load(key)
            Collection.__delitem__(self, key)
            self._went(key)

    def put(self, key: str, document: Any) -> None:
        with self.root.rows.lock:
            if not dict.__contains__(self, key):
                self._came(key)
            dict.__setitem__(self, key, document)

    def drop(self, key: str, default: Any = None) -> Any:
        with self.root.rows.lock:
            if dict.__contains__(self, key):
                self._went(key)
            return dict.pop(self, key, default)

    def _came(self, key: str) -> None:
        self.count += 1
        self.fresh[key] = None
        self.root.queue.append((self, key))

    def _went(self, key: str) -> None:
        self.count -= 1
        self.fresh.pop(key, None)

    def note(self, key: str, document: bytes | None, ticket: int) -> None:
        Collection.note(self, key, document, ticket)
        self.pending[key] = ticket

    # -- from disk to memory, and out of it

    def _load(self, key: Any) -> Any:
        """A document, from memory or from disk, or MISSING."""
        document = dict.get(self, key, MISSING)
        if document is not MISSING or not isinstance(key, str):
            return document
        key = str.__str__(key)  # of a subclass, too
        self.root.make_room()
        with self.root.rows.lock:
            document = dict.get(self, key, MISSING)  # which another thread may have read
            if document is MISSING and self._is_there(key):
                row = None if self.root.whole else self.root.rows.read(self.name, key)
                if row is not None:
                    document = self._keep(key, row)
        return document

    def _keep(self, key: str, row: Row) -> Any:
        document = self.root.rows.document(self.name, key, row)
        now = checksum(encoded(self.name, key, document))  # before anybody can find and change it
        dict.__setitem__(self, key, document)
        self.sums[key] = now
        self.root.queue.append((self, key))
        return document

    def _is_there(self, key: str) -> bool:
        """Whether a document is there that is on disk."""
        if dict.__contains__(self, key):
            return True
        # Or it has been removed: outside of a transaction, or in one, or the disk has yet to know.
        return key not in self.sums and key not in self.pending

    def let_go(self, key: str, found: list[tuple[str, str]]) -> bool:
        """Take a document out of memory; whether it has no place in the queue any more.

        If it was changed outside of transactions it stays, and is committed and found.
        """
        if key in self.held or self.pending.get(key, 0) > self.root.kept.commits.durable:
            return False
        self.pending.pop(key, None)
        if not dict.__contains__(self, key):
            return key not in self.sums  # or else the scrub has yet to find out that it was removed
        # Out of memory first: so, from here on, no other thread can find and change it.
        document = [dict.pop(self, key)]
        alone = is_alone(document)
        if alone and self._is_as_written(key, document[0]):
            del self.sums[key]
            self.fresh.pop(key, None)
            return True
        dict.setdefault(self, key, document[0])
        if alone:
            with contextlib.suppress(FailedError):  # who reads is not to know
                found += self.root.kept.look(self, [key])[0]
        return False

    def _is_as_written(self, key: str, document: Any) -> bool:
        try:
            return checksum(encoded(self.name, key, document)) == self.sums.get(key)
        except NotStorableError:
            return False

    # -- all documents

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[str]:
        return self.keys_there()

    def __reversed__(self) -> Iterator[str]:
        return self.keys_there(backwards=True)

    def keys_there(self, *, backwards: bool = False, fetch: bool = False) -> Iterator[str]:
        """Keys in the order in which they came; `fetch` has documents read with them.

        What comes or goes meanwhile may be among them or not; all else is, once.
        """
        if self.root.whole:
            return dict.__reversed__(self) if backwards else dict.__iter__(self)
        return self._keys(backwards, fetch)

    def _keys(self, backwards: bool, fetch: bool) -> Iterator[str]:
        fresh = self._fresh()  # before asking the disk: or what gets there between were missing
        last = self.root.rows.last(self.name)
        if backwards:
            yield from self._there(reversed(fresh))
        # One that came again may still have its old place, or be there already.
        yield from (key for key in self._on_disk(last, backwards, fetch) if key not in fresh)
        if not backwards:
            yield from self._there(fresh)

    def _fresh(self) -> dict[str, None]:
        with self.root.rows.lock:
            durable = self.root.kept.commits.durable
            for key in [*self.fresh]:
                if key in self.sums and self.pending.get(key, 0) <= durable:
                    del self.fresh[key]
            return self.fresh.copy()

    def _there(self, keys: Iterable[str]) -> Iterator[str]:
        for key in keys:
            on_disk = self.root.rows.place(self.name, key) is not None
            if dict.__contains__(self, key) or (on_disk and self._is_there(key)):
                yield key

    def _on_disk(self, last: int, backwards: bool, fetch: bool) -> Iterator[str]:
        at = last + 1 if backwards else 0
        while found := self._page(at, last, backwards, fetch):
            for place, key, _ in found:
                at = place
                if self._is_there(key):
                    yield key

    def _page(self, at: int, last: int, backwards: bool, fetch: bool) -> list[tuple[int, str, Row]]:
        self.root.make_room(PAGE)
        # Nothing may leave memory before the page is in it: it may have changed since it was read.
        with self.root.rows.lock:
            found = self.root.rows.page(self.name, at, last, backwards, fetch)
            if fetch:
                for _, key, row in found:
                    if not dict.__contains__(self, key) and self._is_there(key):
                        self._keep(key, row)
        return found

    def put_in_order(self) -> None:
        """Have what is in memory, which is all, in the order in which it came."""
        documents = {key: dict.__getitem__(self, key) for key in self.keys_there()}
        dict.clear(self)
        dict.update(self, documents)

    def values(self) -> Any:
        self.touch_removed()
        return _Values(self)

    def items(self) -> Any:
        self.touch_removed()
        return _Items(self)

    def keys(self) -> Any:
        self.touch_removed()
        return MutableMapping.keys(self)

    def clear(self) -> None:
        self.touch_removed()
        for key in [*self]:
            self.pop(key, None)


class _Items(ItemsView[str, Any]):
    _mapping: OnDemand

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for key in self._mapping.keys_there(fetch=True):
            document = self._mapping.get(key, MISSING)
            if document is not MISSING:
                yield key, document


class _Values(ValuesView[Any]):
    _mapping: OnDemand

    def __iter__(self) -> Iterator[Any]:
        return (document for _, document in _Items(self._mapping))
