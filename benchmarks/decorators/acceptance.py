"""What was promised of the decorators, and what was measured: to be read, it fails nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.decorators.candidates import AWAIT, CACHEBOX, LOCKED, LRU, OURS
from benchmarks.decorators.measuring import APPLIED, BY_HAND, ratios


class Promise(NamedTuple):
    what: str
    most: float
    measured: float

    @property
    def kept(self) -> bool:
        return self.measured <= self.most


def promises(found: Any) -> list[Promise]:
    """Each promise with what was measured; left out is what needs something that is not there."""
    two = ratios(found["hits"]["2 positional"], LRU)
    words = ratios(found["hits"]["keywords"], LRU)
    retries, logs = (ratios(found[what]["function"], BY_HAND) for what in ("retries", "logs"))
    bytes_each, applied = found["bytes an entry"], OURS + APPLIED
    made = [
        Promise("a hit, 2 positional, in lru_cache hits", 3.3, two[OURS]),
        Promise("a hit, keywords, in lru_cache hits", 1.3, words[OURS]),
        Promise("applied, 2 positional, in lru_cache hits", 4.6, two[applied]),
        Promise("applied, keywords, in lru_cache hits", 2.1, words[applied]),
    ]
    made += [
        Promise(f"applied, {case}, of {other} by hand", most, measured[applied] / measured[other])
        for other, most in ((CACHEBOX, 0.85), (LOCKED, 0.35))
        for case, measured in (("2 positional", two), ("keywords", words))
        if other in measured
    ]
    made += [
        Promise("retry that succeeds, in closures", 1.5, retries["safepatch retry"]),
        Promise("log_calls off, in closures", 1.5, logs["safepatch log_calls"]),
        Promise("an async hit, in plain awaits", 4.0, ratios(found["async"], AWAIT)[OURS]),
    ]
    if bytes_each.get(LOCKED):
        share = bytes_each[OURS] / bytes_each[LOCKED]
        made.append(Promise(f"bytes an entry, of {LOCKED}", 0.75, share))
    return made


def report(found: Any) -> Iterator[str]:
    yield f"{'':58}{'at most':>9}{'measured':>9}"
    for promise in promises(found):
        kept = "met" if promise.kept else "NOT MET"
        yield f"{promise.what:58}{promise.most:9.2f}{promise.measured:9.2f}  {kept}"
