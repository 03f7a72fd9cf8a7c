"""What a history answers from: documents of months, days and hours, and what is in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from safepatch.monitor.history import folding, packing
from safepatch.monitor.history.folding import DAY, Series
from safepatch.monitor.history.packing import HOUR
from safepatch.monitor.history.rollups import Rollup, rolled

if TYPE_CHECKING:
    from safepatch.monitor.history.history import History


def words(
    history: History, series: Series, since: float, until: float
) -> Iterator[tuple[int, list[int]]]:
    """The words of each hour that touches a time; hours without any are left out."""
    base = history.folds.base(series)
    since = max(since, history.clock() - history.keep["hours"] - DAY)
    for hour in range(int(since) // HOUR * HOUR, min(base, math.ceil(until)), HOUR):
        if document := history.store.root["hours"].get(series.key(hour)):
            yield hour, packing.hour_words(document[3])
    for hour, some in series.by_hour(base):
        if hour < until and hour + HOUR > since:
            yield hour, some


def hours(
    history: History, series: Series, since: float, until: float
) -> Iterator[tuple[int, Rollup]]:
    """The rollups of the hours of each day that touches a time, each with when it began."""
    since = max(since, history.clock() - history.keep["days"] - DAY)
    for day in range(int(since) // DAY * DAY, math.ceil(until), DAY):
        written = folding.hours_of(history.store.root, series, day)
        if written is not None:
            yield from ((day + rollup.at * HOUR, rollup) for rollup in written)
            continue
        for hour, some in words(history, series, max(day, since), min(day + DAY, until)):
            yield hour, rolled(hour % DAY // HOUR, some)


def days(
    history: History, series: Series, since: float, until: float
) -> Iterator[tuple[int, Rollup]]:
    """The rollups of the days that touch a time, each with when it began, oldest first."""
    since = max(since, history.clock() - history.keep["months"] - DAY)
    written = dict(folding.days_of(history.store.root, series, since, until))
    first = max(int(since), int(history.clock() - history.keep["hours"] - 2 * DAY)) // DAY * DAY
    for day in range(first, math.ceil(until), DAY):
        if day not in written:
            all_ = [one for _, some in words(history, series, day, day + DAY) for one in some]
            if all_:
                written[day] = rolled(0, all_)
    yield from sorted(written.items())


def counts_of_days(
    history: History, series: Series, since: float
) -> Iterator[tuple[int, int, int]]:
    """Counts of the days that were folded, and of the hours since then."""
    began = int(since) // DAY * DAY
    folded = began
    for day, row in folding.days_of(history.store.root, series, since, history.clock() + HOUR):
        folded = max(folded, day + DAY)
        yield row.checks, row.failed, row.unknown
    oldest = int(history.clock() - history.keep["hours"] - 2 * DAY)
    yield from counts(history, series, max(folded, began, oldest))


def counts(history: History, series: Series, since: float) -> Iterator[tuple[int, int, int]]:
    """Counts of hours as they are written, but of the first one from its results."""
    root, base = history.store.root["hours"], history.folds.base(series)
    first = -(-int(since) // HOUR) * HOUR
    if since < first:
        part = [(hour, one) for hour, some in words(history, series, since, first) for one in some]
        yield packing.counts(one for hour, one in part if hour + (one & 0xFFF) >= since)
    for hour in range(first, base, HOUR):
        if document := root.get(series.key(hour)):
            yield document[0], document[1], document[2]
    for hour, some in series.by_hour(base):
        if hour >= first:
            yield packing.counts(some)
