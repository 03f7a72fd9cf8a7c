"""Handing a store over from one engine to another, while transactions go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from safepatch.decorators.locks import give_lock
from safepatch.store.engines import Engine
from safepatch.store.errors import StoreError
from safepatch.store.keeping import Kept, committed, sliced
from safepatch.store.threads import current, off_loop, pause
from safepatch.store.values import Op, encode

_FEW = 1000  # changes that may be left for the moment of the switch
# What the store notes for itself in the old engine, where all has gone, and in the new one, as long
# as not all is there; see `need_whole`.
GONE = "handed over"
COMING = "being handed over"


def need_whole(meta: Any, path: str) -> None:
    """Raise StoreError for a store that was handed over, or to which not all was."""
    if (address := meta.get(GONE)) is not None:
        raise StoreError(
            f"cannot open {path!r}: it was handed over to {address!r}, which has what came since; "
            "open that"
        )
    if (address := meta.get(COMING)) is not None:
        raise StoreError(
            f"cannot open {path!r}: it has a part of {address!r} only, for handing that over was "
            "cut off; open the other one, remove this one, and hand over again"
        )


class HandOver:
    """One on its way: what the old engine writes meanwhile is noted, and written to the new one.

    Between two batches the new engine takes the place of the old one. Documents are written over
    and over, so it does not matter what is copied, and what changes, first.
    """

    def __init__(
        self, kept: Kept, new: Engine, make_new: Callable[[], Engine], path: str, old_path: str
    ) -> None:
        self.kept, self.old, self.new, self.make_new = kept, kept.engine, new, make_new
        self.path, self.old_path = path, old_path
        self.changed: dict[tuple[str, str], bytes | None] = {}
        self.failure: Exception | None = None
        self.lock: Any
        give_lock(self)

    def run(self) -> None:
        """Copy, and switch. If that fails all goes on with the old engine."""
        commits = self.kept.commits
        with self.kept.lock:
            if commits.write != self.old.write:
                raise StoreError("cannot hand over: it is being done already; wait for that")
            commits.write, commits.begin = self.write, None
        try:
            off_loop(self.kept.root.stay)
            for part in self.documents():
                self.write_new(part)
            while len(self.changed) > _FEW:
                self.write_new(self.taken())
            commits.write = self.switch
            with self.kept.lock:
                last = commits.append([])
            commits.wait_out(last)
            if self.failure is not None:
                raise self.failure
        except BaseException:
            if self.kept.engine is self.old:
                self.kept.use(self.old)
                self.kept.root.may_go()
            raise

    def write(self, batch: Sequence[Sequence[Op]]) -> None:
        """What the store calls instead of the old engine."""
        self.old.write(batch)
        with self.lock:
            for ops in batch:
                self.changed.update({(name, key): document for name, key, document in ops})

    def write_new(self, ops: list[Op]) -> None:
        off_loop(self.new.write, [ops])
        pause()

    def taken(self) -> list[Op]:
        """What has changed, to be written to the new engine."""
        with self.lock:
            changed, self.changed = self.changed, {}
        return [(name, key, document) for (name, key), document in changed.items()]

    def switch(self, batch: Sequence[Sequence[Op]]) -> None:
        """What the store calls instead of the old engine, once."""
        try:
            self.new.write([[*self.taken(), ("", COMING, None)]])
        except Exception as error:
            self.refuse_new(error)
            self.failure = error
            self.kept.use(self.old)
            self.old.write(batch)
            return
        # From here on it is the new one that is right; both have the same until its first batch.
        self.old.write([[("", GONE, encode(self.path))]])
        self.kept.use(self.new)
        self.new.write(batch)

    def refuse_new(self, error: Exception) -> None:
        """Have the new place refuse to be opened: its last write may have got there all the same.

        Raises StoreError, which stops the store, if that cannot be known.
        """
        try:
            self.new.close()
            again = self.make_new()
            try:
                if COMING not in again.open()[""]:
                    again.write([[("", COMING, encode(self.old_path))]])
            finally:
                again.close()
        except Exception as unknown:
            raise StoreError(
                f"it is not known whether {self.path!r} has all of {self.old_path!r} by now: the "
                f"last write to it failed, {error}, and it cannot be looked at, {unknown}; go on "
                "with the old one, and remove the new one"
            ) from error

    def documents(self) -> Iterator[list[Op]]:
        """All documents, in parts, as they are without what is not yet committed."""
        for collection in [*dict.values(self.kept.root)]:
            for keys in sliced(self.kept.keys(collection)):
                yield self.part(collection, keys)
            pause()

    def part(self, collection: Any, keys: list[str]) -> list[Op]:
        with self.kept.lock:
            # What was changed outside of transactions is told to the old engine first, so that what
            # is noted of each document is what goes to the new one.
            _, refused = self.kept.look(collection, keys)
            if refused is not None:
                raise refused
            found = ((key, committed(collection, key)[1]) for key in keys)
            return [(collection.name, key, now) for key, now in found if now is not None]


def hand_over(
    kept: Kept, new: Engine, make_new: Callable[[], Engine], path: str, old_path: str
) -> None:
    """Have a new engine keep what an open store keeps. Raises StoreError if there is something.

    Returns when the new one has all; the old one is closed then, and refuses to be opened.
    """
    if current() in kept.open:
        raise StoreError("cannot hand over within a transaction; do it after that")
    kept.sync()  # which tells of documents that cannot be stored
    old = kept.engine
    root = new.open()
    try:
        if root or root[""]:
            raise StoreError(f"cannot hand over to {path!r}: there is something; name a new place")
        new.write([[("", COMING, encode(old_path))]])
        HandOver(kept, new, make_new, path, old_path).run()
    finally:
        if kept.engine is new:
            kept.watch()  # here, for what a thread of gevent's pool begins would never run
        (old if kept.engine is new else new).close()
