"""Work with a deadline."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Hung(Exception):  # noqa: N818
    """Something did not end in time."""


_late: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def stop_if_late() -> None:
    """Stop for ever in a thread that was left behind, which may call again and again."""
    if threading.current_thread() in _late:
        threading.Event().wait()


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return or raise what `work()` does, or raise Hung if that takes longer.

    It runs in a thread (in a greenlet, if gevent has patched threads), which is left behind if it
    hangs, and does not keep the process from ending.
    """
    done: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            done.append((work(), None))
        except BaseException as error:
            done.append((None, error))

    thread = threading.Thread(target=run, daemon=True, name="safepatch.testing")
    thread.start()
    thread.join(seconds)
    if not done:
        _late.add(thread)
        raise Hung(f"not ended after {seconds:g} seconds")
    value, error = done.pop()
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]


def at_once(seconds: float, *works: Callable[[], Any]) -> list[Any]:
    """What several works return, or the exceptions they raise, running in a thread each."""
    done: list[Any] = [Hung(f"not ended after {seconds:g} seconds") for _ in works]

    def run(position: int, work: Callable[[], Any]) -> None:
        try:
            done[position] = work()
        except BaseException as error:
            done[position] = error

    threads = [
        threading.Thread(target=run, args=one, daemon=True, name="safepatch.testing")
        for one in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        if thread.is_alive():
            _late.add(thread)
    return done
