"""A counter in a process of its own, counted up over HTTP or by greenlets.

    python -m benchmarks.store.worker COUNTER DIRECTORY

Prints the port; then answers each line of its input, `{"greenlets": 10, "seconds": 0.5}`, with what
they committed, in JSON. It ends with its input, so it cannot outlive whoever started it.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import pathlib  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import bottle  # noqa: E402
import gevent  # noqa: E402
from gevent.fileobject import FileObject  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from benchmarks.store.counters import COUNTERS, Increment  # noqa: E402


def count_up(increment: Increment, greenlets: int, seconds: float) -> dict[str, float]:
    """What so many greenlets commit in a loop, until all have come back."""
    start = time.perf_counter()
    deadline = start + seconds

    def loop() -> int:
        done = 0
        while time.perf_counter() < deadline:
            increment()
            done += 1
        return done

    running = [gevent.spawn(loop) for _ in range(greenlets)]
    commits = sum(greenlet.get() for greenlet in running)
    return {"commits": commits, "seconds": time.perf_counter() - start}


def _listener() -> socket.socket:
    """Head and body of an answer are sent one after the other; on a connection that is kept, the
    body would wait for the client to acknowledge the head, 40 ms."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def main() -> None:
    name, directory = sys.argv[1:]
    with COUNTERS[name](pathlib.Path(directory)) as increment:
        app = bottle.Bottle()
        app.get("/inc", callback=lambda: str(increment()))
        server = WSGIServer(_listener(), app, log=None)
        server.start()
        print(json.dumps({"port": server.server_port}), flush=True)
        for line in FileObject(sys.stdin.fileno()):
            print(json.dumps(count_up(increment, **json.loads(line))), flush=True)
        server.stop()


if __name__ == "__main__":
    main()
