"""Who is in which incident, and who waits for whom; in memory, from the store after a start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from safepatch.monitor.plan import Endpoint
from safepatch.monitor.statuses import Status
from safepatch.monitor.verdicts.causes import Cause
from safepatch.monitor.verdicts.records import Document


def fails(status: Status | None) -> bool:
    """Whether an endpoint belongs into an incident."""
    return status is not None and (status.flapping or status.state == "down")


def keeps_down(
    endpoint: Endpoint,
    endpoints: Mapping[str, Endpoint],
    statuses: Mapping[str, Status],
    above: tuple[str, ...] = (),
) -> tuple[str, bool]:
    """What keeps an endpoint down, be it through others, or ""; and whether that is sure yet.

    It is not while the last check of it failed, and it is not down so far.
    """
    perhaps = ""
    for name in endpoint.options.depends_on:
        status, other = statuses.get(name), endpoints.get(name)
        if status is None or other is None or name in (endpoint.name, *above):
            continue
        if status.state != "down" and not status.failing:
            continue
        deeper, sure = keeps_down(other, endpoints, statuses, (endpoint.name, *above))
        if not deeper:
            deeper, sure = name, status.state == "down"
        if sure:
            return deeper, True
        perhaps = perhaps or deeper
    return perhaps, False


class Membership:
    """The members of the incidents that are open, by `status.incident` too."""

    def __init__(self, statuses: Mapping[str, Status]) -> None:
        self.statuses = statuses
        self.members: dict[str, set[str]] = {}
        #: Who ever came to each, also those that have left it.
        self.ever: dict[str, set[str]] = {}
        self.of: dict[str, str] = {}
        self.by_cause: dict[tuple[str, Cause], str] = {}
        #: Incidents that somebody has left, and whether one of those is up.
        self.left: dict[str, bool] = {}
        self._waits: dict[str, str] = {}  # who -> what it depends on, that is down
        self._holds: dict[str, set[str]] = defaultdict(set)  # and the other way round

    def open(self, document: Document) -> None:
        """Begin with an incident, in which nobody is yet."""
        self.members[document["id"]], self.ever[document["id"]] = set(), set()
        if document["cause"]:
            self.by_cause[document["type"], Cause(**document["cause"])] = document["id"]

    def close(self, document: Document) -> None:
        """End with an incident, in which nobody is any more."""
        incident = document["id"]
        del self.members[incident], self.ever[incident], self.left[incident]
        if document["cause"]:
            key = document["type"], Cause(**document["cause"])
            if self.by_cause.get(key) == incident:
                del self.by_cause[key]

    def come(self, name: str, incident: str) -> None:
        """Have an endpoint in an incident, and in no other, if it is still down."""
        self.ever[incident].add(name)
        if (before := self.of.pop(name, None)) is not None:
            self.members[before].discard(name)
        status = self.statuses.get(name)
        if status is None or not fails(status):
            return
        self.members[incident].add(name)
        self.of[name] = status.incident = incident
        for other in self._holds.get(name, ()):
            self.statuses[other].incident = incident

    def leave(self, name: str, *, up: bool) -> None:
        """Have an endpoint in no incident; whether because it is up."""
        waited = self._waits.pop(name, None)
        if waited is not None:
            self._holds[waited].discard(name)
        status = self.statuses.get(name)
        if status is not None:
            status.incident = ""
            status.muted = status.muted if waited is None else ""
        if (incident := self.of.pop(name, None)) is not None:
            self.members[incident].discard(name)
            self.left[incident] = up or self.left.get(incident, False)

    def wait(self, name: str, dependency: str) -> None:
        """Mute an endpoint as long as another one is down, to whose incident it belongs."""
        self._waits[name] = dependency
        self._holds[dependency].add(name)
        status = self.statuses[name]
        status.muted = f"depends on {dependency}"
        status.incident = self.of.get(dependency, "")

    def release(self, dependency: str) -> list[str]:
        """Those that have waited for an endpoint, and do not any more."""
        released = sorted(self._holds.pop(dependency, ()))
        for name in released:
            del self._waits[name]
            if (status := self.statuses.get(name)) is not None:
                status.muted = status.incident = ""
        return released

    def waiting(self) -> list[tuple[str, str]]:
        """Those that wait, each with what for."""
        return [*self._waits.items()]

    def holds(self, name: str) -> Collection[str]:
        """Those that wait for an endpoint."""
        return self._holds.get(name, ())
