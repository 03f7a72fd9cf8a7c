"""The outbox in the store: what is to be told to each channel, and what was.

The state of a document is "waiting", "sending" (it may have arrived), "sent", or "merged" (into a
digest, which is a document as well). `n` is its place in the line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from safepatch.monitor.alerts import messages
from safepatch.monitor.alerts.messages import Message
from safepatch.monitor.statuses import Event
from safepatch.store import Store

FEW = 5  # more that wait for a channel are told as one
_KEEP = 7 * 86400.0  # what waits for a channel that is not in the plan any more

Document = dict[str, Any]


class Queue:
    """The keys of what waits for a channel, in order, and of what is done with."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.finished: deque[str] = deque()

    def add(self, key: str, document: Document) -> None:
        is_open = document["state"] in ("waiting", "sending")
        (self.waiting if is_open else self.finished).append(key)

    def took(self, keys: list[str], key: str) -> None:
        """One that was made of some takes their place."""
        if keys != [key]:
            at = self.waiting.index(keys[0])
            self.waiting[at : at + len(keys)] = [key]
            self.finished += keys


class Outbox:
    """Documents of messages, a line for each channel, of which the last `keep` that are done with
    stay. What is said of transactions is on disk when a method returns.

    Raises ConflictError, with nothing changed, where somebody else's transaction holds a document.
    """

    def __init__(self, store: Store, now: Callable[[], float], keep: int) -> None:
        self._store, self._now, self._keep = store, now, keep
        self.queues: dict[str, Queue] = {}
        self._last = 0
        self.load()

    @property
    def documents(self) -> Any:
        return self._store.root["alerts"]

    def load(self) -> None:
        """Look at what is in the store."""
        self.queues = {}
        for key, document in sorted(self.documents.items(), key=lambda item: item[1]["n"]):
            self.queue(document["channel"]).add(key, document)
            self._last = max(self._last, document["n"])

    def queue(self, channel: str) -> Queue:
        return self.queues.setdefault(channel, Queue())

    def put(self, channel: str, event: Event) -> bool:
        """Add an event, within the transaction of who calls; whether it was not there before."""
        key = key_of(channel, event.id)
        if key in self.documents:
            return False
        self._last += 1
        part = messages.message(event)
        self.documents[key] = document_of(channel, part, self._last, self._now())
        self.queue(channel).waiting.append(key)
        return True

    def begin(self, channel: str, few: int = FEW) -> tuple[str, Message] | None:
        """The key and message that is to be sent next, which is "sending" in a transaction.

        More than `few` that wait are told as one.
        """
        queue = self.queue(channel)
        with self._store.transaction():
            self._drop_undone(queue)
            if not queue.waiting:
                return None
            waiting = [self.documents[key] for key in queue.waiting]
            if waiting[0]["state"] == "waiting":
                self._merge(queue, queue.waiting[: together(waiting, few)], "sending")
            key = queue.waiting[0]
            part = part_of(self.documents[key])
        return key, part

    def finish(self, channel: str, key: str, attempts: int) -> None:
        """Note in a transaction that a message was sent."""
        queue = self.queue(channel)
        with self._store.transaction():
            self.documents[key].update(state="sent", sent=self._now(), attempts=attempts)
            queue.waiting.remove(key)
            queue.finished.append(key)
            self._prune(queue)

    def shorten(self, channel: str) -> None:
        """Make one digest, in a transaction, of all that waits for a channel but the last few."""
        queue = self.queue(channel)
        with self._store.transaction():
            self._drop_undone(queue)
            keys = [k for k in queue.waiting[:-FEW] if self.documents[k]["state"] == "waiting"]
            if len(keys) > 1:
                self._merge(queue, keys, "waiting")
                self._prune(queue)

    def forget(self, channels: Collection[str]) -> None:
        """Remove, in a transaction, what has been there for a week, for channels other than these.

        They may come back: a line may be taken out of a file for an hour.
        """
        for name in [name for name in self.queues if name not in channels]:
            queue = self.queues[name]
            keys = [*queue.finished, *queue.waiting]
            with self._store.transaction():
                held = [self.documents[key] for key in keys if key in self.documents]
                if any(document["put"] > self._now() - _KEEP for document in held):
                    continue
                for key in keys:
                    self.documents.pop(key, None)
            del self.queues[name]

    def _drop_undone(self, queue: Queue) -> None:
        """Forget what was put in a transaction that failed."""
        queue.waiting = [key for key in queue.waiting if key in self.documents]

    def _merge(self, queue: Queue, keys: list[str], state: str) -> None:
        """Make one message of some, as a digest; one stays as it is.

        They stay as "merged", so that what was put is known; digests among them go.
        """
        old = [self.documents[key] for key in keys]
        if len(keys) == 1:
            old[0]["state"] = state
            return
        made = messages.digest([part_of(document) for document in old])
        for key, document in zip(keys, old, strict=True):
            if document["message"]["type"] == "digest":
                del self.documents[key]
            else:
                document.update(state="merged", into=made.id)
        channel, new = old[0]["channel"], key_of(old[0]["channel"], made.id)
        self.documents[new] = {
            **document_of(channel, made, old[0]["n"], self._now()),
            "state": state,
        }
        queue.took(keys, new)

    def _prune(self, queue: Queue) -> None:
        while len(queue.finished) > self._keep:
            self.documents.pop(queue.finished.popleft(), None)


def key_of(channel: str, identity: str) -> str:
    return f"{channel} {identity}"


def document_of(channel: str, part: Message, n: int, now: float) -> Document:
    """The document of a message that waits."""
    plain: Document = msgspec.json.decode(msgspec.json.encode(part))  # with lists for tuples
    return {"n": n, "channel": channel, "state": "waiting", "put": now, "message": plain}


def part_of(document: Document) -> Message:
    """The message that a document holds."""
    return msgspec.convert(document["message"], Message)


def together(documents: list[Document], few: int) -> int:
    """How many of those that wait, the first ones, are to be told in one message.

    More than a few are; and of a few, an "up" with its "down".
    """
    if len(documents) > few:
        return len(documents)
    parts = [part_of(document) for document in documents]
    up = messages.ended(parts[0], parts[1:])
    return 1 if up is None else [each.id for each in parts].index(up.id) + 1


def shown(document: Document) -> Document:
    """What is to be seen of an alert."""
    told = document["message"]
    return {
        **{name: told[name] for name in ("id", "type", "at", "severity", "title", "incident")},
        **{name: document[name] for name in ("channel", "state", "put")},
        **{name: document.get(name) for name in ("sent", "attempts", "into")},
    }
