"""Many small documents, as one process keeps them: built, opened again, compacted, written out.

    python -m benchmarks.store.documents build|compact|open|decode DIRECTORY DOCUMENTS

Each prints what it measured in JSON. A process of its own for each, as what went before shows in
the memory and in the garbage collector of one that goes on.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

#: So many in a transaction, while they are built.
TOGETHER = 10_000


def documents(many: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and document, about 100 bytes each."""
    for number in range(many):
        yield (
            f"user{number}@example.com",
            {
                "name": f"User {number}",
                "visits": number % 10,
                "options": {"newsletter": number % 2 == 0, "language": "en"},
                "tags": ["early", f"group-{number % 100}"],
            },
        )


def build(directory: pathlib.Path, many: int) -> dict[str, float]:
    """A store with a journal and no image, and the same documents as one piece of msgpack."""
    from safepatch.store import Store

    (directory / "plain").write_bytes(msgspec.msgpack.encode({"users": dict(documents(many))}))
    start = time.perf_counter()
    with Store(directory / "store") as store:
        coming = documents(many)
        for _ in range(0, many, TOGETHER):
            with store.transaction():
                users = store.root["users"]
                for key, document in itertools.islice(coming, TOGETHER):
                    users[key] = document
    return {"seconds": time.perf_counter() - start}


def compact(directory: pathlib.Path, many: int) -> dict[str, float]:
    from safepatch.store import Store

    with Store(directory / "store") as store:
        start = time.perf_counter()
        store.compact()
        return {"seconds": time.perf_counter() - start}


def open_(directory: pathlib.Path, many: int) -> dict[str, float]:
    from safepatch.store import Store

    store = Store(directory / "store")
    found = _measured(lambda: store.root, many)
    store.close()
    return found


def decode(directory: pathlib.Path, many: int) -> dict[str, float]:
    """The least that a restart can take: all of it decoded at once, the collector off."""
    gc.disable()
    return _measured(lambda: msgspec.msgpack.decode((directory / "plain").read_bytes()), many)


def _measured(load: Callable[[], Any], many: int) -> dict[str, float]:
    """Seconds, those of them that the processor worked, and what came to be in memory."""
    memory, start, processor = _memory(), time.perf_counter(), time.process_time()
    root = load()
    found = {
        "seconds": time.perf_counter() - start,
        "of the processor": time.process_time() - processor,
        "bytes a document": (_memory() - memory) / many,
    }
    assert len(root["users"]) == many
    return found


def _memory() -> int:
    """What this process has in memory, in bytes."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


ACTIONS: dict[str, Callable[[pathlib.Path, int], dict[str, float]]] = {
    "build": build,
    "compact": compact,
    "open": open_,
    "decode": decode,
}


if __name__ == "__main__":
    print(json.dumps(ACTIONS[sys.argv[1]](pathlib.Path(sys.argv[2]), int(sys.argv[3]))))
