"""What was done to bring endpoints back, in the store: what is there was begun, and is not again.

A document is an attempt, whose state is "begun", "ran" (it is looked at whether that helped),
"recovered", "still down" or "failed"; or it says that an endpoint was "given up", or that all were
"stopped". Its `steps` say what came to pass, each with its time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from safepatch.monitor.plan import Endpoint
from safepatch.monitor.statuses import Event
from safepatch.store import Store

_HOUR = 3600.0

Document = dict[str, Any]
Severity = Literal["critical", "warning", "info"]


class Attempts:
    """The documents, of which the last `keep` stay, and all of the last hour.

    What is written is on disk, and told as an event, when a method returns.
    """

    def __init__(
        self, store: Store, tell: Callable[[Iterable[Event]], object], keep: int, now: float
    ) -> None:
        self._store, self._tell, self._keep = store, tell, keep
        found = sorted(self.documents.items(), key=lambda item: item[1]["at"])
        self.keys = dict.fromkeys(key for key, _ in found)  # oldest first
        # When, and of which endpoint, attempts of the last hour were.
        self._hour = deque((each["at"], each["endpoint"]) for _, each in found if each["attempt"])
        self._forget(now)

    @property
    def documents(self) -> Any:
        return self._store.root["restarts"]

    def unfinished(self) -> Iterator[Document]:
        """Those that nobody has seen the end of."""
        for key in [*self.keys]:
            if self.documents[key]["state"] in ("begun", "ran"):
                yield self.documents[key]

    def in_hour(self, now: float, endpoint: str = "") -> int:
        """How many attempts there were in the last hour, of one endpoint or of all."""
        self._forget(now)
        if not endpoint:
            return len(self._hour)
        return sum(1 for _, name in self._hour if name == endpoint)

    def tried(self, endpoint: str, since: float) -> int:
        """How many attempts there were of an outage."""
        attempt = 0
        while key_of(endpoint, since, attempt + 1) in self.keys:
            attempt += 1
        return attempt

    def add(
        self,
        key: str,
        state: str,
        text: str,
        severity: Severity,
        now: float,
        endpoint: Endpoint | None = None,
        **fields: Any,
    ) -> None:
        """Add a document, with its first step."""
        name = "" if endpoint is None else endpoint.name
        document = {"endpoint": name, "at": now, "attempt": 0, "steps": [], **fields}
        with self._store.transaction():
            self.documents[key] = document
            self.keys[key] = None
            self._write(key, state, text, severity, now, endpoint)
            self._prune(now)
        if document["attempt"]:
            self._hour.append((now, name))

    def step(
        self,
        key: str,
        state: str,
        text: str,
        severity: Severity | None,
        now: float,
        endpoint: Endpoint | None,
    ) -> None:
        """Add a step to a document; without a severity it is not told."""
        with self._store.transaction():
            self._write(key, state, text, severity, now, endpoint)

    def _write(
        self,
        key: str,
        state: str,
        text: str,
        severity: Severity | None,
        now: float,
        endpoint: Endpoint | None,
    ) -> None:
        document = self.documents[key]
        document["state"] = state
        document["steps"].append({"at": now, "text": text})
        if severity is not None:
            incident = document.get("incident", "")
            self._tell([event(f"{key} {state}", severity, text, now, endpoint, incident)])

    def _prune(self, now: float) -> None:
        while len(self.keys) > self._keep:
            oldest = next(iter(self.keys))
            if self.documents[oldest]["at"] > now - _HOUR:
                return
            del self.documents[oldest], self.keys[oldest]

    def _forget(self, now: float) -> None:
        while self._hour and self._hour[0][0] <= now - _HOUR:
            self._hour.popleft()


def key_of(endpoint: str, since: float, what: int | str) -> str:
    """The key of an attempt, or of another word on an outage: what it is done for, in short."""
    return f"{endpoint} {since:.3f} {what}"


def event(
    identity: str,
    severity: Severity,
    text: str,
    now: float,
    endpoint: Endpoint | None,
    incident: str,
) -> Event:
    """What is told of a step; the title is the text's first sentence."""
    of = () if endpoint is None else (endpoint.name,)
    return Event(
        id=f"restart {identity}",
        type="restart",
        at=now,
        severity=severity,
        title=text.partition(". ")[0].removesuffix("."),
        text=text,
        incident=incident,
        endpoints=of,
        count=len(of),
        tags=() if endpoint is None else endpoint.options.tags,
        channels=() if endpoint is None else endpoint.options.alerts,
    )
