"""Requests a second of the counter over HTTP, and how often each store waits for the disk."""

from __future__ import annotations

import pathlib
import re
import shutil
import statistics
import tempfile

from benchmarks.store.counters import COUNTERS, UNDURABLE
from benchmarks.store.workers import LEFT_OUT, Pairs, Worker, all_workers, counted, pairs

#: Clients at once, and the requests of one sample.
CLIENTS = {1: 200, 10: 500, 50: 500}


def requests(rounds: int, scale: float) -> dict[str, Pairs]:
    """By clients, for each store pairs of samples; the base of all has no durability."""
    with all_workers() as workers:
        found = {
            counted(clients, "client"): _pairs(workers, rounds, int(many * scale), clients)
            for clients, many in CLIENTS.items()
        }
        kept = _pairs(workers, rounds, int(CLIENTS[10] * scale), 10, keep_alive=True)
    return found | {"10 clients, connections kept": kept}


def _pairs(
    workers: dict[str, Worker], rounds: int, many: int, clients: int, keep_alive: bool = False
) -> Pairs:
    def sample(name: str) -> dict[str, float]:
        served = workers[name].serve(many, clients, keep_alive)
        cuts = statistics.quantiles(served["milliseconds"], n=100, method="inclusive")
        per_second = len(served["milliseconds"]) / served["seconds"]
        return {"per second": per_second, "p50": cuts[49], "p99": cuts[98]}

    return pairs(rounds, UNDURABLE, [name for name in workers if name != UNDURABLE], sample)


def syncs(requests: int, clients: int) -> dict[str, int]:
    """How often each store waits for the disk while it serves so many, with opening and closing;
    nothing where there is no strace."""
    if not shutil.which("strace"):
        return {}
    return {name: _syncs(name, requests, clients) for name in COUNTERS if name not in LEFT_OUT}


def _syncs(name: str, requests: int, clients: int) -> int:
    calls = "fsync,fdatasync,msync,sync_file_range,io_submit"
    with tempfile.TemporaryDirectory() as temporary:
        trace, directory = pathlib.Path(temporary, "trace"), pathlib.Path(temporary, "store")
        directory.mkdir()
        strace = ("strace", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={calls}", "-o", str(trace))
        worker = Worker(name, directory, *strace)
        worker.serve(requests, clients)
        worker.close()
        return len(re.findall(rf"\b({calls.replace(',', '|')})\(", trace.read_text()))
