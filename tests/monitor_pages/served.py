"""Serve a monitor that is made up, and change it as lines on standard input say.

    python served.py [login]

The first line printed is the port.
"""

import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "monitor"))

from gevent.fileobject import FileObject
from standins import shop
from werkzeug.security import generate_password_hash

from safepatch.monitor import web


def change(monitor, state, name):
    """Have an endpoint be in a state, and tell so."""
    status = monitor.statuses[name]
    status.state, status.since, status.failing = state, time.time(), 0
    status.error, status.message = ("refused", "nobody listens") if state == "down" else ("", "")
    monitor.feed.put(type="status", name=name, change=state)


def main():
    settings = {"listen": "127.0.0.1:0", "title": "Example Ltd"}
    if sys.argv[1:] == ["login"]:
        os.environ["PAGES_HASH"] = generate_password_hash("correct horse")
        settings |= {"login": "ops", "password_hash_env": "PAGES_HASH"}
    monitor = shop(**settings)
    server = web.serve(monitor)
    print(server.server_port, flush=True)
    for line in FileObject(sys.stdin, "r"):
        state, _, name = line.strip().partition(" ")
        if state == "blind":
            monitor.blind = name
        else:
            change(monitor, state, name)
        print("done", flush=True)
    server.stop(timeout=1)


if __name__ == "__main__":
    main()
