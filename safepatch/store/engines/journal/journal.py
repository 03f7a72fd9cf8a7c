"""The journal: batches of changed documents in files, one frame a batch."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from safepatch.decorators.locks import give_lock
from safepatch.store import directories, syncing
from safepatch.store.documents import Root
from safepatch.store.engines.journal import files, merging
from safepatch.store.engines.journal.files import Batch
from safepatch.store.engines.journal.frames import HEADER, Frames, frame
from safepatch.store.errors import CorruptError, FailedError, StoreError
from safepatch.store.threads import native
from safepatch.store.values import Op, checksum, decode, encode

logger = logging.getLogger("safepatch.store")
_LITTLE = 1 << 16  # bytes that a loop may write: that takes microseconds
_PAGE, _ROOM = 1 << 12, 1 << 18  # bytes that a journal is made longer by, at least and at most


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
        self._end = 0  # of the file, with the room in it
        self._merging: int | None = None  # the process that merges files, and of how many bytes
        self._merged = 0
        self.lock: Any
        give_lock(self)
        self._holders: list[None] = []  # who has the lock, or wants it, for as long as a disk takes
        self._failed = self._marked = False
        self._begun: tuple[int, int] | None = None  # sequence and size after what is being synced
        self.torn = 0  # bytes that a crash left, and opening took away

    # -- opening

    def open(self) -> Root:
        """Create the directory, or read what is there. Raises LockedError, CorruptError."""
        root = Root()
        directories.make(self.directory)
        self.directory = os.path.realpath(self.directory)  # links may lead elsewhere later
        self._lock = directories.lock(self.directory, "lock")
        try:
            with self._unmerged():
                self._read(root)
        except BaseException:
            self.forget()
            raise
        return root

    def _unmerged(self) -> contextlib.AbstractContextManager[None]:
        """A block in which nobody merges files, so that they stay."""
        self._need_place()
        return directories.locked(self.directory, "compacting", wait=True)

    def _need_place(self) -> None:
        if self._lock is not None:
            directories.need_place(self.directory, self._lock)

    def _read(self, root: Root) -> None:
        if os.path.lexists(os.path.join(self.directory, directories.SNAPSHOT)):
            raise StoreError(
                f"cannot open {self.directory!r}: it was written with mode='snapshot'; open it so"
            )
        for name in os.listdir(self.directory):
            if name.endswith(".log.tmp"):
                os.unlink(os.path.join(self.directory, name))
        history = files.history(self.directory)
        self._image = files.size(file for file in history if file.kind == "image")
        self._closed = files.size(history) - self._image
        for after, batch in files.walk(history, self._seal):
            _apply(root, batch)
            self.sequence = after

    def _seal(self, frames: Frames) -> None:
        """Take away what a crash has left of the last write, and say that all else is complete."""
        path, self.torn = frames.path, frames.torn
        self._closed -= frames.torn + frames.room
        if frames.torn:
            logger.warning(
                "%s: took away %d bytes at its end, left by a write that a crash cut off",
                path, frames.torn,
            )  # fmt: skip
        if frames.sequence == frames.first:
            directories.unlink([path], self.directory)  # the next one will have its name
            return
        # What was read now must stay: who wrote it may have been killed before it had synced the
        # last batch or the mark, or a sync of them failed.
        end = frames.end - HEADER.size if frames.marked else frames.end
        files.seal(path, frames.last, end, frames.sequence)
        directories.sync_directory(self.directory)

    # -- writing

    def write(self, batch: Sequence[Sequence[Op]]) -> None:
        """Write transactions; they are on disk when it returns."""
        with self._held(), self._writing():
            self._write(batch)
            if self._size >= self.segment:
                self._rotate()
                if self._closed > max(self.segment, self._image) and not self._is_merging():
                    self._merge()

    def begin(self, here: Any, batch: Sequence[Sequence[Op]], then: syncing.Then) -> bool:
        """Write a batch, and have the kernel sync it; see `Engine`."""
        if self._holders:
            return False
        with self.lock:
            return self._begin(here, batch, then)

    def _begin(self, here: Any, batch: Sequence[Sequence[Op]], then: syncing.Then) -> bool:
        if self._file is None or self._size >= self.segment or self._failed:
            return False
        data = self._frame(batch)
        if len(data) > _LITTLE or self._is_long(data):
            return False
        begun = False
        try:
            directories.write_all(self._file, data, self._size)
            self._begun = self.sequence + 1, self._size + len(data)
            synced = functools.partial(self._synced, self._begun, then)
            begun = syncing.begin(here, self._file, synced)
        except Exception:
            self._failed = True
            raise
        finally:
            if not begun:
                self._begun = None
        return begun

    def _synced(
        self, begun: tuple[int, int], then: syncing.Then, error: BaseException | None
    ) -> None:
        if self._begun is begun:
            self._failed = error is not None
            self.sequence, self._size = begun
            self._marked, self._begun = False, None
        then(error)

    def _wait_for_sync(self) -> None:
        """Return when all that was written by `begin` is on disk."""
        while self._begun is not None:
            syncing.look()
            native("time", "sleep")(0.001)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """After an error nothing is written any more: what would follow half a frame is lost."""
        self._wait_for_sync()
        if self._failed:
            raise FailedError(
                f"cannot write to {self.directory!r}: a write failed before; open the store again"
            )
        self._failed = True
        yield
        self._failed = False

    def _write(self, batch: Sequence[Sequence[Op]]) -> None:
        data = self._frame(batch)
        new = self._file is None
        if self._file is None:
            self._need_place()
            path = files.path_of(self.directory, "journal", self.sequence)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            self._end = 0
        directories.write_all(self._file, data, self._size)
        if self._is_long(data):
            self._make_room(self._file, self._size + len(data))
        directories.sync(self._file)
        if new:
            directories.sync_directory(self.directory)
        self.sequence += 1
        self._size += len(data)
        self._marked = False

    def _frame(self, batch: Sequence[Sequence[Op]]) -> bytes:
        return frame(self.sequence, encode((time.time(), batch)))

    def _is_long(self, data: bytes) -> bool:
        """Say whether the file has no room for it, and for a mark."""
        return self._size + len(data) + HEADER.size > self._end

    def _make_room(self, descriptor: int, size: int) -> None:
        """Have zeros behind what is written, so that the next syncs need not say that it grew."""
        self._end = size
        room = min(max(size, _PAGE), _ROOM, self.segment)
        with contextlib.suppress(OSError):  # of a full disk: without it a sync takes longer
            self._end += os.pwrite(descriptor, bytes(room), size)

    def rest(self) -> None:
        """Say in the file that all in it is on disk, so that damage to the last batch is found.

        Nobody has to wait for that; without it the batch cannot be told from a torn write.
        """
        if self._holders:
            return  # by who puts a mark there later
        with self.lock:
            try:
                if self._begun is None and not self._failed:
                    self._mark()
            except Exception:
                self._failed = True
                raise

    def _mark(self) -> None:
        if self._file is not None and not self._marked:
            directories.write_all(self._file, frame(self.sequence, b""), self._size)
            self._size += HEADER.size
            self._marked = True

    def _rotate(self) -> None:
        """Close the journal that is being written; the next batch begins a new one."""
        if self._file is None:
            return
        self._mark()
        os.ftruncate(self._file, self._size)
        os.fsync(self._file)
        os.close(self._file)
        self._file = None
        self._closed += self._size
        self._size = 0

    def _close_file(self) -> int:
        """Have all that is on disk in files that are closed; the sequence of the next batch."""
        with self._held(), self._writing():
            self._rotate()
            return self.sequence

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the lock for as long as the disk takes, for which a loop does not wait."""
        self._holders.append(None)
        try:
            with self.lock:
                yield
        finally:
            self._holders.pop()

    # -- merging, by another process

    def compact(self) -> None:
        """Merge all that was written so far into one image. Blocks; writes go on meanwhile."""
        before: int | None = None
        while before is None:
            self._wait_for_merging()
            with self._held():
                if not self._is_merging():  # which a write may have begun again meanwhile
                    before = self._close_file()
                    self._merge()
        self._wait_for_merging()
        if files.newest_image(files.listed(self.directory)) < before:
            raise StoreError(
                f"cannot compact {self.directory!r}: the process that merges files failed; the log "
                "or standard error has why; nothing was changed"
            )

    def _merge(self) -> None:
        self._need_place()
        self._merging = merging.begin(self.directory, self.sequence, self.keep)
        self._merged = self._closed

    def _wait_for_merging(self) -> None:
        while self._is_merging():
            native("time", "sleep")(0.01)

    def _is_merging(self) -> bool:
        with self.lock:
            if self._merging is None:
                return False
            if not merging.is_over(self._merging, self.directory):
                return True
            self._merging = None
            self._image = files.size(files.listed(self.directory, "image")[-1:])
            self._closed -= self._merged
            return False

    # -- looking, and closing

    def backup(self, path: str) -> None:
        """Copy what is closed, which is all that is on disk."""
        before = self._close_file()
        with self._unmerged(), directories.new(path) as place:
            for file in files.history(self.directory, before):
                target = os.path.join(place, os.path.basename(file.path))
                directories.put(target, directories.pieces(file.path))

    def verify(self) -> dict[str, Any]:
        root, sequence, before = Root(), 0, self._close_file()
        with self._unmerged():
            history = files.history(self.directory, before)
            for after, batch in files.walk(history):
                _apply(root, batch)
                sequence = after
            if sequence != before:
                found = f"batches {sequence} to {before - 1} are missing"
                raise CorruptError(self.directory, 0, found)
            return {
                "files": len(history),
                "bytes": files.size(history),
                "documents": {name: len(documents) for name, documents in root.items()},
            }

    def stats(self) -> dict[str, Any]:
        if not self._holders:  # who may have the lock for as long as a disk takes
            self._is_merging()  # which notices here, too, that it is over
        return {
            "sequence": self.sequence,
            "journal_bytes": self._closed + self._size,
            "image_bytes": self._image,
            "torn_bytes": self.torn,
            "merging": self._merging is not None,
        }

    def forget(self) -> None:
        """Let go of the files, without writing."""
        if self._file is not None:
            os.close(self._file)
        if self._lock is not None:
            directories.unlock(self._lock)
        self._file = self._lock = self._begun = None

    def close(self) -> None:
        try:
            with self.lock:
                self._wait_for_sync()
                if not self._failed:
                    self._rotate()
                if self._is_merging() and self._merging is not None:
                    merging.end(self._merging)
        finally:
            self.forget()


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
