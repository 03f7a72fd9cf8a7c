"""What tests of a whole monitor need: a server that goes away and comes back, and a monitor."""

import contextlib
import socket

import gevent
from gevent.server import StreamServer

from safepatch.monitor.monitor import Monitor

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


def port_of_nobody():
    """A port of loopback where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """A server at one port, that can be down and up again, as greenlets of the test's hub."""

    def __init__(self, answer=ANSWER):
        self.answer, self.port, self.asked = answer, port_of_nobody(), 0
        self.answers_after = 0.0  # seconds
        self._server = None
        self.up()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def up(self):
        self._server = StreamServer(("127.0.0.1", self.port), self._answer)
        self._server.start()

    def down(self):
        self._server.stop(timeout=0)

    def _answer(self, sock, address):
        with contextlib.suppress(OSError), contextlib.closing(sock):
            sock.recv(65536)
            self.asked += 1
            gevent.sleep(self.answers_after)
            sock.sendall(self.answer)


QUICK = {"interval": 0.1, "timeout": 0.1, "retry_after": 0.02, "confirm_down": 2, "confirm_up": 2}


def source(endpoints, *, settings=None, defaults=None, **tables):
    """A source that is quick, and serves no pages."""
    return {
        "monitor": {"listen": "", "gather": 0.0, **(settings or {})},
        "defaults": {**QUICK, **(defaults or {})},
        "endpoints": endpoints,
        **tables,
    }


@contextlib.contextmanager
def watching(given, state, **options):
    """A monitor that runs, until the end of the block."""
    monitor = Monitor(given, state=state, **options)
    monitor.start()
    try:
        yield monitor
    finally:
        monitor.stop()
        gevent.sleep(0)


def states(monitor):
    return {name: status.state for name, status in monitor.statuses.items()}
