"""Serve the pages, from the greenlets of the process that checks."""

from __future__ import annotations

import logging
from typing import Any

import gevent
from gevent import pywsgi
from gevent.pool import Pool

from safepatch.monitor.web import access
from safepatch.monitor.web.addresses import host_of
from safepatch.monitor.web.making import make

log = logging.getLogger(__name__)

#: Connections at the same time, and seconds for a request to arrive and for a write to pass.
CONNECTIONS, PATIENCE = 512, 20.0


class _Handler(pywsgi.WSGIHandler):
    """Gives up on clients that let us wait, which would otherwise keep a connection for ever."""

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        sock.settimeout(PATIENCE)
        super().__init__(sock, address, server)

    def read_request(self, raw_requestline: Any) -> Any:
        with gevent.Timeout(PATIENCE, TimeoutError("the request did not arrive")):
            return super().read_request(raw_requestline)


def serve(monitor: Any) -> pywsgi.WSGIServer:
    """Start to serve the pages of a monitor where its settings say; `.stop()` ends it.

    Raises UnsafeError where anybody could come in, and OSError where the port is taken.
    """
    settings = monitor.plan.settings
    access.need_safe(settings)
    host, port = place(settings.listen)
    server = pywsgi.WSGIServer(
        (host, port),
        make(monitor),
        spawn=Pool(CONNECTIONS),
        log=None,  # paths have the keys of heartbeats
        error_log=log,
        handler_class=_Handler,
        environ={"wsgi.multithread": False},
    )
    server.start()
    log.info("pages at http://%s:%d", host, server.server_port)
    return server


def place(listen: str) -> tuple[str, int]:
    """Host and port of `listen`: "127.0.0.1:8787", "[::1]:8787" or ":8787".

    Raises ValueError where it is none.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"listen = {listen!r} is no host and port; write '127.0.0.1:8787'")
    return host_of(f"{host}:1") if host else "", int(port)
