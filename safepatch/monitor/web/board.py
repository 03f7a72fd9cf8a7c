"""The endpoints in the order in which people look at them: what is down first.

A board is made by walking over all endpoints, in slices between which checks go on, and at most
once a second, while somebody looks. Who comes meanwhile sees the last one.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from safepatch.monitor.plan import Plan
from safepatch.monitor.statuses import Status

#: Each endpoint is in one of them; in the order in which they are shown.
GROUPS = ("down", "warning", "unknown", "new", "up")

#: So many endpoints are looked at between two pauses, which takes about 2 ms.
SLICE = 4000

#: More are not sorted by time, but left as they were written, since that would take too long.
SORTED = 5000

_NEW = Status()


def _pause() -> None:
    gevent.sleep(0)


def group(status: Status) -> str:
    """Which of GROUPS it is in: what is up, but not quite well, is "warning"."""
    if status.state != "up":
        return status.state
    if status.failing or status.warnings or status.flapping:
        return "warning"
    return "up"


class Words:
    """What of a plan is searched: its names, addresses and tags.

    Names and addresses are kept as one string, which is searched in a millisecond or two, and
    where each begins.
    """

    def __init__(self, plan: Plan, pause: Callable[[], Any]) -> None:
        self.plan = plan
        self.names = tuple(plan.endpoints)
        self.begins = array("I", [0])
        self.tags: Counter[str] = Counter()
        parts: list[str] = []
        for names in _slices(self.names):
            for endpoint in map(plan.endpoints.__getitem__, names):
                parts.append(f"{endpoint.name}\n{endpoint.address}\n".casefold())
                self.begins.append(self.begins[-1] + len(parts[-1]))
                self.tags.update(endpoint.options.tags)
            pause()
        self.text = "".join(parts)
        #: Those that are offered to choose from.
        self.some_tags = sorted(tag for tag, _ in self.tags.most_common(500))

    def find(self, text: str, pause: Callable[[], Any]) -> set[str]:
        """The names of all endpoints that have the text in name or address, whatever its case."""
        wanted, found = text.casefold().replace("\n", " "), set()
        at = self.text.find(wanted)
        while 0 <= at < len(self.text):
            index = bisect_right(self.begins, at) - 1
            found.add(self.names[index])
            at = self.text.find(wanted, self.begins[index + 1])
            if not len(found) % 1000:
                pause()
        return found


class Board:
    """What was seen in one walk; it is not changed after.

    `groups` are names by GROUPS, `muted` those of which nobody is alerted, `counts` how many.
    """

    def __init__(self, words: Words, groups: dict[str, list[str]], muted: set[str]) -> None:
        self.words, self.groups, self.muted = words, groups, muted
        self.counts = {name: len(names) for name, names in groups.items()}
        self.counts["muted"] = len(muted)
        self.total = len(words.names)
        self._selected: dict[tuple[str, str, str], list[str]] = {}

    def select(
        self, state: str = "", tag: str = "", text: str = "", pause: Callable[[], Any] = _pause
    ) -> list[str]:
        """The names in a group (or "muted"), with a tag and with a text, in order; "" for any."""
        key = (state, tag, text)
        names = self._selected.get(key)
        if names is None:
            names = self._select(*key, pause)
            if len(self._selected) >= 16:
                self._selected.clear()
            self._selected[key] = names
        return names

    def _select(self, state: str, tag: str, text: str, pause: Callable[[], Any]) -> list[str]:
        chosen = self.groups.get(state) if state and state != "muted" else None
        names = chosen if chosen is not None else [n for g in GROUPS for n in self.groups[g]]
        if state == "muted":
            names = [name for name in names if name in self.muted]
        if text:
            found = self.words.find(text, pause)
            names = [name for name in names if name in found]
        if tag:
            endpoints = self.words.plan.endpoints
            names = [name for name in names if tag in endpoints[name].options.tags]
        return names


def _sort(names: list[str], statuses: Mapping[str, Status], muted: set[str]) -> None:
    """Those that somebody is alerted of first, the latest before the others."""
    if len(names) <= SORTED:
        names.sort(key=lambda name: (name in muted, -statuses.get(name, _NEW).since))


def build(words: Words, statuses: Mapping[str, Status], pause: Callable[[], Any]) -> Board:
    """Walk over all endpoints; `pause` is called between slices."""
    groups: dict[str, list[str]] = {name: [] for name in GROUPS}
    muted: set[str] = set()
    for names in _slices(words.names):
        for name in names:
            status = statuses.get(name, _NEW)
            groups[group(status)].append(name)
            if status.muted:
                muted.add(name)
        pause()
    _sort(groups["down"], statuses, muted)
    return Board(words, groups, muted)


def _slices(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (names[at : at + SLICE] for at in range(0, len(names), SLICE))


class Boards:
    """The latest board of a monitor, made again when it is asked for and a second old."""

    def __init__(self, monitor: Any, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.monitor, self.clock = monitor, clock
        self.board: Board | None = None
        self.made = 0.0
        self.is_stale = False
        self.making = BoundedSemaphore()

    def latest(self) -> Board:
        """A board that is a second old at most, or the last one while the next is being made.

        After `is_stale` was set it is one that was begun later.
        """
        board = self.board
        if board is not None and self._will_do(board):
            return board
        with self.making:
            if self.board is None or self.board is board or self.is_stale:
                self.is_stale = False
                self.made = self.clock()
                self.board = self._make(board)
            return self.board

    def _will_do(self, board: Board) -> bool:
        if self.is_stale or board.words.plan is not self.monitor.plan:
            return False
        return self.clock() - self.made < 1.0 or self.making.locked()

    def _make(self, last: Board | None) -> Board:
        plan = self.monitor.plan
        words = last.words if last and last.words.plan is plan else Words(plan, _pause)
        return build(words, self.monitor.statuses, _pause)
