"""Files and directories that stay, as a whole or not at all; what ends in `.tmp` is unfinished.

Functions of `os` are looked up when they are called, so that patches on them see all that is done.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator

from safepatch.store.errors import LockedError, StoreError

SNAPSHOT = "snapshot.json"  # the one file of a store in snapshot mode, but for its lock
SLICE = 4 << 20  # bytes between two fdatasyncs, so that no single one takes long


def lock(
    directory: str,
    name: str,
    *,
    wait: bool = False,
    reads_only: bool = False,
    of: str | None = None,
) -> int:
    """Take a lock that goes with the process; a descriptor for `unlock`. Raises LockedError.

    With `reads_only` its file must be there. `of` is what it keeps others from, if it is not the
    directory.
    """
    try:
        import fcntl
    except ImportError as error:
        raise StoreError(
            f"cannot open {of or directory!r}: files of a store need a POSIX system, and this is "
            "none"
        ) from error
    # Who may read it could lock it, and so keep us out.
    flags = os.O_RDONLY if reads_only else os.O_RDWR | os.O_CREAT
    descriptor = os.open(os.path.join(directory, name), flags, 0o600)
    _held.add(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        unlock(descriptor)
        raise LockedError(
            f"cannot open {of or directory!r}: it is open already, in this process or another; one "
            "at a time may have it, so let the first one serve the others"
        ) from None
    except BaseException:
        unlock(descriptor)
        raise
    return descriptor


def unlock(descriptor: int) -> None:
    """Give a lock back; nothing in the child of a fork, which has none."""
    if descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)


_held: set[int] = set()


def _leave_to_the_parent() -> None:
    # Which may be amid anything. What is open in a child as well is locked as long as that lives.
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)


def need_same(path: str, opened: os.stat_result, what: str) -> None:
    """Raise StoreError if what is at a path now is not what was there when it was opened."""
    if not (os.path.exists(path) and os.path.samestat(opened, os.stat(path))):
        raise StoreError(
            f"{what} is not the one that was opened: that was moved, replaced or removed; put it "
            "back, and open the store again"
        )


def need_place(directory: str, lock: int) -> None:
    """Raise StoreError if another directory is in the place of the one in which a lock is held."""
    there = os.path.join(directory, "lock")
    need_same(there, os.fstat(lock), f"the directory {directory!r}")


@contextlib.contextmanager
def locked(
    directory: str, name: str, *, wait: bool = False, reads_only: bool = False
) -> Iterator[None]:
    """The same for a block."""
    descriptor = lock(directory, name, wait=wait, reads_only=reads_only)
    try:
        yield
    finally:
        unlock(descriptor)


def write_all(descriptor: int, data: bytes, at: int | None = None) -> None:
    """Write all bytes, however few are taken at a time; at an offset, if one is given."""
    done, whole = 0, memoryview(data)
    while done < len(data):
        rest = whole[done:]
        written = (
            os.write(descriptor, rest) if at is None else os.pwrite(descriptor, rest, at + done)
        )
        if not written:
            raise OSError(errno.EIO, "nothing was written")
        done += written


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


def beside(path: str) -> str:
    """Where a new file or directory is until it has all that it is to have."""
    return f"{path.rstrip(os.sep)}.tmp"


def put(path: str, parts: Iterable[bytes]) -> None:
    """Write a whole file that is there with all its bytes, or not at all."""
    unfinished = beside(path)
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
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)  # what was missing may have been room on the disk
        raise
    finally:
        os.close(descriptor)
    os.rename(unfinished, path)
    sync_directory(os.path.dirname(path))


def make(directory: str) -> None:
    """Make a directory, and those above it, that stays."""
    above = os.path.dirname(os.path.abspath(directory))
    if not os.path.isdir(directory):
        if os.path.lexists(directory):
            raise FileExistsError(
                f"cannot make the directory {directory!r}: there is something else of that name"
            )
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


def pieces(path: str, start: int = 0) -> Iterator[bytes]:
    """What is in a file from a place on, to be put into another one."""
    with open(path, "rb") as file:
        file.seek(start)
        while piece := file.read(SLICE):
            yield piece


def need_nothing(path: str) -> None:
    """Raise FileExistsError if there is something at a place that is to be a new one."""
    if os.path.lexists(path):
        raise FileExistsError(f"there is something at {path!r} already; name a new place")


@contextlib.contextmanager
def new(directory: str) -> Iterator[str]:
    """A new directory that is there with all that is put into it, or not at all.

    The block is given where to put that. Raises FileExistsError.
    """
    need_nothing(directory)
    unfinished = beside(directory)
    make(unfinished)
    _clear(unfinished)
    yield unfinished
    os.rename(unfinished, directory)
    sync_directory(os.path.dirname(os.path.abspath(directory)))


def _clear(directory: str) -> None:
    """Remove what a copy that was broken off has left, which may be of another store."""
    names = os.listdir(directory)
    ours = ("image-", "journal-", SNAPSHOT)
    if foreign := [name for name in names if not name.startswith(ours)]:
        raise FileExistsError(
            f"there is {foreign[0]!r} in {directory!r}, where files are copied to first; "
            "remove it, or name another place"
        )
    unlink([os.path.join(directory, name) for name in names], directory)
