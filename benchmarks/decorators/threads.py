"""What a hit costs where four threads call at once."""

from __future__ import annotations

import threading
import time
from itertools import cycle, islice
from typing import Any

from benchmarks.decorators.caches import MAXSIZE
from benchmarks.decorators.candidates import CACHES
from benchmarks.decorators.measuring import LOOP, Seconds, lookup, ours_applied
from benchmarks.timing import least

THREADS = 4
HOSTS = [f"host-{i}.example.org" for i in range(64)]
#: Seconds of a sample: several turns of each thread, which the interpreter lets run for 5 ms.
SAMPLE = 0.1


class ThreadsTimer:
    """Times runs that are shared out among threads, from the first start to the last end."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def timeit(self, number: int) -> float:
        spans: list[tuple[float, float]] = []
        barrier = threading.Barrier(THREADS)

        def work() -> None:
            barrier.wait()
            spans.append(_spend(self._function, -(-number // THREADS)))

        workers = [threading.Thread(target=work) for _ in range(THREADS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return max(end for _, end in spans) - min(start for start, _ in spans)


def _spend(function: Any, calls: int) -> tuple[float, float]:
    start = time.perf_counter()
    if function is None:
        for _host in islice(cycle(HOSTS), calls):
            pass
    else:
        for host in islice(cycle(HOSTS), calls):
            function(host, 443, 2)
    return start, time.perf_counter()


def in_threads(rounds: int) -> Seconds:
    functions: dict[str, Any] = {**ours_applied(CACHES, lookup, MAXSIZE), LOOP: None}
    return least({name: ThreadsTimer(one) for name, one in functions.items()}, rounds, SAMPLE)
