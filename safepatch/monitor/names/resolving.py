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
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import gevent

import safepatch
from safepatch.monitor.courses import CheckError
from safepatch.monitor.guarding import is_literal
from safepatch.monitor.names.ares import Ares, Uncached, explained, options
from safepatch.recipes.dns import dns_cache

Row = tuple[int, Any]  # family, and what sockets connect to


class Resolving:
    """Looks up hosts, for the greenlets of one hub, until it is closed.

    `ttl` is the seconds that an answer is kept; 0 patches nothing and keeps nothing. For `stale`
    seconds more it is given while another is looked up, and where DNS fails; that a host does not
    exist is kept for `negative_ttl`. `servers` are those to be asked ("192.0.2.1", or with a port
    that is the same for all, "192.0.2.1:5353"); () is the system's. `clock` is monotonic, in
    seconds. SAFEPATCH_DISABLE=dns-cache is as `ttl=0`. Raises ValueError for servers at several
    ports.
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
        self._resolver = Ares(clock, **options(servers))
        self._looking = Uncached(clock, **options(servers))
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
        found = failing.get(host) if failing else None
        if found is None:
            return ""
        self._stale += 1
        return f"{found[1]}; its last known address is used"

    def again(self, host: str) -> None:
        """Forget a host, so that the next who asks has it looked up anew."""
        # Where several monitors share a process, a cache of one lies over that of the other.
        for each in list(_ALIVE):
            each._resolver.forget()
            if (cache := each._cache()) is not None:
                cache.cache_invalidate(host)

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
        does not exist is something), `failing` the hosts of which it did not when last asked, if
        that is less than an hour ago.
        """
        took = list(self._resolver.took)
        cache = self._cache()
        info = None if cache is None else cache.cache_info()
        return {
            "lookups": self._lookups,
            "hits": info.hits if info else 0,
            "kept": info.currsize if info else 0,
            "stale": self._stale,
            "failures": self._resolver.failures,
            "failing": self._resolver.count_failing(),
            "seconds": median(took) if took else 0.0,
        }

    def _cache(self) -> Any:
        """What the patch keeps; None where there is none, or SAFEPATCH_DISABLE has left nothing."""
        patch = self._patch
        return patch.wrapper if patch is not None and patch.wrappers else None

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
    """The row of an address that is no name. Raises CheckError for a zone that is none of ours.

    The zone becomes a number here: with one in the text, sockets would look up the whole of it,
    and what they find nobody has looked at.
    """
    if ":" not in host:
        return socket.AF_INET, (host, port)
    address, _, zone = host.partition("%")
    return socket.AF_INET6, (address, port, 0, _scope(host, zone) if zone else 0)


def _scope(host: str, zone: str) -> int:
    try:
        return int(zone) if zone.isascii() and zone.isdecimal() else socket.if_nametoindex(zone)
    except (OSError, ValueError):
        message = f"{host[:100]!r} has the zone {zone[:50]!r}, of which there is no interface here"
        raise CheckError("unreachable", message) from None
