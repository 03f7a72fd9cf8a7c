"""What is down and may be restarted, by when to look at it again."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Literal

import msgspec

from safepatch.monitor.restarts.attempts import key_of


class Outage(msgspec.Struct):
    """An endpoint that is down and may be restarted; `due` is when to look at it again."""

    name: str
    since: float
    restart: str
    phase: Literal["waiting", "running", "verifying", "given up"] = "waiting"
    attempt: int = 0
    ran: float = 0.0
    due: float = 0.0

    @property
    def key(self) -> str:
        """That of its last attempt."""
        return key_of(self.name, self.since, self.attempt)


class Outages:
    """Outages by the names of endpoints."""

    def __init__(self) -> None:
        self.by_name: dict[str, Outage] = {}
        self.under_way: dict[str, str] = {}  # the restarts that are made or verified, by names
        self._due: list[tuple[float, str]] = []  # a heap; what has another time by now is passed

    def put(self, outage: Outage, due: float) -> None:
        """Have it looked at, at that time and no other."""
        outage.due = due
        heapq.heappush(self._due, (due, outage.name))

    def due(self, now: float) -> Iterator[Outage]:
        """Those that it is time for, each once."""
        while self._due and self._due[0][0] <= now:
            due, name = heapq.heappop(self._due)
            outage = self.by_name.get(name)
            if outage is not None and outage.due == due:
                yield outage

    def next_in(self, now: float) -> float | None:
        """The seconds until there is something to look at."""
        return max(0.0, self._due[0][0] - now) if self._due else None

    def phases(self) -> Counter[str]:
        return Counter(outage.phase for outage in self.by_name.values())

    def clear(self) -> None:
        self.by_name.clear()
        self.under_way.clear()
        self._due.clear()
