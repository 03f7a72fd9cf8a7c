"""Where channels and restarts may lead: to no private address that nobody has allowed.

An address that an operator has written as such, or "localhost", is allowed. What others decide on,
who have the zone of a name, or answer with a redirect, needs `private` where it is a private one.
The address that was looked at is the one connected to.
"""

from __future__ import annotations

import functools
import re
import socket
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import gevent

import safepatch
from safepatch.monitor.guarding import networks, refuse

#: What libraries connect by.
SOCKET, URLLIB3 = "socket:create_connection", "urllib3.util.connection:create_connection"


class DeliveryError(Exception):
    """What was to be told did not arrive, or may not have; `str()` of it holds no secret."""


def connect(
    host: str,
    port: int,
    private: Sequence[str],
    written: str,
    *,
    create: Callable[[tuple[str, int]], Any],
    resolve: Callable[..., Any],
) -> Any:
    """The socket that `create` makes to the first address of a host that it can.

    `private` are networks that may be connected to, as in plan.Channel; `written` is where an
    operator wrote what may be connected to as it is written, as a URL. Raises DeliveryError where
    no address is allowed, and what the two raise.
    """
    *others, last = _allowed(host, port, private, written, resolve)
    for address in others:
        try:
            return create((address, port))
        except OSError:
            continue
    return create((last, port))


def _allowed(
    host: str, port: int, private: Sequence[str], written: str, resolve: Callable[..., Any]
) -> list[str]:
    found = dict.fromkeys(str(row[4][0]) for row in resolve(host, port, 0, socket.SOCK_STREAM))
    own = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
    own = own if _is_in(host, written) else ""
    given = networks(tuple(private))
    refused = {address: refuse(host, port, address, own, given) for address in found}
    allowed = [address for address, why in refused.items() if not why]
    if not allowed:
        # Without the name, which may hold a secret.
        why = next(iter(refused.values()), "no address").removeprefix(f"{host} is ")
        raise DeliveryError(f"its name leads to {why}")
    return allowed


def _is_in(host: str, written: str) -> bool:
    """Whether a host is written there, with or without a port."""
    words = re.split(r"[^\w.:%-]+", written.lower())
    return any(host in (word, word.rpartition(":")[0]) for word in words)


@contextmanager
def bound(private: Sequence[str], written: str, *ways: str) -> Iterator[None]:
    """Have libraries connect to allowed addresses alone, while the block runs, in this greenlet.

    `private` and `written` are as with `connect`; the proxies of the environment are written, too.
    `ways` are the functions that they connect by, of SOCKET and URLLIB3. Other threads and
    greenlets are left alone. With SAFEPATCH_DISABLE=* nobody is bound.
    """
    here = gevent.getcurrent()  # each thread has one of its own
    written = " ".join([written, *urllib.request.getproxies().values()])

    def decorator(wrapped: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(wrapped)
        def create_connection(address: tuple[str, int], *args: Any, **kwargs: Any) -> Any:
            if gevent.getcurrent() is not here:
                return wrapped(address, *args, **kwargs)
            return connect(
                address[0].strip("[]").lower(),
                address[1],
                private,
                written,
                create=lambda found: wrapped(found, *args, **kwargs),
                resolve=socket.getaddrinfo,
            )

        return create_connection

    registry = safepatch.Registry()
    with ExitStack() as stack:
        for way in ways:
            stack.enter_context(registry.patch(way, decorator, aliases="ignore"))
        yield
