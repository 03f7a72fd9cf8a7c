"""Repair: what is damaged is taken out of a store, and kept beside it."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from safepatch.store import directories
from safepatch.store.engines.journal.files import Numbered, listed, newest_image, read_batch, seal
from safepatch.store.engines.journal.frames import intact
from safepatch.store.engines.journal.images import State, merge, put_image
from safepatch.store.errors import StoreError
from safepatch.store.tools.reading import held, need_journal
from safepatch.store.tools.surveying import File, look

_TORN = "a crash cut off the last write"


class Cut(NamedTuple):
    """Bytes to be taken out: the last so many of a file, from `start` on, because of `why`.

    All of it if `start` is 0. `mark` is the sequence of the mark that is to stand there then.
    """

    path: str
    start: int
    bytes: int
    mark: int | None
    why: str


class Repair(NamedTuple):
    """What is to be taken out of a store, or was, and into which directory.

    The store has `sequence` batches then, and `lost` fewer than are known to have been written.
    """

    cuts: list[Cut]
    kept_in: str
    sequence: int
    lost: int
    salvaged: tuple[State, float] | None = None  # and the time of the last batch

    @property
    def bytes(self) -> int:
        return sum(cut.bytes for cut in self.cuts)


def repair(
    directory: str, *, salvage: bool = False, agree: Callable[[Repair], bool] = lambda found: True
) -> Repair | None:
    """Take what is damaged out of a store, so that it can be opened; None if nothing is.

    The store has the state then that it had before the first batch that is damaged or missing,
    whatever came after that: a state that it has once had. With `salvage=True` it has everything
    that can be read, also of what came later: documents as they were at different times, each as it
    once was.

    What is taken out is moved into a new directory `removed-N` in that of the store, byte for byte,
    and so is what a crash has left of the last write. `agree` is asked before anything is changed.
    A repair that is broken off may be made again. Raises LockedError if the store is open, and
    StoreError if only salvaging is left.
    """
    with held(directory):
        need_journal(directory)
        found = _salvage(directory) if salvage else _plan(directory)
        if not found.cuts or not agree(found):
            return None
        directories.make(found.kept_in)
        if found.salvaged is not None:
            put_image(directory, found.sequence, *found.salvaged)
        _take_out(directory, found)
        return found


# -- what is to be taken out


def _plan(directory: str) -> Repair:
    base, cuts = _base(directory)
    sequence = base.first if base else 0
    journals = [file for file in listed(directory, "journal") if file.first >= sequence]
    if not base and (journals[0].first > 0 if journals else cuts):
        raise StoreError(
            f"cannot repair {directory!r}: the documents that its batches go on from are nowhere "
            "as a whole; restore a backup, or take what can be read with --salvage"
        )
    for number, journal in enumerate(journals):
        if journal.first != sequence:
            missing = f"batch {sequence} is missing"
            cuts += [_whole(later.path, missing) for later in journals[number:]]
            break
        file = look(journal)
        sequence = file.next
        goes_on = [sequence] == [later.first for later in journals[number + 1 : number + 2]]
        if file.size > file.intact or (goes_on and (file.room or not file.marked)):
            cuts.append(_rest(file, mark=goes_on and not file.marked))
    known = [_known(cut) for cut in cuts if os.path.basename(cut.path)[0] == "j"]
    known += [sequence, *(file.first for file in listed(directory))]
    return Repair(cuts, _free(directory), sequence, max(known) - sequence)


def _base(directory: str) -> tuple[Numbered | None, list[Cut]]:
    """The newest image that is intact, and those after it, to be taken out."""
    cuts: list[Cut] = []
    for image in reversed(listed(directory, "image")):
        if (damage := look(image).damage) is None:
            return image, cuts
        cuts.append(_whole(image.path, damage))
    return None, cuts


def _whole(path: str, why: str) -> Cut:
    return Cut(path, 0, os.path.getsize(path), None, why)


def _rest(file: File, *, mark: bool) -> Cut:
    """All after the last batch that is intact; and if there is none, the file."""
    start = file.intact if file.next > file.first else 0
    if file.size > file.intact:
        why = file.damage or _TORN
    else:
        why = "zeros are behind its mark" if file.marked else "its mark is missing"
    return Cut(file.path, start, file.size + file.room - start, file.next if mark else None, why)


def _free(directory: str) -> str:
    number = 1
    while os.path.lexists(path := os.path.join(directory, f"removed-{number}")):
        number += 1
    return path


# -- what is intact after damage


def _frames(path: str, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The sequences and payloads of all frames that are intact, whatever is between them."""
    if os.path.getsize(path):
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from intact(data, start)


def _known(cut: Cut) -> int:
    """How many batches are known to have been written, from what is to be taken out."""
    frames = _frames(cut.path, cut.start)
    return max((sequence + bool(payload) for sequence, payload in frames), default=0)


def _salvage(directory: str) -> Repair:
    """All that can be read, in the order in which it was written.

    A journal that does not go on from the one before is damage, be it intact or not.
    """
    base, cuts = _base(directory)
    files = listed(directory)
    since = base.first if base else 0
    begin = end = since if base else newest_image(files)
    state: State = {}
    read, seconds = 0, 0.0
    for file in files:
        if file.first < since:
            continue
        gap = file.break_after(end) if file.first >= begin else None
        for sequence, payload in _frames(file.path):
            if payload:
                seconds = merge(state, read_batch(payload))
            if file.kind == "journal":
                read += bool(payload) and sequence >= end
                end = max(end, sequence + bool(payload))
        if file.kind == "journal":
            found = look(file, last=file == files[-1])
            if gap or found.damage or found.size > found.intact:
                cuts.append(_whole(file.path, gap or found.damage or _TORN))
    # Its name is one that no file has, be it damaged or not.
    end = max([end, *(file.first for file in files)])
    return Repair(cuts, _free(directory), end + 1, end - begin - read, (state, seconds))


# -- taking it out


def _take_out(directory: str, found: Repair) -> None:
    for cut in found.cuts:
        if cut.start and cut.bytes:
            name = f"{os.path.basename(cut.path)}.from-{cut.start}"
            rest = directories.pieces(cut.path, cut.start)
            directories.put(os.path.join(found.kept_in, name), rest)
    for cut in found.cuts:
        if not cut.start:
            os.rename(cut.path, os.path.join(found.kept_in, os.path.basename(cut.path)))
    directories.sync_directory(found.kept_in)
    directories.sync_directory(directory)
    for cut in found.cuts:
        if cut.start:
            seal(cut.path, cut.start, cut.start, cut.mark)
