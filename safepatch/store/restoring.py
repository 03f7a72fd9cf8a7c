"""Point-in-time restore: a new store, with the documents as they were."""

from __future__ import annotations

import math
import os
from datetime import datetime
from typing import NamedTuple

from safepatch.store import directories
from safepatch.store.engines.journal.compacting import State, merge, put_image
from safepatch.store.engines.journal.frames import Frames
from safepatch.store.engines.journal.journal import read_batch
from safepatch.store.errors import CorruptError, StoreError
from safepatch.store.reading import Numbered, Told, held, need_journal, walk


class Restored(NamedTuple):
    """What was restored: `sequence` batches, the last of them written at `seconds` since 1970."""

    sequence: int
    seconds: float
    documents: dict[str, int]  # how many, by collection


def restore(
    directory: str, destination: str, *, at: int | datetime, told: Told | None = None
) -> Restored:
    """Make a new store of what another one was after a number of batches, or at a time.

    A time without a zone is local; all batches written up to it are in the new store. If the clock
    was put back meanwhile, it ends before the first batch that is later. How far back it can go is
    the `keep` of `Store()`. The source is not changed; the new directory is there as a whole, or
    not. Raises LockedError if the source is open, FileExistsError, StoreError for what is not kept
    and what has not come yet, and CorruptError; files after `at` may be damaged.
    """
    unfinished = f"{destination.rstrip(os.sep)}.tmp"
    for path in (destination, unfinished):
        if os.path.lexists(path):
            raise FileExistsError(f"there is something at {path!r} already; name a new place")
    with held(directory):
        need_journal(directory)
        state, sequence, seconds = _state(directory, at, told)
    directories.make(unfinished)
    put_image(unfinished, sequence, state, seconds)
    os.rename(unfinished, destination)
    directories.sync_directory(os.path.dirname(os.path.abspath(destination)))
    return Restored(sequence, seconds, {name: len(state[name]) for name in state if state[name]})


def _state(directory: str, at: int | datetime, told: Told | None) -> tuple[State, int, float]:
    base = _base(directory, at)
    sequence, seconds = base[0] if base else 0, 0.0
    journals = [
        found
        for found in directories.numbered(directory, "journal")
        if found[0] >= sequence and not (isinstance(at, int) and found[0] >= at)
    ]
    state: State = {}
    for after, batch in walk(base, journals, told):
        if not isinstance(at, int) and batch[0] > at.timestamp():
            break
        sequence, seconds = after, merge(state, batch)
        if journals and sequence == at:  # what comes then may be damaged
            break
    if isinstance(at, int) and sequence < at:
        raise StoreError(
            f"cannot restore {at} batches: there are {sequence}, the last of {shown(seconds)}"
        )
    return state, sequence, seconds


def _base(directory: str, at: int | datetime) -> Numbered | None:
    """The newest image that is not after a time or sequence; None to begin with nothing."""
    images = directories.numbered(directory, "image")
    for image in reversed(images):
        if image[0] <= at if isinstance(at, int) else _begun(image[1]) <= at.timestamp():
            return image
    journals = directories.numbered(directory, "journal")
    if not images and not journals:
        if at == 0:
            return None
        raise StoreError(f"cannot restore from {directory!r}: nothing was written yet")
    if not (journals and journals[0][0] == 0):
        oldest = images[0] if images else journals[0]
    elif isinstance(at, int) or _begun(journals[0][1]) <= at.timestamp():
        return None
    else:
        oldest = journals[0]
    wanted = f"the first {at} batches" if isinstance(at, int) else shown(at.timestamp())
    raise StoreError(
        f"cannot restore {wanted}: the oldest state that is kept is of {oldest[0]} batches, at "
        f"{shown(_begun(oldest[1]))}; how long files are kept is Store(keep=...)"
    )


def _begun(path: str) -> float:
    """The time of the first batch of a file; never, if that is damaged: an older one will do."""
    try:
        return next((read_batch(payload)[0] for payload in Frames(path, 0)), math.inf)
    except CorruptError:
        return math.inf


def shown(seconds: float) -> str:
    """A time as ISO 8601, local, with its zone."""
    if seconds == math.inf:
        return "a time that cannot be read"
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds")
