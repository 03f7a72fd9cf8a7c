"""What was promised of the store, and what was measured: to be read, it fails nothing."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.store import tables
from benchmarks.store.counters import FSYNC, OURS
from benchmarks.store.large import DECODED, IMAGE


class Promise(NamedTuple):
    what: str
    least: float
    most: float
    measured: float

    @property
    def kept(self) -> bool:
        return self.least <= self.measured <= self.most


ANY = float("inf")


def promises(found: Any) -> Iterator[Promise]:
    """Each promise with what was measured."""
    ten = found["requests"]["10 clients"]
    durable = statistics.median(tables.shares(ten[OURS], "per second"))
    yield Promise("durable at 10 clients, of no durability", 0.75, ANY, durable)
    for load, pairs in found["requests"].items():
        yield from (
            Promise(f"{load}, of {name}", 1.0, ANY, _beside(pairs[OURS], pairs[name], "per second"))
            for name in pairs
            if name != OURS
        )
    hundred = found["commits"]["100 greenlets"]
    yield Promise(f"100 greenlets, of {FSYNC}", 20.0, ANY, _beside(hundred[OURS], hundred[FSYNC]))
    gaps = {name: row[0] for name, row in tables.stalled(found["stalls"]).items()}
    compacting, idle = float(gaps["safepatch, compaction"]), float(gaps["idle"])
    yield Promise("gap while compacting, of idle", 0.0, 3.0, compacting / idle)
    one_piece = compacting / float(gaps["json in one piece"])
    yield Promise("gap while compacting, of json in one piece", 0.0, 0.1, one_piece)
    yield Promise("gap while compacting, milliseconds", 0.0, 50.0, compacting)
    # Of the processor, which others that use it too do not lengthen.
    seconds = {name: float(row[1]) for name, row in tables.opened(found["opened"]).items()}
    restart = seconds[IMAGE] / seconds[DECODED]
    yield Promise("restart from an image, of msgspec decoding", 0.0, 2.5, restart)


def _beside(ours: Any, theirs: Any, what: str | None = None) -> float:
    """Our share of the base in multiples of theirs, round by round."""
    both = zip(tables.shares(ours, what), tables.shares(theirs, what), strict=True)
    return statistics.median(one / other for one, other in both)


def report(found: Any) -> Iterator[str]:
    yield f"{'':60}{'least':>8}{'most':>8}{'measured':>10}"
    for promise in promises(found):
        bounds = (f"{one:.2f}" if 0 < one < ANY else "" for one in (promise.least, promise.most))
        least, most = bounds
        kept = "met" if promise.kept else "NOT MET"
        yield f"{promise.what:60}{least:>8}{most:>8}{promise.measured:10.2f}  {kept}"
