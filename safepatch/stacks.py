"""The stack of patches over one original, and the lock under which it changes.

Each patch holds a re-pointable link to whatever lies below it. Applying and undoing set links,
bottom first, so at every moment a call finds a whole chain; calls take no lock.
"""

from __future__ import annotations

import _thread
import os
import weakref
from collections.abc import Callable
from types import MethodType
from typing import Any

#: Held while a stack or a site changes; never while foreign code runs. The native lock, because
#: a greenlet never switches while it is held, and gevent may come before us or after.
lock = _thread.RLock()


def _fresh_lock() -> None:
    global lock
    lock = _thread.RLock()


if hasattr(os, "register_at_fork"):
    # Taken before the fork, so that no other thread leaves the child a stack half linked.
    os.register_at_fork(
        before=lambda: lock.acquire(),
        after_in_parent=lambda: lock.release(),
        after_in_child=_fresh_lock,
    )


class Entry:
    """One patch in a stack: `call` is what runs, `link` what it was given to call.

    `shown` calls the same and looks, to whoever lies above, like the kind the original is.
    `failures` are counted for a patch that fails open.
    """

    __slots__ = ("call", "failures", "link", "patch", "shown")

    def __init__(self, patch: Any, link: Any, call: Any, shown: Any, failures: Any = None) -> None:
        self.patch, self.link, self.call, self.shown = patch, link, call, shown
        self.failures = failures


class Stack:
    """The entries over `original`, outermost last; `top` is what a call at the site calls.

    `weak_original` calls the same and keeps nothing alive; it is for the links of patches that
    were undone, whose wrappers may still be running or be kept for their counters.
    """

    __slots__ = ("_retired", "entries", "original", "site", "top", "weak_original")

    def __init__(
        self, original: Callable[..., Any], weak_original: Callable[..., Any], site: Any
    ) -> None:
        self.top = self.original = original
        self.weak_original = weak_original
        self.site = site
        self.entries: list[Entry] = []
        self._retired: list[tuple[weakref.ref[Any], Entry | None]] = []

    def push(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._relink()

    def remove(self, entry: Entry) -> None:
        """Take an entry out; asked again after an interruption, finish what is left to do."""
        if entry in self.entries:
            position = self.entries.index(entry)
            below = self.entries[position - 1] if position else None
            retired = [
                (link, below if under is entry else under)
                for link, under in self._retired
                if link() is not None
            ]
            self._retired = [*retired, (weakref.ref(entry.link), below)]
            del self.entries[position]
        self._relink()

    def _relink(self) -> None:
        below = self.original
        for entry in self.entries:
            if entry.link.__wrapped__ is not below:
                entry.link.__wrapped__ = below
            below = entry.shown
        self.top = self.entries[-1].call if self.entries else self.original
        original = self.original if self.entries else self.weak_original
        for reference, under in self._retired:
            link = reference()
            if link is not None:
                link.__wrapped__ = original if under is None else under.shown
        if not self.entries:
            self._retired = []


def weakly(thing: Any) -> Callable[[], Any]:
    """Give a function that returns `thing` for as long as somebody else keeps it alive.

    What cannot be weakly referenced is kept.
    """
    try:
        if type(thing) is MethodType:
            reference: Callable[[], Any] = weakref.WeakMethod(thing)
        else:
            reference = weakref.ref(thing)
    except TypeError:
        return lambda: thing

    def dereference() -> Any:
        found = reference()
        if found is None:
            raise ReferenceError("what was patched is gone, and its patch was undone")
        return found

    return dereference
