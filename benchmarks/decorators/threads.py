"""What a hit costs where four threads call at once.

Told in time of the processor, of all threads together. While one of them runs Python the others
wait, so on a machine that has nothing else to do, that is the time that passes; on one that has,
samples as long as these never pass without an interruption.
"""

from __future__ import annotations

import threading
import time
from itertools import cycle, islice
from typing import Any

from benchmarks.decorators.caches import MAXSIZE
from benchmarks.decorators.candidates import CACHES
from benchmarks.decorators.measuring import HOSTS, LOOP, Seconds, lookup, ours_applied
from benchmarks.timing import least

THREADS = 4
#: Seconds of a sample: several turns of each thread, which the interpreter lets run for 5 ms.
SAMPLE = 0.1


class ThreadsTimer:
    """Times runs in which each of the threads asks once for all hosts."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def timeit(self, number: int) -> float:
        calls = number * len(HOSTS)
        workers = [
            threading.Thread(target=_call, args=(self._function, calls)) for _ in range(THREADS)
        ]
        start = time.process_time()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return time.process_time() - start


def _call(function: Any, calls: int) -> None:
    if function is None:
        for _host in islice(cycle(HOSTS), calls):
            pass
    else:
        for host in islice(cycle(HOSTS), calls):
            function(host, 443, 2)


def in_threads(rounds: int) -> Seconds:
    functions: dict[str, Any] = {**ours_applied(CACHES, lookup, MAXSIZE), LOOP: None}
    return least({name: ThreadsTimer(one) for name, one in functions.items()}, rounds, SAMPLE)
