"""Where cached results stay, and how they are kept safe from those who get them."""

from __future__ import annotations

import _thread
import contextlib
import math
import os
import weakref
from collections.abc import Callable, Hashable, MutableMapping
from itertools import islice
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

Copier = Callable[[Any], Any]
Copying = Callable[[Any], tuple[Any, Copier | None]]

_SHALLOW: dict[type, Copier] = {
    list: list.copy,
    dict: dict.copy,
    set: set.copy,
    bytearray: bytearray.copy,
}


def _auto(value: Any) -> tuple[Any, Copier | None]:
    copier = _SHALLOW.get(type(value))
    return (value if copier is None else copier(value)), copier


def _deep(value: Any) -> tuple[Any, Copier | None]:
    from copy import deepcopy

    copied = deepcopy(value)
    # What copies to itself has nothing in it that could change.
    return copied, None if copied is value else deepcopy


def _as_it_is(value: Any) -> tuple[Any, Copier | None]:
    return value, None


def again(error: Exception) -> Exception | None:
    """Make an exception equal to another but with a life of its own, or None if that fails."""
    from copy import copy

    try:
        made = copy(error)
        # An __init__ that computes its message computes it anew, from the message.
        if type(made) is not type(error) or made is error or str(made) != str(error):
            return None
        known, copied = _facts(error), _facts(made)
        if known.keys() != copied.keys() or not all(
            fact is copied[name] or repr(fact) == repr(copied[name]) for name, fact in known.items()
        ):
            return None
    except Exception:
        return None
    if hasattr(made, "__notes__"):
        made.__notes__ = list(made.__notes__)
    return made


#: What each exception has of its own, mostly from where it was raised.
_ITS_OWN = {"__traceback__", "__context__", "__cause__", "__suppress_context__", "__dict__"}


def _facts(error: Exception) -> dict[str, Any]:
    """What an exception knows, in its `__dict__`, in slots or in C, where copying loses some:
    AttributeError.obj, before Python 3.12."""
    outside = {
        name: getattr(error, name, None)
        for kind in type(error).__mro__
        for name, descriptor in vars(kind).items()
        if isinstance(descriptor, (MemberDescriptorType, GetSetDescriptorType))
        and name not in _ITS_OWN
    }
    return outside | vars(error)


def raise_again(error: Exception) -> Any:
    raise again(error) or error


#: By name: functions that give a value to keep, and what makes a copy of it for each caller.
COPYING = {"auto": _auto, "deep": _deep, "no": _as_it_is}


class Entry:
    """A result, fresh as long as the clock says less than `expires`."""

    __slots__ = ("copier", "expires", "value")

    def __init__(self, value: Any, copier: Copier | None, expires: float = math.inf) -> None:
        self.value, self.copier, self.expires = value, copier, expires

    def give(self) -> Any:
        return self.value if self.copier is None else self.copier(self.value)


class DictStore:
    """Entries in a dict, read and written without a lock; the oldest leave when it overflows."""

    def __init__(self, maxsize: int | None) -> None:
        self.maxsize = maxsize
        self._entries: dict[Hashable, Entry] = {}
        self.get: Callable[[Hashable], Entry | None] = self._entries.get

    def keep(self, key: Hashable, entry: Entry, is_wanted: Callable[[], bool]) -> None:
        if not is_wanted():
            return  # what is there by now came later, and is to stay
        # First put it there, still expired, then ask again, then make it fresh: a clear between
        # any two of these leaves nothing fresh behind, and needs no lock.
        expires, entry.expires = entry.expires, -math.inf
        self._entries.pop(key, None)  # so that it goes to the end, as the youngest
        self._entries[key] = entry
        if is_wanted():
            entry.expires = expires
        else:
            self.drop(key)
        if self.maxsize is not None and len(self._entries) > self.maxsize:
            self._evict(self.maxsize)

    def _evict(self, maxsize: int) -> None:
        # Some at a time, because finding the first of a dict passes over all that left before.
        # Under free threading the dict may change meanwhile; who changed it evicts as well.
        with contextlib.suppress(RuntimeError):
            for key in list(islice(self._entries, 1 + maxsize // 16)):
                self.drop(key)

    def drop(self, key: Hashable) -> None:
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


class MappingStore:
    """Values in somebody's own mapping, such as a cachetools cache, behind a lock."""

    def __init__(
        self,
        mapping: MutableMapping[Any, Any],
        copying: Copying,
    ) -> None:
        self.maxsize: int | None = getattr(mapping, "maxsize", None)
        self._mapping, self._copying = mapping, copying
        self.renew_lock()
        _all.add(self)

    def renew_lock(self) -> None:
        # The native one, whether or when gevent patches; no call of the function happens in it.
        self._lock = _thread.RLock()

    def get(self, key: Hashable) -> Entry | None:
        with self._lock:
            try:
                value = self._mapping[key]
            except KeyError:
                return None
        return Entry(self._copying(value)[0], None)

    def keep(self, key: Hashable, entry: Entry, is_wanted: Callable[[], bool]) -> None:
        with self._lock:
            if is_wanted():
                self._mapping[key] = entry.value

    def drop(self, key: Hashable) -> None:
        with self._lock:
            self._mapping.pop(key, None)

    def clear(self) -> None:
        with self._lock:
            self._mapping.clear()

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
