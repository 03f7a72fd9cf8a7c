"""When what is checked next: spread over the interval, on a fixed grid, nothing twice at a time.

It knows names and times alone; `pool` runs the checks. Times are monotonic seconds. All that it
does is quick and waits for nothing, so that greenlets of one hub share it without locks.
"""

from __future__ import annotations

import zlib
from heapq import heapify, heappop, heappush
from typing import NamedTuple

_LEAST = 0.001  # seconds
_MOST_DROPPED = 1000  # entries of a heap that are not needed any more, before it is cleaned


class Entry(NamedTuple):
    """When a name is due; `wait` is how long it was to wait for that, and so what lateness is
    measured with: a second is much of ten, and little of an hour."""

    due: float
    name: str
    wait: float


def place(name: str) -> float:
    """Where in an interval a name has its turn, from 0 to 1; the same whenever that is asked."""
    return zlib.crc32(name.encode(errors="surrogatepass")) / 2**32


class Schedule:
    """Names, each with when it is due next, or under way.

    `origin` is a time of the grid: a name with an interval is due at `origin` + (`place` of the
    name + a whole number) * interval. With that of 1970 the grid is the same after a restart.

    What waits the same time is in one heap, and goes by when it was due. Between heaps that goes
    first which is late by the largest share of what it was to wait for. So where there is more to
    do than can be done, each is checked less often by the same factor, and none starves.
    """

    def __init__(self, origin: float = 0.0) -> None:
        self.origin = origin
        self._heaps: dict[float, list[Entry]] = {}
        self._entries: dict[str, Entry] = {}  # those that count; others in the heaps are dropped
        self._running: dict[str, bool] = {}  # under way; False if it was removed meanwhile
        self._again: set[str] = set()  # under way, and asked for once more
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._entries) + sum(self._running.values())

    def __contains__(self, name: str) -> bool:
        return name in self._entries or self._running.get(name, False)

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self._running)

    def grid(self, name: str, interval: float, after: float) -> float:
        """The first time after `after` that is on the grid of a name."""
        first = self.origin + place(name) * interval
        due = first + ((after - first) // interval + 1) * interval
        return due if due > after else due + interval  # where the division was rounded down

    def add(self, name: str, interval: float, now: float, within: float | None = None) -> None:
        """Have a name checked from now on, or give it another interval.

        The first time comes on its grid, or at its `place` in the next `within` seconds. What is
        under way comes again as `done` says.
        """
        if name in self._running:
            self._running[name] = True
        elif within is None:
            self._push(name, self.grid(name, interval, now), interval)
        else:
            self._push(name, now + place(name) * within, interval)

    def remove(self, name: str) -> None:
        """Have a name not checked any more; what is under way is not begun again."""
        self._again.discard(name)
        if name in self._running:
            self._running[name] = False
        elif self._entries.pop(name, None) is not None:
            self._drop()

    def soon(self, name: str, now: float) -> bool:
        """Have a name checked now, or once more if it is under way; False if there is none."""
        if name in self._entries:
            self._push(name, now, self._entries[name].wait)
        elif self._running.get(name):
            self._again.add(name)
        else:
            return False
        return True

    def next(self) -> float | None:
        """When something is due; None if there is nothing. What is past counts as well."""
        return min((heap[0].due for heap in self._heaps.values() if self._top(heap)), default=None)

    def take(self, now: float) -> Entry | None:
        """What is to begin now, if anything is due; it is under way until `done`."""
        found, most, empty = None, -1.0, None
        for wait, heap in self._heaps.items():
            entry = self._top(heap)
            if entry is None:
                empty = wait
            elif (share := (now - entry.due) / wait) > most and share >= 0.0:
                found, most = entry, share
        if empty is not None:
            del self._heaps[empty]
        if found is not None:
            heappop(self._heaps[found.wait])
            del self._entries[found.name]
            self._running[found.name] = True
        return found

    def done(self, name: str, interval: float, now: float, retry: float | None = None) -> None:
        """What was under way is over, and comes again on its grid, or after `retry` seconds."""
        if not self._running.pop(name, False):
            self._again.discard(name)
        elif name in self._again:
            self._again.discard(name)
            self._push(name, now, interval)
        elif retry is not None and retry < interval:
            self._push(name, now + retry, max(retry, _LEAST))
        else:
            self._push(name, self.grid(name, interval, now), interval)

    def late(self, now: float) -> float:
        """How long what waits longest has been due, in seconds; 0 if nothing is."""
        due = self.next()
        return 0.0 if due is None else max(0.0, now - due)

    def shortest(self) -> float:
        """The shortest time that something waits for; infinity if there is nothing."""
        return min(self._heaps, default=float("inf"))

    def _push(self, name: str, due: float, wait: float) -> None:
        if name in self._entries:
            self._drop()
        entry = self._entries[name] = Entry(due, name, wait)
        heap = self._heaps.get(wait)
        if heap is None:
            heap = self._heaps[wait] = []
        heappush(heap, entry)

    def _top(self, heap: list[Entry]) -> Entry | None:
        """The first of a heap that counts."""
        while heap:
            if self._entries.get(heap[0].name) is heap[0]:
                return heap[0]
            heappop(heap)
            self._dropped -= 1
        return None

    def _drop(self) -> None:
        """Count an entry that stays in a heap for nothing; now and then, take them all out."""
        self._dropped += 1
        if self._dropped > _MOST_DROPPED + len(self._entries):
            for heap in self._heaps.values():
                heap[:] = [entry for entry in heap if self._entries.get(entry.name) is entry]
                heapify(heap)
            self._heaps = {wait: heap for wait, heap in self._heaps.items() if heap}
            self._dropped = 0
