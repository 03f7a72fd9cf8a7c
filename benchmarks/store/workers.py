"""The processes that are measured, as seen from the one that measures."""

from __future__ import annotations

import contextlib
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from benchmarks.store.counters import COUNTERS, UNDURABLE

#: Kinds that are not here, and why: import errors are told, not hidden.
LEFT_OUT: dict[str, str] = {}

Pairs = dict[str, list[tuple[Any, Any]]]


class Worker:
    """A counter in a child process; `worker.py` tells what it is asked."""

    def __init__(self, name: str, directory: pathlib.Path, *before: str) -> None:
        command = [*before, sys.executable, "-m", "benchmarks.store.worker", name, str(directory)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.name, self.directory, self.total = name, directory, 0
        self.port = int(self._answer()["port"])

    def commit(self, greenlets: int, seconds: float) -> dict[str, float]:
        """What so many greenlets commit in a loop for some seconds: commits and seconds."""
        found = self._ask(greenlets=greenlets, seconds=seconds)
        self.total += found["commits"]
        return found

    def serve(self, requests: int, clients: int, keep_alive: bool = False) -> dict[str, Any]:
        """What so many clients measured; every count was in exactly one answer."""
        command = [sys.executable, "-m", "benchmarks.store.client", str(self.port)]
        command += [str(requests), str(clients), *(["--keep-alive"] if keep_alive else [])]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found: dict[str, Any] = json.loads(ran.stdout)
        first = self.total + 1
        self.total += requests
        assert sorted(found.pop("counts")) == list(range(first, self.total + 1)), self.name
        return found

    def close(self) -> None:
        """End it; does nothing the second time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died, which its exit status tells
            self._process.stdin.close()
        status = self._process.wait()
        self._process.stdout.close()
        assert status == 0, f"the worker of {self.name} ended with {status}"

    def check(self) -> None:
        """End it, and see in another process that no count was lost, and none was too many."""
        self.close()
        if self.name == UNDURABLE:
            return
        again = Worker(self.name, self.directory)
        again.total = self.total
        again.serve(1, 1)
        again.close()

    def _ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the worker ended before it answered; what it said is above")
        found: dict[str, Any] = json.loads(answer)
        return found


@contextlib.contextmanager
def all_workers() -> Iterator[dict[str, Worker]]:
    """One for each counter, checked at the end. They wait for nothing while others are measured."""
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as ended:
        workers: dict[str, Worker] = {}
        for name in COUNTERS:
            directory = pathlib.Path(temporary, str(len(workers)))
            directory.mkdir()
            try:
                workers[name] = Worker(name, directory)
            except RuntimeError as error:
                LEFT_OUT[name] = str(error)
                continue
            ended.callback(workers[name].close)
        yield workers
        for worker in workers.values():
            worker.check()


def pairs(rounds: int, base: str, others: Iterable[str], measure: Callable[[str], Any]) -> Pairs:
    """What was measured of the base and then of each other, or the other way round, in turn: so
    both of a pair meet the same neighbours on the machine."""
    found: Pairs = {name: [] for name in others}
    order = list(found)
    for turn in range(rounds):
        random.shuffle(order)
        for name in order:
            first, second = (base, name) if turn % 2 else (name, base)
            measured = {first: measure(first)}
            measured[second] = measure(second)
            found[name].append((measured[base], measured[name]))
    return found


def quartiles(figures: list[float]) -> tuple[float, float, float]:
    """A quarter of them is lower than the first, half than the second."""
    if len(figures) == 1:
        return figures[0], figures[0], figures[0]
    low, middle, high = statistics.quantiles(figures, n=4, method="inclusive")
    return low, middle, high


def counted(many: int, what: str) -> str:
    return f"{many} {what}" if many == 1 else f"{many} {what}s"
