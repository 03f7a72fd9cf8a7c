"""The journal: batches of changed documents in files, one frame a batch."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from safepatch.decorators.locks import give_lock
from safepatch.store import directories
from safepatch.store.documents import Root
from safepatch.store.engines.journal.frames import HEADER, Frames, frame
from safepatch.store.errors import CorruptError, FailedError, StoreError
from safepatch.store.threads import native
from safepatch.store.values import Op, checksum, decode

logger = logging.getLogger("safepatch.store")
encode = msgspec.msgpack.Encoder().encode
_PATH = str(pathlib.Path(__file__).parents[4])  # where the package is found
# A frame of a journal is (seconds since 1970, transactions); that of an image the same, with a part
# of all documents as the one transaction.
Batch = tuple[float, list[list[Op]]]
read_batch = msgspec.msgpack.Decoder(Batch).decode


def batches(path: str, first: int) -> Iterator[Batch]:
    """The batches of a closed file; raises CorruptError if its mark is missing."""
    frames = Frames(path, first)
    for payload in frames:
        yield read_batch(payload)
    frames.need_complete()


class Journal:
    """A store's files while it is open; an engine, which see `engines`.

    One thread at a time may call it. After an error of `write` it must not be used again.
    """

    def __init__(self, directory: str, *, segment: int, keep: float) -> None:
        self.directory, self.segment, self.keep = directory, segment, keep
        self.sequence = 0  # of the next batch
        self._lock: int | None = None
        self._file: int | None = None  # the journal that is being written
        self._size = self._closed = self._image = 0  # bytes
        self._merging: int | None = None  # the process that merges files, and of how many bytes
        self._merged = 0
        self.lock: Any
        give_lock(self)
        self._failed = self._marked = False
        self.torn = 0  # bytes that a crash left, and opening took away

    # -- opening

    def open(self) -> Root:
        """Create the directory, or read what is there. Raises LockedError, CorruptError."""
        root = Root()
        directories.make(self.directory)
        self._lock = directories.lock(self.directory, "lock")
        try:
            merging = directories.lock(self.directory, "compacting", wait=True)
            try:
                self._read(root)
            finally:
                os.close(merging)
        except BaseException:
            self.forget()
            raise
        return root

    def _read(self, root: Root) -> None:
        if os.path.lexists(os.path.join(self.directory, "snapshot.json")):
            raise StoreError(
                f"cannot open {self.directory!r}: it was written with mode='snapshot'; open it so"
            )
        for name in os.listdir(self.directory):
            if name.endswith(".tmp"):
                os.unlink(os.path.join(self.directory, name))
        newest, journals = directories.history(self.directory)
        if newest is not None:
            self.sequence = newest[0]
            self._image = os.path.getsize(newest[1])
            for batch in batches(newest[1], 0):
                _apply(root, batch)
        for number, (first, path) in enumerate(journals):
            self._read_journal(root, first, path, last=number == len(journals) - 1)

    def _read_journal(self, root: Root, first: int, path: str, *, last: bool) -> None:
        _need_next(path, first, self.sequence)
        frames = Frames(path, first)
        for payload in frames:
            _apply(root, read_batch(payload))
        self.sequence = frames.sequence
        if last:
            self._seal(first, frames)
        else:
            frames.need_complete()
        self._closed += frames.end

    def _seal(self, first: int, frames: Frames) -> None:
        """Take away what a crash has left of the last write, and say that all else is complete."""
        if frames.marked and not frames.torn:
            return
        path, self.torn = frames.path, frames.torn
        if frames.torn:
            logger.warning(
                "%s: took away %d bytes at its end, left by a write that a crash cut off",
                path, frames.torn,
            )  # fmt: skip
        if frames.sequence == first:
            directories.unlink([path], self.directory)  # the next one will have its name
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            if frames.torn:
                os.ftruncate(descriptor, frames.end)
                # Or the mark may get to the disk before the truncation does.
                os.fsync(descriptor)
            if not frames.marked:
                directories.write_all(descriptor, frame(frames.sequence, b""))
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        # Who wrote it may have been killed before it did this; what was read now must stay.
        directories.sync_directory(self.directory)

    # -- writing

    def write(self, batch: Sequence[Sequence[Op]]) -> None:
        """Write transactions; they are on disk when it returns."""
        with self.lock, self._writing():
            self._write(batch)
            if self._size >= self.segment:
                self._rotate()
                if self._closed > max(self.segment, self._image) and not self._is_merging():
                    self._merge()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """After an error nothing is written any more: what would follow half a frame is lost."""
        if self._failed:
            raise FailedError(
                f"cannot write to {self.directory!r}: a write failed before; open the store again"
            )
        self._failed = True
        yield
        self._failed = False

    def _write(self, batch: Sequence[Sequence[Op]]) -> None:
        data = frame(self.sequence, encode((time.time(), batch)))
        new = self._file is None
        if self._file is None:
            path = os.path.join(self.directory, directories.journal(self.sequence))
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._file = os.open(path, flags, 0o644)
        directories.write_all(self._file, data)
        directories.sync(self._file)
        if new:
            directories.sync_directory(self.directory)
        self.sequence += 1
        self._size += len(data)
        self._marked = False

    def rest(self) -> None:
        """Say in the file that all in it is on disk, so that damage to the last batch is found.

        Nobody has to wait for that; without it the batch cannot be told from a torn write.
        """
        with self.lock, self._writing():
            self._mark()

    def _mark(self) -> None:
        if self._file is not None and not self._marked:
            directories.write_all(self._file, frame(self.sequence, b""))
            self._size += HEADER.size
            self._marked = True

    def _rotate(self) -> None:
        """Close the journal that is being written; the next batch begins a new one."""
        if self._file is None:
            return
        self._mark()
        directories.sync(self._file)
        os.close(self._file)
        self._file = None
        self._closed += self._size
        self._size = 0

    # -- merging, by another process

    def compact(self) -> None:
        """Merge all that was written so far into one image. Blocks; writes go on meanwhile."""
        self._wait_for_merging()
        with self.lock, self._writing():
            self._rotate()
            before = self.sequence
            self._merge()
        self._wait_for_merging()
        newest = directories.history(self.directory)[0]
        if before and (newest is None or newest[0] < before):
            raise StoreError(
                f"cannot compact {self.directory!r}: the process that merges files failed; the log "
                "or standard error has why; nothing was changed"
            )

    def _merge(self) -> None:
        command = [
            sys.executable, "-m", "safepatch.store.engines.journal.compacting",
            self.directory, str(self.sequence), str(self.keep),
        ]  # fmt: skip
        path = os.pathsep.join(filter(None, [_PATH, os.environ.get("PYTHONPATH")]))
        # Not subprocess, which forks under gevent: that takes longer the more documents there are.
        # What gevent puts in the place of these needs a loop that runs.
        spawn = native("os", "posix_spawn")
        try:
            self._merging = spawn(sys.executable, command, {**os.environ, "PYTHONPATH": path})
        except (OSError, TypeError) as error:  # TypeError: where Python is embedded it has no name
            # All that was to be kept is; it is tried again when the next file is full.
            logger.error(
                "%s: cannot merge files, for starting %r failed: %s",
                self.directory, sys.executable, error,
            )  # fmt: skip
            return
        self._merged = self._closed

    def _wait_for_merging(self) -> None:
        while self._is_merging():
            native("time", "sleep")(0.01)

    def _is_merging(self) -> bool:
        with self.lock:
            if self._merging is None:
                return False
            try:
                process, status = native("os", "waitpid")(self._merging, os.WNOHANG)
            except ChildProcessError:  # somebody else, such as a loop, has waited for it
                process, status = self._merging, 0
            if not process:
                return True
            self._merging = None
            if status:
                logger.error("%s: merging files failed; see standard error", self.directory)
            newest = directories.history(self.directory)[0]
            self._image = os.path.getsize(newest[1]) if newest else 0
            self._closed -= self._merged
            return False

    # -- looking, and closing

    def backup(self, path: str) -> None:
        """Copy what is closed, which is all that is on disk."""
        with self.lock, self._writing():
            self._rotate()
            before = self.sequence
        merging = directories.lock(self.directory, "compacting", wait=True)  # so that files stay
        try:
            newest, journals = directories.history(self.directory)
            files = [newest] if newest else []
            directories.copy([*files, *(found for found in journals if found[0] < before)], path)
        finally:
            os.close(merging)

    def verify(self) -> dict[str, Any]:
        with self.lock, self._writing():
            self._rotate()
            before = self.sequence
        return verify(self.directory, before)

    def stats(self) -> dict[str, Any]:
        return {
            "sequence": self.sequence,
            "journal_bytes": self._closed + self._size,
            "image_bytes": self._image,
            "torn_bytes": self.torn,
            "merging": self._merging is not None,
        }

    def forget(self) -> None:
        """Let go of the files, without writing."""
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._lock = None

    def close(self) -> None:
        try:
            with self.lock:
                if not self._failed:
                    self._rotate()
                if self._is_merging() and self._merging is not None:
                    os.kill(self._merging, signal.SIGTERM)
                    native("os", "waitpid")(self._merging, 0)
        finally:
            self.forget()


def _need_next(path: str, first: int, sequence: int) -> None:
    if first != sequence:
        found = f"it begins with batch {first} where {sequence} was to come"
        raise CorruptError(path, 0, found)


def verify(directory: str, before: int) -> dict[str, Any]:
    """Read what is closed, and count it. Raises CorruptError."""
    merging = directories.lock(directory, "compacting", wait=True)
    try:
        newest, journals = directories.history(directory)
        closed = [found for found in journals if found[0] < before]
        root, sequence = Root(), 0
        if newest is not None:
            sequence = newest[0]
            for batch in batches(newest[1], 0):
                _apply(root, batch)
        for first, path in closed:
            _need_next(path, first, sequence)
            for batch in batches(path, first):
                _apply(root, batch)
                sequence += 1
        if sequence != before:
            raise CorruptError(directory, 0, f"batches {sequence} to {before - 1} are missing")
        paths = [path for _, path in closed] + ([newest[1]] if newest else [])
        return {
            "files": len(paths),
            "bytes": sum(map(os.path.getsize, paths)),
            "documents": {name: len(documents) for name, documents in root.items()},
        }
    finally:
        os.close(merging)


def _apply(root: Root, batch: Batch) -> None:
    put, pop = dict.__setitem__, dict.pop  # of dict, since nobody has to be told
    for transaction in batch[1]:
        for name, key, document in transaction:
            documents = root[name]
            if document is None:
                pop(documents, key, None)
                documents.sums.pop(key, None)
            else:
                put(documents, key, decode(document))
                documents.sums[key] = checksum(document)
