"""Images: all documents at one moment, as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from safepatch.store import directories
from safepatch.store.engines.journal import files
from safepatch.store.engines.journal.files import Batch
from safepatch.store.engines.journal.frames import frame
from safepatch.store.values import Op, encode

_PART = 1 << 20  # bytes of documents in a frame of an image, about

# All documents as bytes, by collection and key.
State = dict[str, dict[str, bytes]]


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
    directories.put(files.path_of(directory, "image", sequence), _frames(state, seconds))


def _frames(state: State, seconds: float) -> Iterator[bytes]:
    documents = ((name, key, document) for name in state for key, document in state[name].items())
    # If there is nothing in it, the last part says still of when it is.
    for number, part in enumerate(grouped(documents, _PART)):
        yield frame(number, encode((seconds, [part])))
    yield frame(number + 1, b"")


def grouped(documents: Iterable[Op], most: int) -> Iterator[list[Op]]:
    """Documents in parts of so many bytes, about; the last part may have none."""
    part: list[Op] = []
    size = 0
    for op in documents:
        part.append(op)
        size += len(op[2] or b"")
        if size >= most:
            yield part
            part, size = [], 0
    yield part
