"""Lookups of the recipe `dns-cache`, before which it puts a cache: what is asked, and answered.

What is promised of them, and why, stands in `safepatch.recipes.dns`.
"""

from __future__ import annotations

import functools
import inspect
import ipaddress
import itertools
import socket
from collections.abc import Callable, Iterable
from typing import Any

Function = Callable[..., Any]

#: Hosts that were invalidated, as `marked` writes them, and what stands for the time since.
Marks = dict[str, object]

# Each of the next three makes a function that takes the place of `wrapped`. What they have in
# common: they look up by a cached function of their own, whose arguments are the whole question.
# A UnicodeError may be due to the question's spelling; then the caller's own is asked.


def cached_getaddrinfo(wrapped: Function, keep: Function, marks: Marks) -> Function:
    # The last six, because a resolver's method has `self` before them.
    names = names_of(wrapped)[-6:]
    names = names if "port" in names else _NAMES

    @keep
    def look_up(
        host: str, service: Any, family: int, kind: int, proto: int, flags: int, mark: object
    ) -> _Turns | None:
        rows = wrapped(host, service, family, kind, proto, flags)
        return _addresses(rows, take_turns=not flags & _AI_CANONNAME)

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        question = _question(args, kwargs, names)
        addresses = None
        if question is not None:
            host, port, *rest = question
            try:
                addresses = look_up(host, *rest, marks.get(marked(host)) if marks else None)
            except UnicodeError:
                pass
        return wrapped(*args, **kwargs) if addresses is None else _rows(addresses, port)

    return getaddrinfo


def cached_gethostbyname(wrapped: Function, keep: Function, marks: Marks) -> Function:
    @keep
    def look_up(host: str, mark: object) -> Any:
        return wrapped(host)

    def gethostbyname(*args: Any, **kwargs: Any) -> Any:
        host = _host(args[0]) if len(args) == 1 and not kwargs else None
        if host is not None:
            host = _folded(host)
            try:
                return look_up(host, marks.get(marked(host)) if marks else None)
            except UnicodeError:
                pass
        return wrapped(*args, **kwargs)

    return gethostbyname


def cached_gethostbyname_ex(wrapped: Function, keep: Function, marks: Marks) -> Function:
    # The name that is returned may be as it was spelled, so hosts in other cases are others here.
    @keep
    def look_up(host: str, family: tuple[int, ...], mark: object) -> Any:
        name, aliases, addresses = wrapped(host, *family)
        return name, tuple(aliases), _Turns(addresses, _rank)

    def gethostbyname_ex(*args: Any, **kwargs: Any) -> Any:
        host = _host(args[0]) if args and not kwargs else None
        if host is not None and _NUMBERS.issuperset(map(type, args[1:])):
            try:
                name, aliases, addresses = look_up(
                    host, args[1:], marks.get(marked(host)) if marks else None
                )
                return name, list(aliases), list(addresses.take())
            except UnicodeError:
                pass
        return wrapped(*args, **kwargs)

    return gethostbyname_ex


# What is asked.

#: Types of which equal values mean the same; a bool or a float does not to everybody.
_NUMBERS = frozenset((int, socket.AddressFamily, socket.SocketKind, socket.AddressInfo))
# A plain number, because `&` with an enum takes ten times as long.
_AI_CANONNAME = int(socket.AI_CANONNAME)
# Told from other names only if written so: by gevent's AbstractResolver; the last by `_socket`.
_SPECIAL = frozenset(("localhost", "ip6-localhost", "<broadcast>"))
_NAMES = ["host", "port", "family", "type", "proto", "flags"]
_DEFAULTS: tuple[Any, ...] = (..., ..., 0, 0, 0, 0)  # no call has ... as its host or port


def names_of(function: Function) -> list[str]:
    """The names of a function's parameters; none for functions in C, which do not tell."""
    try:
        return list(inspect.signature(function).parameters)
    except (ValueError, TypeError):
        return []


def _question(
    args: tuple[Any, ...], kwargs: dict[str, Any], names: list[str]
) -> tuple[Any, ...] | None:
    """What a call of getaddrinfo asks: (host, port, service, family, type, proto, flags), where
    rows are to be made for the port, if it is a number. None if it is to be called through."""
    if kwargs:
        args = _in_order(args, kwargs, names)
    args += _DEFAULTS[len(args) :]
    if len(args) != 6:
        return None
    given, port, family, kind, proto, flags = args
    host = _host(given)
    if type(port) is not int:
        port = _port(port)
    service = 0 if type(port) is int else port
    # Spelled out, because this is the way of every hit.
    if (
        host is None
        or service is ...
        or (service == 0 and not 0 <= port <= 65535)
        or type(family) not in _NUMBERS
        or type(kind) not in _NUMBERS
        or type(proto) not in _NUMBERS
        or type(flags) not in _NUMBERS
    ):
        return None
    if not flags & _AI_CANONNAME:
        host = _folded(host)
    return host, port, service, family, kind, proto, flags


def _in_order(args: tuple[Any, ...], kwargs: dict[str, Any], names: list[str]) -> tuple[Any, ...]:
    """The six arguments of a call that has names for some; more if it is wrong."""
    rest = dict(kwargs)
    for name, default in zip(names[len(args) :], _DEFAULTS[len(args) :], strict=True):
        args += (rest.pop(name, default),)
    return (*args, *rest)


def _port(given: Any) -> Any:
    """A port that is no int: as int, if it is the plain text of one, as a service name, or None;
    ... for what is neither, and is to be called through."""
    port = given.decode() if type(given) is bytes and given.isascii() else given
    if type(port) is str and port.isdecimal():
        return int(port) if len(port) < 6 and str(int(port)) == port else ...
    return port if type(port) is str or port is None else ...


def _host(given: Any) -> str | None:
    """A host as text; None for what is not looked up, or not as it is written."""
    host = given.decode() if type(given) is bytes and given.isascii() else given
    return host if type(host) is str and host and "%" not in host and "\0" not in host else None


def _folded(host: str) -> str:
    # Other letters are folded by IDNA, and not as lower() does.
    folded = host.lower() if host.isascii() else host
    return host if folded in _SPECIAL else folded


def marked(host: str) -> str:
    """The name that a host is invalidated by, however it is spelled, and with or without a last
    dot: in ASCII, if IDNA can write it so."""
    return (host if host.isascii() else _in_ascii(host)).lower().rstrip(".")


# Kept, because it takes ten times as long as all the rest of a hit.
@functools.lru_cache(maxsize=1024)
def _in_ascii(host: str) -> str:
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


# What is answered.


class Missing:
    """The answer that a host does not exist, in place of the error that says so."""

    __slots__ = ("args", "kind")

    def __init__(self, error: OSError) -> None:
        self.kind, self.args = type(error), error.args

    def again(self) -> OSError:
        """An error of its own for each caller, since it collects where it was raised."""
        return self.kind(*self.args)


#: By type: herror comes from gethostbyname_ex, with h_errno's HOST_NOT_FOUND and NO_DATA.
_MISSING = {
    socket.gaierror: {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)},
    socket.herror: {1, 4},
}


def giving_missing(look_up: Function) -> Function:
    """The lookup, with Missing for a host that does not exist."""

    @functools.wraps(look_up)
    def answer(*question: Any) -> Any:
        try:
            return look_up(*question)
        except (socket.gaierror, socket.herror) as error:
            if error.errno not in _MISSING[type(error)]:
                raise
            return Missing(error)

    return answer


def raising_missing(kept: Function) -> Function:
    """What `giving_missing` began, for the callers of a cache."""

    @functools.wraps(kept)
    def look_up(*question: Any) -> Any:
        answer = kept(*question)
        if type(answer) is Missing:
            raise answer.again()
        return answer

    return look_up


class _Turns:
    """Things in order, but that neighbours of the same rank come first in turn."""

    __slots__ = ("_runs", "_things", "_turn")

    def __init__(self, things: Iterable[Any], rank: Function) -> None:
        self._things = tuple(things)
        self._runs: list[tuple[Any, ...]] = []
        if len(self._things) > 1:
            self._runs = [tuple(run) for _, run in itertools.groupby(self._things, rank)]
        self._turn = itertools.count()

    def take(self) -> tuple[Any, ...]:
        """All things, in the order of the next turn."""
        if not self._runs:
            return self._things
        turn = next(self._turn)
        return tuple(
            run[(place + turn) % len(run)] for run in self._runs for place in range(len(run))
        )


def _addresses(rows: Iterable[Any], take_turns: bool) -> _Turns | None:
    """The rows of each address, taking turns; None for rows that cannot be made for a port."""
    rows = [tuple(row) for row in rows]
    if not rows or any(row[0] not in (socket.AF_INET, socket.AF_INET6) for row in rows):
        return None
    by_address: dict[Any, list[Any]] = {}
    for row in rows:
        by_address.setdefault((row[4][0], row[4][2:]), []).append(row)
    groups = [tuple(group) for group in by_address.values()]
    if not take_turns or [*itertools.chain(*groups)] != rows:
        groups = [tuple(rows)]
    return _Turns(groups, lambda group: _rank(group[0][4][0]))


# The policy table of RFC 6724, 2.1, in which the longest prefix counts, so that it comes first.
_POLICIES = [
    ipaddress.ip_network(prefix)
    for prefix in (
        "::1/128",  # loopback
        "::ffff:0:0/96",  # IPv4 in IPv6
        "::/96",  # the same, as it once was
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "3ffe::/16",  # 6bone
        "fec0::/10",  # site-local
        "fc00::/7",  # unique local
        "::/0",
    )
]


def _rank(address: str) -> Any:
    """What addresses are told apart by where there are several: policy and scope.

    From RFC 6724, "Default Address Selection for IPv6" (Thaler, Draves, Matsumoto, Chown, 2012):
    the row of the policy table, of which each has a label of its own, and the scope (3.1, 3.2).
    Loopback and link-local share a scope there, and so do private and public IPv4 addresses; they
    are kept apart all the same, since who reaches the ones need not reach the others.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    # IPv4 addresses are in no row, which tells them from all others.
    policy = next((network for network in _POLICIES if ip in network), None)
    return policy, ip.is_loopback, ip.is_link_local, ip.is_global


def _rows(addresses: _Turns, port: int | str | None) -> list[Any]:
    """The rows for a caller, made for its port if that is a number."""
    if type(port) is not int:
        return [row for rows in addresses.take() for row in rows]
    return [
        (family, kind, proto, name, (at[0], port, *at[2:]))
        for rows in addresses.take()
        for family, kind, proto, name, at in rows
    ]
