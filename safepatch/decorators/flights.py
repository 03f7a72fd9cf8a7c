"""Single flight: of several callers who want the same at the same time, one does the work.

What can go wrong with waiting is waited for by nobody: where a wait could be for ever, or cannot
be seen not to be, the caller does the work itself, as if there were no single flight. Errors are
not shared, since everybody should have their own.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import weakref
from collections.abc import Callable, Hashable
from typing import Any

from safepatch.decorators.threads import get_ident

#: Seconds that a caller waits for another before it does the work itself. It ends what no check
#: here can see coming, such as a caller who holds a lock that the one it waits for wants.
PATIENCE = 10.0

#: A thread, and the greenlet that runs in it (0 for the first, which is the thread itself).
Owner = tuple[int, int]


class Flight:
    """Work under way; `share` is set as soon as others can have its result by calling it."""

    __slots__ = ("is_overdue", "landed", "owner", "share", "wakers", "was_killed")

    def __init__(self, owner: Owner | None = None) -> None:
        self.owner = owner
        self.share: Callable[[], Any] | None = None
        self.landed = self.was_killed = self.is_overdue = False
        self.wakers: list[Callable[[], object]] = []

    def land(self) -> None:
        # In this order: who comes too late to be woken sees that there is nothing to wait for.
        self.landed = True
        for wake in self.wakers:
            # A hub that was destroyed cannot be woken, nor can its greenlets ever run again.
            with contextlib.suppress(Exception):
                wake()


#: Who waits for which flight, of any Flights: cycles can lead through several.
_waiting: dict[Owner, Flight] = {}


class Flights:
    """Work under way, by key. Takes no lock, so keys may have any `__eq__`, even one that
    switches greenlets; `dict.setdefault` elects who works."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, Flight] = {}
        _all.add(self)

    def join(self, key: Hashable, lead: Callable[[Flight], Any], alone: Callable[[], Any]) -> Any:
        """Return `lead(flight)`, if nobody is at work for this key or takes too long, or else what
        the one at work shares; or `alone()`, if that one fails or must not be waited for."""
        me = _current()
        while True:
            mine = Flight(me)
            flight = self._elect(key, mine)
            if flight is None:
                return alone()
            if flight is mine:
                return self._lead(key, flight, lead)
            if not _wait(flight, me):
                # An overdue flight may never land, so that all who come lead it as well: the first
                # to end lands it, for all.
                return self._lead(key, flight, lead) if flight.is_overdue else alone()
            if not flight.was_killed:
                return (flight.share or alone)()

    def _elect(self, key: Hashable, mine: Flight) -> Flight | None:
        """The flight of whoever works for a key; None if the key cannot be hashed or compared."""
        try:
            return self._under_way.setdefault(key, mine)
        except Exception:
            return None

    def _lead(self, key: Hashable, flight: Flight, lead: Callable[[Flight], Any]) -> Any:
        try:
            return lead(flight)
        except Exception:
            raise
        except BaseException:
            # Killed, as a greenlet or by a timeout, which says nothing about the work.
            flight.was_killed = flight.share is None
            raise
        finally:
            try:
                self.end(key, flight)
            finally:
                flight.land()

    def start(self, key: Hashable) -> Flight:
        """Note work that nobody waits for, only to learn by `is_wanted` whether to keep it."""
        flight = Flight()
        with contextlib.suppress(Exception):  # of the key; the flight is then not wanted
            self._under_way[key] = flight
        return flight

    def end(self, key: Hashable, flight: Flight) -> None:
        try:
            if self.is_wanted(key, flight):
                self._under_way.pop(key, None)
        except Exception:
            # A key that can no longer be compared. Better all start anew than one stays for ever.
            self.disown_all()

    def is_wanted(self, key: Hashable, flight: Flight) -> bool:
        """Say whether nobody has disowned this flight."""
        return self._under_way.get(key) is flight

    def disown(self, key: Hashable) -> None:
        """Let the next caller start anew; who waits already gets what it waits for."""
        self._under_way.pop(key, None)

    def disown_all(self) -> None:
        self._under_way.clear()


def _wait(flight: Flight, me: Owner) -> bool:
    """Wait for a flight to land; False says that it did not, or that one must not wait."""
    if flight.owner is None or flight.is_overdue:
        return False
    # Before looking for cycles: of two who close one at the same time, at least one sees it.
    _waiting[me] = flight
    try:
        hub = _hub()
        if _is_cycle(flight, me) or not _can_wait(flight.owner, me, hub):
            return False
        wait, wake = _event(hub)
        flight.wakers.append(wake)
        if not flight.landed:
            wait(PATIENCE)
        flight.is_overdue = not flight.landed
        return flight.landed
    finally:
        _waiting.pop(me, None)


def _is_cycle(flight: Flight | None, me: Owner) -> bool:
    """Say whether a flight waits, maybe through others, for `me`: re-entry is the shortest case."""
    seen: set[int] = set()
    while flight is not None and flight.owner is not None and id(flight) not in seen:
        if flight.owner == me:
            return True
        seen.add(id(flight))
        flight = _waiting.get(flight.owner)
    return False


def _can_wait(owner: Owner, me: Owner, hub: Any) -> bool:
    if hub is None:
        # Two bare greenlets in a thread: the other one runs only if this one goes on.
        return owner[0] != me[0]
    return id(hub) != me[1]  # the hub must never block


def _current() -> Owner:
    # The first greenlet, which has no parent, is the thread: it must be known by the same name
    # before and after somebody imports greenlet.
    getcurrent = getattr(sys.modules.get("greenlet"), "getcurrent", None)
    greenlet = None if getcurrent is None else getcurrent()
    return get_ident(), 0 if greenlet is None or greenlet.parent is None else id(greenlet)


def _hub() -> Any:
    """gevent's hub of this thread, or None; never makes one."""
    existing = getattr(sys.modules.get("gevent._hub_local"), "get_hub_if_exists", None)
    return None if existing is None else existing()


def _event(hub: Any) -> tuple[Callable[[float], object], Callable[[], object]]:
    """Functions to wait, some seconds at most, and to wake that one waiter from any thread.

    Made at the last moment, so that they fit a process patched by gevent early, late or never.
    """
    if hub is None:
        import threading

        event = threading.Event()
        return event.wait, event.set
    # Such an event is for one thread only; the loop is where other threads may come in.
    in_hub = importlib.import_module("gevent.event").Event()
    return in_hub.wait, functools.partial(hub.loop.run_callback_threadsafe, in_hub.set)


_all: weakref.WeakSet[Flights] = weakref.WeakSet()


def _forget_other_threads() -> None:
    # In the child of a fork those who worked for others do not exist.
    _waiting.clear()
    for flights in list(_all):
        flights.disown_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)
