"""Where a store keeps its documents: files of its own, or an existing engine."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Protocol

from safepatch.store.documents import Root
from safepatch.store.values import Op


class Engine(Protocol):
    """What a store asks of whatever keeps its documents.

    One may have two more: `most`, the bytes of documents that a transaction can have, and
    `watch(lost)`, called once when the store is open, which calls `lost(error)` if the engine
    finds, while nothing is written, that it cannot write any more.
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
    kind, separator, rest = path.partition("://")
    if kind in ("postgresql", "postgres"):
        from safepatch.store.engines.postgres import Postgres

        return Postgres(path, shard=shard, standby=standby)
    if shard != (0, 1) or standby:
        raise ValueError(
            f"got shard={shard!r}, standby={standby!r} for {path!r}; shards and standbys are for "
            "postgresql://HOST/DATABASE"
        )
    if not separator:
        from safepatch.store.engines.journal.journal import Journal

        return Journal(path, segment=segment, keep=keep)
    # As others write it: three slashes before a relative path, four before an absolute one.
    if kind == "sqlite" and rest[:1] == "/" and rest[1:] not in ("", ":memory:"):
        from safepatch.store.engines.sqlite import SQLite

        return SQLite(rest[1:], in_memory=in_memory)
    raise ValueError(
        f"got the store {path!r}; give a directory, sqlite:///FILE or postgresql://HOST/DATABASE"
    )


def absolute(path: str) -> str:
    """A path or an address that means the same after a change of the working directory."""
    kind, separator, rest = path.partition("://")
    if not separator:
        return os.path.abspath(path)
    if kind == "sqlite" and rest[:1] == "/" and rest[1:] not in ("", ":memory:"):
        return f"sqlite:///{os.path.abspath(rest[1:])}"
    return path


def shown(path: str) -> str:
    """A path or an address for messages: without its password."""
    return re.sub(r"(://[^/?#@]*:)[^/?#]*@|([?&]password=)[^&]*", _without, path)


def _without(found: re.Match[str]) -> str:
    return f"{found[1]}***@" if found[1] else f"{found[2]}***"
