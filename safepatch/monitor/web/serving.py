"""Serve the pages, from the greenlets of the process that checks."""

from __future__ import annotations

import logging
import socket
from collections import Counter
from http.client import HTTPException
from typing import Any, cast

import gevent
from gevent import pywsgi
from gevent import socket as gevent_socket
from gevent.pool import Pool

from safepatch.monitor.plan import Settings
from safepatch.monitor.web import access
from safepatch.monitor.web.addresses import host_of, is_loopback, network_of
from safepatch.monitor.web.making import make
from safepatch.monitor.web.words import keyless

log = logging.getLogger(__name__)

#: Connections at the same time, of all and of one address on another machine.
CONNECTIONS, EACH = 512, 64

#: Bytes of the head of a request.
HEAD = 32 * 1024

#: Seconds for the head of a request to arrive, and for each write to pass.
PATIENCE = 20.0


class _Head:
    """The head of a request, of which a client may have us keep so much and no more."""

    def __init__(self, rfile: Any) -> None:
        self.rfile, self.left = rfile, HEAD

    def readline(self, size: int) -> Any:
        line = self.rfile.readline(min(size, self.left + 1))
        self.left -= len(line)
        if self.left < 0:
            raise ValueError(f"its head has more than {HEAD} bytes")
        return line


class _Handler(pywsgi.WSGIHandler):
    """Gives up on clients that let us wait, which would otherwise keep a connection for ever.

    What they do is no error of ours, and leaves no traceback.
    """

    ignored_socket_errors = (
        *pywsgi.WSGIHandler.ignored_socket_errors,
        cast(Any, "timed out"),
    )

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        sock.settimeout(PATIENCE)
        super().__init__(sock, address, server)

    def handle(self) -> None:
        rfile = self.rfile
        try:
            super().handle()
        finally:
            rfile.close()  # or the socket stays, until the garbage is collected

    def MessageClass(self, rfile: Any, *args: Any) -> Any:  # noqa: N802
        return super().MessageClass(cast(Any, _Head(rfile)), *args)

    def read_request(self, raw_requestline: Any) -> Any:
        try:
            with gevent.Timeout(PATIENCE, TimeoutError("timed out")):
                done = super().read_request(raw_requestline)
        except (OSError, HTTPException) as error:
            raise ValueError(f"the request did not arrive: {error}") from error
        self._need_one_length()
        return done

    def _need_one_length(self) -> None:
        """Raise ValueError for what a proxy in front may take for another number of requests."""
        lengths = self.headers.get_all("Content-Length", [])
        codings = self.headers.get_all("Transfer-Encoding", [])
        if len(lengths) > 1 or len(codings) > 1 or (codings and codings[0].lower() != "chunked"):
            raise ValueError("it does not say plainly where it ends")

    def log_error(self, msg: str, *args: Any) -> None:
        super().log_error("%s", keyless(msg % args if args else msg))

    def run_application(self) -> None:
        try:
            super().run_application()
        finally:
            self._hear_no_more()

    def _hear_no_more(self) -> None:
        """Close the connection where something of a body is left, which nobody wants.

        pywsgi would read it all, however much that is.
        """
        body: Any = self.wsgi_input
        if body.position < (body.content_length or 0) or body.chunked_input:
            self.close_connection = True
            body._chunked_input_error = True


class _Server(pywsgi.WSGIServer):
    """Leaves connections for others where one address takes many; a proxy here may have all."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.clients: Counter[str] = Counter()
        super().__init__(*args, **options)

    def handle(self, sock: Any, address: Any) -> None:
        client = network_of(address[0])
        if self.clients[client] >= EACH and not is_loopback(address[0]):
            return
        self.clients[client] += 1
        try:
            super().handle(sock, address)
        finally:
            self.clients[client] -= 1
            self.clients += Counter()  # drops those that are 0


def listening(settings: Settings) -> gevent_socket.socket:
    """The socket of the pages, where the settings say; who comes waits until they are served.

    Raises UnsafeError where anybody could come in, and OSError where the port is taken.
    """
    access.need_safe(settings)
    return listener(*place(settings.listen))


def serve(monitor: Any, taken: gevent_socket.socket | None = None) -> pywsgi.WSGIServer:
    """Start to serve the pages of a monitor at a socket; `.stop()` ends it.

    Without one it raises what `listening` raises.
    """
    settings = monitor.plan.settings
    server = _Server(
        listening(settings) if taken is None else taken,
        make(monitor),
        spawn=Pool(CONNECTIONS),
        log=None,  # paths have the keys of heartbeats
        error_log=pywsgi.LoggingLogAdapter(log, logging.DEBUG),  # clients' mistakes
        handler_class=_Handler,
        environ={"wsgi.multithread": False},
    )
    server.start()
    host = settings.listen.rpartition(":")[0]
    log.info("pages are served at %s:%d", host, server.server_port)
    return server


def listener(host: str, port: int) -> gevent_socket.socket:
    """A socket that listens there, for IPv6 and IPv4 where no host is given."""
    both = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
    made = socket.create_server((host, port), family=family, backlog=1024, dualstack_ipv6=both)
    return gevent_socket.socket(family, made.type, fileno=made.detach())


def place(listen: str) -> tuple[str, int]:
    """Host and port of `listen`: "127.0.0.1:8787", "[::1]:8787" or ":8787".

    Raises ValueError where it is none.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"listen = {listen!r} is no host and port; write '127.0.0.1:8787'")
    return host_of(f"{host}:1") if host else "", int(port)
