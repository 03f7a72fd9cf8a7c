"""What is kept of a call, and how it is kept safe from those who get it."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

Copier = Callable[[Any], Any]
Copying = Callable[[Any], tuple[Any, Copier | None]]


class Entry:
    """A result, fresh as long as the clock says less than `expires`.

    `copier` makes what a caller gets of `value`; None gives it as it is. `hits` are those since the
    store last looked; a float, since adding to one needs no new memory.
    """

    __slots__ = ("copier", "expires", "hits", "value")

    def __init__(self, value: Any, copier: Copier | None, expires: float = math.inf) -> None:
        self.value, self.copier, self.expires = value, copier, expires
        self.hits = 0.0

    def give(self) -> Any:
        self.hits += 1.0
        return self.show()

    def show(self) -> Any:
        return self.value if self.copier is None else self.copier(self.value)


class Prolonged(Entry):
    """An old result that is fresh again for a while; `ended` is when it became old first."""

    __slots__ = ("ended",)

    def __init__(self, old: Entry, expires: float) -> None:
        super().__init__(old.value, old.copier, expires)
        self.ended = ended(old)


def ended(entry: Entry) -> float:
    """When the entry of a result became old; of an error, which then is of no use, long ago."""
    if entry.copier is raise_again:
        return -math.inf
    return entry.ended if isinstance(entry, Prolonged) else entry.expires


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


#: By name: functions that give a value to keep, and what makes a copy of it for each caller.
COPYING: dict[str, Copying] = {"auto": _auto, "deep": _deep, "no": _as_it_is}


#: Most results are of these, which can certainly be used more than once.
LASTING = {bool, bytes, dict, float, int, list, set, str, tuple, type(None)}


def can_be_kept(value: Any) -> bool:
    """Say whether a value can be used more than once: no iterators, coroutines and the like."""
    return not any(hasattr(type(value), name) for name in ("__next__", "__anext__", "__await__"))


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
