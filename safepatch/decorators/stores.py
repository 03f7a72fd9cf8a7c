"""Where cached results stay."""

from __future__ import annotations

import _thread
import math
import os
import weakref
from collections.abc import Callable, Collection, Hashable, MutableMapping
from typing import Any

from safepatch.decorators.entries import Copying, Entry
from safepatch.decorators.flights import Flight
from safepatch.decorators.instances import Instance


class DictStore:
    """Entries in a dict, read and written without a lock.

    What leaves when it overflows is chosen by SIEVE (Zhang, Yang, Yue, Vigfusson and Rashmi,
    "SIEVE is Simpler than LRU", 2024): a hand goes round from the oldest entry to the youngest,
    spares those that had a hit since it last came by, and stops where one had none. So a hit has
    nothing to do but to be counted, and what is asked for once only leaves soon.
    """

    def __init__(self, maxsize: int | None) -> None:
        self.maxsize = maxsize
        self.is_for_instances = False
        self._entries: dict[Hashable, Entry] = {}
        self.get: Callable[[Hashable], Entry | None] = self._entries.get
        self._hand: list[Hashable] = []  # what it has yet to pass, the next one last
        self._past_hits = 0.0

    @property
    def hits(self) -> int:
        return int(self._past_hits + sum(entry.hits for entry in list(self._entries.values())))

    def keep(self, key: Hashable, entry: Entry, flight: Flight) -> None:
        if flight.is_disowned:
            return  # what is there by now came later, and is to stay
        # First put it there, still expired, then ask again, then make it fresh: a clear between
        # any two of these leaves nothing fresh behind, and needs no lock.
        expires, entry.expires = entry.expires, -math.inf
        old = self._entries.pop(key, None)  # so that it goes to the end, as the youngest
        if old is not None:
            self._past_hits += old.hits
        elif self.maxsize is not None and len(self._entries) >= self.maxsize:
            self._make_room(self.maxsize)
        self._entries[key] = entry
        if self.is_for_instances:
            _note(key, self._entries)
        if flight.is_disowned:
            self.drop(key)
        else:
            entry.expires = expires

    def _make_room(self, maxsize: int) -> None:
        # The rest of the present way round and the next may spare all, the one after that none. If
        # even that does not help, there are keys that cannot be found any more.
        for _ in range(3):
            while self._hand:
                try:
                    key = self._hand.pop()  # so that it keeps no arguments which it has passed
                except IndexError:
                    break  # another thread took the last
                entry = self._entries.get(key)
                if entry is None:
                    continue
                if entry.hits:
                    self._past_hits += entry.hits
                    entry.hits = 0.0
                    continue
                self.drop(key)
                if len(self._entries) < maxsize:
                    return
            self._hand = list(self._entries)[::-1]
        hits = self.hits
        self.clear()
        self._past_hits = hits

    def drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._past_hits += entry.hits
        if self.is_for_instances:
            _forget(key)

    def clear(self) -> None:
        keys = list(self._entries)
        self._entries.clear()
        self._hand = []
        self._past_hits = 0.0
        if self.is_for_instances:
            for key in keys:
                _forget(key)

    def items(self) -> list[tuple[Hashable, Entry]]:
        return [*self._entries.copy().items()]

    def __len__(self) -> int:
        return len(self._entries)


def _note(key: Any, kept: Collection[Any]) -> None:
    """Let an instance know that there is a result of its own, to be dropped when it dies."""
    if type(key) is tuple and key and type(key[0]) is Instance:
        keys = key[0].keys
        keys.add(key)
        if len(keys) > 2 * len(kept):
            keys.intersection_update(list(kept))  # a mapping does not tell what it drops


def _forget(key: Any) -> None:
    if type(key) is tuple and key and type(key[0]) is Instance:
        key[0].keys.discard(key)


class NoStore:
    """Where nothing stays."""

    maxsize: int | None = 0
    hits = 0
    is_for_instances = False

    def get(self, key: Hashable) -> None:
        hash(key)  # as others do: what cannot be hashed goes straight through

    def keep(self, key: Hashable, entry: Entry, flight: Flight) -> None: ...

    def drop(self, key: Hashable) -> None: ...

    def clear(self) -> None: ...

    def items(self) -> list[tuple[Hashable, Entry]]:
        return []

    def __len__(self) -> int:
        return 0


class MappingStore:
    """Bare values in somebody's own mapping, such as a cachetools cache, behind a lock."""

    def __init__(self, mapping: MutableMapping[Any, Any], copying: Copying) -> None:
        self.maxsize: int | None = getattr(mapping, "maxsize", None)
        self.hits = 0
        self.is_for_instances = False
        self._mapping, self._copying = mapping, copying
        self.renew_lock()
        _all.add(self)

    def renew_lock(self) -> None:
        # The native one, whether or when gevent patches; no call of the function happens in it.
        self._lock = _thread.RLock()

    def get(self, key: Hashable) -> Entry | None:
        with self._lock:
            try:
                return Entry(self._mapping[key], self._give)
            except KeyError:
                return None

    def _give(self, value: Any) -> Any:
        self.hits += 1  # here, since the entry is forgotten at once
        return self._copying(value)[0]

    def keep(self, key: Hashable, entry: Entry, flight: Flight) -> None:
        with self._lock:
            if not flight.is_disowned:
                self._mapping[key] = entry.value
                _note(key, self._mapping)

    def drop(self, key: Hashable) -> None:
        with self._lock:
            self._mapping.pop(key, None)
            _forget(key)

    def clear(self) -> None:
        with self._lock:
            self._mapping.clear()
            self.hits = 0

    def items(self) -> list[tuple[Hashable, Entry]]:
        with self._lock:
            held = list(self._mapping.items())
        return [(key, Entry(self._copying(value)[0], None)) for key, value in held]

    def __len__(self) -> int:
        with self._lock:
            return len(self._mapping)


_all: weakref.WeakSet[MappingStore] = weakref.WeakSet()


def _renew_locks() -> None:
    # In the child of a fork the thread that held a lock does not exist.
    for store in list(_all):
        store.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
