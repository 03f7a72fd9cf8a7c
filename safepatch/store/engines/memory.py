"""How many documents are in memory, where the others are read when they are needed."""

from __future__ import annotations

import math
from collections import deque

from safepatch.store.documents import Root
from safepatch.store.engines.on_demand import OnDemand
from safepatch.store.engines.rows import Rows
from safepatch.store.keeping import tell

_TRIES = 8  # documents that one read tries to let go of


class OnDemandRoot(Root):
    """Collections of which about `bound` documents are in memory.

    One stays in memory while a transaction holds it, while it is not on disk, and while the program
    refers to it, or to a dict or list in it. So none is there twice, and no change gets lost. One
    that was changed outside of transactions is written first, and told.

    Locks are taken in this order: that of `kept`, which a transaction holds, that of `rows`.
    """

    __slots__ = ("bound", "most", "queue", "rows", "whole")

    def __init__(self, rows: Rows, bound: float) -> None:
        self.rows, self.bound, self.most = rows, bound, bound
        self.whole = False  # whether all that is on disk is in memory
        # What is in memory, oldest first. What has been removed, and come again, is there twice.
        self.queue: deque[tuple[OnDemand, str]] = deque()
        super().__init__()
        for name, count in rows.counts():
            dict.__getitem__(self, name).count = count

    def _make(self, name: str) -> OnDemand:
        return OnDemand(name, self.open, self)

    def make_room(self, tries: int = _TRIES) -> bool:
        """Let go of the documents that came first, where there are too many; whether some went."""
        if len(self.queue) < self.bound or not self.kept.lock.acquire(blocking=False):
            return False  # and another thread's transaction is running; it makes room itself
        before = len(self.queue)
        found: list[tuple[str, str]] = []
        try:
            with self.rows.lock:
                for _ in range(min(tries, before)):
                    collection, key = self.queue.popleft()
                    if not collection.let_go(key, found):
                        self.queue.append((collection, key))
                    elif len(self.queue) < self.bound:
                        break
        finally:
            self.kept.lock.release()
        tell(found)
        return len(self.queue) < before

    def stay(self) -> None:
        """Read all documents, and let none go any more. May block, and run beside all else."""
        self.bound = math.inf
        for collection in [*dict.values(self)]:
            for _ in collection.keys_there(fetch=True):
                pass
        with self.kept.lock, self.rows.lock:
            for collection in [*dict.values(self)]:
                collection.put_in_order()
            self.whole = True

    def may_go(self) -> None:
        self.whole, self.bound = False, self.most
