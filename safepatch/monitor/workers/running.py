"""What workers do with a batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import msgspec

from safepatch.monitor import checks
from safepatch.monitor.checks import detecting
from safepatch.monitor.names.lookups import host_of
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.tools import Tools
from safepatch.monitor.workers.batches import Packet, sealed, unpacked
from safepatch.monitor.workers.brokers import KEPT

#: Packets that are kept for a monitor that does not fetch them.
_MOST = 5000
#: Failures that may be those of an address that a host has no more.
_MOVED = ("refused", "timeout", "reset", "unreachable", "tls", "certificate")


class Runner:
    """Checks batches, with tools that are kept from batch to batch, for the greenlets of one hub.

    `client` is Redis's; `at_once` is how many checks of a batch are made at the same time.
    """

    def __init__(
        self,
        client: Any,
        *,
        at_once: int = 100,
        tools: Tools | None = None,
        check: Callable[[Endpoint, Tools], Result] = checks.run,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._at_once, self._clock = client, at_once, clock
        self._tools = Tools() if tools is None else tools
        self._check = check
        self._found: dict[str, str] = {}  # what addresses without a scheme turned out to be

    def answer(self, batch: dict[str, Any]) -> None:
        """Check a batch, and push the results; those that take longer than the round are left."""
        results = self.results(unpacked(batch), batch["until"] - self._clock())
        packet = Packet(batch["vantage"], batch["sent"], batch["until"], results)
        key = batch["reply"]
        with self._client.pipeline(transaction=False) as pipe:
            pipe.rpush(key, sealed(packet))
            pipe.ltrim(key, -_MOST, -1)
            pipe.expire(key, KEPT)
            pipe.execute()

    def results(self, endpoints: list[Endpoint], seconds: float) -> list[Result]:
        """The results of all that could be checked within some seconds."""
        results: list[Result] = []
        waiting = iter(endpoints)

        def work() -> None:
            for endpoint in waiting:
                results.append(self._looked_at(endpoint))

        timeout = gevent.Timeout.start_new(max(seconds, 0.001))
        # Greenlets that take one after the other cost less than one for each.
        greenlets = [gevent.spawn(work) for _ in range(min(self._at_once, len(endpoints)))]
        try:
            gevent.joinall(greenlets)
        except gevent.Timeout as late:
            if late is not timeout:
                raise
        finally:
            timeout.close()
            gevent.killall(greenlets)
        return results

    def _looked_at(self, endpoint: Endpoint) -> Result:
        result = self._checked(endpoint)
        if result.error in _MOVED:
            # Its address may be an old one, so it is asked for anew before it is called down.
            self._tools.resolving.again(host_of(endpoint))
        return result

    def _checked(self, endpoint: Endpoint) -> Result:
        if endpoint.kind:
            return self._check(endpoint, self._tools)
        address = self._found.get(endpoint.address)
        if address:
            known = msgspec.structs.replace(endpoint, address=address)
            result = self._check(known, self._tools)
        else:
            known, result = detecting.detect(endpoint, self._tools)
        if result.ok:
            # Each time, until the monitor asks for a kind: a result may be lost on its way.
            result.facts["found"] = self._found[endpoint.address] = known.address
        return result
