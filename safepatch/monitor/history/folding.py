"""From seconds to hours, from hours to days: how results get to where they stay."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from safepatch.monitor.history import packing, rollups
from safepatch.monitor.history.packing import HOUR
from safepatch.monitor.history.rollups import Rollup, rolled

DAY = 86400
_DAY_LATE = 1200  # seconds after a day until it is folded
_DAY_SPREAD = 14400  # seconds that this is spread over
_MISSED = 3  # days that are folded afterwards, if the monitor did not run
_PLACE = {"hours": HOUR, "days": DAY}


class Series(msgspec.Struct, gc=False):
    """An endpoint's results since the hour began: words of `packing`, in four bytes each."""

    id: int
    words: bytearray = msgspec.field(default_factory=bytearray)

    def key(self, place: int, length: int = HOUR) -> str:
        """The key of the document of an hour, or of a day."""
        return f"{place // length}.{self.id}"

    def append(self, value: int, folded: bool) -> None:
        """Take a word, whose seconds are since the hour before if that was folded already."""
        if folded:
            value -= min(HOUR, value & 0xFFF)
        self.words += value.to_bytes(4, "little")

    def all(self) -> list[int]:
        """The words, oldest first."""
        words = array("I")
        words.frombytes(bytes(self.words))
        return sorted(words, key=_offset)

    def by_hour(self, base: int) -> list[tuple[int, list[int]]]:
        """The words of the hour that began then, and those of the next one."""
        words = self.all()
        now = [value for value in words if value & 0xFFF < HOUR]
        later = [value - HOUR for value in words if value & 0xFFF >= HOUR]
        return [(at, some) for at, some in ((base, now), (base + HOUR, later)) if some]

    def shift(self) -> None:
        """Begin with the next hour."""
        later = array("I", (value - HOUR for value in self.all() if value & 0xFFF >= HOUR))
        self.words = bytearray(later.tobytes())


def _offset(value: int) -> int:
    return value & 0xFFF


class Folds:
    """How far the work has come; what of it is on disk goes with the work, in its transaction.

    The results in memory are those of `hour` on, and those of endpoints below `cursor`, which were
    folded already, of the next hour on.
    """

    def __init__(self, root: Any) -> None:
        self.root = root
        self.hour = self.cursor = self.day = self.day_cursor = 0
        self.order: list[Series] = []  # by id; [] if it is to be made anew
        self.seconds: deque[str] = deque()  # keys of what is to be dropped once it is folded
        self._number = 0

    def read(self, now: float) -> None:
        """Where the work was left, or where it is to begin."""
        state = self.root["state"].get("folds")
        if state is None:
            self.hour, self.day = int(now) // HOUR * HOUR, int(now) // DAY
            return
        self.hour, self.cursor = state["hour"], state["cursor"]
        self.day, self.day_cursor = state["day"], state["day_cursor"]

    def _save(self) -> None:
        self.root["state"]["folds"] = {
            "hour": self.hour,
            "cursor": self.cursor,
            "day": self.day,
            "day_cursor": self.day_cursor,
        }

    def base(self, series: Series) -> int:
        """The hour with which an endpoint's results in memory begin."""
        return self.hour + HOUR if series.id < self.cursor else self.hour

    def second_key(self, now: float) -> str:
        """A key for what is written now."""
        self._number += 1
        key = f"{int(now)}.{self._number}"
        if not self.hour:
            self.hour = int(now) // HOUR * HOUR
        if not self.seconds:
            self._save()  # which has the hour in which the first ones are
        self.seconds.append(key)
        return key

    # -- hours

    def _ordered(self, series: Mapping[str, Series]) -> list[Series]:
        if len(self.order) != len(series):
            self.order = sorted(series.values(), key=lambda one: one.id)
        return self.order

    def fold_hour(self, all_: Mapping[str, Series], count: int) -> None:
        """Write the hour of the next so many endpoints; the next hour begins after the last one."""
        order = self._ordered(all_)
        at = _first(order, self.cursor)
        for series in order[at : at + count]:
            self._fold_one(series)
            self.cursor = series.id + 1
        if at + count >= len(order):
            self.hour, self.cursor = self.hour + HOUR, 0
        self._save()

    def _fold_one(self, series: Series) -> None:
        if not series.words:
            return
        words = array("I", (value for value in series.all() if value & 0xFFF < HOUR))
        if words:
            document = [*packing.counts(words), packing.hour_text(words)]
            self.root["hours"][series.key(self.hour)] = document
        series.shift()

    def jump(self, now: float) -> None:
        """Go on with another hour, if there is nothing in memory."""
        self.hour, self.cursor = int(now) // HOUR * HOUR, 0
        self._save()

    def old_seconds(self, count: int) -> list[str]:
        """Take some of the keys of what was written before the hour, which all has been folded."""
        old: list[str] = []
        while len(old) < count and self.seconds and _second(self.seconds[0]) < self.hour:
            old.append(self.seconds.popleft())
        return old

    # -- days

    def days_due(self, all_: Mapping[str, Series], now: float) -> int:
        """Of how many endpoints the day is to be folded now, so that all are done in four hours."""
        if self.day < (recent := int(now) // DAY - _MISSED):
            self.day, self.day_cursor = recent, 0  # what is long over is left out
        late = now - (self.day + 1) * DAY - _DAY_LATE
        if late < 0 or self.hour < (self.day + 1) * DAY:
            return 0
        order = self._ordered(all_)
        wanted = math.ceil(late / _DAY_SPREAD * len(order))
        return max(0, min(len(order) + 1, wanted + 1) - _first(order, self.day_cursor))

    def fold_day(self, all_: Mapping[str, Series]) -> Series | None:
        """Write the rollups of the day of the next endpoint; the next day is after the last.

        The endpoint, if there is nothing of that day.
        """
        order, idle = self._ordered(all_), None
        at = _first(order, self.day_cursor)
        if at < len(order):
            idle = None if _fold_day(self.root, order[at], self.day * DAY) else order[at]
            self.day_cursor = order[at].id + 1
        else:
            self.day, self.day_cursor = self.day + 1, 0
        self._save()
        return idle

    def is_over(self, series: Series, since: float) -> bool:
        """Whether there is nothing of an endpoint any more, neither results nor days."""
        hours = range(self.day * DAY, self.hour + HOUR, HOUR)
        return (
            not series.words
            and not any(series.key(hour) in self.root["hours"] for hour in hours)
            and not any(days_of(self.root, series, since, (self.day + 1) * DAY))
        )


def _first(order: list[Series], cursor: int) -> int:
    """Where the first one is that is not below a cursor."""
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if order[middle].id < cursor else (low, middle)
    return low


def _fold_day(root: Any, series: Series, day: int) -> bool:
    """Write the rollups of an endpoint's day; whether there are any."""
    hours: list[Rollup] = []
    all_: list[int] = []
    for hour in range(day, day + DAY, HOUR):
        if document := root["hours"].get(series.key(hour)):
            words = packing.hour_words(document[3])
            hours.append(rolled(hour % DAY // HOUR, words))
            all_ += words
    if not hours:
        return False
    root["days"][series.key(day, DAY)] = rollups.text(hours)
    month, number = _month(day)
    key = f"{month}.{series.id}"
    before = root["months"].get(key)
    rows = rollups.rollups_of(before) if before else []
    root["months"][key] = rollups.text([*rows, rolled(number, all_)])
    return True


def _month(day: int) -> tuple[str, int]:
    date = datetime.fromtimestamp(day, UTC)
    return date.strftime("%Y%m"), date.day


def hours_of(root: Any, series: Series, day: int) -> list[Rollup] | None:
    """The rollups of the hours of a day that was folded; None if it was not."""
    packed = root["days"].get(series.key(day, DAY))
    return None if packed is None else rollups.rollups_of(packed)


def days_of(root: Any, series: Series, since: float, until: float) -> Iterator[tuple[int, Rollup]]:
    """The rollups of the days that touch a time, and were folded; each with when it began."""
    date = datetime.fromtimestamp(max(0, since), UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    while date.timestamp() < until:
        began = int(date.timestamp())
        if packed := root["months"].get(f"{date:%Y%m}.{series.id}"):
            for row in rollups.rollups_of(packed):
                day = began + (row.at - 1) * DAY
                if day + DAY > since and day < until:
                    yield day, row
        date = date.replace(year=date.year + date.month // 12, month=date.month % 12 + 1)


def old_keys(collection: Any, kind: str, before: float, most: int) -> list[str]:
    """The keys of some documents that are too old, which come first."""
    old: list[str] = []
    for key in collection:
        if len(old) >= most or _end(kind, key.partition(".")[0]) > before:
            break
        old.append(key)
    return old


def _second(key: str) -> int:
    return int(key.partition(".")[0])


def _end(kind: str, place: str) -> float:
    """When the time ended that a document is of."""
    if kind in _PLACE:
        return (int(place) + 1) * _PLACE[kind]
    year, month = int(place[:4]), int(place[4:])
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()
