"""A plain dict, and an image of it on disk every so often."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from safepatch.decorators.locks import give_lock
from safepatch.store import directories
from safepatch.store.commits import Commits
from safepatch.store.engines.journal.files import listed
from safepatch.store.errors import CorruptError, FailedError, StoreError
from safepatch.store.threads import off_loop

# What would come back as something else is refused; but tuples come back as lists, and floats that
# are not finite as None.
_STRICT = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_TOOL = "an editor shows of it"


def read(directory: str) -> dict[str, Any]:
    """The root as it was last written, if it ever was. Raises CorruptError."""
    path = os.path.join(directory, directories.SNAPSHOT)
    try:
        with open(path, "rb") as file:
            root = orjson.loads(file.read())
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError as error:
        raise CorruptError(path, error.pos, f"it is no JSON: {error.msg}", _TOOL) from error
    if not isinstance(root, dict):
        raise CorruptError(path, 0, f"it is a {type(root).__name__}, not an object", _TOOL)
    return root


class Snapshots:
    """What `Store` does in snapshot mode while it is open. Safe in threads and greenlets."""

    def __init__(self, directory: str) -> None:
        directories.make(directory)
        directory = os.path.realpath(directory)  # links may lead elsewhere later
        self.directory = directory
        self.file = os.path.join(directory, directories.SNAPSHOT)
        self._lock = directories.lock(directory, "lock")
        try:
            if listed(directory):
                raise StoreError(
                    f"cannot open {directory!r}: it was written with mode='journal'; open it so"
                )
            if os.path.lexists(unfinished := directories.beside(self.file)):
                os.unlink(unfinished)
            self.root = read(directory)
        except BaseException:
            directories.unlock(self._lock)
            raise
        # Images that come while one is being written are one, the last.
        self.commits: Commits[bytes] = Commits(self._write)
        self._error: OSError | None = None
        self._images = 0
        self.lock: Any
        give_lock(self)

    def _write(self, images: list[bytes]) -> None:
        # A failed write does not stop the store: each image is a new file, and the last one that
        # was written as a whole stays until then.
        with self.lock:
            try:
                directories.put(self.file, [images[-1]])
                self._error, self._images = None, self._images + 1
            except OSError as error:
                self._error = error

    def _image(self) -> bytes:
        """All of the root, at one moment: nothing else runs while it is being made."""
        try:
            return orjson.dumps(self.root, option=_STRICT)
        except TypeError as error:
            raise StoreError(
                f"cannot write a snapshot: {error}; have in it dicts with keys of type str, lists, "
                "not more than 254 of these within one another, str, int of 64 bits, float, bool "
                "and None"
            ) from error

    def sync(self) -> list[tuple[str, str]]:
        """Write an image now. Raises StoreError also if the directory is another one by now."""
        directories.need_place(self.directory, self._lock)
        commits = self.commits
        if commits.failure is not None:  # as by Ctrl-C amid the last one
            commits.end()
            self.commits = new = Commits(self._write)
            new.inline, commits = commits.inline, new
        with commits.lock:  # so that no older image comes after this one
            ticket = commits.append(self._image())
        commits.wait(ticket)
        if self._error is not None:
            raise StoreError(
                f"cannot write a snapshot: {self._error}; the last one is as it was"
            ) from self._error
        return []

    def tick(self) -> None:
        self.sync()

    def watch(self) -> None:
        """Nothing: there is no connection that can be lost."""

    def migrate(self, steps: Sequence[Callable[[Any], object]]) -> None:
        """Nothing: `Store` has refused them."""

    def backup(self, path: str) -> None:
        directories.need_nothing(path)
        image = self._image()

        def write() -> None:
            with directories.new(path) as place:
                directories.put(os.path.join(place, directories.SNAPSHOT), [image])

        off_loop(write)

    def compact(self) -> None:
        """Nothing: an image is as large as it must be."""

    def verify(self) -> dict[str, Any]:
        directories.need_place(self.directory, self._lock)
        root = read(self.directory)
        return {"files": 1, "bytes": self.stats()["image_bytes"], "entries": len(root)}

    def stats(self) -> dict[str, Any]:
        size = os.path.getsize(self.file) if os.path.exists(self.file) else 0
        return {"entries": len(self.root), "image_bytes": size, "images": self._images}

    def forget(self) -> None:
        self.commits.forget()
        directories.unlock(self._lock)

    def close(self, *, last: bool = False) -> None:
        self.commits.inline = last
        try:
            self.sync()
        finally:
            with contextlib.suppress(FailedError):
                self.commits.close()
            directories.unlock(self._lock)
