"""Signals: TERM and INT stop a monitor, HUP has it read its sources again."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gevent


@contextlib.contextmanager
def signals(stop: Callable[[], object], reread: Callable[[], object]) -> Iterator[None]:
    """Have signals call these, in greenlets of their own; as it was before, afterwards.

    Python lets only the main thread do that; elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reread}
    before = {number: signal.getsignal(number) for number in handlers}
    watching: list[Any] = [gevent.signal_handler(*each) for each in handlers.items()]
    try:
        yield
    finally:
        for each in watching:
            each.cancel()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
