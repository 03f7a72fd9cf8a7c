"""Waiting, but not for ever."""

import socket
import time

import gevent

ENOUGH = 60.0  # seconds, after which something is taken to hang


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def until(true, seconds=ENOUGH):
    """Wait, in the hub, until something is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        gevent.sleep(0.02)
