"""What tests of alerts need: a hub that goes again, events, and receivers on loopback."""

import contextlib
import functools
import http.server
import json
import threading
import types

import gevent

from safepatch.monitor.plan import Channel, Plan, Settings
from safepatch.monitor.statuses import Event


def in_hub(test):
    """Run a test in a thread of its own with a hub of its own, so that no other test meets it."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        failures = []

        def body():
            try:
                with gevent.Timeout(20, AssertionError("the test takes too long")):
                    test(*args, **kwargs)
            except BaseException as error:
                failures.append(error)
            finally:
                gevent.sleep(0)
                gevent.get_hub().destroy(destroy_loop=True)

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join(25)
        assert not thread.is_alive()
        if failures:
            raise failures[0]

    return run


class Clock:
    """A time that goes on by sleeping, which lets other greenlets run."""

    def __init__(self, at=1_790_000_000.0):
        self.at = at
        self.slept = []

    def __call__(self):
        return self.at

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.at += seconds
        gevent.sleep(0.001)


def event(number=1, kind="down", **fields):
    """An event of an incident that has the event's number, unless told otherwise."""
    severity = {"down": "critical", "warning": "warning"}.get(kind, "info")
    given = {
        "id": f"e{number}-{kind}",
        "type": kind,
        "at": 1_790_000_000.0 + 60 * number,
        "severity": severity,
        "title": f"site-{number} is {kind}",
        "text": "what has happened",
        "incident": f"i{number}",
        "endpoints": (f"site-{number}",),
        "count": 1,
        **fields,
    }
    return Event(**given)


def plan(settings=None, **channels):
    """A plan with channels, given by their fields."""
    made = {name: Channel(name=name, **fields) for name, fields in channels.items()}
    return Plan(channels=made, settings=settings or Settings())


@contextlib.contextmanager
def receiver(*answers):
    """A web server that notes what it gets; `answers` are functions of its handlers, or statuses,
    of which the last one is for all further requests."""
    left, got = list(answers or [200]), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            got.append(types.SimpleNamespace(path=self.path, headers=self.headers, body=body))
            with contextlib.suppress(ValueError):
                got[-1].json = json.loads(body)
            answer = left.pop(0) if len(left) > 1 else left[0]
            if callable(answer):
                answer(self)
            else:
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            host = f"127.0.0.1:{server.server_port}"
            yield types.SimpleNamespace(got=got, host=host, url=f"http://{host}/hook")
        finally:
            server.shutdown()
            thread.join()


def wait_until(condition, seconds=5):
    with gevent.Timeout(seconds, AssertionError("it did not come to be")):
        while not condition():
            gevent.sleep(0.005)
