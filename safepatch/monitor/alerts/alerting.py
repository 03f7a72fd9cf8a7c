"""Alerts: each event is told to its channels, at least once, whatever happens to the program."""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import gevent.event
import msgspec

from safepatch.decorators import retry
from safepatch.monitor.alerts import messages
from safepatch.monitor.alerts.channels import why
from safepatch.monitor.alerts.delivering import Deliveries, kind, named, wants
from safepatch.monitor.alerts.messages import Message
from safepatch.monitor.alerts.outbox import FEW, Outbox, shown
from safepatch.monitor.plan import Channel, Plan
from safepatch.monitor.statuses import Event
from safepatch.store import ConflictError, Store, StoreError

logger = logging.getLogger("safepatch.monitor")
Workers = dict[str, Any]  # greenlets, by channel


class State(msgspec.Struct):
    """What is known of a channel since the start; times are in seconds since 1970."""

    sent: int = 0
    failures: int = 0
    last_sent: float = 0.0
    failing_since: float = 0.0
    error: str = ""
    attempts: int = 0  # of what is being sent


class GoneError(Exception):
    """Nothing more is to be sent to a channel: it is not in the plan any more, or all ends."""


class Alerts:
    """Tells events to the channels of a plan, in order, however often the program is killed.

    ::

        alerts = Alerts(store, lambda: plan)
        alerts.start()
        with store.transaction():
            alerts.put([event])

    What is put is a document for each channel that wants it; greenlets, one a channel, send it,
    again and again until it is taken, and note that. What was about to be sent when the program was
    killed is sent again, under the same id. More than a few that wait for a channel are told as one
    digest; when more than `most` wait they are merged at once, so that what is kept is bounded, as
    the last `keep` that were sent are.

    `deliver(channel, message)` brings a message to a channel, and raises what fails. For one hub of
    gevent. The store is opened at once.
    """

    def __init__(
        self,
        store: Store,
        plan: Callable[[], Plan],
        *,
        deliver: Callable[[Channel, Message], None] | None = None,
        most: int = 200,
        keep: int = 200,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] | None = None,
        random: Callable[[], float] | None = None,
    ) -> None:
        self._plan, self._now, self._most = plan, now, max(most, 2 * FEW)
        self._outbox = Outbox(store, now, keep)
        self._deliveries = Deliveries(plan, now=now, clock=clock, sleep=sleep or gevent.sleep)
        self._deliver = deliver or self._deliveries.send
        self._running = self._stopping = False
        self._changed = gevent.event.Event()
        self._workers: Workers = {}
        self._mergers: Workers = {}
        self._states: dict[str, State] = {}
        # A document that somebody else's transaction holds is free in a moment.
        patient = retry(
            on=ConflictError,
            attempts=None,
            wait_initial=0.01,
            wait_max=1.0,
            wait_jitter=0.0,
            sleep=sleep or gevent.sleep,
        )
        self._begin, self._finish = patient(self._outbox.begin), patient(self._outbox.finish)
        self._shorten = patient(self._outbox.shorten)
        self._send = retry(
            on=lambda error: not isinstance(error, GoneError),
            attempts=None,
            wait_initial=2.0,
            wait_max=300.0,
            sleep=sleep or self._changed.wait,  # which ends when there is another plan
            random=random,
        )(self._attempt)

    def put(self, events: Iterable[Event]) -> None:
        """Store events for the channels that want them; within the transaction of who calls.

        An event whose id a channel was given before is passed over. Takes microseconds, and waits
        for nothing. If the transaction fails, nothing was put.
        """
        url = self._plan().settings.url
        for event in (messages.leading(each, url) for each in events):
            for name, channel in self._plan().channels.items():
                if wants(name, channel, event) and self._outbox.put(name, event):
                    self._wake(name)

    def start(self) -> None:
        """Begin to send, and first what is left from before. Idempotent; when it is called again,
        because the plan has changed, what waits to be tried again is tried at once."""
        if not self._running:
            self._outbox.load()
            self._outbox.forget(self._plan().channels)
            self._running, self._stopping = True, False
        self._deliveries.prepare()
        self._changed.set()
        self._changed.clear()
        for name in [*self._outbox.queues]:
            self._wake(name)

    def stop(self, seconds: float = 5.0) -> None:
        """End; who is sending has so many seconds. What was not sent stays in the store."""
        self._running, self._stopping = False, True
        self._changed.set()  # nobody waits to try again
        working = [*self._workers.values(), *self._mergers.values()]
        gevent.joinall(working, timeout=seconds)
        gevent.killall(working)
        self._deliveries.close()

    def test(self, name: str) -> None:
        """Send an event of type "test" to a channel now, once, past all that waits.

        Raises KeyError for a channel that does not exist, and what sending raises.
        """
        channel, at = self._plan().channels[name], self._now()
        self._deliver(named(name, channel), messages.message(messages.trial(name, at)))

    def stats(self) -> dict[str, dict[str, Any]]:
        """By channel: its kind, how many wait, were sent and failed; what is wrong since when."""
        return {
            name: {
                "kind": kind(channel),
                "waiting": len(self._outbox.queue(name).waiting),
                **msgspec.to_builtins(self._state(name)),
            }
            for name, channel in self._plan().channels.items()
        }

    def recent(self, n: int = 50) -> list[dict[str, Any]]:
        """The last alerts, newest first; each is of one event, or a digest, and one channel."""
        documents = [*self._outbox.documents.values()]
        newest = heapq.nlargest(
            n, documents, key=lambda each: (each.get("sent", each["put"]), each["n"])
        )
        return [shown(document) for document in newest]

    def send_next(self, name: str) -> bool:
        """Send what is next for a channel, however long it takes; whether there was something."""
        channel = self._plan().channels.get(name)
        if channel is None:
            return False
        # What opens and closes incidents by itself must be told of each; it asks for no reader.
        begun = self._begin(name, self._most if kind(channel) == "pagerduty" else FEW)
        if begun is None:
            return False
        key, part = begun
        state = self._state(name)
        state.attempts = 0
        try:
            self._send(name, part)
        except GoneError:
            return False
        self._finish(name, key, state.attempts)
        state.sent += 1
        state.last_sent = self._now()
        return True

    def _attempt(self, name: str, part: Message) -> None:
        channel, state = self._plan().channels.get(name), self._state(name)
        if channel is None or self._stopping:
            raise GoneError(name)
        state.attempts += 1
        try:
            self._deliver(named(name, channel), part)
        except Exception as error:
            state.failures += 1
            state.failing_since = state.failing_since or self._now()
            state.error = why(error)
            logger.warning("alert %s to channel %r: %s", part.id, name, state.error)
            raise
        state.failing_since, state.error = 0.0, ""

    def _wake(self, name: str) -> None:
        """Have a greenlet for what waits for a channel, and one that merges, if it is too much."""
        if not (self._running and self._is_left(name)):
            return
        if name not in self._workers:
            self._workers[name] = gevent.spawn(self._work, name)
        if len(self._outbox.queue(name).waiting) > self._most and name not in self._mergers:
            self._mergers[name] = gevent.spawn(self._merge, name)

    def _work(self, name: str) -> None:
        """Send what waits for a channel, until nothing does."""
        try:
            # Looked at last, with no turn for others after it: what comes later wakes a new one.
            while self._running and self._is_left(name):
                self.send_next(name)
        except StoreError as error:
            logger.error("no more alerts to channel %r: %s", name, error)
        except Exception:
            logger.exception("no more alerts to channel %r, until there is a new one", name)
        finally:
            self._workers.pop(name, None)

    def _merge(self, name: str) -> None:
        try:
            self._shorten(name)
        finally:
            self._mergers.pop(name, None)

    def _is_left(self, name: str) -> bool:
        return name in self._plan().channels and bool(self._outbox.queue(name).waiting)

    def _state(self, name: str) -> State:
        return self._states.setdefault(name, State())
