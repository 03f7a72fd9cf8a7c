"""Echo requests ("ping"), for all targets by one unprivileged socket per family of addresses."""

from __future__ import annotations

import _socket  # what `socket` would be, had nobody patched it
import socket
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub
from gevent.event import AsyncResult

from safepatch.monitor.checks.connecting import failed, permitted
from safepatch.monitor.courses import CheckError, Course, follow
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.urls import split

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools

#: Of each family: the protocol, and the types of a request and of its reply.
_FAMILIES: dict[int, tuple[int, int, int]] = {
    socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0),
    socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129),
}
_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_TOKEN = struct.Struct("!Q")
_FILLING = b"safepatch monitor".ljust(48, b".")
_DGRAM = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
#: After so many requests it is looked whether replies have come.
_AT_ONCE = 32
#: Requests of one check, since a lost packet is no outage; each waits for its share of the time.
_REQUESTS = 3
_RANGE = "/proc/sys/net/ipv4/ping_group_range"


class NotPermittedError(PermissionError):
    """The system lets this user's groups send no echo requests; the text says what to do."""


class Pings:
    """Sends echo requests and sorts the replies, by source, sequence and a number of 64 bits.

    Sequences begin anew after 65535; the number, which never does, is in each request, so that a
    reply that comes minutes late is taken for no other one's. For the greenlets of one hub.
    Sockets are opened when they are needed first, and stay open until `close()`.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.perf_counter,
        make: Callable[..., Any] = _socket.socket,
    ) -> None:
        self._clock = clock
        self._make = make
        self._count = 0
        self._sockets: dict[int, tuple[Any, Any]] = {}  # by family: a socket, and who watches it
        self._waiting: dict[tuple[str, int], tuple[bytes, AsyncResult[float]]] = {}

    def ping(self, family: int, address: tuple[Any, ...], timeout: float) -> float:
        """How long the reply of `address`, as of getaddrinfo, took, in seconds.

        TimeoutError, if none comes; NotPermittedError; any other OSError, where there is no way.
        """
        sock = self._socket(family)
        self._count += 1
        sequence, token = self._count & 0xFFFF, _TOKEN.pack(self._count)
        key = _bare(address[0]), sequence
        answered: AsyncResult[float] = AsyncResult()
        self._waiting[key] = token, answered
        # The system puts in the identifier, by which it finds this socket, and the checksum.
        request = _HEADER.pack(_FAMILIES[family][1], 0, 0, 0, sequence) + token + _FILLING
        own: Any = gevent.Timeout.start_new(timeout)
        try:
            began = self._clock()
            _send(sock, request, address)
            if sequence % _AT_ONCE == 0:
                # Many who ask at once would fill the socket with replies before anybody reads.
                self._read(sock, _FAMILIES[family][2])
            came: Any = answered.get()
            return float(came - began)
        except gevent.Timeout as late:
            if late is not own:
                raise
            raise TimeoutError(f"no reply within {timeout:.1f} seconds") from None
        finally:
            own.close()
            own = None  # which makes a cycle with its traceback; see Answer.end
            if self._waiting.get(key, (b"",))[0] == token:
                del self._waiting[key]

    def close(self) -> None:
        """Close the sockets; who waits gets no reply. May be called twice."""
        while self._sockets:
            _, (sock, watcher) = self._sockets.popitem()
            watcher.stop()
            watcher.close()
            sock.close()

    def _socket(self, family: int) -> Any:
        if family not in self._sockets:
            protocol, _, reply = _FAMILIES[family]
            try:
                sock = self._make(family, _DGRAM, protocol)
            except PermissionError as error:
                raise _not_permitted() from error
            watcher = get_hub().loop.io(sock.fileno(), 1)
            watcher.start(self._read, sock, reply)
            self._sockets[family] = sock, watcher
        return self._sockets[family][0]

    def _read(self, sock: Any, reply: int) -> None:
        """Sort what has come, but leave something for later, so that others have their turn."""
        try:
            for _ in range(2 * _AT_ONCE):
                data, source = sock.recvfrom(2048)
                self._sort(data, source[0], reply)
        except OSError:
            # Nothing more; or something about one request, which is no other's.
            pass

    def _sort(self, data: bytes, source: str, reply: int) -> None:
        if len(data) < 16 or data[0] != reply:
            return
        key = _bare(source), int.from_bytes(data[6:8], "big")
        token, answered = self._waiting.get(key, (b"", None))
        if answered is not None and data[8:16] == token:
            answered.set(self._clock())


def _send(sock: Any, request: bytes, address: tuple[Any, ...]) -> None:
    while True:
        try:
            sock.sendto(request, address)
            return
        except BlockingIOError:
            gevent.sleep(0.001)  # the network takes no more at the moment


def check(endpoint: Endpoint, tools: Tools) -> Result:
    """Send an echo request to icmp://HOST, and up to two more if no reply comes."""
    return follow(endpoint, tools, _walk)


def _walk(endpoint: Endpoint, tools: Tools, course: Course) -> None:
    url = split(endpoint.address)
    course.enter("dns")
    rows = tools.resolving.addresses(url.host, url.port)
    course.leave()
    rows = [*permitted(endpoint, tools, course, url.host, url.port, rows)]
    pings: Pings = tools.keep("pings", lambda: Pings(clock=tools.clock))
    # A reply that is on its way when all time is up shall be told from a check that hangs.
    until = course.began + endpoint.options.timeout * 0.95
    course.enter("first_byte")
    failures: list[CheckError] = []
    for sent in range(1, _REQUESTS + 1):
        family, address = rows.pop(0)
        course.facts.update(address=address[0], requests=sent)
        try:
            share = (until - tools.clock()) / (_REQUESTS + 1 - sent)
            pings.ping(family, address, max(share, 0.001))
            return course.leave()
        except TimeoutError:
            failures.insert(0, _silent(address))
            rows.append((family, address))
        except OSError as error:
            failures.append(_said(error, address))
        if not rows:
            break
    raise failures[0]


def _silent(address: tuple[Any, ...]) -> CheckError:
    return CheckError("timeout", f"{address[0]} sends no reply to echo requests")


def _said(error: OSError, address: tuple[Any, ...]) -> CheckError:
    if isinstance(error, NotPermittedError):
        return CheckError("internal", str(error))
    return failed(error, address)


def _bare(address: str) -> str:
    # Replies of link-local addresses come with the interface's name, if they were asked without.
    return address.partition("%")[0]


def _not_permitted() -> NotPermittedError:
    try:
        with open(_RANGE) as file:
            allowed = "-".join(file.read().split())
    except OSError:
        allowed = "unknown"
    return NotPermittedError(
        "this user may send no echo requests: none of its groups is among those of "
        f"net.ipv4.ping_group_range, which are {allowed}; let an administrator run: "
        "sysctl -w net.ipv4.ping_group_range='0 2147483647'"
    )
