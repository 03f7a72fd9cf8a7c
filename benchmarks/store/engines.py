"""The engines beside each other: commits by greenlets, and reads on demand.

    python -m benchmarks.store.engines [--quick]

Prints medians of runs that take turns; trust the ratios of one run alone.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import gevent

from safepatch.store import Store, durable

ADDRESSES = {"journal": "{}/state", "sqlite": "sqlite:///{}/state.db"}


def commits(address: str, greenlets: int, seconds: float, keys: int) -> float:
    """Commits a second, each of which changes one of some documents."""
    with tempfile.TemporaryDirectory() as directory:
        store = Store(address.format(directory), every=0)

        @durable(store)
        def visit(key: str) -> None:
            counter = store.root["counters"].setdefault(key, {"visits": 0, "name": key})
            counter["visits"] += 1

        over = False

        def many(number: int) -> int:
            done = 0
            while not over:
                visit(str((number + done) % keys))
                done += 1
            return done

        started = time.perf_counter()
        workers = [gevent.spawn(many, number * 17) for number in range(greenlets)]
        gevent.sleep(seconds)
        over = True
        gevent.joinall(workers, raise_error=True)
        rate = sum(worker.value or 0 for worker in workers) / (time.perf_counter() - started)
        store.close()
        return rate


def reads(documents: int, in_memory: int) -> dict[str, float]:
    """Microseconds a document, of a file with many of which few are in memory."""
    with tempfile.TemporaryDirectory() as directory:
        address = f"sqlite:///{directory}/state.db"
        with Store(address, every=0) as store:
            for first in range(0, documents, 1000):
                with store.transaction():
                    store.root["users"].update(
                        (str(n), {"n": n, "name": f"user {n}", "options": {"newsletter": True}})
                        for n in range(first, first + 1000)
                    )
        with Store(address, every=0, in_memory=in_memory) as store:
            users, choose = store.root["users"], random.Random(1)
            keys = [str(choose.randrange(documents)) for _ in range(min(documents, 20_000))]
            few = keys[: in_memory // 2]
            return {
                "one by one, from disk": _per(len(keys), lambda: [users[key]["n"] for key in keys]),
                "all, in order": _per(documents, lambda: sum(user["n"] for user in users.values())),
                "again, from memory": _again(users, few),
            }


def _again(users: dict[str, object], keys: list[str]) -> float:
    for key in keys:
        users[key]
    return _per(len(keys), lambda: [users[key] for key in keys])


def _per(count: int, action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) / count * 1e6


def main() -> None:
    quick = "--quick" in sys.argv
    for greenlets, keys in ((10, 10), (100, 100), (100, 10_000)):
        found: dict[str, list[float]] = {name: [] for name in ADDRESSES}
        for _ in range(1 if quick else 9):
            for name, address in ADDRESSES.items():
                found[name].append(commits(address, greenlets, 0.05 if quick else 0.5, keys))
        ratio = statistics.median(
            journal / sqlite
            for journal, sqlite in zip(found["journal"], found["sqlite"], strict=True)
        )
        rates = ", ".join(f"{name} {statistics.median(all_):,.0f}" for name, all_ in found.items())
        print(f"{greenlets} greenlets, {keys} documents: {rates} commits/s; ratio {ratio:.2f}")
    for what, each in reads(2000 if quick else 200_000, 1000).items():
        print(f"read {what}: {each:.1f} microseconds a document")


if __name__ == "__main__":
    main()
