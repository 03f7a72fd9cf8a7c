"""The files of a journal: which there are, and what they hold from one to the next.

`image-SEQUENCE.log` has all documents as they were before a batch, `journal-SEQUENCE.log` the
batches from that one on, both with 16 hexadecimal digits. Beside them are `lock`, which is held by
who has the store open, and `compacting`, by who merges files.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from safepatch.store import directories
from safepatch.store.engines.journal.frames import Frames, frame
from safepatch.store.errors import CorruptError
from safepatch.store.values import Op

_NAME = re.compile(r"(image|journal)-([0-9a-f]{16})\.log")
# A frame of a journal is (seconds since 1970, transactions); that of an image the same, with a part
# of all documents as the one transaction.
Batch = tuple[float, list[list[Op]]]
read_batch = msgspec.msgpack.Decoder(Batch).decode
# Told how far something is: bytes that are done, and bytes in all.
Told = Callable[[int, int], object]


class Numbered(NamedTuple):
    """A file by its name. Sorted, an image comes before the journal that goes on from it."""

    first: int
    kind: str  # "image" or "journal"
    path: str

    def frames(self) -> Frames:
        return Frames(self.path, 0 if self.kind == "image" else self.first)

    def break_after(self, sequence: int) -> str | None:
        """What is wrong with a journal that is to go on from so many batches."""
        if self.first == sequence:
            return None
        return f"it begins with batch {self.first} where {sequence} was to come"


def path_of(directory: str, kind: str, first: int) -> str:
    return os.path.join(directory, f"{kind}-{first:016x}.log")


def listed(directory: str, kind: str | None = None) -> list[Numbered]:
    """The files of a directory, or those of a kind, in order."""
    found = []
    for name in os.listdir(directory):
        match = _NAME.fullmatch(name)
        if match and kind in (None, match[1]):
            found.append(Numbered(int(match[2], 16), match[1], os.path.join(directory, name)))
    return sorted(found)


def newest_image(files: Iterable[Numbered]) -> int:
    """The sequence of the newest image among files; 0 if there is none."""
    return max((file.first for file in files if file.kind == "image"), default=0)


def history(directory: str, before: float = math.inf) -> list[Numbered]:
    """The newest image, if there is one, and the journals that go on from there.

    With `before` it has only those journals that begin earlier. Raises CorruptError if one that
    must be there is missing.
    """
    files = listed(directory)
    since = newest_image(files)
    files = [file for file in files if file.first >= since]
    journals = [file for file in files if file.kind == "journal"]
    if journals and journals[0].first != since:
        first = journals[0].first
        found = f"batches {since} to {first - 1} are missing: no file begins with {since}"
        raise CorruptError(journals[0].path, 0, found)
    return [file for file in files if file.kind == "image" or file.first < before]


def size(files: Iterable[Numbered]) -> int:
    return sum(os.path.getsize(file.path) for file in files)


def walk(
    files: Sequence[Numbered],
    at_end: Callable[[Frames], object] = Frames.need_complete,
    told: Told | None = None,
) -> Iterator[tuple[int, Batch]]:
    """The batches of a history, each with the sequence after it, which for an image is its own.

    Files must be complete, but for a last journal, with whose frames `at_end` is called. Raises
    CorruptError.
    """
    total, done, sequence = size(files), 0, 0
    for file in files:
        is_image = file.kind == "image"
        if not is_image and (found := file.break_after(sequence)):
            raise CorruptError(file.path, 0, found)
        frames = file.frames()
        for payload in frames:
            if told is not None:
                told(done + frames.end, total)
            yield file.first if is_image else frames.sequence, read_batch(payload)
        if is_image or file is not files[-1]:
            frames.need_complete()
        else:
            at_end(frames)
        sequence = file.first if is_image else frames.sequence
        done += frames.end


def as_after_crash(frames: Frames) -> None:
    """To be called at the end of a journal that may end without a mark, or within a frame."""


def seal(path: str, begin: int, end: int, mark: int | None) -> None:
    """Take away what a file has after a place, and put a mark there, if its sequence is given.

    What is there from `begin` on is written again: after a sync that failed it can still be read,
    and no later one has it on disk.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(descriptor, end)
        directories.write_all(descriptor, os.pread(descriptor, end - begin, begin), begin)
        os.fsync(descriptor)  # or the mark may get to the disk before that
        if mark is not None:
            directories.write_all(descriptor, frame(mark, b""), end)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
