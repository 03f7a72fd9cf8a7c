"""A verdict on DNS of its own: every host is looked up in turn, past all caches, at a rate.

The caches that checks go by hide that DNS is broken, for as long as they keep answers. So what is
found here is a warning of the endpoints with that host.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import gevent
from gevent.pool import Pool as Greenlets

from safepatch.decorators import rate_limit
from safepatch.monitor.guarding import is_literal
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.urls import split

_KINDS = frozenset({"", "http", "https", "tcp", "tls", "icmp", "smtp"})
_ROUND = 3600.0  # seconds in which all have their turn, if that takes no more than the highest rate
_RATES = 0.2, 10.0  # lookups a second, at least and at most
_AT_ONCE = 10
_SLICE = 1000


def host_of(endpoint: Endpoint) -> str:
    """The host that is looked up for it, "" where there is none."""
    if endpoint.kind not in _KINDS:
        return ""
    try:
        return split(endpoint.address if endpoint.kind else f"tcp://{endpoint.address}").host
    except Exception:  # which its check tells
        return ""


class Lookups:
    """Looks up the hosts of all endpoints, round after round.

    `look(host)` is "" or what is wrong; `endpoints()` gives them by name, and `tell(host,
    message)` is called for each that was looked up. `warnings` has the hosts that failed, at
    their last turn.
    """

    def __init__(
        self,
        look: Callable[[str], str],
        endpoints: Callable[[], Mapping[str, Endpoint]],
        tell: Callable[[str, str], object],
        *,
        sleep: Callable[[float], object] = gevent.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look, self._endpoints, self._tell = look, endpoints, tell
        self._sleep, self._clock = sleep, clock
        self.warnings: dict[str, str] = {}
        self.rounds = self.looked = 0

    def round(self) -> None:
        """Look each host up once."""
        hosts = self._hosts()
        for gone in self.warnings.keys() - hosts:
            del self.warnings[gone]
        rate = min(max(len(hosts) / _ROUND, _RATES[0]), _RATES[1])
        look = rate_limit(self._one, rate=rate, sleep=self._sleep, clock=self._clock)
        greenlets = Greenlets(_AT_ONCE)
        try:
            for host in hosts:
                greenlets.wait_available()
                greenlets.spawn(look, host)
            greenlets.join()
        finally:
            greenlets.kill()
        self.rounds += 1

    def _hosts(self) -> set[str]:
        """All of them, each once, without addresses that are no names."""
        found = set()
        for number, endpoint in enumerate([*self._endpoints().values()], 1):
            if (host := host_of(endpoint)) and not is_literal(host):
                found.add(host)
            if not number % _SLICE:
                gevent.sleep(0)
        return found

    def _one(self, host: str) -> None:
        message = self._look(host)
        self.looked += 1
        if message:
            self.warnings[host] = message
        else:
            self.warnings.pop(host, None)
        self._tell(host, message)
