"""Locks for the few lines that must not run twice at a time, whatever gevent and forks do."""

from __future__ import annotations

import _thread
import os
import weakref
from typing import Any

_owners: weakref.WeakSet[Any] = weakref.WeakSet()


def give_lock(owner: Any) -> None:
    """Set `owner.lock`, to be held for moments only, never while foreign code runs.

    It is the native one, whether or when gevent patches. One thread may take it again, so that a
    signal handler or a finalizer that comes in between finds no closed door.
    """
    owner.lock = _thread.RLock()
    _owners.add(owner)


def _renew() -> None:
    # In the child of a fork the thread that held a lock does not exist.
    for owner in list(_owners):
        owner.lock = _thread.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
