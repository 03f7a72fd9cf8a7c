"""What was measured, in lines: medians, and quartiles where they say how sure that is."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.store.counters import INLINE, OURS, UNDURABLE
from benchmarks.store.workers import quartiles

WIDTH = 34
Row = Sequence[float | str]


def text(found: Any) -> Iterator[str]:
    for load, pairs in found["requests"].items():
        yield from _table(
            f"Requests a second, {load}, in those of the same server with no durability",
            ("share", "quartiles", "", "per second", "p50 ms", "p99 ms"),
            served(pairs),
        )
    if found["syncs"]:
        yield from _table(
            "Waits for the disk", ("number",), {name: (n,) for name, n in found["syncs"].items()}
        )
    for load, pairs in found["commits"].items():
        yield from _table(
            f"Commits a second without HTTP, {load}, in those of {INLINE}",
            ("times", "quartiles", "", "per second"),
            committed(pairs),
        )
    yield from _table(
        "The longest time that the loop stands still, in milliseconds",
        ("median", "quartiles", "", "seconds", "changes/s"),
        stalled(found["stalls"]),
    )
    yield from _table(
        "A restart, and what its documents take in memory",
        ("seconds", "of the processor", "bytes a document"),
        opened(found["opened"]),
    )


def served(pairs: Any) -> Mapping[str, Row]:
    rows: dict[str, Row] = {UNDURABLE: (1.0, "", "", *_middle(base(pairs)))}
    for name, measured in pairs.items():
        low, share, high = quartiles(shares(measured, "per second"))
        rows[name] = (share, low, high, *_middle([other for _, other in measured]))
    return rows


def committed(pairs: Any) -> Mapping[str, Row]:
    rows: dict[str, Row] = {INLINE: (1.0, "", "", statistics.median(base(pairs)))}
    for name, measured in pairs.items():
        if name != UNDURABLE:  # which does nothing here
            low, share, high = quartiles(shares(measured))
            rows[name] = (share, low, high, statistics.median(other for _, other in measured))
    return rows


def stalled(stalls: Any) -> Mapping[str, Row]:
    rows = {}
    for name, rounds in stalls.items():
        low, gap, high = quartiles([one["gap"] for one in rounds])
        seconds = statistics.median(one["seconds"] for one in rounds)
        speed = statistics.median(one["changes"] / one["seconds"] for one in rounds)
        rows[name] = (gap, low, high, seconds, speed)
    return rows


def opened(opened: Any) -> Mapping[str, Row]:
    """The least, as nothing here waits: what others do at the same time only adds to it."""
    return {
        name: [min(one[what] for one in rounds) for what in rounds[0]]
        for name, rounds in opened.items()
    }


def base(pairs: Any) -> list[Any]:
    """Every sample of what the others are compared with."""
    return [first for measured in pairs.values() for first, _ in measured]


def shares(measured: Any, what: str | None = None) -> list[float]:
    """Of each pair the other in multiples of the base."""
    if what is not None:
        measured = [(first[what], other[what]) for first, other in measured]
    return [other / first for first, other in measured]


def _middle(samples: Sequence[Mapping[str, float]]) -> list[float]:
    return [statistics.median(one[what] for one in samples) for what in samples[0]]


def _table(title: str, columns: Sequence[str], rows: Mapping[str, Row]) -> Iterator[str]:
    yield f"\n{title}"
    widths = [max(10, len(column)) + 2 for column in columns]
    yield " " * WIDTH + "".join(map(str.rjust, columns, widths))
    for name in sorted(rows, key=lambda name: name != OURS):
        yield f"{name:{WIDTH}}" + "".join(map(str.rjust, map(_number, rows[name]), widths))


def _number(figure: float | str) -> str:
    if isinstance(figure, str):
        return figure
    return f"{figure:.2f}" if figure < 100 else f"{figure:.0f}"
