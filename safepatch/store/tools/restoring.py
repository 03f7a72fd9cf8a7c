"""Point-in-time restore: a new store, with the documents as they were."""

from __future__ import annotations

import math
from datetime import datetime
from typing import NamedTuple

from safepatch.store import directories
from safepatch.store.engines.journal.files import (
    Numbered,
    Told,
    as_after_crash,
    listed,
    read_batch,
    walk,
)
from safepatch.store.engines.journal.images import State, merge, put_image
from safepatch.store.errors import CorruptError, StoreError
from safepatch.store.handover import GONE
from safepatch.store.tools.reading import held, need_elsewhere, need_journal


class Restored(NamedTuple):
    """What was restored: `sequence` batches, the last of them written at `seconds` since 1970;
    `documents` are how many, by collection."""

    sequence: int
    seconds: float
    documents: dict[str, int]


def restore(
    directory: str, destination: str, *, at: int | datetime, told: Told | None = None
) -> Restored:
    """Make a new store of what another one was after a number of batches, or at a time.

    A time without a zone is local; all batches written up to it are in the new store. If the clock
    was put back meanwhile, it ends before the first batch that is later. How far back it can go is
    the `keep` of `Store()`. The source is not changed; the new directory is there as a whole, or
    not. `told(done, bytes)` is called now and then. Raises LockedError if the source is open,
    FileExistsError, StoreError for what is not kept and what has not come yet, and CorruptError;
    files after `at` may be damaged.
    """
    directories.need_nothing(destination)
    directories.need_nothing(directories.beside(destination))
    with held(directory):
        need_journal(directory)
        need_elsewhere(directory, destination)
        state, sequence, seconds = _state(directory, at, told)
    state.get("", {}).pop(GONE, None)  # the new one was not handed over
    with directories.new(destination) as place:
        put_image(place, sequence, state, seconds)
    return Restored(sequence, seconds, {name: len(state[name]) for name in state if state[name]})


def _state(directory: str, at: int | datetime, told: Told | None) -> tuple[State, int, float]:
    files = _files(directory, at)
    state: State = {}
    sequence, seconds = 0, 0.0
    for after, batch in walk(files, as_after_crash, told):
        if not isinstance(at, int) and batch[0] > at.timestamp():
            break
        sequence, seconds = after, merge(state, batch)
        if sequence == at and files[-1].kind == "journal":  # what comes then may be damaged
            break
    if isinstance(at, int) and sequence < at:
        raise StoreError(
            f"cannot restore {at} batches: there are {sequence}, the last of {shown(seconds)}"
        )
    return state, sequence, seconds


def _files(directory: str, at: int | datetime) -> list[Numbered]:
    """What leads to a time or sequence: an image, or the very first journal, and what follows."""
    files = listed(directory)
    begins = [file for file in files if file.kind == "image" or file.first == 0]
    for base in reversed(begins):
        if base.first <= at if isinstance(at, int) else _begun(base) <= at.timestamp():
            journals = [file for file in files if file >= base and file.kind == "journal"]
            wanted = [file for file in journals if not isinstance(at, int) or file.first < at]
            return [base, *wanted] if base.kind == "image" else wanted
    if not files:
        if at == 0:
            return []
        raise StoreError(f"cannot restore from {directory!r}: nothing was written yet")
    oldest = (begins or files)[0]
    asked = f"the first {at} batches" if isinstance(at, int) else shown(at.timestamp())
    raise StoreError(
        f"cannot restore {asked}: the oldest state that is kept is of {oldest.first} batches, at "
        f"{shown(_begun(oldest))}; how long files are kept is Store(keep=...)"
    )


def _begun(file: Numbered) -> float:
    """The time of its first batch; never, if that is damaged: an older one will do."""
    try:
        return next((read_batch(payload)[0] for payload in file.frames()), math.inf)
    except CorruptError:
        return math.inf


def shown(seconds: float) -> str:
    """A time as ISO 8601, local, with its zone."""
    if seconds == math.inf:
        return "a time that cannot be read"
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds")
