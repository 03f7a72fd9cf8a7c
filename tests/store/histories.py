"""Stores with a history, and what they held at each moment of it."""

import os
import subprocess
import sys

from children import ROOT
from hypothesis import strategies

from safepatch.store.engines.journal import compacting
from safepatch.store.engines.journal.journal import Journal
from safepatch.store.values import decode, encode

SEGMENT = 100  # bytes, so that there are several files soon
FOREVER = 1e9  # seconds

_OP = strategies.tuples(
    strategies.sampled_from(["users", "orders"]),
    strategies.sampled_from("abc"),
    strategies.none() | strategies.integers(0, 300),
)
_BATCH = strategies.lists(strategies.lists(_OP, min_size=1, max_size=3), min_size=1, max_size=2)
HISTORIES = strategies.lists(
    _BATCH | strategies.sampled_from(["reopen", "compact", "crash", "rest"]), max_size=10
)


class Clock:
    """A clock that goes on by a second with each batch."""

    def __init__(self, now=1_800_000_000.0):
        self.now = now

    def time(self):
        self.now += 1
        return self.now


def opened(directory, keep=FOREVER):
    journal = Journal(str(directory), segment=SEGMENT, keep=keep)
    journal._merge = lambda: None  # only when a history says so
    return journal, journal.open()


def make(directory, history, keep=FOREVER):
    """Write a history into a directory; the state before each batch, and that after the last."""
    journal, root = opened(directory, keep)
    states = [plain(root)]
    for step in history:
        if step == "rest":
            journal.rest()
            continue
        if step == "crash":
            journal.forget()  # without a mark
        elif isinstance(step, str):
            journal.close()
        if step == "compact":
            compacting.compact(str(directory), journal.sequence, keep)
        if isinstance(step, str):
            journal, root = opened(directory, keep)
            assert states[-1] == plain(root)
        else:
            journal.write([[(name, key, as_bytes(value)) for name, key, value in t] for t in step])
            states.append(after(states[-1], step))
    journal.close()
    return states


def after(state, batch):
    state = {name: dict(documents) for name, documents in state.items()}
    for transaction in batch:
        for name, key, value in transaction:
            if value is None:
                state.get(name, {}).pop(key, None)
            else:
                state.setdefault(name, {})[key] = {"value": value}
    return {name: documents for name, documents in state.items() if documents}


def as_bytes(value):
    return None if value is None else encode({"value": value})


def state(directory):
    """What a store has when it is opened, which changes its files."""
    journal, root = opened(directory)
    journal.close()
    return plain(root)


def plain(root):
    return {name: dict(documents.items()) for name, documents in root.items()}


def decoded(state):
    return {
        name: {key: decode(document) for key, document in documents.items()}
        for name, documents in state.items()
        if documents
    }


def contents(directory):
    """The files below a directory, but for locks, with their bytes."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in ("lock", "compacting")
    }


def quickly(monkeypatch):
    """What is not cut off from power needs no fsync."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda descriptor: None)


#: What the store has that `safepatch store` is tried on.
USERS = {
    "ann@example.com": {"name": "Ann", "age": 31, "options": {"newsletter": True}},
    "bob@example.com": {"name": "Bob", "age": 9, "options": {"newsletter": False}},
    "eve@example.com": {"name": "Eve", "tags": ["a", "b"]},
}


def damage(directory, place=25):
    """Change a byte of the one file of a store."""
    [path] = directory.glob("*.log")
    data = path.read_bytes()
    path.write_bytes(data[:place] + b"?" + data[place + 1 :])
    return path.name


def shell(command, cwd):
    """Run commands of a shell, where `store` is ours."""
    ours = f"{sys.executable} -W error -m safepatch store"
    return subprocess.run(
        ["bash", "-c", command.replace("store ", f"{ours} ")],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
