"""Counting the calls of patches in files, for a report over many processes.

The files are mapped into memory, so that whatever a process dies of, be it `os._exit` or a signal,
what it has counted is there, and nobody's exit or signals are meddled with.
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from safepatch.decorators.counts import counting
from safepatch.decorators.threads import Local

Decorator = Callable[[Any], Any]

# A file has room for so many threads at a patch; a record has names, and then six doubles.
_RECORDS, _RECORD, _NAMES = 64, 512, 464
_SIZE = _RECORDS * _RECORD


class Figures(NamedTuple):
    """Calls of a patch at one target, and calls that reached what lies below it."""

    calls: float = 0
    errors: float = 0
    seconds: float = 0.0
    original_calls: float = 0
    original_errors: float = 0
    original_seconds: float = 0.0


class _Slots:
    """The records of one thread, by key. Nobody zeroes them, since only sums are asked for: when
    the thread ends, the next one goes on with them."""

    def __init__(self, free: dict[bytes, list[Any]]) -> None:
        self.free, self.by_key = free, dict[bytes, Any]()

    def __del__(self) -> None:
        for key, numbers in self.by_key.items():
            self.free.setdefault(key, []).append(numbers)


# Kept for good. A mapping has a file descriptor of its own, and closes that number when it is
# deleted; a daemon that has closed all descriptors has other files under it by then.
_mapped: list[mmap.mmap] = []


class Spool:
    """Where one process keeps its figures; the child of a fork begins anew, in files of its own.

    No lock is taken. Where files cannot be written, calls are counted for nobody.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._stem = os.path.join(self.directory, f"{os.getpid()}-{os.urandom(4).hex()}")
        self._files = itertools.count()
        self._free: dict[bytes, list[Any]] = {}
        self._room: list[Any] = []
        self._local = Local()
        # At once: the process may give up its right to write there.
        self._make_room()

    def _make_room(self) -> None:
        name = f"{self._stem}.{next(self._files)}.figures"
        try:
            with open(name, "xb+") as file:
                file.write(bytes(_SIZE))  # now, since later a full disk would be a deadly signal
                file.flush()
                mapped = mmap.mmap(file.fileno(), _SIZE)
        except OSError:  # the runner has gone, and its directory
            mapped = mmap.mmap(-1, _SIZE)
        _mapped.append(mapped)
        view = memoryview(mapped)
        self._room += [view[at : at + _RECORD] for at in reversed(range(0, _SIZE, _RECORD))]

    def numbers(self, key: bytes) -> Any:
        """The six numbers that this thread, and no other, adds to."""
        try:
            slots = self._local.slots.by_key
        except AttributeError:
            self._local.slots = _Slots(self._free)
            slots = self._local.slots.by_key
        if key not in slots:
            slots[key] = self._left_over(key) or self._new(key)
        return slots[key]

    def _left_over(self, key: bytes) -> Any:
        try:
            return self._free[key].pop()
        except (KeyError, IndexError):
            return None

    def _new(self, key: bytes) -> Any:
        while True:
            try:
                record = self._room.pop()
                break
            except IndexError:
                self._make_room()
        record[: len(key)] = key
        return record[_NAMES:].cast("d")

    def tell(self, registry: Any, error: str | None = None) -> None:
        """Write what has become of the patches of a registry, or why there are none."""
        told = [_told(handle, part) for handle in registry.handles() for part in handle.parts]
        facts = {"pid": os.getpid(), "command": sys.orig_argv, "error": error, "patches": told}
        try:
            temporary = Path(f"{self._stem}.part")
            temporary.write_text(json.dumps(facts), encoding="utf-8")
            temporary.replace(f"{self._stem}.json")
        except OSError:
            pass  # as above


def _told(handle: Any, part: Any) -> dict[str, Any]:
    return {
        "name": handle.name,
        "target": part.text,
        "state": part.state,
        "reason": part.reason,
        "guards": [{"guard": guard, "reason": reason} for guard, reason in part.verdicts],
    }


def count(handles: Iterable[Any], spool: Spool) -> None:
    """Have declared patches count their calls, and those that reach what lies below them."""
    for handle in handles:
        for part in handle.parts:
            key = f"{handle.name}\n{part.text}".encode()[:_NAMES]
            below, above = count_for_report(spool, key, 3), count_for_report(spool, key, 0)
            part.decorators = (below, *part.decorators, above)


def count_for_report(spool: Spool, key: bytes, at: int) -> Decorator:
    """Make a decorator that adds to three numbers of a record: calls, errors and seconds."""

    def decorator(wrapped: Any) -> Any:
        spool.numbers(key)  # so that the report knows of it, though nobody calls
        return counting(wrapped, add)

    def add(failed: bool, spent: float) -> None:
        numbers = spool.numbers(key)
        numbers[at] += 1
        numbers[at + 2] += spent
        if failed:
            numbers[at + 1] += 1

    return decorator


def read(directory: Path) -> Iterator[tuple[str, str, Figures]]:
    """The name, the target and the figures of each record in a directory."""
    for path in sorted(directory.glob("*.figures")):
        content = path.read_bytes()
        for at in range(0, len(content) - _RECORD + 1, _RECORD):
            key = content[at : at + _NAMES].rstrip(b"\0").decode(errors="replace")
            if key:
                name, _, target = key.partition("\n")
                numbers = memoryview(content)[at + _NAMES : at + _RECORD].cast("d")
                yield name, target, Figures(*numbers)


def read_facts(directory: Path) -> list[dict[str, Any]]:
    """What the processes told of their patches."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(directory.glob("*.json"))]


def processes(directory: Path) -> int:
    """How many processes have kept figures, or told anything."""
    return len({path.name.partition(".")[0] for path in directory.iterdir()})
