"""The files of a store that is not open, read without changing them."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

from safepatch.store import directories
from safepatch.store.engines.addresses import is_directory, sqlite_file
from safepatch.store.engines.journal import files
from safepatch.store.engines.journal.files import Told
from safepatch.store.engines.journal.images import State, merge
from safepatch.store.errors import StoreError


def need_store(directory: str) -> None:
    """Raise StoreError where no store is, so that nothing is made there."""
    if not os.path.isdir(directory):
        if os.path.isfile(directory):
            raise StoreError(
                f"there is no store at {directory!r}: it is a file; name a directory, or "
                f"'sqlite:///{directory}' if SQLite wrote it"
            )
        raise StoreError(f"there is no store at {directory!r}: there is no such directory")
    if not is_store(directory):
        raise StoreError(
            f"there is no store at {directory!r}: no file there is of a store; name the directory "
            "that was given to Store()"
        )


def is_store(directory: str) -> bool:
    """Whether a store has written into a directory, or has had it open."""
    names = {"lock", directories.SNAPSHOT} & {*os.listdir(directory)}
    return bool(names or files.listed(directory))


def has_snapshots(directory: str) -> bool:
    """Whether a store in snapshot mode has written into a directory."""
    return os.path.lexists(os.path.join(directory, directories.SNAPSHOT))


def need_elsewhere(path: str, place: str) -> None:
    """Raise StoreError for a place that belongs to a store, be it a file or a directory."""
    real, database = os.path.realpath(place), sqlite_file(path)
    if is_directory(path):
        own = os.path.realpath(path) in (real, *map(str, pathlib.Path(real).parents))
    elif database is not None:
        endings = ("", "-wal", "-shm", "-lock")
        own = real in [os.path.realpath(database) + ending for ending in endings]
    else:
        return
    if own:
        raise StoreError(f"cannot write to {place!r}: it is the store's own; name another place")


def is_read_only(directory: str) -> bool:
    """Whether nothing can be written there, as to a snapshot of a file system."""
    return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)


@contextlib.contextmanager
def held(directory: str) -> Iterator[None]:
    """Keep others from opening a store. Raises LockedError if it is open, StoreError if none is."""
    need_store(directory)
    names = ["lock", "compacting"]
    reads_only = is_read_only(directory)
    if reads_only:
        # The same may be mounted elsewhere too, and be open there: then these are there.
        names = [name for name in names if os.path.exists(os.path.join(directory, name))]
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(directories.locked(directory, name, reads_only=reads_only))
        yield


def read(directory: str, told: Told | None = None) -> State:
    """All documents as bytes. Raises LockedError, CorruptError, and StoreError where none is."""
    state: State = {}
    with held(directory):
        for _, batch in files.walk(files.history(directory), files.as_after_crash, told):
            merge(state, batch)
    return state


def need_journal(directory: str) -> None:
    """Raise StoreError for a store in snapshot mode, of which there is one image and no history."""
    if has_snapshots(directory):
        raise StoreError(
            f"{directory!r} is a store in snapshot mode, which has one image and no history; take "
            "a backup of its snapshot.json"
        )
