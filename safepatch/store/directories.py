"""The directory of a store: which files are there, and how they are made to stay.

`lock` is held by who has the store open, `compacting` by who merges files. What matters is in
`image-SEQUENCE.log`, all documents as they were before a batch, and `journal-SEQUENCE.log`, batches
from that one on, both with 16 hexadecimal digits. Anything that ends in `.tmp` is unfinished.

Functions of `os` are looked up when they are called, so that patches on them see all that is done.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from safepatch.store.errors import CorruptError, LockedError, StoreError

SLICE = 4 << 20  # bytes between two fdatasyncs, so that no single one takes long


def image(sequence: int) -> str:
    return f"image-{sequence:016x}.log"


def journal(sequence: int) -> str:
    return f"journal-{sequence:016x}.log"


def numbered(directory: str, kind: str) -> list[tuple[int, str]]:
    """The images or journals of a directory: (sequence, path), in order."""
    found = []
    for name in os.listdir(directory):
        digits = name.removeprefix(f"{kind}-").removesuffix(".log")
        if name == f"{kind}-{digits}.log" and len(digits) == 16:
            try:
                found.append((int(digits, 16), os.path.join(directory, name)))
            except ValueError:
                continue
    return sorted(found)


def history(directory: str) -> tuple[tuple[int, str] | None, list[tuple[int, str]]]:
    """The newest image, if there is one, and the journals that go on from there.

    Raises CorruptError if one that must be there is missing.
    """
    images = numbered(directory, "image")
    newest = images[-1] if images else None
    since = newest[0] if newest else 0
    journals = [found for found in numbered(directory, "journal") if found[0] >= since]
    if journals and journals[0][0] != since:
        found = f"batches {since} to {journals[0][0] - 1} are missing: no file begins with {since}"
        raise CorruptError(journals[0][1], 0, found)
    return newest, journals


def lock(directory: str, name: str, *, wait: bool = False, of: str | None = None) -> int:
    """Take a lock that goes with the process; a descriptor to close. Raises LockedError.

    `of` is what it keeps others from, if it is not the directory.
    """
    try:
        import fcntl
    except ImportError as error:
        raise StoreError(
            f"cannot open {of or directory!r}: files of a store need a POSIX system, and this is "
            "none"
        ) from error
    descriptor = os.open(os.path.join(directory, name), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        raise LockedError(
            f"cannot open {of or directory!r}: it is open already, in this process or another; one "
            "at a time may have it, so let the first one serve the others"
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes, however few are taken at a time."""
    rest = memoryview(data)
    while rest:
        written = os.write(descriptor, rest)
        if not written:
            raise OSError(errno.EIO, "nothing was written")
        rest = rest[written:]


def sync(descriptor: int) -> None:
    """Have the content of a file on disk; where the system can, without its times."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_directory(directory: str) -> None:
    """Make the names in a directory stay."""
    descriptor = os.open(directory or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put(path: str, parts: Iterable[bytes]) -> None:
    """Write a whole file that is there with all its bytes, or not at all."""
    unfinished = f"{path}.tmp"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        since = 0
        for part in parts:
            for at in range(0, len(part), SLICE):
                piece = part[at : at + SLICE]
                write_all(descriptor, piece)
                since += len(piece)
                if since >= SLICE:
                    sync(descriptor)
                    since = 0
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(unfinished, path)
    sync_directory(os.path.dirname(path))


def make(directory: str) -> None:
    """Make a directory, and those above it, that stays."""
    above = os.path.dirname(os.path.abspath(directory))
    if not os.path.isdir(directory):
        make(above)
        os.mkdir(directory)
    elif os.listdir(directory):
        return
    # Also of one that is there and empty: who made it may have been killed before it did this.
    sync_directory(above)


def unlink(paths: Iterable[str], directory: str) -> None:
    """Remove files. They may come back after a crash, and must do no harm then."""
    removed = False
    for path in paths:
        os.unlink(path)
        removed = True
    if removed:
        sync_directory(directory)


def _clear(unfinished: str) -> None:
    """Remove what a copy that was broken off has left, which may be of another store."""
    names = os.listdir(unfinished)
    if foreign := [name for name in names if not name.startswith(("image-", "journal-"))]:
        raise FileExistsError(
            f"there is {foreign[0]!r} in {unfinished!r}, where files are copied to first; "
            "remove it, or name another place"
        )
    unlink([os.path.join(unfinished, name) for name in names], unfinished)


def copy(files: Iterable[tuple[int, str]], directory: str) -> None:
    """Copy files into a new directory, which is there with all of them, or not at all."""
    if os.path.lexists(directory):
        raise FileExistsError(f"there is something at {directory!r} already; name a new place")
    unfinished = f"{directory.rstrip(os.sep)}.tmp"
    make(unfinished)
    _clear(unfinished)
    for _, path in files:
        with open(path, "rb") as file:
            put(
                os.path.join(unfinished, os.path.basename(path)),
                iter(lambda: file.read(SLICE), b""),
            )
    os.rename(unfinished, directory)
    sync_directory(os.path.dirname(os.path.abspath(directory)))
