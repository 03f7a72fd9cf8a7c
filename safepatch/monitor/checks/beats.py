"""Heartbeats: jobs tell that they ran, and one that does not is missed.

    curl -fsS https://status.example.com/beat/KEY/nightly-backup                # at its end
    curl -fsS https://status.example.com/beat/KEY/nightly-backup?status=fail    # or so

`beat://nightly-backup` is the endpoint for that, with `interval`, how often it is to be heard of,
and `grace`, how much later it may be.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from safepatch.monitor.courses import printable
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result

Root = MutableMapping[str, MutableMapping[str, dict[str, Any]]]

#: The longest name and the longest message that is kept, in characters.
LONGEST_NAME = 200
LONGEST_MESSAGE = 500


class Beats:
    """What jobs have reported, in the collections "beats" and "beat_keys" of a store's root.

    `key` and `arrived()` change documents, so they are called within a transaction, and what they
    tell is on disk when that ends. `check()` reads only. A job that has never reported is missed
    `interval + grace` seconds after `expect()`, which is called, in a transaction, for each
    endpoint of that kind when it is new; without that, after the first check since the start. Until
    then its results are good, but `facts["reported"]` is None.
    """

    def __init__(self, root: Root, *, make: Callable[[], str] = secrets.token_urlsafe) -> None:
        self._root = root
        self._make = make
        self._first: dict[str, float] = {}

    @property
    def key(self) -> str:
        """The secret that whoever reports must know; made when it is asked for first."""
        kept = self._root["beat_keys"]
        if "key" not in kept:
            kept["key"] = {"value": self._make()}
        return str(kept["key"]["value"])

    def arrived(self, key: str, name: str, at: float, ok: bool = True, message: str = "") -> bool:
        """Note that `name` reported, at `at` seconds since 1970; False, if the key is wrong.

        The time that takes tells nothing about the key. Whether there is an endpoint of that name
        is for the caller to know. A name that no endpoint can have is refused like a wrong key.
        """
        if not self._is_key(key) or not 0 < len(name) <= LONGEST_NAME:
            return False
        beat = self._root["beats"].setdefault(name, {})
        told = " ".join(message[: 4 * LONGEST_MESSAGE].split())  # jobs send whole lines of logs
        beat.update(at=at, ok=ok, message=printable(told, LONGEST_MESSAGE))
        return True

    def expect(self, name: str, now: float) -> None:
        """From now on it is to report; no change if that was said before."""
        beats = self._root["beats"]
        if name not in beats:
            beats[name] = {"since": now}

    def forget(self, name: str) -> None:
        """It is not watched any more."""
        self._first.pop(name, None)
        self._root["beats"].pop(name, None)

    def check(self, endpoint: Endpoint, now: float) -> Result:
        """Whether it reported in time, and what."""
        beat = self._root["beats"].get(name_of(endpoint)) or {}
        error, message = self._judged(endpoint, beat, now)
        return Result(
            name=endpoint.name,
            at=now,
            error=error,
            message=message,
            phases={"total": 0.0},
            facts={"reported": beat.get("at"), "told": beat.get("message", "")},
        )

    def _judged(self, endpoint: Endpoint, beat: dict[str, Any], now: float) -> tuple[str, str]:
        name, options = name_of(endpoint), endpoint.options
        last = beat.get("at", beat.get("since"))
        if last is None:
            last = self._first.setdefault(name, now)
        if now - last > options.interval + options.grace:
            passed = _lasting(now - last)
            seen = (
                f"last reported {passed} ago" if "at" in beat else f"has not reported in {passed}"
            )
            due = f"it is to report every {_lasting(options.interval)}"
            late = f"and may be {_lasting(options.grace)} late"
            return "silent", f"{name!r} {seen}; {due}, {late}"
        if not beat.get("ok", True):
            told = f": {beat['message']}" if beat["message"] else ""
            return "status", f"{name!r} reported a failure{told}"
        return "", ""

    def _is_key(self, key: str) -> bool:
        # As bytes, because texts with other letters than ASCII's are not compared.
        return hmac.compare_digest(key.encode(errors="replace"), self.key.encode())


def name_of(endpoint: Endpoint) -> str:
    """The name that a job reports by: what `beat://` is followed by."""
    return endpoint.address.partition("://")[2].rstrip("/") or endpoint.name


def check(endpoint: Endpoint, tools: Any, *, clock: Callable[[], float] | None = None) -> Result:
    """Whether it reported in time, by the Beats and the clock of `tools`."""
    beats: Beats | None = getattr(tools, "beats", None)
    tell: Callable[[], float] = getattr(tools, "time", time.time) if clock is None else clock
    now = tell()
    if beats is None:
        message = f"{endpoint.address} can be checked by a running monitor only, which hears of it"
        return Result(name=endpoint.name, at=now, error="internal", message=message)
    return beats.check(endpoint, now)


def _lasting(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
