"""History: results of a day, rollups of a year, in bounded memory and disk.

How it is laid out, and why, is in docs/monitor/history.md.
"""

from __future__ import annotations

import math
import os
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from safepatch.monitor import exporting, folding, packing
from safepatch.monitor.folding import DAY, Series
from safepatch.monitor.packing import HOUR
from safepatch.monitor.rollups import Rollup, percent, rolled, shown
from safepatch.store import Store

_LATE = 120  # seconds after an hour until its results are written by endpoint
_SPREAD = 240  # seconds that this is spread over
_LAST = _LATE + _SPREAD + 60  # then all of the rest is written, for a word has no more room
_AT_ONCE = 200  # endpoints in one transaction
_DROPPED = 40  # documents of each collection, each second


class History:
    """What came of the checks of each endpoint: `add`, `flush` each second, and ask.

    `path` is a file of SQLite, made if there is none; all answers come from it and from what is in
    memory. After a kill what was added since the last `flush` is missing, and nothing else. For one
    thread or hub; `flush` waits for the disk, and lets others run meanwhile.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        keep_raw: float = DAY,
        keep_hours: float = 14 * DAY,
        keep_rollups: float = 366 * DAY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = Store(f"sqlite:///{os.path.abspath(path)}", every=0, in_memory=500)
        self.clock = clock
        self._keep = {"hours": keep_raw, "days": keep_hours, "months": keep_rollups}
        self._new: list[tuple[str, float, float, str]] = []
        self._add = self._new.append
        self._series: dict[str, Series] = {}
        self._next_id = 1
        self._flushed = 0.0
        self._folds = folding.Folds(self.store.root)
        self._read()

    # -- taking results

    def add(self, name: str, at: float, seconds: float, error: str) -> None:
        """Take a result: when the check began, how long it took, what came of it. 0.1 us, no I/O.

        `error` is one of `results.ERRORS`, "" if it was good, or "blind" if the monitor was.
        """
        self._add((name, at, seconds, error))

    def flush(self, now: float) -> None:
        """Have all on disk that was added, and some of the work done that is due; each second."""
        if self._flushed > now:
            now = self._flushed  # the clock was put back
        self._flushed = now
        self._catch_up(now)
        new, self._new = self._new, []
        self._add = self._new.append
        if new:
            with self.store.transaction():
                self._write(new, now)
        self._fold_hour(now)
        self._fold_day(now)
        self._drop(now)

    def _write(self, new: list[tuple[str, float, float, str]], now: float) -> None:
        hour, cursor = self._folds.hour, self._folds.cursor
        record = array("I")
        for name, at, seconds, error in new:
            series = self._series.get(name) or self._make(name)
            value = packing.word(int(at) - hour, seconds, error)
            record.append(series.id)
            record.append(value)
            series.append(value, series.id < cursor)
        key = self._folds.second_key(now)
        self.store.root["seconds"][key] = [hour, packing.text(record)]

    def _make(self, name: str) -> Series:
        series = self._series[name] = Series(self._next_id)
        self.store.root["names"][name] = series.id
        self._next_id += 1
        return series

    def _read(self) -> None:
        """Bring back into memory what has been in it."""
        root = self.store.root
        self._series = {name: Series(id_) for name, id_ in root["names"].items()}
        by_id = {series.id: series for series in self._series.values()}
        self._next_id = max(by_id, default=0) + 1
        self._folds.read(self.clock())
        hour, cursor = self._folds.hour, self._folds.cursor
        for key, (began, packed) in root["seconds"].items():
            self._folds.seconds.append(key)
            record = packing.words_of(packed)
            shift = hour - began  # what was written in the hour before
            for id_, value in zip(record[::2], record[1::2], strict=True):
                offset = (value & 0xFFF) - shift
                series = by_id.get(id_)
                if series is not None and offset >= (HOUR if id_ < cursor else 0):
                    series.append(value - shift, id_ < cursor)

    # -- work that is due

    def _catch_up(self, now: float) -> None:
        """Fold hours that are long over, as after a pause of the whole machine."""
        while now >= self._folds.hour + HOUR + _LAST:
            if not any(series.words for series in self._series.values()):
                with self.store.transaction():
                    self._folds.jump(now)
                return
            self._fold_some(_AT_ONCE)

    def _fold_hour(self, now: float) -> None:
        if now >= self._folds.hour + HOUR + _LATE:
            self._fold_some(min(_AT_ONCE, math.ceil(len(self._series) / _SPREAD) + 1))

    def _fold_some(self, count: int) -> None:
        """Write the hour of so many endpoints, each as a document."""
        with self.store.transaction():
            self._folds.fold_hour(self._series, count)

    def _fold_day(self, now: float) -> None:
        if self._folds.day_is_due(now):
            with self.store.transaction():
                self._folds.fold_day(self._series, now)

    def _drop(self, now: float) -> None:
        """Drop some of what is too old, if there is any."""
        root, folds = self.store.root, self._folds
        old = [("seconds", key) for key in folds.old_seconds(_DROPPED // 4)]
        if int(now) % len(self._keep) == 0:  # or else it would take as long as all the rest
            for collection, keep in self._keep.items():
                before = now - keep
                if collection == "hours":
                    before = min(before, folds.day * DAY)  # days are made of them
                keys = folding.old_keys(root[collection], collection, before, _DROPPED)
                old += [(collection, key) for key in keys]
        if old:
            with self.store.transaction():
                for collection, key in old:
                    root[collection].pop(key, None)

    def forget(self, names: Iterable[str]) -> None:
        """Drop all that is known of endpoints that are not watched any more.

        What was written of them goes as it becomes too old.
        """
        with self.store.transaction():
            for name in names:
                if self._series.pop(name, None) is not None:
                    del self.store.root["names"][name]
        self._folds.order = []

    def close(self) -> None:
        """Have all on disk, and end."""
        self.flush(max(self._flushed, self.clock()))
        self.store.close()

    def stats(self) -> dict[str, Any]:
        """Numbers: endpoints, bytes in memory of their last results, and those of the store."""
        words = sum(len(series.words) for series in self._series.values())
        return {"endpoints": len(self._series), "results_bytes": words, **self.store.stats()}

    # -- answers

    def names(self) -> list[str]:
        """Whose history there is."""
        return [*self._series]

    def raw(self, name: str, since: float, until: float) -> list[tuple[float, float, str]]:
        """Results whose checks began in [since, until): (at, seconds, error), oldest first.

        `at` is cut to whole seconds, `seconds` is right within a quarter of a percent. Those that
        were added after the last `flush` are missing.
        """
        found: list[tuple[float, float, str]] = []
        until = min(until, self.clock() + DAY)
        for hour, words in self._words(name, since, until):
            found += (packing.result(value, hour) for value in words)
        return [one for one in found if since <= one[0] < until]

    def _words(self, name: str, since: float, until: float) -> Iterator[tuple[int, list[int]]]:
        """The words of each hour that touches a time; hours without any are left out."""
        series = self._series.get(name)
        if series is None:
            return
        base = self._folds.base(series)
        since = max(since, self.clock() - self._keep["hours"] - DAY)
        for hour in range(int(since) // HOUR * HOUR, min(base, math.ceil(until)), HOUR):
            if document := self.store.root["hours"].get(series.key(hour)):
                yield hour, packing.hour_words(document[3])
        for hour, words in series.by_hour(base):
            if hour < until and hour + HOUR > since:
                yield hour, words

    def rollups(
        self, name: str, since: float, until: float, step: str = "hour"
    ) -> list[dict[str, Any]]:
        """Rollups of the hours, or the days in UTC, that touch a time; oldest first.

        Each has "at", "checks", "failed", "unknown", and "p50", "p95", "max" in seconds, or None.
        Where nothing was checked there is none. Raises ValueError for another step.
        """
        if step not in ("hour", "day"):
            raise ValueError(f"got step={step!r}; give 'hour' or 'day'")
        series = self._series.get(name)
        if series is None or until <= since:
            return []
        length = HOUR if step == "hour" else DAY
        found = self._hours if step == "hour" else self._days
        return [
            shown(rollup, at)
            for at, rollup in found(name, series, since, until)
            if at + length > since and at < until
        ]

    def _hours(
        self, name: str, series: Series, since: float, until: float
    ) -> Iterator[tuple[int, Rollup]]:
        since = max(since, self.clock() - self._keep["days"] - DAY)
        for day in range(int(since) // DAY * DAY, math.ceil(until), DAY):
            written = folding.hours_of(self.store.root, series, day)
            if written is not None:
                yield from ((day + rollup.at * HOUR, rollup) for rollup in written)
                continue
            for hour, words in self._words(name, max(day, since), min(day + DAY, until)):
                yield hour, rolled(hour % DAY // HOUR, words)

    def _days(
        self, name: str, series: Series, since: float, until: float
    ) -> Iterator[tuple[int, Rollup]]:
        since = max(since, self.clock() - self._keep["months"] - DAY)
        written = dict(folding.days_of(self.store.root, series, since, until))
        first = max(int(since), int(self.clock() - self._keep["hours"] - 2 * DAY)) // DAY * DAY
        for day in range(first, math.ceil(until), DAY):
            if day not in written:
                words = [one for _, some in self._words(name, day, day + DAY) for one in some]
                if words:
                    written[day] = rolled(0, words)
        yield from sorted(written.items())

    def uptime(self, name: str, seconds: float, now: float | None = None) -> float | None:
        """How many percent of the checks of the last so many seconds were good.

        Those that say nothing, as the monitor was blind or failed itself, are left out; None if
        there are no others. For more than two days it is made of whole days in UTC, of which the
        first began up to a day earlier.
        """
        series = self._series.get(name)
        if series is None:
            return None
        now = self.clock() if now is None else now
        if seconds <= self._keep["hours"]:
            parts = [*self._counts(name, series, now - seconds)]
        else:
            parts = [*self._counts_of_days(name, series, now - seconds)]
        return percent(*(sum(part[column] for part in parts) for column in range(3)))

    def _counts_of_days(
        self, name: str, series: Series, since: float
    ) -> Iterator[tuple[int, int, int]]:
        """Counts of the days that were folded, and of the hours since then."""
        began = int(since) // DAY * DAY
        folded = began
        for day, row in folding.days_of(self.store.root, series, since, self._flushed + HOUR):
            folded = max(folded, day + DAY)
            yield row.checks, row.failed, row.unknown
        oldest = int(self.clock() - self._keep["hours"] - 2 * DAY)
        yield from self._counts(name, series, max(folded, began, oldest))

    def _counts(self, name: str, series: Series, since: float) -> Iterator[tuple[int, int, int]]:
        """Counts of hours as they are written, but of the first one from its results."""
        root, base = self.store.root["hours"], self._folds.base(series)
        first = -(-int(since) // HOUR) * HOUR
        if since < first:
            words = [(hour, one) for hour, some in self._words(name, since, first) for one in some]
            yield packing.counts(one for hour, one in words if hour + (one & 0xFFF) >= since)
        for hour in range(first, base, HOUR):
            if document := root.get(series.key(hour)):
                yield document[0], document[1], document[2]
        for hour, some in series.by_hour(base):
            if hour >= first:
                yield packing.counts(some)

    def export(
        self,
        name: str | None = None,
        format: str = "jsonl",  # noqa: A002
        what: str = "raw",
    ) -> Iterator[str]:
        """Lines, each with its end, of one endpoint or of all.

        `what` is "raw", "hour" or "day". `format` is "jsonl", an object a line, or "csv" with a
        head. Raises ValueError for others, and KeyError for a name that has no history.
        """
        return exporting.lines(self, name, format, what)
