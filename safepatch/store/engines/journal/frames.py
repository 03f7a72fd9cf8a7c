"""Frames: what a file of the store consists of, each with a checksum.

::

    magic 12 | length u32 | CRC32C of (length, sequence, payload) u32 | sequence u64 | payload

A frame without a payload is a mark: all that stands before it is known to be on disk. It has the
sequence of the frame that comes next. A mark is written when nothing is waiting to be, and is not
waited for; so it may be missing, after a crash, where another frame has followed.

Behind the last frame there may be zeros: room for more, which the file has so that a sync writes
data alone, and not also that the file has grown; it is cut off when the file is closed.

A frame that is damaged before a mark, or before another frame, was damaged later, since only one is
ever being written. One at the end of a file may be what a crash has left of a write that nobody was
told of.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from mmap import mmap
from typing import BinaryIO

from safepatch.store.errors import CorruptError
from safepatch.store.values import checksum

# In MessagePack only numbers and lengths have the byte 0xc1, at most eight times in a row, and text
# has none. So whatever somebody has had stored, it cannot look like a frame.
MAGIC = b"\xc1" * 9 + b"SP\x02"
HEADER = struct.Struct("<12sIIQ")
_EARLIER = b"\xf5SP\x01"  # which numbers could have
_COUNTED = struct.Struct("<IQ")


def frame(sequence: int, payload: bytes) -> bytes:
    """The bytes of a frame, or, without a payload, of a mark."""
    return HEADER.pack(MAGIC, len(payload), _crc(sequence, payload), sequence) + payload


def _crc(sequence: int, payload: bytes) -> int:
    return checksum(payload, checksum(_COUNTED.pack(len(payload), sequence)))


class Frames:
    """The frames of a file, of which `first` is the first one, read one by one.

    While iterating, `sequence` is that of the next frame, `end` where it begins, in bytes, and
    `last` where the one before begins, which is no mark. After it, `marked` says whether the last
    of them is a mark, `torn` is the number of bytes behind it that are no frame, and `room` that of
    the zeros behind those. Raises CorruptError for what a crash cannot explain.
    """

    def __init__(self, path: str, first: int) -> None:
        self.path, self.first, self.sequence = path, first, first
        self.end = self.last = self.torn = self.room = 0
        self.marked = False

    def __iter__(self) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            while (payload := self._frame(file, size)) is not None:
                begin, self.end = self.end, self.end + HEADER.size + len(payload)
                self.marked = not payload
                if payload:
                    self.last, self.sequence = begin, self.sequence + 1
                    yield payload
            if self.end < size:
                self._look_behind(file)

    def need_complete(self) -> None:
        """Raise CorruptError for a file that is not as it was when it was closed."""
        if self.torn or self.room or not self.marked:
            raise CorruptError(self.path, self.end, "the file does not go on to its mark")

    def _frame(self, file: BinaryIO, size: int) -> bytes | None:
        payload = self._next(file, size)
        return self._after_mark(file, size) if payload is None else payload

    def _next(self, file: BinaryIO, size: int) -> bytes | None:
        """The payload of the next frame, or None if there is none that is intact."""
        file.seek(self.end)
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        magic, length, crc, sequence = HEADER.unpack(header)
        if magic != MAGIC or length > size - self.end - HEADER.size or sequence != self.sequence:
            return None
        payload = file.read(length)
        return payload if crc == _crc(sequence, payload) else None

    def _after_mark(self, file: BinaryIO, size: int) -> bytes | None:
        """The same, if the mark before it is missing."""
        self.end += HEADER.size
        payload = self._next(file, size)
        if not payload:
            self.end -= HEADER.size
        return payload or None

    def _look_behind(self, file: BinaryIO) -> None:
        file.seek(self.end)
        rest = file.read()
        self.torn = len(rest.rstrip(b"\0"))
        self.room = len(rest) - self.torn
        if self.end == 0 and rest.startswith(_EARLIER):
            raise CorruptError(
                self.path, 0, "it is of an earlier version, which this one cannot read"
            )
        if self.torn:
            self._need_torn(rest)

    def _need_torn(self, rest: bytes) -> None:
        """Raise CorruptError if what follows the last good frame was ever known to be on disk."""
        for sequence, _ in intact(rest):
            found = f"frame {self.sequence} is damaged, but frame {sequence} after it is intact"
            raise CorruptError(self.path, self.end, found)


def intact(data: bytes | mmap, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """The sequences and payloads of all frames in what a file has, whatever is between them."""
    while 0 <= (at := data.find(MAGIC, at)) <= len(data) - HEADER.size:
        _, length, crc, sequence = HEADER.unpack(data[at : at + HEADER.size])
        payload = data[at + HEADER.size : at + HEADER.size + length]
        if len(payload) == length and crc == _crc(sequence, payload):
            yield sequence, payload
            at += HEADER.size + length
        else:
            at += 1
