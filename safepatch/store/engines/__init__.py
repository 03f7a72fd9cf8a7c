"""Where a store keeps its documents: files of its own, or an existing engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from safepatch.store.documents import Root
from safepatch.store.engines.addresses import is_directory, is_postgres, shown, sqlite_file
from safepatch.store.values import Op


class Engine(Protocol):
    """What a store asks of whatever keeps its documents.

    One may have three more: `most`, the bytes of documents that a transaction can have;
    `watch(lost)`, called once when the store is open, which calls `lost(error)` if the engine
    finds, while nothing is written, that it cannot write any more; and `begin(here, batch, then)`,
    which a hub of gevent calls instead of `write`: it writes in no time, and calls `then` when the
    batch is on disk, with the error or None, from any thread; or it returns False, and has done
    nothing.
    """

    def open(self) -> Root:
        """Create or recover, and read. Raises LockedError, CorruptError, with nothing changed."""

    def write(self, batch: Sequence[Sequence[Op]]) -> None:
        """Write transactions; they are on disk when it returns, all of a transaction or nothing.

        Called from any thread, one at a time, and never again after it has raised.
        """

    def rest(self) -> None:
        """What is better done now, when nothing waits to be written; called as `write` is."""

    def close(self) -> None:
        """Let go of what is open, after a failed write too."""

    def forget(self) -> None:
        """In the child of a fork: let go of what is the parent's, without a trace."""

    def backup(self, path: str) -> None:
        """Copy all that is on disk, to be opened as a store. May block, and run beside `write`."""

    def compact(self) -> None:
        """Make what is on disk no larger than it must be. May block, and run beside `write`."""

    def verify(self) -> dict[str, Any]:
        """Read all that is on disk, and count it. Raises CorruptError. May block, as above."""

    def stats(self) -> dict[str, Any]:
        """Numbers about what is on disk, quickly."""


def engine_for(
    path: str, *, segment: int, keep: float, in_memory: int, shard: tuple[int, int], standby: bool
) -> Engine:
    """The engine that a path or an address asks for; nothing is opened yet."""
    if is_postgres(path):
        from safepatch.store.engines.postgres import Postgres

        return Postgres(path, shard=shard, standby=standby)
    if shard != (0, 1) or standby:
        raise ValueError(
            f"got shard={shard!r}, standby={standby!r} for {shown(path)!r}; shards and standbys "
            "are for postgresql://HOST/DATABASE"
        )
    if is_directory(path):
        from safepatch.store.engines.journal.journal import Journal

        return Journal(path, segment=segment, keep=keep)
    if file := sqlite_file(path):
        from safepatch.store.engines.sqlite import SQLite

        return SQLite(file, in_memory=in_memory)
    raise ValueError(
        f"got the store {shown(path)!r}; give a directory, sqlite:///FILE or postgresql://HOST/DATABASE"
    )
