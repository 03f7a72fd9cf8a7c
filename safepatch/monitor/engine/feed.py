"""What happens in a monitor, for those who look on live."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from gevent.queue import Empty, Full, Queue

_MOST = 1000  # of what nobody has fetched yet


class Subscription:
    """What happens from now on, as dicts with a "type", until it is closed; an iterator.

    Who is slower than what happens misses some of it, and gets {"type": "missed"}, once, which
    means: look at everything anew.
    """

    def __init__(self, among: set[Subscription]) -> None:
        self._queue: Any = Queue(_MOST)
        self._among, self._missed = among, False
        among.add(self)

    def put(self, told: dict[str, Any]) -> None:
        try:
            self._queue.put_nowait(told)
        except Full:
            self._missed = True

    def get(self, timeout: float | None = None) -> dict[str, Any] | None:
        """The next that happens; None after `timeout` seconds, and when it is closed."""
        if self._missed:
            self._missed, self._queue = False, Queue(_MOST)
            return {"type": "missed"}
        try:
            told: dict[str, Any] | None = self._queue.get(timeout=timeout)
        except Empty:
            return None
        return told

    def close(self) -> None:
        """Let the iterator end. Idempotent."""
        if self in self._among:
            self._among.discard(self)
            self._missed = False
            if self._queue.full():  # so that nobody waits for it
                self._queue = Queue()
            self._queue.put_nowait(None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (told := self.get()) is not None:
            yield told

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


class Feed:
    """Tells all who have subscribed. For the greenlets of one hub."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def subscribe(self) -> Subscription:
        return Subscription(self._subscriptions)

    def put(self, **told: Any) -> None:
        """Tell of something, which costs nothing while nobody listens; never waits."""
        for each in self._subscriptions:
            each.put(told)

    def close(self) -> None:
        """End all subscriptions."""
        for each in [*self._subscriptions]:
            each.close()
