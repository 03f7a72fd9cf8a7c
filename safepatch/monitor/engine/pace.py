"""How the checks keep up: how many, how late, and whether there are too many."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

_STEPS = 6  # of a histogram, for each doubling; a figure is right to an eighth
_LEAST = 1e-3  # seconds; less is nothing
_BUCKETS = 130  # up to half an hour
_PART, _PARTS = 10.0, 6  # seconds; the last minute, in so many parts
_TOO_LATE = 5.0  # seconds, or half of the shortest interval, if that is less
_CALM = 30.0  # seconds in which nothing was a fifth as late, before it is over


class _Part:
    """What happened in ten seconds."""

    __slots__ = ("buckets", "checks", "most")

    def __init__(self) -> None:
        self.buckets = [0] * _BUCKETS
        self.checks, self.most = 0, 0.0


class Pace:
    """Figures of the checks: all that there were, and those of the last minute.

    `checks` were begun, and `done`; `failures` are those that a mistake in the monitor ended. An
    overload begins when something has been due for 5 seconds, or for half of the shortest interval,
    at three looks in a row; it is over after 30 seconds without a fifth of that.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.checks = self.done = self.failures = 0
        self.overloaded = False
        self.behind = 0.0  # seconds that what waits longest has been due, at the last look
        self._parts: deque[_Part] = deque([_Part()], maxlen=_PARTS)
        self._began = self._first = self._calm = clock()
        self._looks = 0

    @property
    def in_flight(self) -> int:
        """Checks under way."""
        return self.checks - self.done

    def begin(self, late: float) -> None:
        """A check begins, so many seconds after it was due."""
        self.checks += 1
        part = self._parts[-1]
        part.checks += 1
        if late > part.most:
            part.most = late
        place = int(math.log2(late / _LEAST) * _STEPS) + 1 if late > _LEAST else 0
        part.buckets[place if place < _BUCKETS else -1] += 1

    def look(self, behind: float, shortest: float) -> bool:
        """To be called each second, with how long something has been due, and the shortest
        interval there is; True if an overload began or ended."""
        now, self.behind = self.clock(), behind
        if now - self._began >= _PART:
            self._parts.append(_Part())
            self._began = now
        limit = min(_TOO_LATE, shortest / 2)
        if behind > limit / 5:
            self._calm = now
        self._looks = self._looks + 1 if behind > limit else 0
        before = self.overloaded
        self.overloaded = now - self._calm < _CALM if before else self._looks >= 3
        return self.overloaded != before

    @property
    def per_second(self) -> float:
        """Checks a second, over the last minute."""
        since = max(self._first, self._began - _PART * (len(self._parts) - 1))
        return sum(part.checks for part in self._parts) / max(1.0, self.clock() - since)

    @property
    def lateness(self) -> dict[str, float]:
        """Seconds from when checks were due until they began, over the last minute: "median",
        "p95" and "max"."""
        counts = [sum(each) for each in zip(*(part.buckets for part in self._parts), strict=True)]
        most = max(part.most for part in self._parts)
        # A bucket ends above what is in it, and nothing is later than the latest.
        return {
            "median": min(_quantile(counts, 0.5), most),
            "p95": min(_quantile(counts, 0.95), most),
            "max": most,
        }

    def figures(self) -> dict[str, object]:
        """All of it, as JSON."""
        return {
            "checks": self.checks, "done": self.done, "failures": self.failures,
            "in_flight": self.in_flight, "per_second": round(self.per_second, 3),
            "lateness": {name: round(value, 6) for name, value in self.lateness.items()},
            "behind": round(self.behind, 3), "overloaded": self.overloaded,
        }  # fmt: skip


def _quantile(counts: list[int], share: float) -> float:
    """The seconds below which that share is, in a histogram."""
    wanted, seen = share * sum(counts), 0
    for place, count in enumerate(counts):
        seen += count
        if seen >= wanted > 0:
            return float(_LEAST * 2.0 ** (place / _STEPS) if place else 0.0)
    return 0.0
