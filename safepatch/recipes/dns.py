"""The recipe `dns-cache`: answers of DNS lookups are kept, for all of a program's clients.

    import safepatch

    p = safepatch.apply("dns-cache")                # or: safepatch.register("dns-cache",
    p.wrapper.cache_info()                          #         dns_cache(ttl=60)).apply()
    p.wrapper.cache_invalidate("example.com")       # ask for this host anew
    safepatch.undo("dns-cache")

Whoever resolves names through `socket` is served: http.client, urllib, requests, urllib3, httpx,
and asyncio, whose loop calls `socket.getaddrinfo` in a thread. Under gevent everybody ends at
the hub's resolver, monkey-patched or not, so its classes are patched too, once gevent is
imported; `sock.connect((name, port))` is served there as well.

**Not reached** are those who do not ask Python: `sock.connect((name, port))` without gevent,
uvloop, aiohttp with aiodns, pycurl, dnspython; `from socket import gethostbyname` made before
(the same of getaddrinfo is reached); a gevent resolver of your own that defines `getaddrinfo`
and does not call AbstractResolver's.

**Assumes** that an answer holds for `ttl` seconds. How long its records live is not visible to
getaddrinfo, so a host that moves may be looked for at its old address for that long. Changes of
/etc/hosts, of search domains or of the machine's own addresses are seen no earlier either.

**When not to use it**: where a local nscd, systemd-resolved, dnsmasq or unbound answers in
microseconds and heeds the records; where addresses are given out for a few seconds each, as in
failover by DNS; with gevent's ares resolver, if the cache inside of c-ares (1.31 and later) will
do. Who watches a site should ask anew (`cache_invalidate`) before calling it down, and check its
DNS apart: a warm cache hides that it is broken.

What is kept, and for whom:

- One entry per question: host (ASCII letters in either case, but for "localhost" and its like,
  str or bytes), family, type, proto, flags. Numeric ports share it, however written: it is asked
  with port 0, and each caller gets rows of its own, made for its port. A service such as "http",
  or None, is another question, since it may decide which rows there are. So is a host with a dot
  at its end, which is absolute. With AI_CANONNAME the spelling counts, because it may come back.
- Called through, as if there were no cache, is what needs no lookup or is no plain question: host
  None or "", scope ids ("fe80::1%eth0"), NUL in a host, ports that are neither an int in 0..65535
  nor text, and values of other types, such as 80.0 and True, which would only compare equal. So
  errors are always the original's. They are never kept, but with `negative_ttl`.
- Of several addresses each comes first in turn, as without a cache. The order of families, of
  loopback, private and public addresses, and of native ones and tunnels, is RFC 6724's, so only
  neighbours that rank alike take turns; the rows of one address stay together. Nothing turns with
  AI_CANONNAME, since only the first row has the name, nor for gethostbyname, which gives only one
  address.
- Of many who ask the same at once, one looks up. Nobody waits for another host's lookup.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import safepatch
from safepatch.decorators import CacheInfo, ttl_cache
from safepatch.recipes.dns_lookups import (
    Function,
    Marks,
    Missing,
    cached_getaddrinfo,
    cached_gethostbyname,
    cached_gethostbyname_ex,
    giving_missing,
    marked,
    names_of,
    raising_missing,
)


def dns_cache(
    *,
    ttl: float = 300.0,
    maxsize: int | None = 65536,
    jitter: float = 0.1,
    stale_while_revalidate: float = 0,
    stale_if_error: float = 0,
    negative_ttl: float = 0,
    clock: Callable[[], float] = time.monotonic,
) -> list[safepatch.Patch[Any]]:
    """Declare the patches that cache DNS lookups, for `safepatch.register(name, ...)`.

    An answer is kept for `ttl` seconds, less a share of up to `jitter`, so that what was looked up
    together does not expire together; a monitor wants it several times its interval. `maxsize` is
    how many answers each function (under gevent: each hub's resolver) keeps; have more than there
    are hosts, for who visits all in turn gains nothing from a cache too small for them. None is
    no limit; an entry takes about 1 kB. `clock` tells seconds and never goes back.

    For `stale_while_revalidate` seconds after it expired, an answer is still given at once, while
    another is looked up in the background; for `stale_if_error` seconds, where the lookup fails.
    That a host does not exist is no such failure: it ends the old answer, and is kept itself for
    `negative_ttl` seconds, or for one if there are stale answers. Other errors are never kept.

    The wrappers carry `cache_info()`, `cache_clear()` and `cache_invalidate(host)`, which act on
    all parts: any wrapper will do. All may be used from any thread or greenlet. Raises ValueError
    for options out of range. Does not import gevent.
    """
    options: dict[str, Any] = {"ttl": ttl, "maxsize": maxsize, "jitter": jitter, "clock": clock}
    stale = {
        "stale_while_revalidate": stale_while_revalidate,
        "stale_if_error": stale_if_error,
        "negative_ttl": negative_ttl,
    }
    options |= {name: seconds for name, seconds in stale.items() if seconds}
    ttl_cache(**options)  # raises for wrong options now, rather than when gevent is imported
    parts: list[DnsCache] = []
    marks: Marks = {}
    return [_part(target, guards, DnsCache(parts, marks), options) for target, guards in _PARTS]


def _part(
    target: str, guards: dict[str, Any], cache: DnsCache, options: dict[str, Any]
) -> safepatch.Patch[Any]:
    decorator = getattr(cache, target.replace(":", ".").rpartition(".")[2])
    # A partial, because explain() shows its options.
    cached = functools.partial(decorator, **options)
    return safepatch.patch(target, cached, name="dns-cache", when="import", **guards)


# Guards want the shapes relied on; functions in C have no signature to look at. getaddrinfo is
# the one function here that is written in Python and not a method, so that "rebind" reaches all
# who imported it by name before. That gevent's modules hold the others by name is no trouble.
_STDLIB = {"requires": "python>=3.11", "aliases": "ignore"}
_GEVENT = {"requires": "gevent>=24.2", "aliases": "ignore"}
_PARTS: list[tuple[str, dict[str, Any]]] = [
    ("socket:gethostbyname", _STDLIB),
    ("socket:gethostbyname_ex", _STDLIB),
    (
        "socket:getaddrinfo",
        {"signature": "(host, port, family=0, type=0, proto=0, flags=0)", "aliases": "rebind"},
    ),
    ("gevent.resolver.blocking:Resolver.gethostbyname", _GEVENT),
    ("gevent.resolver.blocking:Resolver.gethostbyname_ex", _GEVENT),
    ("gevent.resolver.blocking:Resolver.getaddrinfo", _GEVENT),
    (
        "gevent.resolver.thread:Resolver.gethostbyname",
        _GEVENT | {"signature": "(self, *args)"},
    ),
    (
        "gevent.resolver.thread:Resolver.gethostbyname_ex",
        _GEVENT | {"signature": "(self, *args)"},
    ),
    (
        "gevent.resolver.thread:Resolver.getaddrinfo",
        _GEVENT | {"signature": "(self, *args, **kwargs)"},
    ),
    # What ares, dnspython and others inherit. Its gethostbyname asks its gethostbyname_ex.
    (
        "gevent.resolver:AbstractResolver.gethostbyname_ex",
        _GEVENT | {"signature": "(self, hostname, family=2)"},
    ),
    (
        "gevent.resolver:AbstractResolver.getaddrinfo",
        _GEVENT | {"signature": "(self, host, port, family=0, socktype=0, proto=0, flags=0)"},
    ),
]


class DnsCache:
    """What one part of the recipe keeps, and controls over what all its parts keep.

    The methods named like functions of `socket` are decorators for them, and for the methods of
    resolvers, of which each instance then has a cache of its own.
    """

    def __init__(self, parts: list[DnsCache], marks: Marks) -> None:
        parts.append(self)
        # A host that was invalidated has a new mark, which is part of every question.
        self._parts, self._marks = parts, marks
        self._lookups: list[weakref.ref[Any]] = []
        self._maxsize: int | None = None

    def getaddrinfo(self, wrapped: Function, **options: Any) -> Function:
        """Cache a getaddrinfo; `options` are those of ttl_cache."""
        return self._cached(cached_getaddrinfo, wrapped, options)

    def gethostbyname(self, wrapped: Function, **options: Any) -> Function:
        """Cache a gethostbyname; `options` are those of ttl_cache."""
        return self._cached(cached_gethostbyname, wrapped, options)

    def gethostbyname_ex(self, wrapped: Function, **options: Any) -> Function:
        """Cache a gethostbyname_ex; `options` are those of ttl_cache."""
        return self._cached(cached_gethostbyname_ex, wrapped, options)

    def cache_info(self) -> CacheInfo:
        """Count, over all parts and all resolvers that are alive; a miss is one lookup."""
        infos = [lookup.cache_info() for lookup in self._all()]
        return CacheInfo(
            hits=sum(info.hits for info in infos),
            misses=sum(info.misses for info in infos),
            maxsize=self._maxsize,
            currsize=sum(info.currsize for info in infos),
        )

    def cache_clear(self) -> None:
        """Forget everything, also what is being looked up right now, and start counting anew."""
        for lookup in self._all():
            lookup.cache_clear()

    def cache_invalidate(self, host: str | bytes) -> None:
        """Forget all there is about a host, in any spelling, and what is being looked up of it."""
        if len(self._marks) >= (self._maxsize or 65536):
            self.cache_clear()
            self._marks.clear()
        self._marks[marked(host if isinstance(host, str) else host.decode("latin-1"))] = object()

    def _all(self) -> Iterator[Any]:
        for part in self._parts:
            for reference in list(part._lookups):
                lookup = reference()
                if lookup is not None:
                    yield lookup

    def _cached(self, make: Function, wrapped: Function, options: dict[str, Any]) -> Function:
        """Make a wrapper by `make`, which is one of dns_lookups, and put the controls on it."""
        self._lookups, self._maxsize = [], options["maxsize"]
        options = dict(options)
        # Only that a host does not exist may be kept, which ttl_cache is given as a result.
        missing = options.pop("negative_ttl", 0)
        if not missing and {"stale_while_revalidate", "stale_if_error"} & options.keys():
            missing = 1.0
        if missing:
            options["ttl_of"] = lambda answer: missing if type(answer) is Missing else None
        keep = functools.partial(self._keep, ttl_cache(**options), bool(missing))
        wrapper: Any
        if (getattr(wrapped, "__module__", None) or "").startswith("gevent._socket"):
            # What gevent put into `socket` asks the resolver, which has a cache; a cache before
            # a cache would keep an answer for twice its time.
            wrapper = _through(wrapped)
        elif next(iter(names_of(wrapped)), "") == "self":
            # Looked at by name, because gevent's blocking resolver has functions in C for methods,
            # which are not given the resolver.
            wrapper = _per_resolver(make, wrapped, keep, self._marks)
        else:
            wrapper = make(wrapped, keep, self._marks)
        wrapper = functools.update_wrapper(wrapper, wrapped)
        wrapper.cache_info = self.cache_info
        wrapper.cache_clear = self.cache_clear
        wrapper.cache_invalidate = self.cache_invalidate
        return wrapper  # type: ignore[no-any-return]

    def _keep(self, cached: Function, with_missing: bool, look_up: Function) -> Any:
        """Put a cache before a lookup, and note it, for as long as it is used."""
        kept = cached(giving_missing(look_up) if with_missing else look_up)
        self._lookups.append(weakref.ref(kept, self._lookups.remove))
        return raising_missing(kept) if with_missing else kept


def _through(wrapped: Function) -> Function:
    def call(*args: Any, **kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    return call


def _per_resolver(make: Function, wrapped: Function, keep: Function, marks: Marks) -> Function:
    """A method that calls, for each resolver, the function that `make` makes for it."""
    functions: weakref.WeakKeyDictionary[Any, Function] = weakref.WeakKeyDictionary()

    def method(resolver: Any, /, *args: Any, **kwargs: Any) -> Any:
        function = functions.get(resolver)
        if function is None:
            function = functions.setdefault(resolver, function_of(resolver))
        return function(*args, **kwargs)

    def function_of(resolver: Any) -> Function:
        reference = weakref.ref(resolver)

        @functools.wraps(wrapped)
        def bound(*args: Any, **kwargs: Any) -> Any:
            return wrapped(reference(), *args, **kwargs)

        if make is cached_gethostbyname_ex and _asks_getaddrinfo(resolver):
            return bound
        return make(bound, keep, marks)  # type: ignore[no-any-return]

    return method


def _asks_getaddrinfo(resolver: Any) -> bool:
    """Whether a resolver has AbstractResolver's way to a gethostbyname_ex, by its getaddrinfo."""
    inner = getattr(type(resolver), "_gethostbyname_ex", None)
    return getattr(inner, "__module__", None) == "gevent.resolver"
