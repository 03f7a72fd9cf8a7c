"""The longest time for which a loop that serves stands still while all documents are saved.

    python -m benchmarks.store.stalls ours|redis DIRECTORY DOCUMENTS ROUNDS

Greenlets change documents all the time; one wakes up each millisecond, and looks how late it is.
With Redis it also waits for an answer, so that it sees what a client sees. Prints JSON.
"""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import msgspec  # noqa: E402

from benchmarks.store.counters import redis_server  # noqa: E402
from benchmarks.store.documents import documents  # noqa: E402

#: Greenlets that change documents, and seconds of an idle round for each document.
CHANGING, IDLE = 10, 3e-6

Actions = Mapping[str, Callable[[], Any]]
Found = dict[str, list[dict[str, float]]]


def watched(
    action: Callable[[], Any], change: Callable[[], Any], ping: Callable[[], Any]
) -> dict[str, float]:
    """What happens during an action: the longest gap in milliseconds, seconds, and changes."""
    running, gaps, changes = [True], [0.0], [0]

    def tick() -> None:
        last = time.perf_counter()
        while running:
            gevent.sleep(0.001)
            ping()
            now = time.perf_counter()
            gaps[0], last = max(gaps[0], now - last), now

    def keep_changing() -> None:
        while running:
            change()
            changes[0] += 1

    greenlets = [gevent.spawn(tick), *(gevent.spawn(keep_changing) for _ in range(CHANGING))]
    gevent.sleep(0.2)
    gaps[0] = changes[0] = 0
    start = time.perf_counter()
    action()
    seconds = time.perf_counter() - start
    gevent.sleep(0.01)  # to let it see a gap that lasted to the end
    done = changes[0]
    running.clear()
    gevent.joinall(greenlets, raise_error=True)
    return {"gap": gaps[0] * 1000, "seconds": seconds, "changes": done}


def rounds(many: int, actions: Actions, *watching: Callable[[], Any]) -> Found:
    """All in turn, so often."""
    found: Found = {name: [] for name in actions}
    for _ in range(many):
        for name, action in actions.items():
            gc.collect()
            found[name].append(watched(action, *watching))
    return found


def ours(directory: pathlib.Path, many: int, turns: int) -> Found:
    from safepatch.store import Store, durable

    with Store(directory / "store") as store:
        keys = list(store.root["users"])

        @durable(store)
        def change() -> None:
            store.root["users"][random.choice(keys)]["visits"] += 1

        actions = {
            "idle": lambda: gevent.sleep(IDLE * many),
            "safepatch, compaction": store.compact,
            "msgspec in one piece": lambda: _save(directory, msgspec.json.encode(store.root)),
            "json in one piece": lambda: _save(directory, json.dumps(store.root).encode()),
        }
        return rounds(turns, actions, change, lambda: None)


def _save(directory: pathlib.Path, image: bytes) -> None:
    """As snapshots are to be written: out of the loop's way, once they are serialised."""

    def write() -> None:
        with (directory / "image").open("wb") as file:
            file.write(image)
            file.flush()
            os.fsync(file.fileno())

    gevent.get_hub().threadpool.apply(write)


def redis(directory: pathlib.Path, many: int, turns: int) -> Found:
    """Without its AOF, whose waiting for the disk would be seen as well."""
    with redis_server(directory, "--save", "") as client:
        keys = []
        with client.pipeline(transaction=False) as pipeline:
            for key, document in documents(many):
                keys.append(key)
                pipeline.set(key, json.dumps(document))
                if len(pipeline) == 10_000:
                    pipeline.execute()
            pipeline.execute()

        def change() -> None:
            client.set(key := random.choice(keys), json.dumps({"name": key, "visits": 1}))

        def save() -> None:
            client.bgsave()
            while client.info("persistence")["rdb_bgsave_in_progress"]:
                gevent.sleep(0.05)

        actions = {"Redis, idle": lambda: gevent.sleep(IDLE * many), "Redis, BGSAVE": save}
        return rounds(turns, actions, change, client.ping)


if __name__ == "__main__":
    which, directory, *numbers = sys.argv[1:]
    measure = {"ours": ours, "redis": redis}[which]
    print(json.dumps(measure(pathlib.Path(directory), *map(int, numbers))))
