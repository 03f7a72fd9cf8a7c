"""The files of a store that is not open, read without changing them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from safepatch.store import directories
from safepatch.store.engines.journal.compacting import State, merge
from safepatch.store.engines.journal.frames import Frames
from safepatch.store.engines.journal.journal import Batch, batches, read_batch
from safepatch.store.errors import CorruptError, StoreError

SNAPSHOT = "snapshot.json"
# The sequence that a file's name has, and its path.
Numbered = tuple[int, str]
# Told how far something is: bytes that are done, and bytes in all.
Told = Callable[[int, int], object]


def need_store(directory: str) -> None:
    """Raise StoreError where no store is, so that nothing is made there."""
    if not os.path.isdir(directory):
        raise StoreError(f"there is no store at {directory!r}: there is no such directory")
    names = os.listdir(directory)
    ours = directories.numbered(directory, "image") or directories.numbered(directory, "journal")
    if not ours and not {"lock", SNAPSHOT} & {*names}:
        raise StoreError(
            f"there is no store at {directory!r}: no file there is of a store; name the directory "
            "that was given to Store()"
        )


def has_snapshots(directory: str) -> bool:
    """Whether a store in snapshot mode has written into a directory."""
    return os.path.lexists(os.path.join(directory, SNAPSHOT))


@contextlib.contextmanager
def held(directory: str) -> Iterator[None]:
    """Keep others from opening a store. Raises LockedError if it is open, StoreError if none is."""
    need_store(directory)
    with contextlib.ExitStack() as locks:
        for name in ("lock", "compacting"):
            locks.callback(os.close, directories.lock(directory, name))
        yield


def walk(
    image: Numbered | None, journals: Sequence[Numbered], told: Told | None = None
) -> Iterator[tuple[int, Batch]]:
    """The batches of an image and the journals that go on from it, each with the sequence after it.

    The last journal may end without a mark, or in the middle of a frame, as after a crash. Raises
    CorruptError as opening does.
    """
    files = [*([image] if image else []), *journals]
    total, done = sum(os.path.getsize(path) for _, path in files), 0
    sequence = 0
    if image is not None:
        sequence = image[0]
        for batch in batches(image[1], 0):
            yield sequence, batch
        done = os.path.getsize(image[1])
    for number, (first, path) in enumerate(journals):
        if first != sequence:
            found = f"it begins with batch {first} where {sequence} was to come"
            raise CorruptError(path, 0, found)
        frames = Frames(path, first)
        for payload in frames:
            if told is not None:
                told(done + frames.end, total)
            yield frames.sequence, read_batch(payload)
        if number < len(journals) - 1:
            frames.need_complete()
        sequence = frames.sequence
        done += frames.end


def read(directory: str, told: Told | None = None) -> State:
    """All documents as bytes. Raises LockedError, CorruptError, and StoreError where none is."""
    state: State = {}
    with held(directory):
        for _, batch in walk(*directories.history(directory), told):
            merge(state, batch)
    return state


def need_journal(directory: str) -> None:
    """Raise StoreError for a store in snapshot mode, of which there is one image and no history."""
    if has_snapshots(directory):
        raise StoreError(
            f"{directory!r} is a store in snapshot mode, which has one image and no history; take "
            "a backup of its snapshot.json"
        )


def read_snapshot(directory: str) -> dict[str, Any]:
    """The root of a store in snapshot mode. Raises CorruptError."""
    path = os.path.join(directory, SNAPSHOT)
    with open(path, "rb") as file:
        try:
            root: dict[str, Any] = msgspec.json.decode(file.read(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise CorruptError(path, 0, f"it is no JSON of a root: {error}") from error
    return root
