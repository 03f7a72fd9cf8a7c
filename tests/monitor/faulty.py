"""Servers on loopback that do what servers should not, for tests of a monitor's checks.

They are greenlets of the test's own hub, over gevent's sockets by name, so nothing is patched; all
are gone when the `with` ends.
"""

import contextlib
import socket
import struct

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer


@contextlib.contextmanager
def serving(handle, *, tls=None, host="127.0.0.1", port=0):
    """A server that calls handle(sock, address) for each connection; gives its port."""
    handlers = Pool()
    options = {"ssl_context": tls, "do_handshake_on_connect": False} if tls else {}

    def guarded(sock, address):
        # What the client does is no failure of the server: resets, handshakes that it gives up.
        with contextlib.suppress(OSError), contextlib.closing(sock):
            if tls:
                sock.do_handshake()
            handle(sock, address)

    server = StreamServer((host, port), guarded, spawn=handlers, **options)
    server.start()
    try:
        yield server.server_port
    finally:
        server.stop(timeout=0)
        handlers.kill()


class Site:
    """What answers requests by path with bytes, or by a function of (sock, request).

    `requests` are those that came, as bytes. Other paths are answered by `otherwise`.
    """

    def __init__(self, pages=(), otherwise=b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"):
        self.pages = dict(pages)
        self.otherwise = otherwise
        self.requests = []

    def __call__(self, sock, address):
        request = read_head(sock)
        if not request:
            return
        self.requests.append(request)
        page = self.pages.get(request.split(b" ")[1].decode(), self.otherwise)
        if callable(page):
            page(sock, request)
        else:
            sock.sendall(page)


def read_head(sock):
    """The bytes of a request up to the empty line, and what came with them."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return b""
        data += more
    return data


def page(body=b"", status="200 OK", **headers):
    """A plain answer, with a length."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def moved(location, status="302 Found"):
    return page(status=status, Location=location)


def dripping(data, seconds=0.05):
    """Send a byte at a time."""

    def drip(sock, request):
        for place in range(len(data)):
            sock.sendall(data[place : place + 1])
            gevent.sleep(seconds)

    return drip


def endless(chunk):
    """Send the same for ever."""

    def pour(sock, request):
        while True:
            sock.sendall(chunk)
            gevent.sleep(0)

    return pour


def silent(sock, request=None):
    """Say nothing, and keep the connection."""
    gevent.sleep(60)


def resetting(data=b""):
    """Send something, and then reset the connection."""

    def reset(sock, request=None):
        sock.sendall(data)
        gevent.sleep(0.01)  # so that it can be read before
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    return reset


@contextlib.contextmanager
def deaf():
    """A port that takes no more connections: they are neither accepted nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def unused():
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
