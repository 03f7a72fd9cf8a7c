"""What it costs to have checks made by workers: all but the checks, which do nothing here.

    python -m benchmarks.monitor.workers [--quick]

Needs redis-server. Prints microseconds of the processor for each check, of the worker, of the
monitor (packing, sending, receiving, counting votes) and of Redis, by the size of batches; writes
them to benchmarks/results/. --quick takes few samples, and writes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import gevent

from benchmarks.monitor.servers import nginx
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.results import Result
from safepatch.monitor.workers import Vantages, command, vantages
from safepatch.monitor.workers.brokers import AT_ONCE, BROKER
from safepatch.monitor.workers.running import Runner

RESULTS = pathlib.Path(__file__).parents[1] / "results"
ROOT = pathlib.Path(__file__).parents[2]
#: How many batches of a size are sent in a round.
BATCHES = {1: 1000, 100: 300, 200: 200, 1000: 50}
TICK = 1 / os.sysconf("SC_CLK_TCK")


def spent(pid: int) -> float:
    """Seconds of the processor that a process has had."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


@contextlib.contextmanager
def redis() -> Iterator[tuple[str, int]]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise SystemExit("there is no redis-server here")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen([program, *options, "--dir", directory], stdout=-3)
        try:
            yield f"redis://127.0.0.1:{port}/0", process.pid
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def worker(url: str, at_once: int) -> Iterator[int]:
    given = {**os.environ, "PYTHONPATH": str(ROOT), BROKER: url, AT_ONCE: str(at_once)}
    app = command("here", app="benchmarks.monitor.workers_app")
    process = subprocess.Popen(app, env=given, stdout=-3, stderr=-3)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


class Round:
    """Sends so many batches, and waits until all results are there."""

    def __init__(self, url: str) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        self.taken = 0
        self.vantages = Vantages(url, ["here"], lambda: self.endpoints, self.take)
        vantages._SPARE = 2 * max(BATCHES.values())  # all of a round wait at once
        self.vantages._due = []
        self.vantages._planned = self.endpoints
        self.vantages.start()

    def take(self, endpoint: Endpoint, result: Result) -> tuple[float, None]:
        self.taken += 1
        return 60.0, None

    def prepare(self, size: int, batches: int) -> list[list[Endpoint]]:
        """So many batches of endpoints."""
        options = Options(timeout=5.0)
        found = [
            Endpoint(f"site{n}", f"https://site{n}.example.com", options)
            for n in range(size * batches)
        ]
        self.endpoints.clear()
        self.endpoints.update({each.name: each for each in found})
        return [found[at : at + size] for at in range(0, len(found), size)]

    def run(self, batches: list[list[Endpoint]]) -> None:
        """Send them, and wait for all results."""
        self.taken, sent = 0, time.time()
        for batch in batches:
            self.vantages._send(batch, sent, 600.0)
        while self.taken < len(self.endpoints):
            if time.time() - sent > 120:
                raise SystemExit(f"only {self.taken} of {len(self.endpoints)} results have come")
            gevent.sleep(0.01)


def measure(quick: bool) -> dict[str, list[dict[str, float]]]:
    """By size of batches: samples of microseconds for each check, and checks a second."""
    found: dict[str, list[dict[str, float]]] = {}
    with redis() as (url, redis_pid), worker(url, 100) as worker_pid:
        one = Round(url)
        one.run(one.prepare(10, 2))  # until the worker is there
        for _ in range(1 if quick else 5):
            for size, batches in BATCHES.items():
                count = max(2, batches // 20) if quick else batches
                found.setdefault(str(size), []).append(
                    sample(one, size, count, {"worker": worker_pid, "redis": redis_pid})
                )
        one.vantages.stop()
    return found


def sample(one: Round, size: int, batches: int, pids: dict[str, int]) -> dict[str, float]:
    prepared = one.prepare(size, batches)
    before = {name: spent(pid) for name, pid in pids.items()}
    own, began = time.process_time(), time.perf_counter()
    one.run(prepared)
    seconds = time.perf_counter() - began
    took = {name: spent(pid) - before[name] for name, pid in pids.items()}
    took["monitor"] = time.process_time() - own
    checks = size * batches
    return {**{name: each / checks * 1e6 for name, each in took.items()}, "rate": checks / seconds}


def checks(quick: bool) -> dict[str, list[float]]:
    """Microseconds of the processor for each real check as a worker makes them, against nginx."""
    found: dict[str, list[float]] = {"http": [], "https": []}
    with nginx() as servers:
        addresses = {
            "http": f"http://127.0.0.1:{servers.plain}/",
            "https": f"https://127.0.0.1:{servers.tls}/",
        }
        runner = Runner(None, at_once=100)
        for _ in range(1 if quick else 5):
            for kind, address in addresses.items():
                options = Options(timeout=30.0, ca=servers.ca)
                some = [Endpoint(str(n), address, options) for n in range(100 if quick else 1000)]
                runner.results(some[:10], 60.0)
                began = time.process_time()
                results = runner.results(some, 60.0)
                assert all(result.ok for result in results), results[0]
                found[kind].append((time.process_time() - began) / len(some) * 1e6)
    return found


def report(found: dict[str, Any]) -> Iterator[str]:
    yield f"Python {found['python']}, {found['versions']}"
    yield "microseconds of the processor for each check that does nothing, medians (least..most)"
    yield f"{'batch':>6}{'worker':>23}{'monitor':>23}{'Redis':>23}{'together':>10}{'checks/s':>10}"
    for size, samples in found["overhead"].items():
        middle = {name: statistics.median(s[name] for s in samples) for name in samples[0]}
        cells = []
        for name in ("worker", "monitor", "redis"):
            each = [one[name] for one in samples]
            cells.append(f"{middle[name]:8.1f} ({min(each):.1f}..{max(each):.1f})".rjust(22))
        together = sum(middle[name] for name in ("worker", "monitor", "redis"))
        yield f"{size:>6} {' '.join(cells)} {together:9.1f} {middle['rate']:9.0f}"

    for kind, each in found["checks"].items():
        middle_one = statistics.median(each)
        yield f"a real check of {kind}: {middle_one:.0f} ({min(each):.0f}..{max(each):.0f})"


def main() -> None:
    quick = "--quick" in sys.argv
    from importlib.metadata import version

    versions = {name: version(name) for name in ("celery", "redis", "gevent")}
    found = {
        "python": platform.python_version(),
        "versions": versions,
        "overhead": measure(quick),
        "checks": checks(quick),
    }
    lines = [*report(found)]
    print(*lines, sep="\n")
    if not quick:
        name = "monitor-workers-{}.{}".format(*sys.version_info)
        (RESULTS / f"{name}.json").write_text(json.dumps(found) + "\n")
        (RESULTS / f"{name}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
