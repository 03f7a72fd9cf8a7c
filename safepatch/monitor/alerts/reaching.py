"""Where channels and restarts may lead: to no private address that nobody has allowed.

An address that an operator has written as such, or "localhost", is allowed. A name is what others
decide on, who have its zone or a redirect; a private address that it leads to needs `private`.
The address that was looked at is the one connected to.
"""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

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
    *,
    create: Callable[[tuple[str, int]], Any],
    resolve: Callable[..., Any],
) -> Any:
    """The socket that `create` makes to the first address of a host that it can.

    `private` are networks that may be connected to, as in plan.Channel. Raises DeliveryError where
    no address is allowed, and what the two raise.
    """
    *others, last = _allowed(host, port, private, resolve)
    for address in others:
        try:
            return create((address, port))
        except OSError:
            continue
    return create((last, port))


def _allowed(
    host: str, port: int, private: Sequence[str], resolve: Callable[..., Any]
) -> list[str]:
    found = dict.fromkeys(str(row[4][0]) for row in resolve(host, port, 0, socket.SOCK_STREAM))
    written = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
    given = networks(tuple(private))
    refused = {address: refuse(host, port, address, written, given) for address in found}
    allowed = [address for address, why in refused.items() if not why]
    if not allowed:
        # Without the name, which may hold a secret.
        why = next(iter(refused.values()), "no address").removeprefix(f"{host} is ")
        raise DeliveryError(f"its name leads to {why}")
    return allowed


@contextmanager
def bound(private: Sequence[str], *ways: str) -> Iterator[None]:
    """Have libraries connect to allowed addresses alone, while the block runs, in this thread.

    `ways` are the functions that they connect by, of SOCKET and URLLIB3. Other threads and
    greenlets are left alone.
    """
    here = threading.get_ident()  # a greenlet's, where gevent has patched it

    def decorator(wrapped: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(wrapped)
        def create_connection(address: tuple[str, int], *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != here:
                return wrapped(address, *args, **kwargs)
            return connect(
                address[0].strip("[]").lower(),
                address[1],
                private,
                create=lambda found: wrapped(found, *args, **kwargs),
                resolve=socket.getaddrinfo,
            )

        return create_connection

    registry = safepatch.Registry()
    with ExitStack() as stack:
        for way in ways:
            stack.enter_context(registry.patch(way, decorator, aliases="ignore"))
        yield
