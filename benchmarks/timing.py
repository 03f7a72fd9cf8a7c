"""Timing several things in turn, so that what the machine does meanwhile hits all alike."""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable, Mapping
from typing import Any

#: Rounds of samples; each sample takes about SAMPLE seconds, short enough to fit between two
#: interruptions by whatever else runs.
ROUNDS, SAMPLE = 1000, 0.0003


def least(timers: Mapping[str, timeit.Timer], rounds: int) -> dict[str, float]:
    """Seconds a run of each, the least of many samples taken in turn."""
    runs = {name: _runs(timer) for name, timer in timers.items()}
    found = dict.fromkeys(timers, float("inf"))
    for _ in range(rounds):
        for name, timer in timers.items():
            found[name] = min(found[name], timer.timeit(runs[name]) / runs[name])
    return found


def _runs(timer: timeit.Timer) -> int:
    """How many runs fill a sample, once the interpreter has specialised the code."""
    timer.timeit(20)
    return max(1, int(SAMPLE / (timer.timeit(20) / 20)))


def once(work: Callable[[], Any]) -> float:
    """Seconds that a long piece of work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
