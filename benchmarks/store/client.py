"""Many clients of one counter, in a process of their own, as `ab -n REQUESTS -c CLIENTS` is.

    python -m benchmarks.store.client PORT REQUESTS CLIENTS [--keep-alive]

Prints JSON: the seconds it took, the milliseconds of each request, and the counts in the answers,
which `ab` does not look at. Without --keep-alive each request has a connection of its own, as
with `ab`. Plain sockets and epoll: it needs a quarter of the time that the server needs.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time


class Load:
    """So many requests under way at once, until all are answered."""

    def __init__(self, port: int, requests: int, clients: int, keep_alive: bool) -> None:
        self._address, self._left, self._keep_alive = ("127.0.0.1", port), requests, keep_alive
        self._request = (
            f"GET /inc HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
        ).encode()
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, float]] = {}
        self.milliseconds: list[float] = []
        self.counts: list[int] = []
        for _ in range(clients):
            self._start(None)

    def run(self) -> None:
        while self._open:
            for file, _ in self._poll.poll(timeout=60):
                self._finish(*self._open.pop(file))

    def _start(self, connection: socket.socket | None) -> None:
        if not self._left:
            return
        self._left -= 1
        began = time.perf_counter()
        if connection is None:
            # On loopback this waits for nobody: the kernel answers.
            connection = socket.create_connection(self._address, timeout=60)
            self._poll.register(connection, select.EPOLLIN)
        connection.sendall(self._request)
        self._open[connection.fileno()] = connection, began

    def _finish(self, connection: socket.socket, began: float) -> None:
        self.counts.append(_answered(connection))
        self.milliseconds.append((time.perf_counter() - began) * 1000)
        if not self._keep_alive:
            connection.close()
        self._start(connection if self._keep_alive else None)


def _answered(connection: socket.socket) -> int:
    """The count in an answer; RuntimeError if it is anything else."""
    answer = connection.recv(4096)
    while not _complete(answer):
        more = connection.recv(4096)
        if not more:
            raise RuntimeError(f"the server closed the connection after {answer!r}")
        answer += more
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the server answered {answer!r}")
    return int(answer.partition(b"\r\n\r\n")[2])


def _complete(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    return bool(end) and len(body) == int(head.lower().partition(b"content-length:")[2].split()[0])


def main() -> None:
    port, requests, clients = map(int, sys.argv[1:4])
    start = time.perf_counter()
    load = Load(port, requests, clients, "--keep-alive" in sys.argv[4:])
    load.run()
    found = {"seconds": time.perf_counter() - start, "counts": load.counts}
    print(json.dumps(found | {"milliseconds": load.milliseconds}))


if __name__ == "__main__":
    main()
