"""A client that does not retry, made to retry by a patch of what it uses.

    python examples/retried.py

A server on this machine drops the first two connections of three. `prices` is somebody else's
client: it has no option to retry. The patch is put on `requests.Session.send`, through which all
calls of requests go, and is guarded by version and signature.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

try:
    import requests
except ImportError as error:
    raise SystemExit(f"{error}; install it with: pip install requests") from error

import safepatch
from safepatch.decorators import retry


def prices(url: str) -> object:
    """Somebody else's client."""
    return requests.get(f"{url}/prices", timeout=5).json()


def main() -> None:
    with flaky_server() as url:
        try:
            prices(url)
        except requests.ConnectionError as error:
            print(f"as it is: {type(error).__name__}")

    patch = safepatch.apply(
        "requests:Session.send",
        retry(
            on="requests:ConnectionError",
            attempts=3,
            wait_initial=0.01,  # this example is in a hurry; the defaults are not
            wait_jitter=0.01,
            on_retry=lambda attempt, error, seconds: print(f"  attempt {attempt} failed"),
        ),
        name="http-retry",
        requires="requests>=2.31,<3",
        signature="(self, request, **kwargs)",
    )
    with flaky_server() as url:
        print(f"retried: {prices(url)}")
    print(f"\n{safepatch.explain('requests:Session.send')}")
    patch.undo()


@contextlib.contextmanager
def flaky_server() -> Iterator[str]:
    """Drops two connections of three without an answer; the first two are dropped."""
    numbers = itertools.count(1)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if next(numbers) % 3:
                self.close_connection = True
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"apple": 3}')

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
