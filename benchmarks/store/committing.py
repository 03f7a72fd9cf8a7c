"""Commits a second without HTTP."""

from __future__ import annotations

from benchmarks.store.counters import INLINE
from benchmarks.store.workers import Pairs, Worker, all_workers, counted, pairs

GREENLETS = (1, 10, 100, 1000)


def commits(rounds: int, seconds: float) -> dict[str, Pairs]:
    """By greenlets, for each store pairs of commits a second; the base of all waits inline."""
    with all_workers() as workers:
        return {
            counted(greenlets, "greenlet"): _pairs(workers, rounds, greenlets, seconds)
            for greenlets in GREENLETS
        }


def _pairs(workers: dict[str, Worker], rounds: int, greenlets: int, seconds: float) -> Pairs:
    def sample(name: str) -> float:
        done = workers[name].commit(greenlets, seconds)
        return done["commits"] / done["seconds"]

    return pairs(rounds, INLINE, [name for name in workers if name != INLINE], sample)
