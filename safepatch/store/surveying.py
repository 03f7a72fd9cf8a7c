"""What is in the files of a store, and what is wrong with them, without changing anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from safepatch.store import directories
from safepatch.store.engines.journal.frames import Frames
from safepatch.store.engines.journal.journal import Batch, read_batch
from safepatch.store.errors import CorruptError, LockedError
from safepatch.store.reading import SNAPSHOT, Told, need_store, read_snapshot


class File(NamedTuple):
    """One file: batches `first` to `next` - 1, or the documents as they were before `first`.

    `begun` and `ended` are the times of its first and last batch, in seconds since 1970. `intact`
    are the bytes that can be read, of `size`. `damage` is what a crash does not explain.
    """

    kind: str  # "image" or "journal"
    path: str
    first: int
    next: int
    begun: float | None
    ended: float | None
    size: int
    intact: int
    marked: bool
    needed: bool  # to open the store, and not only to restore what was before
    damage: str | None


class Survey(NamedTuple):
    """All files, oldest first, and what was read from those that are needed to open the store."""

    files: list[File]
    sequence: int
    documents: dict[str, int]  # how many, by collection
    is_open: bool

    @property
    def damaged(self) -> list[File]:
        return [file for file in self.files if file.damage is not None]

    @property
    def torn(self) -> int:
        """Bytes at the end that are no batch yet, or none any more; opening takes them away."""
        last = self.files[-1] if self.files else None
        return 0 if last is None or last.damage is not None else last.size - last.intact


def survey(directory: str, told: Told | None = None, *, held: bool = False) -> Survey:
    """Look at all files of a store, which may be open: nothing is locked, and nothing changed.

    Whether it is open is asked by a lock that is held for an instant; whoever opens the store in
    this very instant gets LockedError. `held=True` is for who holds the lock. Raises StoreError
    where no store is.
    """
    need_store(directory)
    if held:
        return _survey(directory, False, told)
    for _ in range(_TIMES):
        is_open = _is_open(directory)
        try:
            found = _survey(directory, is_open, told)
        except FileNotFoundError:  # merged, and removed, by who has it open
            continue
        if not (is_open and found.damaged):  # or a batch was being written while we looked
            return found
    return _survey(directory, is_open, told)


_TIMES = 5


def _is_open(directory: str) -> bool:
    if not os.path.exists(os.path.join(directory, "lock")):
        return False
    try:
        os.close(directories.lock(directory, "lock"))
    except LockedError:
        return True
    return False


def _survey(directory: str, is_open: bool, told: Told | None) -> Survey:
    images = directories.numbered(directory, "image")
    journals = directories.numbered(directory, "journal")
    since = images[-1][0] if images else 0
    names: dict[str, set[str]] = {}

    def count(batch: Batch) -> None:
        for transaction in batch[1]:
            for name, key, document in transaction:
                keys = names.setdefault(name, set())
                (keys.add if document is not None else keys.discard)(key)

    files = sorted(
        [("image", *image) for image in images] + [("journal", *each) for each in journals],
        key=lambda each: (each[1], each[0]),
    )
    total, done, sequence = sum(os.path.getsize(path) for _, _, path in files), 0, 0
    looked: list[File] = []
    for kind, first, path in files:
        needed = first >= since
        file = look(kind, path, first, needed=needed, seen=count if needed else None)
        if kind == "journal":
            last = needed and path == journals[-1][1]
            expected = sequence if needed else first
            file = file._replace(damage=file.damage or _break(file, expected, last))
        if needed:
            sequence = file.next
        looked.append(file)
        done += file.size
        if told is not None:
            told(done, total)
    documents = {name: len(keys) for name, keys in names.items() if name and keys}
    return Survey(looked, sequence, documents, is_open)


def look(
    kind: str, path: str, first: int, *, needed: bool, seen: Callable[[Batch], object] | None = None
) -> File:
    """Look at one file, and show its batches, as far as they can be read."""
    frames = Frames(path, 0 if kind == "image" else first)
    begun = ended = damage = None
    try:
        for payload in frames:
            batch = read_batch(payload)
            begun, ended = begun or batch[0], batch[0]
            if seen is not None:
                seen(batch)
    except CorruptError as error:
        damage = error.found
    file = File(
        kind, path, first, first if kind == "image" else frames.sequence, begun, ended,
        os.path.getsize(path), frames.end, frames.marked, needed, damage,
    )  # fmt: skip
    return file._replace(damage=damage or _end(file)) if kind == "image" else file


def _break(file: File, sequence: int, last: bool) -> str | None:
    """What is wrong between a journal and its neighbours."""
    if file.first != sequence:
        return f"it begins with batch {file.first} where {sequence} was to come"
    return None if last else _end(file)


def _end(file: File) -> str | None:
    """What is wrong at the end of a file that was closed."""
    if file.marked and file.size == file.intact:
        return None
    return "the file does not go on to its mark"


def snapshot(directory: str) -> dict[str, Any]:
    """What is in a store in snapshot mode, which may be open. Raises CorruptError."""
    root = read_snapshot(directory)
    return {
        "mode": "snapshot",
        "open": _is_open(directory),
        "written": os.path.getmtime(os.path.join(directory, SNAPSHOT)),
        "image_bytes": os.path.getsize(os.path.join(directory, SNAPSHOT)),
        "entries": {
            name: len(value) if isinstance(value, dict | list) else 1
            for name, value in root.items()
        },
    }
