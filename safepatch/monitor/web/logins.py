"""Logins that hold, and how often somebody may try.

Each login is in the state until it ends, so that a logout ends it for whoever has its cookie.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from typing import Any

from gevent.lock import BoundedSemaphore

from safepatch.decorators import rate_limit

#: Seconds that a login lasts, however much it is used; the most that are kept.
LASTS, MOST = 14 * 86400.0, 1000


class Logins:
    """Those that hold, in a store, or in memory where there is none. For one hub.

    `now` is in seconds since 1970. `hashing` is held while a password is compared, so that one is
    at a time, and most of the hub's threads are left to others. `attempt(client, is_known)` raises
    RateLimitExceeded for who tries too often.
    """

    def __init__(self, store: Any = None, *, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self.hashing = BoundedSemaphore()
        self.attempt = limit()
        self._transaction: Callable[[], Any] = (
            contextlib.nullcontext if store is None else store.transaction
        )
        self._kept: Any = {} if store is None else store.root["logins"]

    def begin(self, client: str) -> str:
        """Note a login from an address; returns what it is known by, which is a secret."""
        key = secrets.token_urlsafe(16)
        with self._transaction():
            for old in self._to_drop():
                del self._kept[old]
            self._kept[key] = {"until": self.now() + LASTS, "client": client}
        return key

    def end(self, key: str) -> None:
        """End a login; its address stays known."""
        with self._transaction():
            if key in self._kept:
                self._kept[key] = {**self._kept[key], "ended": True}

    def holds(self, key: str) -> bool:
        """Whether somebody is logged in by that."""
        login = self._kept.get(key)
        return login is not None and not login.get("ended") and self.now() < login["until"]

    def is_known(self, client: str) -> bool:
        """Whether somebody has logged in from an address lately."""
        now = self.now()
        return any(each["client"] == client and now < each["until"] for each in self._all())

    def _all(self) -> list[Any]:
        return [*self._kept.values()]

    def _to_drop(self) -> list[str]:
        """Those that are over, and the oldest, where there are too many."""
        untils = sorted((each["until"], key) for key, each in self._kept.items())
        spare = max(0, len(untils) - MOST + 1)
        return [key for at, (until, key) in enumerate(untils) if at < spare or until <= self.now()]


def limit() -> Callable[[str, bool], None]:
    """Let 5 tries of an address through at once, and then one each 12 seconds; and of all addresses
    that are not known 20, and then one each 2 seconds, which is a twentieth of a core."""
    each = rate_limit(_nothing, rate=5, per=60, burst=5, on_limit="raise", key=str)
    others = rate_limit(_nothing, rate=30, per=60, burst=20, on_limit="raise")

    def attempt(client: str, is_known: bool) -> None:
        each(client)
        if not is_known:
            others(client)

    return attempt


def _nothing(client: str) -> None:
    pass
