"""c-ares, by gevent, that can be told to forget what it knows."""

from __future__ import annotations

import socket
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gevent
from gevent.resolver import AbstractResolver
from gevent.resolver.ares import Resolver

#: The errors of a lookup that are an answer: there is no such host, or none with an address.
MISSING = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_HOUR = 3600.0


class Ares(AbstractResolver):
    """A resolver of gevent's, for the greenlets of one hub, that can be told to forget.

    c-ares has a cache that cannot be emptied, so forgetting is to go on with a new channel. What is
    under way on the old one ends there. A channel of less than `young` seconds knows nothing that
    is worth forgetting, so there is no more than one in that time.

    `failing` are the hosts of which DNS told nothing when last asked: since when, and what went
    wrong. `took` are the seconds of the last lookups.
    """

    young = 1.0

    def __init__(self, clock: Callable[[], float], **options: Any) -> None:
        super().__init__()
        self._clock = clock
        self._make = partial(Resolver, **options)
        self._channel: Any = self._make()
        self._born = clock()
        self._is_stale = False
        self._under_way: Counter[Any] = Counter()
        self.failures = 0
        self.failing: dict[str, tuple[float, str]] = {}
        self.took: deque[float] = deque(maxlen=512)

    def forget(self) -> None:
        """Have the next lookup ask anew."""
        self._is_stale = True

    def count_failing(self) -> int:
        """How many hosts are failing; those that nobody has asked for in an hour are dropped."""
        then = self._clock() - _HOUR
        self.failing = {host: told for host, told in self.failing.items() if told[0] > then}
        return len(self.failing)

    def close(self) -> None:
        """End what is under way. May be called twice."""
        channels = {*self._under_way, self._channel} - {None}
        self._channel = None
        self._under_way.clear()
        for channel in channels:
            channel.close()

    def _getaddrinfo(self, *question: Any) -> Any:
        host, began = question[0].decode("latin-1"), self._clock()
        try:
            rows = self._looked_up(question, began)
        except socket.gaierror as error:
            if error.errno in MISSING:
                self.failing.pop(host, None)
            else:
                self._failed(host, explained(host, error))
            raise
        except gevent.Timeout:
            self._failed(host, f"DNS does not answer for {host}")
            raise
        finally:
            self.took.append(self._clock() - began)
        self.failing.pop(host, None)
        return rows

    def _looked_up(self, question: tuple[Any, ...], now: float) -> Any:
        if self._is_stale and self._channel is not None and now - self._born >= self.young:
            self._renew(now)
        channel = self._channel
        if channel is None:
            raise socket.gaierror(socket.EAI_FAIL, "the resolver is closed")
        self._under_way[channel] += 1
        try:
            return channel._getaddrinfo(*question)
        except AttributeError as error:
            if self._channel is not None:
                raise
            message = "the resolver was closed meanwhile"
            raise socket.gaierror(socket.EAI_FAIL, message) from error
        finally:
            self._under_way[channel] -= 1
            self._drop(channel)

    def _renew(self, now: float) -> None:
        old, self._channel = self._channel, self._make()
        self._born, self._is_stale = now, False
        self._drop(old)

    def _drop(self, channel: Any) -> None:
        """Close a channel that is not used any more."""
        if self._under_way[channel] <= 0:
            del self._under_way[channel]
            if channel is not self._channel:
                channel.close()

    def _failed(self, host: str, why: str) -> None:
        self.failures += 1
        if len(self.failing) < 65536:
            self.failing[host] = self._clock(), why


class Uncached(Ares):
    """One that the recipe does not reach: whoever defines getaddrinfo, and does not call that of
    AbstractResolver."""

    def getaddrinfo(
        self,
        host: Any,
        port: Any,
        family: int = 0,
        socktype: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        return self._getaddrinfo(str(host).encode("idna"), port, family, socktype, proto, flags)


def explained(host: str, error: Exception) -> str:
    """What a lookup that failed means, in words."""
    if isinstance(error, UnicodeError):
        return f"{host} is no name that DNS could know: {error}"
    code = error.args[0] if error.args else None
    if code in MISSING:
        return f"DNS knows no address of {host}"
    # Those of c-ares are "ARES_ESERVFAIL: DNS server returned general failure".
    return f"DNS fails for {host}: {str(error.args[-1]).partition(': ')[2] or error}"


def options(servers: Sequence[str]) -> dict[str, Any]:
    """What c-ares is made with: each of the servers is asked twice, for 1.5 and for 3 seconds."""
    # So that it has ended within the 10 seconds of a check, where there are two servers.
    made: dict[str, Any] = {"timeout": 1.5, "tries": 2}
    if servers:
        hosts, ports = [], []
        for server in servers:
            host, _, port = server.partition(":") if server.count(":") == 1 else (server, "", "")
            hosts.append(host)
            ports.append(int(port or 53))
        if len(set(ports)) > 1:
            raise ValueError(
                f"got DNS servers at several ports, {servers!r}; c-ares knows one port"
            )
        made |= {"servers": ",".join(hosts), "udp_port": ports[0], "tcp_port": ports[0]}
    return made
