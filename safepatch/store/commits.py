"""Group commit: what waits for the disk goes to it together.

One batch is under way at a time, and what comes meanwhile is the next one: so the time that the
disk takes decides how many share a write, and nobody waits for a timer. Whoever comes first writes.
Under gevent the loop does, and the kernel syncs; or a thread does both, so that the loop goes on.
That begins when the loop has nothing else to do: those that are on their way would come right after
it, and take a write of their own.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from safepatch.decorators import waiting
from safepatch.decorators.locks import give_lock
from safepatch.decorators.threads import get_ident
from safepatch.store import syncing
from safepatch.store.errors import ClosedError, FailedError, StoreError
from safepatch.store.threads import (
    Crowd,
    Worker,
    current,
    latch,
    native,
    pause,
    raise_later,
    when_idle,
)

T = TypeVar("T")
# How to wait and to wake, for each hub of gevent, and for threads without one.
Event = tuple[Callable[[float], object], Callable[[], object]]
Events = dict[Any, Event]
# Of an engine; see there.
Begin = Callable[[Any, list[Any], syncing.Then], bool]
_LONG, _MOMENT = 3600.0, 0.001  # seconds; who waits looks again then


class Commits(Generic[T]):
    """Transactions on their way to the disk.

    `append` gives a ticket, and `wait` returns when all up to it is on disk. Safe in threads and
    greenlets. When a write fails, all that wait for it and all that come later get FailedError.
    """

    def __init__(
        self, write: Callable[[list[T]], None], rest: Callable[[], None] = lambda: None
    ) -> None:
        self.write, self.rest = write, rest  # which a hand-over replaces
        self.begin: Begin | None = None
        self.appended = self.durable = 0  # tickets
        self.batches = 0
        self.failure: BaseException | None = None
        self.closed = False
        self.inline = False  # whether no loop is to go on meanwhile
        self.lock: Any
        give_lock(self)
        self._next: list[T] = []
        self._under_way = 0  # the last ticket of the batch that is being written
        self._busy = False
        self._leader: Any = None  # the thread or greenlet that is just about to see to that
        self._now_events: Events = {}
        self._next_events: Events = {}
        self._worker: Worker | None = None  # who writes under gevent
        self._idle: Any = None  # the hub that is to have nothing else to do before
        # The batch under way, and the hub that tells when it is on disk.
        self._sync: tuple[Any, list[T]] | None = None

    def need_working(self) -> None:
        """Raise FailedError if a write has failed."""
        if self.failure is not None:
            raise FailedError(
                f"the store stopped, because a write failed with {self.failure!r}; see to the "
                "cause, and start again from what is on disk"
            ) from self.failure

    def need_not_amid_write(self) -> None:
        """Raise StoreError in what has come amid the write here, such as a signal's handler."""
        if self._busy and self._leader == current():
            raise StoreError(
                "cannot wait for the disk amid the write that would be waited for, as in the "
                "handler of a signal; raise an exception there, and go on where it is caught"
            )

    def append(self, transaction: T) -> int:
        """Put a transaction into the next batch; its ticket.

        For who holds a lock that keeps others from the same: the store's, or of images this one's.
        """
        if self.failure is not None:
            self.need_working()
        if self.closed:
            raise ClosedError("cannot commit: the store was closed meanwhile")
        # Neither Ctrl-C nor another thread comes in from the look at `closed` to here, for there is
        # no call of a function.
        self.appended += 1
        self._next.append(transaction)
        return self.appended

    def wait(self, ticket: int) -> None:
        """Return when a transaction and all before it are on disk; write them, if nobody does."""
        here = waiting.hub()
        while self.durable < ticket:
            events = self._next_events if ticket > self._under_way else self._now_events
            # Greenlets that wait are woken by their loop, not before this one is among them, so
            # that it needs no lock to join them.
            others = events.get(here)
            wait = others[0] if others is not None else self._lead_or_join(here, ticket)
            if wait is not None:
                wait(_LONG)

    def wait_out(self, ticket: int) -> None:
        """The same; and a timeout or Ctrl-C passes on when it is over, written or failed."""
        first: BaseException | None = None
        while self.durable < ticket and (first is None or self.failure is None):
            try:
                self.wait(ticket)
            except BaseException as error:
                first = first or error
        if first is not None:
            raise first

    def _lead_or_join(self, here: Any, ticket: int) -> Callable[[float], object] | None:
        """Write a batch, or have it written, if nobody does; how to wait, if there is something."""
        if here is not None and self.begin is not None and not self.inline:
            syncing.prepare(here)
        lead = False
        try:
            with self.lock:
                self.need_working()
                if self.durable >= ticket:
                    return None
                inline = here is None or self.inline
                if self._is_stuck(here):
                    self._busy, self._idle = False, None
                if self._sync is not None and (self._sync[0] is not here or inline):
                    return functools.partial(self._help, inline)
                self.need_not_amid_write()
                lead, self._busy = not self._busy, True
                if lead:
                    self._leader = current()
                    self._idle = None if inline else here
                wait = None if lead and inline else self._join(here, ticket)
            if wait is None:
                self._write_next()
            elif lead:
                when_idle(here, functools.partial(self._write_beside, here))
                self._leader = None
        except BaseException as error:
            # Such as Ctrl-C, just before it wrote: all others would wait for it for ever.
            if lead:
                self._leader = None
                self.stop(error)
            raise
        return wait

    def _is_stuck(self, here: Any) -> bool:
        """Say whether a loop that is to write may never: destroyed, or blocked until this goes on.

        Others than the main thread's write at once.
        """
        loop = None if self._idle is None else self._idle.loop
        return self._idle is not None and (
            loop is None or (self._idle is not here and bool(loop.default))
        )

    def _help(self, inline: bool, seconds: float) -> None:
        """Wait for a moment, and see whether what another loop has begun is over."""
        if inline:
            native("time", "sleep")(_MOMENT)
        else:
            pause(_MOMENT)
        syncing.look()

    def _write_beside(self, here: Any) -> None:
        """Have a batch written while the loop goes on, by the kernel or by a thread."""
        try:
            with self.lock:
                if self._idle is not here:
                    return  # somebody has taken it over
                self._idle = None
                batch = self._take()
                if here.loop is not None and here.loop.default:
                    self._sync = here, batch
            if self._sync is None or not self._begin(here, batch):
                self._in_thread(functools.partial(self._write, batch))
        except BaseException as error:
            self.stop(error)
            if not isinstance(error, Exception):
                raise

    def _begin(self, here: Any, batch: list[T]) -> bool:
        """Have a batch written by the loop, and synced by the kernel, if they can."""
        begin, begun = self.begin, False
        woken: list[Event] = []
        try:
            synced = functools.partial(self._synced, batch, woken)
            begun = begin is not None and syncing.may_begin() and begin(here, batch, synced)
        except Exception:
            raise
        except BaseException as error:  # Ctrl-C, before it was begun
            raise_later(here, error)
        if not begun:
            self._sync = None
        return begun

    def _synced(self, batch: list[T], woken: list[Event], error: BaseException | None) -> None:
        """End the batch under way; to be called again if it raises, for Ctrl-C."""
        try:
            with self.lock:
                if self._sync is not None and self._sync[1] is batch:
                    self._end_batch(error, woken)
        except BaseException as failure:
            self.stop(failure)
            raise
        self._go_on(woken, error)

    def _in_thread(self, work: Callable[[], object]) -> None:
        try:
            self._worker = self._worker or Worker()
        except RuntimeError:  # Python 3.12 begins no thread when the program is ending
            work()
        else:
            self._worker.do(work)

    def _join(self, here: Any, ticket: int) -> Callable[[float], object]:
        """How to wait for the batch in which a ticket is; under the lock."""
        events = self._next_events if ticket > self._under_way else self._now_events
        key = get_ident() if here is None else here
        if key not in events:
            crowd = None if here is None else Crowd(here)
            events[key] = latch() if crowd is None else (crowd.wait, crowd.wake)
        return events[key][0]

    def _write_next(self) -> None:
        self._write(self._take())

    def _take(self) -> list[T]:
        """The next batch, which is under way from now on."""
        with self.lock:
            batch = self._next.copy()
            taken = len(batch)
            del self._next[:taken]  # for somebody may have appended meanwhile
            self._under_way += taken
            self._now_events, self._next_events = self._next_events, {}
        return batch

    def _write(self, batch: list[T]) -> None:
        failure: BaseException | None = None
        try:
            self.write(batch)
        except BaseException as error:  # not even a KeyboardInterrupt leaves it as if written
            failure = error
        woken: list[Event] = []
        self._end_batch(failure, woken)
        self._go_on(woken, failure)

    def _end_batch(self, failure: BaseException | None, woken: list[Event]) -> None:
        """Say what became of the batch under way; add who is to be woken."""
        with self.lock:
            # One of those that wait for the next batch is to write it.
            woken += [*self._now_events.values(), *self._next_events.values()]
            self._now_events, self._next_events = {}, {}
            if failure is None:
                self.durable = self._under_way
                self.batches += 1
            else:
                self.failure = failure
            self._busy, self._sync, self._leader = False, None, None

    def _go_on(self, woken: list[Event], failure: BaseException | None) -> None:
        _wake(woken)
        if failure is None and not (self._busy or self._next):
            try:
                self.rest()
            except Exception as error:
                self.failure = error
        elif failure is not None and not isinstance(failure, Exception):
            raise failure

    def stop(self, failure: BaseException) -> None:
        """Accept nothing more, as after a write that failed; what is being written may fail too."""
        with self.lock:
            self.failure = self.failure or failure
            woken = [*self._now_events.values(), *self._next_events.values()]
            self._now_events, self._next_events = {}, {}
        _wake(woken)

    def forget(self) -> None:
        """In the child of a fork: write nothing, whatever its copies of greenlets are about to."""
        self.failure = ClosedError("it belongs to the process that was forked")
        self._idle = self._sync = None

    def close(self) -> None:
        """Take nothing more, and have all on disk that was taken. Raises FailedError."""
        with self.lock:
            self.closed = True
        try:
            self.wait(self.appended)
        finally:
            self.end()

    def end(self) -> None:
        """Let go of the thread, if there is one, when it is done."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None


def _wake(woken: list[Event]) -> None:
    """Wake all, and take them out of the list."""
    while woken:
        # ValueError: of a loop that was destroyed, in which nobody waits. The other one: woken
        # before, and then came Ctrl-C.
        with contextlib.suppress(ValueError, RuntimeError):
            woken[-1][1]()
        woken.pop()
