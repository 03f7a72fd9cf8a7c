"""Timeouts by the one timer that a process has, which interrupts its main thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any


class _Expired(BaseException):
    """Raised in the main thread when a time is over; no Exception, so that few catch it."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.is_over = False


#: Seconds after which a call that has not ended is interrupted once more.
AGAIN = 1.0

#: Seconds for which the timer is set, at most.
LONGEST = 86400.0

#: The outermost first.
_running: list[_Expired] = []


def call(
    seconds: float, message: str, wrapped: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]
) -> Any:
    """Call, and raise TimeoutError(message) if that takes longer than `seconds`.

    Raises RuntimeError, and does not call, where that cannot be done.
    """
    _need_signal(message)
    limit: Any = _Expired(time.monotonic() + seconds)
    try:
        _start(limit)
        return wrapped(*args, **kwargs)
    except _Expired as error:
        if error is not limit:
            raise
        # Where it was interrupted is told by its cause.
        raise TimeoutError(message) from error
    finally:
        # Python looks for signals at calls and jumps. Before the first of them here there must be
        # nothing left to raise.
        limit.is_over = True
        _stop(limit)
        limit = None  # which makes a cycle with its traceback


def _need_signal(message: str) -> None:
    import signal
    import threading

    if not hasattr(signal, "setitimer"):
        why = "this system has no SIGALRM"
    elif threading.current_thread() is not threading.main_thread():
        why = "signals reach the main thread only"
    else:
        handler = signal.getsignal(signal.SIGALRM)
        in_use = handler is not signal.SIG_DFL or signal.getitimer(signal.ITIMER_REAL)[0]
        if handler is _ring or not in_use:
            return
        why = f"SIGALRM is in use, by {handler!r}"
    raise RuntimeError(
        f"cannot see to it that {message!r} is raised: {why}; the function was not called; "
        "decorate a coroutine function, or use gevent"
    )


def _start(limit: _Expired) -> None:
    import signal

    signal.signal(signal.SIGALRM, _ring)
    _running.append(limit)
    _set_timer()


def _stop(limit: _Expired) -> None:
    # Those inside are over, also if they were interrupted just before they said so.
    if limit in _running:
        del _running[_running.index(limit) :]
    _set_timer()


def _set_timer() -> None:
    """Let the timer go off for the next deadline, or, if there is none, leave no trace."""
    import signal

    deadlines = [limit.deadline for limit in _running if not limit.is_over]
    # More than the system's timer takes is waited for in pieces.
    left = min(max(min(deadlines) - time.monotonic(), 1e-6), LONGEST) if deadlines else 0
    signal.setitimer(signal.ITIMER_REAL, left)
    if not _running:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _ring(number: int, frame: Any) -> None:
    place = _first_due()
    _set_timer()
    if place is not None:
        # Not by a variable, which would make a cycle with its traceback.
        raise _running[place]


def _first_due() -> int | None:
    now = time.monotonic()
    for place, limit in enumerate(_running):
        if limit.deadline <= now and not limit.is_over:
            # Leave time for the way out, to those inside as well. But come again: what is raised
            # in a finalizer, or a callback of the garbage collector, is dropped by Python.
            for inner in _running[place:]:
                inner.deadline = max(inner.deadline, now + AGAIN)
            return place
    return None
