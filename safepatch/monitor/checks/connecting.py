"""Connections of checks: sockets of the operating system, waited for by gevent's hub.

They are not gevent's own sockets, of which each costs twice as much, and work whether the program
is monkey-patched or not. TLS goes through memory (`SSLContext.wrap_bio`), for the same reasons.
"""

from __future__ import annotations

import _socket  # what `socket` would be, had nobody patched it
import contextlib
import errno
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub

from safepatch.monitor.courses import CheckError, Course
from safepatch.monitor.guarding import networks, refuse
from safepatch.monitor.plan import Endpoint

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools

_READ, _WRITE = 1, 2
_NONBLOCKING = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_KINDS = {
    errno.ECONNREFUSED: ("refused", "the connection is refused"),
    errno.ECONNRESET: ("reset", "the connection was reset"),
    errno.ECONNABORTED: ("reset", "the connection was aborted"),
    errno.EPIPE: ("reset", "the connection was closed while it was being asked"),
    errno.ETIMEDOUT: ("timeout", "the connection timed out"),
    errno.EHOSTUNREACH: ("unreachable", "there is no way to that host"),
    errno.ENETUNREACH: ("unreachable", "there is no way to that network"),
    errno.ENETDOWN: ("unreachable", "the network is down"),
    errno.EHOSTDOWN: ("unreachable", "the host is down"),
    errno.EADDRNOTAVAIL: ("unreachable", "there is no way to that address from here"),
    errno.EACCES: ("unreachable", "the way to that address is forbidden"),
    errno.EPERM: ("unreachable", "the way to that address is forbidden here"),
}


class Connection:
    """A TCP connection, with TLS from `secure` on. Belongs to one greenlet.

    All methods wait for as long as they must; the deadline is the check's. They raise OSError, and
    `secure` ssl.SSLError. `close` is for a `finally`, and may be called twice.
    """

    __slots__ = (
        "_hub",
        "_incoming",
        "_outgoing",
        "_row",
        "_sock",
        "_watcher",
        "address",
        "port",
        "tls",
    )

    def __init__(self, family: int, sockaddr: tuple[Any, ...]) -> None:
        self._row = family, sockaddr
        self.address, self.port = sockaddr[0], sockaddr[1]
        self.tls: ssl.SSLObject | None = None
        self._hub = get_hub()
        self._sock = sock = _socket.socket(family, _NONBLOCKING, 0)
        self._watcher: Any = self._hub.loop.io(sock.fileno(), _WRITE)
        try:
            self._connect(sockaddr)
        except BaseException:
            self.close()
            raise

    def _connect(self, sockaddr: tuple[Any, ...]) -> None:
        code = self._sock.connect_ex(sockaddr)
        if code == errno.EINPROGRESS:
            self._hub.wait(self._watcher)
            code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self._watcher.events = _READ

    def secure(self, context: ssl.SSLContext, server_name: str | None) -> None:
        """Shake hands; `server_name` is the one that its certificate is to have."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls = context.wrap_bio(self._incoming, self._outgoing, False, server_name)
        try:
            while self._is_shaking(tls):
                self._flush()
                self._fill()
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                self._flush()  # the alert that says why
            raise
        self._flush()

    @staticmethod
    def _is_shaking(tls: ssl.SSLObject) -> bool:
        """Go on with a handshake; whether it needs to hear more."""
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return True
        return False

    def send(self, data: bytes) -> None:
        """Send all of it."""
        if self.tls is not None:
            self.tls.write(data)
            data = self._outgoing.read()
        self._send(data)

    def receive(self, wait: bool = True) -> bytes:
        """What comes next, or b"" at the end; `wait` is False where it will be there already."""
        if self.tls is None:
            return self._receive(wait)
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                self._flush()  # an answer to a change of keys
                self._fill(wait)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def again(self) -> Connection:
        """Another connection to the same address."""
        return Connection(*self._row)

    @property
    def local_address(self) -> str:
        """The address of this machine that the connection goes out from."""
        return str(self._sock.getsockname()[0])

    def close(self) -> None:
        self._watcher.stop()
        self._watcher.close()
        self._sock.close()

    def _fill(self, wait: bool = True) -> None:
        data = self._receive(wait)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._send(self._outgoing.read())

    def _send(self, data: bytes) -> None:
        while True:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
            self._watcher.events = _WRITE
            try:
                self._hub.wait(self._watcher)
            finally:
                self._watcher.events = _READ

    def _receive(self, wait: bool) -> bytes:
        # Waiting first, where nothing can be there yet, saves a call that fails.
        while True:
            if wait:
                self._hub.wait(self._watcher)
            try:
                return self._sock.recv(65536)
            except BlockingIOError:
                wait = True


def reach(endpoint: Endpoint, tools: Tools, course: Course, host: str, port: int) -> Connection:
    """Connect to a host: look it up, see that it may be asked, and try its addresses in turn.

    Notes the phases "dns" and "connect", and the fact "address". Raises CheckError.
    """
    course.enter("dns")
    rows = tools.resolving.addresses(host, port)
    if trouble := tools.resolving.trouble(host):
        course.warnings.append(trouble)
    course.leave()
    course.enter("connect")
    rows = permitted(endpoint, tools, course, host, port, rows)
    connection = _first(rows, course, endpoint.options.timeout, tools)
    course.leave()
    return connection


def permitted(
    endpoint: Endpoint, tools: Tools, course: Course, host: str, port: int, rows: list[Any]
) -> list[Any]:
    """Those of a host's rows that may be asked. Raises CheckError("private") where that is none."""
    private = tools.private + networks(endpoint.options.private)
    refused = []
    good = []
    for row in rows:
        why = refuse(host, port, row[1][0], endpoint.address, private)
        refused.append(why) if why else good.append(row)
    if refused and not good:
        raise CheckError("private", refused[0])
    if refused:
        course.warnings.append(f"not asked: {'; '.join(refused)}")
    return good


def _first(rows: list[Any], course: Course, timeout: float, tools: Tools) -> Connection:
    """The first connection that comes about. All but the last have their share of the time left."""
    failures = []
    for place, (family, sockaddr) in enumerate(rows):
        course.facts["address"] = sockaddr[0]
        left = len(rows) - place
        share = None
        if left > 1:
            share = max(0.001, (timeout - (tools.clock() - course.began)) / left)
        try:
            connection = _within(share, family, sockaddr)
        except OSError as error:
            failures.append(failed(error, sockaddr))
            continue
        # That there is no IPv6 here is no news about the host.
        course.warnings += [each.message for each in failures if each.error != "unreachable"]
        return connection
    # What is most telling is what came from the host itself.
    telling = next((each for each in failures if each.error != "unreachable"), failures[0])
    # None of those themselves, which would make a cycle with its traceback; see Answer.end.
    raise CheckError(telling.error, "; ".join(each.message for each in failures))


def _within(share: float | None, family: int, sockaddr: tuple[Any, ...]) -> Connection:
    if share is None:
        return Connection(family, sockaddr)
    timeout: Any = gevent.Timeout.start_new(share)
    try:
        return Connection(family, sockaddr)
    except gevent.Timeout as late:
        if late is not timeout:
            raise
        raise OSError(errno.ETIMEDOUT, f"no connection within {share:.3g} s") from None
    finally:
        timeout.close()
        timeout = None  # which makes a cycle with its traceback; see Answer.end


def failed(error: OSError, sockaddr: tuple[Any, ...] | Connection) -> CheckError:
    """What an OSError means, in words."""
    at = sockaddr if isinstance(sockaddr, tuple) else (sockaddr.address, sockaddr.port)
    where = f"[{at[0]}]" if ":" in at[0] else at[0]
    where += f":{at[1]}" if at[1] else ""  # echo requests go to no port
    kind, words = _KINDS.get(error.errno or 0, ("internal", f"the system says: {error}"))
    return CheckError(kind, f"{where}: {words}")
