"""Single flight: of several callers who want the same at the same time, one does the work.

What can go wrong with waiting is waited for by nobody: where a wait could be for ever, or cannot
be seen not to be, the caller does the work itself, as if there were no single flight. Errors are
not shared, since everybody should have their own.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar, Token
from typing import Any

from safepatch.decorators import waiting
from safepatch.decorators.entries import Entry
from safepatch.decorators.threads import get_ident

#: Seconds that a caller waits for another before it does the work itself. It ends what no check
#: here can see coming, such as a caller who holds a lock that the one it waits for wants.
PATIENCE = 10.0


class Flight:
    """Work under way; `entry` is set as soon as others can have its result."""

    __slots__ = (
        "entry", "is_disowned", "is_overdue", "landed", "loop", "thread", "waits_for", "wakers",
        "was_killed",
    )  # fmt: skip

    def __init__(self, loop: Any = None) -> None:
        self.thread: int | None = None  # where it goes on, once it has begun
        self.loop = loop  # of asyncio, for coroutine functions
        self.entry: Entry | None = None
        self.landed = self.was_killed = self.is_overdue = self.is_disowned = False
        self.wakers: list[Callable[[], object]] = []
        self.waits_for: list[Flight] = []

    def fail(self, error: BaseException) -> None:
        # Killed, as a greenlet, by a timeout or cancelled, which says nothing about the work.
        self.was_killed = self.entry is None and not isinstance(error, Exception)

    def land(self) -> None:
        # In this order: who comes too late to be woken sees that there is nothing to wait for.
        self.landed = True
        for wake in self.wakers:
            # A hub that was destroyed cannot be woken, nor can its greenlets ever run again.
            with contextlib.suppress(Exception):
                wake()


#: The flights that whatever runs now is part of, outermost first. Tasks begin with a copy of it, as
#: who started them may be waiting for them; for greenlets see `waiting.spawners`.
_inside: ContextVar[tuple[Flight, ...]] = ContextVar("inside", default=())


class Flights:
    """Work under way, by key. Takes no lock, so keys may have any `__eq__`, even one that
    switches greenlets; `dict.setdefault` elects who works."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, Flight] = {}
        _all.add(self)

    def join(self, key: Hashable, mine: Flight) -> Flight | Entry | None:
        """Say what a caller is to do, after waiting where it may: lead a flight, its own if nobody
        else is at work for this key; share the result of another; or, for None, work alone.

        Whatever comes of it, `give_up` must be called if this or the work is interrupted.
        """
        mine.thread = get_ident()  # now, as the collector or a signal may call us before leading
        while True:
            flight = self.elect(key, mine)
            if flight is None or flight is mine:
                return flight
            if not _wait(flight):
                # An overdue flight may never land, so that all who come lead it as well: the first
                # to end lands it, for all.
                return flight if flight.is_overdue else None
            if not flight.was_killed:
                return flight.entry

    async def join_async(self, key: Hashable, mine: Flight) -> Flight | Entry | None:
        """The same for coroutine functions, among the tasks of one event loop."""
        mine.thread = get_ident()
        while True:
            flight = self.elect(key, mine)
            if flight is None or flight is mine:
                return flight
            if not await _wait_async(flight, mine.loop):
                return flight if flight.is_overdue else None
            if not flight.was_killed:
                return flight.entry

    def elect(self, key: Hashable, mine: Flight) -> Flight | None:
        """The flight of whoever works for a key; None if the key cannot be hashed or compared."""
        try:
            return self._under_way.setdefault(key, mine)
        except Exception:
            self.give_up(key, mine)  # a signal's error may come when it is in already
            return None

    def begin(self, key: Hashable, flight: Flight) -> bool:
        """Take off for a refresh, unless one is under way."""
        other = self.elect(key, flight)
        if other is not None and waiting.is_over(other.loop):
            self.disown(key)
            other = self.elect(key, flight)
        return other is flight

    def land(self, key: Hashable, flight: Flight, mark: Token[tuple[Flight, ...]]) -> None:
        """End what `take_off` began."""
        try:
            self._end(key, flight)
        finally:  # after that, so that until it has landed a call from here is seen as such
            try:
                _inside.reset(mark)
            except ValueError:
                pass  # a coroutine that is ended in another context

    def _end(self, key: Hashable, flight: Flight) -> None:
        try:
            if not flight.is_disowned:
                found = self._under_way.pop(key, None)
                if found is not flight and found is not None:
                    found.is_disowned = True  # disowned a moment ago, so this is another one
        except Exception:
            # A key that can no longer be compared. Better all start anew than one stays for ever.
            self.disown_all()
        finally:
            # Who leads it still, since it was overdue, can no longer be told of a clear.
            flight.is_disowned = True
            flight.land()

    def give_up(self, key: Hashable, flight: Flight) -> None:
        """End a flight that an interrupt, at any instruction, kept from taking off or landing.

        Or all who come later would wait for it. One that has landed stays as it is.
        """
        if not flight.landed:
            flight.was_killed = flight.entry is None
        try:
            flight.is_disowned = self._under_way.get(key) is not flight
        except Exception:
            flight.is_disowned = False
        self._end(key, flight)

    # Marked before they are out of sight: who forgets at the same time, and finds none there, must
    # be able to rely on that none will be kept. Then once more, for one that took off meanwhile.

    def disown(self, key: Hashable) -> None:
        """Let the next caller start anew; who waits already gets what it waits for."""
        flight = self._under_way.get(key)
        if flight is not None:
            flight.is_disowned = True
            another = self._under_way.pop(key, flight)
            another.is_disowned = True

    def disown_all(self) -> None:
        for flight in list(self._under_way.values()):
            flight.is_disowned = True
        while self._under_way:
            try:
                _, flight = self._under_way.popitem()
            except KeyError:
                break  # another thread took the last
            flight.is_disowned = True


def take_off(flight: Flight) -> Token[tuple[Flight, ...]]:
    """Begin to lead a flight; `land` wants what this gives."""
    flight.thread = get_ident()
    inside = _inside.get()
    return _inside.set((*_unlanded(inside), flight) if inside else (flight,))


def _unlanded(flights: tuple[Flight, ...]) -> tuple[Flight, ...]:
    return tuple(flight for flight in flights if not flight.landed)


def _wait(flight: Flight) -> bool:
    """Wait for a flight to land; False says that it did not, or that one must not wait."""
    if flight.is_overdue:
        return False
    with _noted(flight) as is_circle:
        if is_circle or not waiting.may_wait(flight.thread):
            return False
        wait, wake = waiting.event()
        flight.wakers.append(wake)
        if not flight.landed:
            wait(PATIENCE)
        flight.is_overdue = not flight.landed
        return flight.landed


async def _wait_async(flight: Flight, loop: Any) -> bool:
    if flight.is_overdue or loop is None or flight.loop is not loop:
        # Another loop may wait for this one, or never run again.
        flight.is_overdue = flight.is_overdue or waiting.is_over(flight.loop)
        return False
    with _noted(flight) as is_circle:
        if is_circle:
            return False
        wait, wake = waiting.event_async(loop)
        flight.wakers.append(wake)
        if not flight.landed:
            await wait(PATIENCE)
        flight.is_overdue = not flight.landed
        return flight.landed


@contextlib.contextmanager
def _noted(flight: Flight) -> Iterator[bool]:
    """Note who waits for a flight, and say whether the wait would close a circle.

    First it is noted: of two who close one at the same time, at least one sees it.
    """
    inside = _inside.get()
    for context in waiting.spawners():
        inside += context.get(_inside, ())
    waiters = _unlanded(inside)
    for waiter in waiters:
        waiter.waits_for.append(flight)
    try:
        yield _is_circle(flight, waiters)
    finally:
        for waiter in waiters:
            waiter.waits_for.remove(flight)


def _is_circle(flight: Flight, waiters: tuple[Flight, ...]) -> bool:
    """Say whether a flight waits, maybe through others, for who is to wait for it; re-entry is the
    shortest case."""
    reached, seen = [flight], {flight}
    for one in reached:  # which grows
        if one in waiters:
            return True
        for other in list(one.waits_for):
            if other not in seen:
                seen.add(other)
                reached.append(other)
    return False


_all: weakref.WeakSet[Flights] = weakref.WeakSet()


def _forget_other_threads() -> None:
    # In the child of a fork those who worked for others do not exist.
    for flights in list(_all):
        flights.disown_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)
