"""Timing several things in turn, so that what the machine does meanwhile hits all alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import repeat
from typing import Any, Protocol

#: Rounds of samples; each sample takes about SAMPLE seconds, short enough to fit between two
#: interruptions by whatever else runs.
ROUNDS, SAMPLE = 1000, 0.0003


class Timer(Protocol):
    """What `timeit.Timer` is, and what else can be timed."""

    def timeit(self, number: int) -> float:
        """Seconds that so many runs take."""


def least(timers: Mapping[str, Timer], rounds: int, sample: float = SAMPLE) -> dict[str, float]:
    """Seconds a run of each, the least of many samples taken in turn."""
    runs = {name: _runs(timer, sample) for name, timer in timers.items()}
    found = dict.fromkeys(timers, float("inf"))
    for _ in range(rounds):
        for name, timer in timers.items():
            found[name] = min(found[name], timer.timeit(runs[name]) / runs[name])
    return found


def _runs(timer: Timer, sample: float) -> int:
    """How many runs fill a sample, once the interpreter has specialised the code."""
    timer.timeit(20)
    # The least of some, too: one interrupted here would be sampled a run at a time ever after.
    return max(1, int(sample / (min(timer.timeit(20) for _ in range(5)) / 20)))


class AwaitTimer:
    """Times a coroutine function, called with some arguments in a running event loop; without a
    function, the loop around the calls."""

    def __init__(
        self, runner: asyncio.Runner, function: Callable[..., Awaitable[Any]] | None, *args: Any
    ) -> None:
        self._runner, self._function, self._args = runner, function, args

    def timeit(self, number: int) -> float:
        return self._runner.run(self._spend(number))

    async def _spend(self, number: int) -> float:
        function, args = self._function, self._args
        if function is None:
            start = time.perf_counter()
            for _ in repeat(None, number):
                pass
        else:
            start = time.perf_counter()
            for _ in repeat(None, number):
                await function(*args)
        return time.perf_counter() - start


def once(work: Callable[[], Any]) -> float:
    """Seconds that a long piece of work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
