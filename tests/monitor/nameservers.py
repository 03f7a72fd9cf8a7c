"""A real DNS server on loopback, by UDP and TCP, whose answers tests choose."""

import contextlib
import socket
import socketserver
import threading

from dnslib import QTYPE, RCODE, RR, DNSRecord


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def _pair(handler):
    """Both on one port, of which each half may be somebody else's."""
    for _ in range(50):
        udp = _Udp(("127.0.0.1", 0), handler)
        try:
            return udp, _Tcp(udp.server_address, handler)
        except OSError:
            udp.server_close()
    raise OSError("no port is free for UDP and TCP")


class Nameserver:
    """`zone` has records by (name, type) as lines of a zone file; `asked` has what came.

    `answer` makes bytes, or a list of several datagrams, of a request and "udp" or "tcp"; tests
    put another one in its place.
    """

    def __init__(self):
        self.zone = {}
        self.asked = []
        self.answer = self.honest
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                server._serve(self.request, self.client_address)

        self._udp, self._tcp = _pair(Handler)
        self.port = self._udp.server_address[1]
        self._threads = [
            threading.Thread(target=each.serve_forever, args=(0.01,)) for each in self._both
        ]

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def _both(self):
        return self._udp, self._tcp

    def honest(self, request, transport):
        return self.reply(request).pack()

    def reply(self, request):
        reply = request.reply()
        name, kind = str(request.q.qname).rstrip("."), QTYPE[request.q.qtype]
        for line in self.zone.get((name, kind), self.zone.get((name, "CNAME"), [])):
            reply.add_answer(*RR.fromZone(line))
        if not any(name == known for known, _ in self.zone):
            reply.header.rcode = RCODE.NXDOMAIN
        return reply

    def _serve(self, request, client):
        if isinstance(request, tuple):
            data, sock = request
            for each in self._answers(data, "udp"):
                sock.sendto(each, client)
            return
        with contextlib.suppress(ConnectionError):
            size = int.from_bytes(request.recv(2, socket.MSG_WAITALL))
            for each in self._answers(request.recv(size, socket.MSG_WAITALL), "tcp"):
                request.sendall(len(each).to_bytes(2) + each)

    def _answers(self, data, transport):
        request = DNSRecord.parse(data)
        self.asked.append((str(request.q.qname), QTYPE[request.q.qtype], transport))
        answers = self.answer(request, transport)
        return answers if isinstance(answers, list) else [answers]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for each in self._both:
            each.shutdown()
            each.server_close()
        for thread in self._threads:
            thread.join(5)
