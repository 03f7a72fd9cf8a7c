"""A DNS server and an HTTP server on 127.0.0.1, in a child process, for trying things offline.

`Loopback()` starts them and tells their ports; `python loopback.py` is what it starts. The child
ends when its standard input does, so it cannot outlive whoever started it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections import Counter, deque
from typing import Any

import dnslib


class Loopback:
    """Both servers, as a context manager.

    The DNS server answers `latency` seconds after it was asked, many questions at a time: for any
    name under .test, A is 127.0.0.1 (with `addresses=4`, also .2 to .4, in turn) and AAAA is
    empty; other names do not exist. The records live for 0 seconds, so no resolver may keep them.
    The HTTP server says 200 to every request and closes the connection.
    """

    def __init__(self, *, latency: float = 0.02, addresses: int = 1) -> None:
        command = [sys.executable, __file__, "--latency", str(latency)]
        self._process = subprocess.Popen(
            [*command, "--addresses", str(addresses)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Where Ctrl-C does not reach it, since it ends with its standard input.
            start_new_session=True,
        )
        ports = self._ask()
        self.dns_port: int = ports["dns"]
        self.http_port: int = ports["http"]

    def queries(self) -> dict[str, int]:
        """How many questions of each type the DNS server was asked so far: {"A": 3, "AAAA": 3}.

        Raises RuntimeError if the child process died.
        """
        return self._ask("queries\n")

    def close(self) -> None:
        """End the child process; does nothing the second time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died before it read what it was asked
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Loopback:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _ask(self, question: str = "") -> dict[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        answer = ""
        with contextlib.suppress(BrokenPipeError):  # it died, which is told below
            self._process.stdin.write(question)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            self.close()
            raise RuntimeError(
                f"the loopback servers ended with exit status {self._process.returncode}; "
                "what they said is above"
            )
        found: dict[str, int] = json.loads(answer)
        return found


class DnsServer(asyncio.DatagramProtocol):
    """Answers DNS questions over UDP, each after `latency` seconds, and counts them by type."""

    def __init__(self, latency: float, addresses: int) -> None:
        self.latency = latency
        self.addresses = deque(f"127.0.0.{number}" for number in range(1, addresses + 1))
        self.queries: Counter[str] = Counter()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self.latency, self.transport.sendto, self.answer(data), peer)

    def answer(self, data: bytes) -> bytes:
        request = dnslib.DNSRecord.parse(data)
        kind = dnslib.QTYPE[request.q.qtype]
        self.queries[kind] += 1
        reply = request.reply()
        if not str(request.q.qname).lower().endswith(".test."):
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        elif kind == "A":
            for address in self.addresses:
                record = dnslib.RR(request.q.qname, dnslib.QTYPE.A, rdata=dnslib.A(address), ttl=0)
                reply.add_answer(record)
            self.addresses.rotate(-1)
        else:
            # "No data" as in RFC 2308, 2.2: c-ares keeps one without the NS record for an hour.
            reply.add_auth(dnslib.RR("test.", dnslib.QTYPE.SOA, rdata=dnslib.SOA(), ttl=0))
            reply.add_auth(dnslib.RR("test.", dnslib.QTYPE.NS, rdata=dnslib.NS("ns.test."), ttl=0))
        packed: bytes = reply.pack()
        return packed


async def answer_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say 200 to one request."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # whoever asked has gone
    finally:
        writer.close()


async def serve(dns: DnsServer) -> None:
    """Run both servers for ever, having printed their ports."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # a burst must not be lost
    udp.bind(("127.0.0.1", 0))
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: dns, sock=udp)
    http = await asyncio.start_server(answer_http, "127.0.0.1", 0, backlog=1024)
    ports = {"dns": udp.getsockname()[1], "http": http.sockets[0].getsockname()[1]}
    print(json.dumps(ports), flush=True)
    await http.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.02, help="of a DNS answer, in seconds")
    parser.add_argument("--addresses", type=int, default=1, help="how many each name has")
    arguments = parser.parse_args()
    dns = DnsServer(arguments.latency, arguments.addresses)
    threading.Thread(target=lambda: asyncio.run(serve(dns)), daemon=True).start()
    for _ in sys.stdin:
        print(json.dumps(dns.queries), flush=True)


if __name__ == "__main__":
    main()
