"""What is in the files of a store, and what is wrong with them, without changing anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from safepatch.store import directories, snapshots
from safepatch.store.engines.journal.files import (
    Batch,
    Numbered,
    Told,
    listed,
    newest_image,
    read_batch,
    size,
)
from safepatch.store.errors import CorruptError, LockedError
from safepatch.store.tools.reading import is_read_only, need_store


class File(NamedTuple):
    """One file: batches `first` to `next` - 1, or the documents as they were before `first`.

    `begun` and `ended` are the times of its first and last batch, in seconds since 1970. `intact`
    are the bytes that can be read, of `size`; behind those it has `room` for more. `marked` is
    whether it was ended, `needed` whether it is to open the store, and not only to restore what was
    before. `damage` is what a crash does not explain, or None.
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
    needed: bool
    damage: str | None
    room: int = 0


class Survey(NamedTuple):
    """All files, oldest first, and what was read from those that are needed to open the store.

    `sequence` is how many batches there are, `documents` how many, by collection. `damaged` are
    those of the files that are, and `torn` the bytes of a last write that a crash has cut off.
    """

    files: list[File]
    sequence: int
    documents: dict[str, int]
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
    this very instant gets LockedError. `held=True` is for who holds the lock. `told(done, bytes)`
    is called now and then, with how much was read and how much there is. Damage raises nothing: it
    is in the answer. Raises StoreError where no store is.
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
        directories.unlock(directories.lock(directory, "lock", reads_only=is_read_only(directory)))
    except LockedError:
        return True
    return False


def _survey(directory: str, is_open: bool, told: Told | None) -> Survey:
    files = listed(directory)
    since = newest_image(files)
    names: dict[str, set[str]] = {}

    def count(batch: Batch) -> None:
        for transaction in batch[1]:
            for name, key, document in transaction:
                keys = names.setdefault(name, set())
                (keys.add if document is not None else keys.discard)(key)

    total, done, sequence = size(files), 0, 0
    looked: list[File] = []
    for file in files:
        needed = file.first >= since
        found = look(file, last=file == files[-1], seen=count if needed else None)
        if needed and file.kind == "journal":
            found = found._replace(damage=found.damage or file.break_after(sequence))
        looked.append(found._replace(needed=needed))
        sequence = found.next
        done += found.size
        if told is not None:
            told(done, total)
    documents = {name: len(keys) for name, keys in names.items() if name and keys}
    return Survey(looked, sequence, documents, is_open)


def look(
    file: Numbered, *, last: bool = True, seen: Callable[[Batch], object] | None = None
) -> File:
    """Look at one file, and show its batches, as far as they can be read.

    The last one may end as a crash leaves it, if it is a journal.
    """
    frames = file.frames()
    begun = ended = damage = None
    try:
        for payload in frames:
            batch = read_batch(payload)
            begun, ended = begun or batch[0], batch[0]
            if seen is not None:
                seen(batch)
        if file.kind == "image" or not last:
            frames.need_complete()
    except CorruptError as error:
        damage = error.found
    end = file.first if file.kind == "image" else frames.sequence
    return File(
        file.kind, file.path, file.first, end, begun, ended,
        os.path.getsize(file.path) - frames.room, frames.end, frames.marked, True, damage,
        frames.room,
    )  # fmt: skip


def snapshot(directory: str) -> dict[str, Any]:
    """What is in a store in snapshot mode, which may be open: whether it is, when its image was
    "written", in seconds since 1970, its bytes, and how many entries there are by name. Raises
    CorruptError."""
    root, file = snapshots.read(directory), os.path.join(directory, directories.SNAPSHOT)
    return {
        "mode": "snapshot",
        "open": _is_open(directory),
        "written": os.path.getmtime(file),
        "image_bytes": os.path.getsize(file),
        "entries": {
            name: len(value) if isinstance(value, dict | list) else 1
            for name, value in root.items()
        },
    }
