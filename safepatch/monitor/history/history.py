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

from safepatch.monitor.history import asking, exporting, folding, packing
from safepatch.monitor.history.folding import DAY, Series
from safepatch.monitor.history.packing import HOUR
from safepatch.monitor.history.rollups import percent, shown
from safepatch.store import Store

_LATE = 90  # seconds after an hour until its results are written by endpoint
_SPREAD = 330  # seconds that this is spread over
_LAST = _LATE + _SPREAD + 60  # then all of the rest is written, for a word has no more room
_AT_ONCE = 80  # endpoints in one transaction
_DAYS_AT_ONCE = 5  # endpoints whose day is folded, each second
_DROPPED = 60  # documents, each second


class History:
    """What came of the checks of each endpoint: `add`, `flush` each second, and ask.

    `path` is a file of SQLite, made for its owner alone if there is none; all answers come from it
    and from what is in memory. After a kill what was added since the last `flush` is missing, and
    nothing else. For one thread or hub; `flush` waits for the disk, and lets others run meanwhile.
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
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite goes by the umask
        self.store = Store(f"sqlite:///{os.path.abspath(path)}", every=0, in_memory=500)
        self.clock = clock
        self.keep = {"hours": keep_raw, "days": keep_hours, "months": keep_rollups}
        self._new: list[tuple[str, float, float, str]] = []
        self._add = self._new.append
        self.series: dict[str, Series] = {}
        self._next_id = 1
        self._flushed = 0.0
        self._turn = 0
        self.folds = folding.Folds(self.store.root)
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
        hour, cursor = self.folds.hour, self.folds.cursor
        record = array("I")
        for name, at, seconds, error in new:
            series = self.series.get(name) or self._make(name)
            value = packing.word(int(at) - hour, seconds, error)
            record.append(series.id)
            record.append(value)
            series.append(value, series.id < cursor)
        key = self.folds.second_key(now)
        self.store.root["seconds"][key] = [hour, packing.text(record)]

    def _make(self, name: str) -> Series:
        series = self.series[name] = Series(self._next_id)
        self.store.root["names"][name] = series.id
        self._next_id += 1
        return series

    def _read(self) -> None:
        """Bring back into memory what has been in it."""
        root = self.store.root
        self.series = {name: Series(id_) for name, id_ in root["names"].items()}
        by_id = {series.id: series for series in self.series.values()}
        self._next_id = max(by_id, default=0) + 1
        self.folds.read(self.clock())
        hour, cursor = self.folds.hour, self.folds.cursor
        for key, (began, packed) in root["seconds"].items():
            self.folds.seconds.append(key)
            self._flushed = max(self._flushed, float(key.partition(".")[0]))
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
        while now >= self.folds.hour + HOUR + _LAST:
            if not any(series.words for series in self.series.values()):
                with self.store.transaction():
                    self.folds.jump(now)
                return
            self._fold_some(_AT_ONCE)

    def _fold_hour(self, now: float) -> None:
        if now < self.folds.hour + HOUR + _LATE:
            return
        left = math.ceil(len(self.series) / _SPREAD) + 1
        while left > 0:  # while each waits for the disk, others run
            self._fold_some(min(_AT_ONCE, left))
            left -= _AT_ONCE

    def _fold_some(self, count: int) -> None:
        """Write the hour of so many endpoints, each as a document."""
        with self.store.transaction():
            self.folds.fold_hour(self.series, count)

    def _fold_day(self, now: float) -> None:
        # Each takes milliseconds, so others are let run between them.
        for _ in range(min(_DAYS_AT_ONCE, self.folds.days_due(self.series, now))):
            with self.store.transaction():
                idle = self.folds.fold_day(self.series)
            if idle is not None and self.folds.is_over(idle, now - self.keep["months"]):
                self.forget([name for name, one in self.series.items() if one is idle])

    def _drop(self, now: float) -> None:
        """Drop some of what is too old, if there is any."""
        self._drop_some("seconds", self.folds.old_seconds(_DROPPED // 4))
        kind = [*self.keep][self._turn % len(self.keep)]  # one in turn, for to look takes queries
        self._turn += 1
        before = now - self.keep[kind]
        if kind == "hours":
            before = min(before, self.folds.day * DAY)  # days are made of them
        self._drop_some(kind, folding.old_keys(self.store.root[kind], kind, before, _DROPPED))

    def _drop_some(self, kind: str, keys: list[str]) -> None:
        if keys:
            with self.store.transaction():
                for key in keys:
                    self.store.root[kind].pop(key, None)

    def forget(self, names: Iterable[str]) -> None:
        """Drop all that is known of endpoints that are not watched any more.

        What was written of them goes as it becomes too old. Those of which nothing is left are
        forgotten by themselves.
        """
        with self.store.transaction():
            for name in names:
                if self.series.pop(name, None) is not None:
                    del self.store.root["names"][name]
        self.folds.order = []

    def close(self) -> None:
        """Have all on disk, and end."""
        self.flush(max(self._flushed, self.clock()))
        self.store.close()

    def stats(self) -> dict[str, Any]:
        """Numbers: endpoints, bytes in memory of their last results, and those of the store."""
        words = sum(len(series.words) for series in self.series.values())
        return {"endpoints": len(self.series), "results_bytes": words, **self.store.stats()}

    # -- answers

    def names(self) -> list[str]:
        """Whose history there is."""
        return [*self.series]

    def raw(self, name: str, since: float, until: float) -> list[tuple[float, float, str]]:
        """Results whose checks began in [since, until): (at, seconds, error), oldest first.

        `at` is cut to whole seconds, `seconds` is right within a quarter of a percent. Those that
        were added after the last `flush` are missing.
        """
        series = self.series.get(name)
        if series is None:
            return []
        found: list[tuple[float, float, str]] = []
        until = min(until, self.clock() + DAY)
        for hour, words in asking.words(self, series, since, until):
            found += (packing.result(value, hour) for value in words)
        return [one for one in found if since <= one[0] < until]

    def rollups(
        self, name: str, since: float, until: float, step: str = "hour"
    ) -> list[dict[str, Any]]:
        """Rollups of the hours, or the days in UTC, that touch a time; oldest first.

        Each has "at", "checks", "failed", "unknown", and "p50", "p95", "max" in seconds, or None.
        Where nothing was checked there is none. Raises ValueError for another step.
        """
        if step not in ("hour", "day"):
            raise ValueError(f"got step={step!r}; give 'hour' or 'day'")
        series = self.series.get(name)
        if series is None or until <= since:
            return []
        length = HOUR if step == "hour" else DAY
        found = asking.hours if step == "hour" else asking.days
        return [
            shown(rollup, at)
            for at, rollup in found(self, series, since, until)
            if at + length > since and at < until
        ]

    def uptime(self, name: str, seconds: float, now: float | None = None) -> float | None:
        """How many percent of the checks of the last so many seconds were good.

        Those that say nothing, as the monitor was blind or failed itself, are left out; None if
        there are no others. For longer than results are kept it is made of whole days in UTC, of
        which the first began up to a day earlier.
        """
        series = self.series.get(name)
        if series is None:
            return None
        now = self.clock() if now is None else now
        if seconds <= self.keep["hours"]:
            parts = [*asking.counts(self, series, now - seconds)]
        else:
            parts = [*asking.counts_of_days(self, series, now - seconds)]
        return percent(*(sum(part[column] for part in parts) for column in range(3)))

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
