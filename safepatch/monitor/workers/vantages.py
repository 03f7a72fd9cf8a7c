"""The monitor's side of workers: sends batches in time, takes results, and has vantages agree."""

from __future__ import annotations

import heapq
import logging
import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gevent
from gevent import monkey
from gevent.threadpool import ThreadPool

from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.workers import brokers
from safepatch.monitor.workers.batches import SIZE, Packet, Slot, opened, packed, slots
from safepatch.monitor.workers.cleaning import cleaned
from safepatch.monitor.workers.quorum import Quorum

logger = logging.getLogger("safepatch.monitor")

#: Takes a result; gives how often the endpoint is checked, and when it is to be looked at before.
Take = Callable[[Endpoint, Result], tuple[float, float | None]]

_TICK = 1.0  # seconds between looks at what is to be sent
_IN_A_ROW = 20  # results that are taken before others have a turn
_SPARE = 200  # batches besides those of two intervals, that wait in a queue
_AHEAD = 60.0  # seconds that our clock may have been put back
_SLOWEST = 5.0  # seconds that a batch may take besides its checks


class Vantages:
    """Has endpoints checked at several places, and takes what they agree on.

    `endpoints` gives all of them by name; where that is another mapping than before, batches are
    made anew. `take` gets each result that the vantages agree on, and may ask for another check
    before the next interval, as Monitor.take does. `found` hears of the addresses that workers
    found for endpoints without a scheme, and `known` gives an endpoint with what is known of that.
    `quorum` 0 is more than half of `names`.

    For the greenlets of one hub. What Celery and Redis wait for is waited for in threads of the
    hub, unless their sockets are patched by gevent. Raises ValueError for a broker and a quorum
    that cannot be, and ModuleNotFoundError where the extra `workers` is not installed.
    """

    def __init__(
        self,
        broker: str,
        names: Sequence[str],
        endpoints: Callable[[], Mapping[str, Endpoint]],
        take: Take,
        *,
        quorum: int = 0,
        password: str = "",
        known: Callable[[Endpoint], Endpoint] = lambda endpoint: endpoint,
        found: Callable[[Endpoint, str], None] = lambda endpoint, address: None,
        size: int = SIZE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not names:
            raise ValueError("no vantages are named; say which there are, such as ['here']")
        broker = brokers.address(broker, password)
        self._app, self._client = brokers.celery(broker), brokers.redis(broker)
        self._endpoints, self._take = endpoints, take
        self._as_known, self._found = known, found
        self._size, self._clock = size, clock
        self.quorum = Quorum(names, quorum or len(names) // 2 + 1, clock())
        self.problem = ""  # why the broker does not work
        self.rounds = self.packets = 0
        self.late = 0.0  # seconds that the last batch was sent after it was due
        self._reply = f"safepatch-monitor-results.{secrets.token_hex(8)}"
        self._planned: Mapping[str, Endpoint] | None = None
        self._due: list[tuple[float, int, Slot]] = []
        self._again: dict[str, float] = {}  # by name: when it is checked besides its interval
        self._greenlets: list[Any] = []
        self._pool: ThreadPool | None = None

    def start(self) -> None:
        """Begin to send, and to take."""
        if not monkey.is_module_patched("socket"):
            self._pool = ThreadPool(2)
        self._greenlets = [gevent.spawn(self._sending), gevent.spawn(self._receiving)]

    def stop(self) -> None:
        """End both. What was sent is checked in vain."""
        gevent.killall(self._greenlets)
        self._greenlets.clear()
        if self._pool is not None:
            self._pool.kill()
        self._client.close()
        self._app.close()

    def check(self, name: str, seconds: float = 0.0) -> None:
        """Have an endpoint checked at all vantages in some seconds, besides its interval."""
        due = self._clock() + seconds
        self._again[name] = min(due, self._again.get(name, due))

    def reason(self) -> str:
        """Why too little is known to tell what is down, "" if enough is."""
        silent = self.quorum.silent(self._clock())
        reporting = len(self.quorum.vantages) - len(silent)
        if reporting >= self.quorum.need:
            return ""
        problem = f", and the broker fails: {self.problem}" if self.problem else ""
        return (
            f"{reporting} of {len(self.quorum.vantages)} vantages report, and {self.quorum.need} "
            f"have to agree; nothing is heard of {', '.join(silent)}{problem}"
        )

    # -- sending

    def _sending(self) -> None:
        while True:
            try:
                self._send_due(self._clock())
                self._send_again(self._clock())
                self._settle()
            except Exception:
                logger.exception("a mistake with workers; it goes on")
            gevent.sleep(_TICK)

    def _send_due(self, now: float) -> None:
        endpoints = self._endpoints()
        if endpoints is not self._planned or self._is_ahead(now):
            soon = self._planned is None
            self._planned = endpoints
            self._due = _scheduled(slots(endpoints.values(), self._size), now, soon)
            self.quorum.patience = _patience(endpoints.values())
            self.quorum.keep(endpoints)
        while self._due and self._due[0][0] <= now:
            due, number, slot = self._due[0]
            self.late = now - due
            # What was missed is not made up for.
            heapq.heapreplace(self._due, (_next(slot, now), number, slot))
            chosen = [endpoints[name] for name in slot.names if name in endpoints]
            self._send(chosen, now, slot.interval)

    def _is_ahead(self, now: float) -> bool:
        """Whether what is due next is further away than its interval: the clock was put back."""
        return bool(self._due) and self._due[0][0] > now + self._due[0][2].interval

    def _send_again(self, now: float) -> None:
        """Those that are to be looked at before their time; when all fail, these are all."""
        endpoints = self._endpoints()
        names = [name for name, due in self._again.items() if due <= now]
        for name in names:
            del self._again[name]
        chosen = [endpoints[name] for name in names if name in endpoints]
        for at in range(0, len(chosen), self._size):
            batch = chosen[at : at + self._size]
            longest = max(endpoint.options.timeout for endpoint in batch)
            self._send(batch, now, longest + _SLOWEST)

    def _send(self, endpoints: Sequence[Endpoint], sent: float, seconds: float) -> None:
        """Send a batch to all vantages, which is of no use after some seconds."""
        current = [self._as_known(endpoint) for endpoint in endpoints]
        batch = {**packed(current), "reply": self._reply, "sent": sent, "until": sent + seconds}
        try:
            self._apart(self._publish, batch, seconds)
            self.rounds += 1
            self.problem = ""
        except Exception as error:  # kombu has its own, of several kinds
            self._failed(error)

    def _publish(self, batch: dict[str, Any], seconds: float) -> None:
        with self._app.producer_or_acquire() as producer:
            for name in self.quorum.vantages:
                self._app.send_task(
                    brokers.TASK,
                    [{**batch, "vantage": name}],
                    queue=brokers.queue(name),
                    expires=seconds,
                    retry=False,
                    producer=producer,
                )
        self._drop_old()

    def _drop_old(self) -> None:
        """Where nobody works, nothing takes out what has expired, and Redis would fill up."""
        most = 2 * len(self._due) + _SPARE
        with self._client.pipeline(transaction=False) as pipe:
            for name in self.quorum.vantages:
                pipe.ltrim(brokers.queue(name), 0, most - 1)  # the newest come first
            pipe.execute()

    # -- taking

    def _receiving(self) -> None:
        while True:
            try:
                fetched = self._apart(self._fetch)
            except Exception as error:  # redis has its own, beside those of sockets
                self._failed(error)
                gevent.sleep(_TICK)
                continue
            for data in fetched:
                try:
                    self._open(data)
                except Exception:
                    logger.exception("a mistake with what a worker sent; it goes on")

    def _fetch(self) -> list[bytes]:
        """All that there is, or what comes within a second."""
        first = self._client.blpop([self._reply], timeout=1)
        return [first[1], *(self._client.lpop(self._reply, 100) or ())] if first else []

    def _open(self, data: bytes) -> None:
        try:
            packet = opened(data)
        except ValueError as error:
            logger.error("cannot read what a worker sent: %s", error)
            return
        self.packets += 1
        self._count(packet)

    def _count(self, packet: Packet) -> None:
        now, endpoints = self._clock(), self._endpoints()
        if not (packet.sent <= now + _AHEAD and packet.sent <= packet.until < math.inf):
            logger.error("cannot use what a worker sent: it is of a time to come, or of none")
            return
        for number, given in enumerate(packet.results, 1):
            if given.name not in endpoints:
                continue
            vote = cleaned(given, now)
            for result in self.quorum.vote(packet.vantage, packet.sent, packet.until, vote, now):
                self._agreed(result)
            if not number % _IN_A_ROW:
                gevent.sleep(0)

    def _settle(self) -> None:
        for number, result in enumerate([*self.quorum.settle(self._clock())], 1):
            self._agreed(result)
            if not number % _IN_A_ROW:
                gevent.sleep(0)

    def _agreed(self, result: Result) -> None:
        endpoint = self._endpoints().get(result.name)
        if endpoint is None:
            return
        found = str(result.facts.pop("found", ""))
        # Another host would be one that nobody has written, and asked as if somebody had.
        if not endpoint.kind and found.partition("://")[2] in (
            endpoint.address,
            f"[{endpoint.address}]",
        ):
            self._found(endpoint, found)
        every, again = self._take(endpoint, result)
        if again is not None and again < every:
            self.check(endpoint.name, again)

    def _failed(self, error: Exception) -> None:
        if not self.problem:
            logger.error("the broker fails; it is tried again: %s", error)
        self.problem = f"{type(error).__name__}: {error}"

    def _apart(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call what waits on sockets, so that others of the hub go on."""
        return call(*arguments) if self._pool is None else self._pool.apply(call, arguments)


def _patience(endpoints: Iterable[Endpoint]) -> float:
    """How long a vantage that works may be silent: it reports once in the shortest interval."""
    options = [each.options for each in endpoints if each.kind != "beat"]
    shortest = min((each.interval for each in options), default=60.0)
    return 2 * shortest + max((each.timeout for each in options), default=10.0)


def _next(slot: Slot, now: float) -> float:
    """When it is due after now."""
    return now + (slot.interval - (now - slot.phase) % slot.interval)


def _scheduled(found: list[Slot], now: float, soon: bool) -> list[tuple[float, int, Slot]]:
    """A heap of when each is to be sent next, on a grid that restarts do not move.

    `soon` is to send all of them once before, at most ten a second.
    """
    heap = [(_next(slot, now), number, slot) for number, slot in enumerate(found)]
    if soon:
        heap = [(min(due, now + number / 10), number, slot) for due, number, slot in heap]
    heapq.heapify(heap)
    return heap
