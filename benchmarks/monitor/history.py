"""What the history of many endpoints takes: `python -m benchmarks.monitor.history [ENDPOINTS]`.

A day and some hours are run as quickly as it goes, with results as they come from checks each
minute; figures are of the disk, of memory, and of the processor's time.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from safepatch.monitor.history.history import History
from safepatch.store.testing import without_syncs

INTERVAL = 60
BEGAN = 1_789_948_800  # 2026-09-21 00:00 UTC


class Clock:
    """A time that goes as quickly as it is wanted."""

    now = float(BEGAN)

    def __call__(self) -> float:
        return self.now


class Checks:
    """Endpoints that are checked once a minute, one after the other."""

    def __init__(self, endpoints: int) -> None:
        chance = random.Random(1)
        self.names = [f"www.example-{number:05}.com" for number in range(endpoints)]
        self.usual = array("d", (chance.lognormvariate(-2.5, 0.8) for _ in self.names))
        self.noise = array("d", (chance.lognormvariate(0, 0.25) for _ in range(10007)))
        self.drawn = 0

    def run(self, history: History, clock: Clock, seconds: int) -> list[float]:
        """Check them, and flush each second; the processor's seconds of each flush."""
        took = []
        for _ in range(seconds):
            clock.now += 1
            for number in range(int(clock.now) % INTERVAL, len(self.names), INTERVAL):
                self.drawn += 1
                error = "timeout" if self.drawn % 2003 == 0 else ""
                lasted = self.usual[number] * self.noise[self.drawn % 10007]
                history.add(self.names[number], clock.now - 0.1, lasted, error)
            begun = time.process_time()
            history.flush(clock.now)
            took.append(time.process_time() - begun)
        return took


def rss() -> int:
    """Bytes of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def main(endpoints: int, hours: int) -> None:
    """Print what it takes."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as directory, without_syncs():
        path = Path(directory) / "history.db"
        history = History(path, clock=clock)
        checks = Checks(endpoints)
        before = rss()
        for hour in range(hours):
            took = checks.run(history, clock, 3600)
            stats = history.stats()
            size = sum(file.stat().st_size for file in Path(directory).iterdir())
            print(
                f"hour {hour + 1:3}: flush median {statistics.median(took) * 1e3:.1f} ms,"
                f" p99 {sorted(took)[-36] * 1e3:.1f} ms, most {max(took) * 1e3:.1f} ms;"
                f" disk {size / endpoints:.0f} B an endpoint;"
                f" results in memory {stats['results_bytes'] / endpoints:.0f} B,"
                f" RSS +{(rss() - before) / endpoints:.0f} B; {dict(stats['documents'])}",
                flush=True,
            )
        ask(history, clock)
        begun = time.process_time()
        history.close()
        history = History(path, clock=clock)
        print(f"opened again in {time.process_time() - begun:.2f} s")
        history.close()


def ask(history: History, clock: Clock) -> None:
    """Time the questions that a page asks."""
    name = history.names()[len(history.names()) // 2]
    day = 86400.0
    questions: dict[str, Callable[[], object]] = {
        "raw, a day": lambda: history.raw(name, clock.now - day, clock.now),
        "rollups by hour, a day": lambda: history.rollups(name, clock.now - day, clock.now),
        "rollups by hour, two weeks": lambda: history.rollups(
            name, clock.now - 14 * day, clock.now
        ),
        "rollups by day, a year": lambda: history.rollups(
            name, clock.now - 365 * day, clock.now, "day"
        ),
        "uptime, a day": lambda: history.uptime(name, day),
        "uptime, a year": lambda: history.uptime(name, 365 * day),
    }
    for question, answer in questions.items():
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            answer()
            times.append(time.perf_counter() - begun)
        median = statistics.median(times)
        print(f"{question}: first {times[0] * 1e3:.1f} ms, median {median * 1e3:.1f} ms")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*[*given, *(50_000, 26)[len(given) :]])
