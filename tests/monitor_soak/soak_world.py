"""Real servers on loopback, by the hundred, each of which can be told to fail."""

import contextlib
import socket
import struct

import gevent
from faulty import page, read_head
from gevent import ssl as gevent_ssl
from gevent.pool import Pool
from gevent.server import StreamServer

_WELL = page("<title>It works</title>all is well", Content_Type="text/html")
_HALF = page("x" * 1000, Content_Type="text/plain")[:-500]
_ERROR = page("no", status="500 Internal Server Error")
_GARBAGE = b"\x16\x00\xff what is this?\r\n\r\n" * 4
_HANGS = 5.0  # seconds; longer than any check waits


class Place:
    """A server at an address of loopback, and a port that it keeps.

    `mode` is "well", "slow" (it says nothing), "reset", "garbage", "half" or "error"; `context` is
    what it speaks TLS with, and may be another one at any time. While the world is `cut` nobody
    gets an answer.
    """

    def __init__(self, world, address, context=None):
        self.world, self.address, self.context = world, address, context
        self.mode, self.port, self._server = "well", 0, None
        self._handlers = Pool()
        self.up()

    def up(self):
        listening = socket.create_server((self.address, self.port), backlog=128)
        self.port = listening.getsockname()[1]
        listening.close()
        self._server = StreamServer(
            (self.address, self.port), self._serve, spawn=self._handlers, backlog=128
        )
        self._server.start()

    def down(self):
        if self._server is not None:
            self._server.stop(timeout=0)
            self._server = None
        self._handlers.kill()

    def _serve(self, sock, peer):
        with contextlib.suppress(OSError), contextlib.closing(sock):
            sock.settimeout(_HANGS)
            if self.world.cut:
                gevent.sleep(_HANGS)
                return
            if self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
            with contextlib.closing(sock):
                self._answer(sock)

    def _answer(self, sock):
        if not read_head(sock):
            return
        if self.mode == "slow":
            gevent.sleep(_HANGS)
        elif self.mode == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            said = {"well": _WELL, "half": _HALF, "error": _ERROR, "garbage": _GARBAGE}
            sock.sendall(said[self.mode])


class Mail(Place):
    """One that is a mail server, and always well."""

    def _answer(self, sock):
        sock.sendall(b"220 mail.test ESMTP\r\n")
        while command := sock.recv(1000):
            quits = command.upper().startswith(b"QUIT")
            sock.sendall(b"221 bye\r\n" if quits else b"250 mail.test\r\n")


class World:
    """All the servers, in networks of their own, and the names that they have."""

    def __init__(self, names):
        self.names, self.cut, self.places, self._networks = names, False, [], 0

    def network(self):
        """A network that nobody is in yet: "127.16.3"."""
        self._networks += 1
        return f"127.{16 + self._networks // 200}.{self._networks % 200}"

    def place(self, network, number=1, context=None, kind=Place):
        made = kind(self, f"{network}.{number}", context)
        self.places.append(made)
        return made

    def close(self):
        for place in self.places:
            place.down()


def context_of(certificate):
    """What a server needs to speak TLS with a certificate of trustme's."""
    context = gevent_ssl.SSLContext(gevent_ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
