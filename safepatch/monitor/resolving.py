"""The DNS layer of a monitor: names are looked up through the recipe `dns-cache`.

A check asks for addresses again and again; the recipe keeps them for a time that is several
intervals long, lets many who ask the same wait for one lookup, and gives the old answer for a while
where DNS fails. So that this hides nothing, `again` has a host looked up anew before its endpoint
is called down, and `look` asks DNS past all caches.

Names are looked up by c-ares, of which any number can be under way, where gevent's resolver of
threads has ten; it reads /etc/hosts and /etc/resolv.conf, and heeds the TTLs of records in a cache
of its own.
"""

from __future__ import annotations

import socket
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import gevent
from gevent.resolver.ares import Resolver

import safepatch
from safepatch.monitor.courses import CheckError
from safepatch.monitor.guarding import is_literal
from safepatch.recipes.dns import dns_cache

Row = tuple[int, Any]  # family, and what sockets connect to
#: The errors of a lookup that are an answer: there is no such host, or none with an address.
MISSING = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


class _Ares(Resolver):
    """A c-ares resolver that can be told to forget.

    c-ares has a cache that cannot be emptied, so forgetting is to go on with a new channel. What is
    under way on the old one is asked again by gevent. A channel of less than `young` seconds knows
    nothing that is worth forgetting, so there are no more than one in that time.
    """

    young = 1.0

    def __init__(self, clock: Callable[[], float], **options: Any) -> None:
        super().__init__(**options)
        self._clock = clock
        self._born = clock()
        self._is_stale = False
        self.failures = 0
        self.failing: dict[str, str] = {}  # hosts of which DNS told nothing when last asked
        self.took: deque[float] = deque(maxlen=512)  # seconds of the last lookups

    def forget(self) -> None:
        """Have the next lookup ask anew."""
        self._is_stale = True

    def _getaddrinfo(self, *question: Any) -> Any:
        if self._is_stale and self._clock() - self._born >= self.young:
            old, self._born, self._is_stale = self.cares, self._clock(), False
            self.cares = self.cares_class(self.hub.loop, **self.params)
            self.hub.loop.run_callback(old.destroy)
        host, began = question[0].decode("latin-1"), self._clock()
        try:
            rows = super()._getaddrinfo(*question)  # type: ignore[misc]
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

    def _failed(self, host: str, why: str) -> None:
        self.failures += 1
        if len(self.failing) < 65536:
            self.failing[host] = why


class _Uncached(_Ares):
    # Whoever defines getaddrinfo and does not call AbstractResolver's is not reached by the recipe.
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


class Resolving:
    """Looks up hosts, for the greenlets of one hub, until it is closed.

    `ttl` is the seconds that an answer is kept; 0 patches nothing and keeps nothing. For `stale`
    seconds more it is given while another is looked up, and where DNS fails; that a host does not
    exist is kept for `negative_ttl`. `servers` are
    those to be asked ("192.0.2.1", or with a port that is the same for all, "192.0.2.1:5353"); ()
    is the system's. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        ttl: float = 300.0,
        stale: float = 900.0,
        negative_ttl: float = 5.0,
        servers: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._resolver = _Ares(clock, **_options(servers))
        self._looking = _Uncached(clock, **_options(servers))
        self._lookups = self._stale = 0
        self._registry = safepatch.Registry()
        self._patch: Any = None
        _ALIVE.add(self)
        if ttl:
            recipe = dns_cache(
                ttl=ttl,
                stale_while_revalidate=stale,
                stale_if_error=stale,
                negative_ttl=negative_ttl,
                clock=clock,
            )
            self._patch = self._registry.register("dns-cache", recipe).apply()

    def addresses(self, host: str, port: int) -> list[Row]:
        """The addresses of a host, each once, in the order in which they are to be tried.

        Raises CheckError("dns") with what DNS said.
        """
        if is_literal(host):
            return [literal(host, port)]
        self._lookups += 1
        try:
            rows = self._resolver.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise CheckError("dns", explained(host, error)) from error
        return [(row[0], row[4]) for row in rows]

    def trouble(self, host: str) -> str:
        """What was wrong when DNS was asked last for a host whose old addresses are still used, or
        "". Is for after `addresses`."""
        failing = self._resolver.failing
        why = failing.get(host, "") if failing else ""
        if why:
            self._stale += 1
            return f"{why}; its last known address is used"
        return ""

    def again(self, host: str) -> None:
        """Forget a host, so that the next who asks has it looked up anew."""
        # Where several monitors share a process, a cache of one lies over that of the other.
        for each in list(_ALIVE):
            each._resolver.forget()
            if each._patch is not None:
                each._patch.wrapper.cache_invalidate(host)

    def look(self, host: str, seconds: float = 10.0) -> str:
        """Ask DNS past all caches: "", or what is wrong. Takes no longer than `seconds`."""
        if is_literal(host):
            return ""
        self._looking.forget()
        try:
            with gevent.Timeout(seconds):
                self._looking.getaddrinfo(host, 0, 0, socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            return explained(host, error)
        except gevent.Timeout:
            return f"DNS did not answer for {host} within {seconds:g} s"
        return ""

    def stats(self) -> dict[str, Any]:
        """Counts since the start, and `seconds`, the median of the lookups that were not kept.

        `lookups` are questions of checks, `hits` those that the cache answered, `stale` those with
        an old answer because DNS fails. `failures` counts times that DNS told nothing (that a host
        does not exist is something), `failing` the hosts of which it did not when last asked.
        """
        took = list(self._resolver.took)
        info = None if self._patch is None else self._patch.wrapper.cache_info()
        return {
            "lookups": self._lookups,
            "hits": info.hits if info else 0,
            "kept": info.currsize if info else 0,
            "stale": self._stale,
            "failures": self._resolver.failures,
            "failing": len(self._resolver.failing),
            "seconds": median(took) if took else 0.0,
        }

    def close(self) -> None:
        """Undo the patch, and end what is being looked up. May be called twice."""
        _ALIVE.discard(self)
        if self._patch is not None:
            self._patch.undo()
        self._resolver.close()
        self._looking.close()


#: Those that are not closed, in this process.
_ALIVE: weakref.WeakSet[Resolving] = weakref.WeakSet()


def literal(host: str, port: int) -> Row:
    """The row of an address that is no name."""
    if ":" in host:
        return socket.AF_INET6, (host, port, 0, 0)
    return socket.AF_INET, (host, port)


def explained(host: str, error: Exception) -> str:
    """What a lookup that failed means, in words."""
    if isinstance(error, UnicodeError):
        return f"{host} is no name that DNS could know: {error}"
    code = error.args[0] if error.args else None
    if code in MISSING:
        return f"DNS knows no address of {host}"
    # Those of c-ares are "ARES_ESERVFAIL: DNS server returned general failure".
    return f"DNS fails for {host}: {str(error.args[-1]).partition(': ')[2] or error}"


def _options(servers: Sequence[str]) -> dict[str, Any]:
    """What c-ares is made with: each of the servers is asked twice, for 1.5 and for 3 seconds."""
    # So that it has ended within the 10 seconds of a check, where there are two servers.
    options: dict[str, Any] = {"timeout": 1.5, "tries": 2}
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
        options |= {"servers": ",".join(hosts), "udp_port": ports[0], "tcp_port": ports[0]}
    return options
