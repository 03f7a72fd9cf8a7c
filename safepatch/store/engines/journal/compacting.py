"""Merge the newest image and the closed journals into a new image, in a process of its own.

The process that has the store open goes on meanwhile: only files that nobody writes any more are
read, and no memory is shared.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator

import msgspec

from safepatch.store import directories
from safepatch.store.engines.journal.frames import frame
from safepatch.store.engines.journal.journal import Batch, batches
from safepatch.store.errors import CorruptError
from safepatch.store.values import Op

encode = msgspec.msgpack.Encoder().encode
_PART = 1 << 20  # bytes of documents in a frame of an image, about

# All documents as bytes, by collection and key.
State = dict[str, dict[str, bytes]]


def compact(directory: str, before: int, keep: float = 0.0) -> int:
    """Merge what is older than a batch; the sequence of the newest image there is then.

    Files that are not needed any more are removed when they are `keep` seconds old. Raises
    CorruptError, with nothing changed.
    """
    merging = directories.lock(directory, "compacting", wait=True)
    try:
        newest, journals = directories.history(directory)
        closed = [found for found in journals if found[0] < before]
        sequence = newest[0] if newest else 0
        if closed:
            state, sequence, seconds = merged(newest, closed)
            put_image(directory, sequence, state, seconds)
        else:
            # Who wrote the image may have been killed before it did this.
            directories.sync_directory(directory)
        remove_old(directory, sequence, keep)
        return sequence
    finally:
        os.close(merging)


def merged(
    newest: tuple[int, str] | None, journals: Iterable[tuple[int, str]]
) -> tuple[State, int, float]:
    """All documents, the sequence of the batch that comes next, and the time of the last one."""
    state: State = {}
    sequence, seconds = 0, 0.0
    if newest is not None:
        sequence = newest[0]
        for batch in batches(newest[1], 0):
            seconds = merge(state, batch)
    for first, path in journals:
        if first != sequence:
            raise CorruptError(
                path, 0, f"it begins with batch {first} where {sequence} was to come"
            )
        for batch in batches(path, first):
            seconds = merge(state, batch)
            sequence += 1
    return state, sequence, seconds


def merge(state: State, batch: Batch) -> float:
    """Bring documents to where they are after a batch; its time."""
    seconds, transactions = batch
    for transaction in transactions:
        for name, key, document in transaction:
            documents = state.setdefault(name, {})
            if document is None:
                documents.pop(key, None)
            else:
                documents[key] = document
    return seconds


def put_image(directory: str, sequence: int, state: State, seconds: float) -> None:
    """Write an image; it is there as a whole, or not."""
    path = os.path.join(directory, directories.image(sequence))
    directories.put(path, _frames(state, seconds))


def _frames(state: State, seconds: float) -> Iterator[bytes]:
    number = 0
    for part in _parts(state):
        yield frame(number, encode((seconds, [part])))
        number += 1
    yield frame(number, b"")


def _parts(state: State) -> Iterator[list[Op]]:
    part: list[Op] = []
    size = 0
    for name, documents in state.items():
        for key, document in documents.items():
            part.append((name, key, document))
            size += len(document)
            if size >= _PART:
                yield part
                part, size = [], 0
    yield part  # if there is nothing in it, it says still of when it is


def remove_old(directory: str, sequence: int, keep: float) -> None:
    """Remove what is older than the newest image that was made `keep` seconds ago, or before.

    So the state can be restored of each moment since then: an image stays as long as what goes on
    from it does.
    """
    made = [
        number
        for number, path in directories.numbered(directory, "image")
        if number <= sequence and (not keep or os.stat(path).st_mtime <= time.time() - keep)
    ]
    old = [
        path
        for kind in ("journal", "image")
        for first, path in directories.numbered(directory, kind)
        if made and first < made[-1]
    ]
    directories.unlink(old, directory)


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)  # who has the store open comes first
    compact(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
