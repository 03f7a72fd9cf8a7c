"""What runs the checks that are due: greenlets that live long, at most so many."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent import get_hub, getcurrent

from safepatch.monitor.engine.pace import Pace
from safepatch.monitor.engine.schedule import Entry, Schedule

logger = logging.getLogger("safepatch.monitor")
_SLICE = 0.004  # seconds that checks may be begun in one go, while all else waits
_STEP = 0.002  # seconds; what is due within them is begun together, which takes less time
_IN_A_ROW = 50  # checks that were late, after which others have a turn

#: Runs the check of a name; its interval, and after how many seconds it is to be looked at again,
#: None for at its interval.
Check = Callable[[str], tuple[float, float | None]]


class Pool:
    """Runs what is due, in as many greenlets as it takes, at most `concurrency`.

    A timer of the loop hands what is due to a greenlet that has nothing to do; one that is through
    takes what is late by itself, which costs no switch. For one hub; in it everything may be called
    from any greenlet.
    """

    def __init__(
        self,
        schedule: Schedule,
        check: Check,
        *,
        concurrency: int,
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.schedule, self.check, self.concurrency = schedule, check, concurrency
        self.pace, self.clock = pace, clock
        self._hub: Any = get_hub()
        self._timer: Any = None
        self._at: float | None = None  # when the timer is to go off
        self._idle: list[Any] = []
        self._workers: set[Any] = set()
        self._running = False
        self._row = 0

    def start(self) -> None:
        self._running = True
        self._arm()

    def stop(self, seconds: float = 5.0) -> None:
        """Begin nothing more, and give what is under way so many seconds to come to its end."""
        self._running = False
        self._disarm()
        idle, self._idle = self._idle, []
        gevent.killall(idle)
        gevent.joinall([*self._workers], timeout=seconds)
        gevent.killall([*self._workers])
        self._workers.clear()

    def wake(self) -> None:
        """To be called after something was put into the schedule that may be due before others."""
        if self._running and (self._idle or len(self._workers) < self.concurrency):
            due = self.schedule.next()
            if due is not None and (self._at is None or due < self._at):
                self._arm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = self._at = None

    def _arm(self) -> None:
        """Have the loop call `_dispatch` when something is due, unless there is nobody to do it."""
        self._disarm()
        if not (self._running and (self._idle or len(self._workers) < self.concurrency)):
            return
        due = self.schedule.next()
        if due is not None:
            self._at = due
            self._timer = self._hub.loop.timer(max(due - self.clock(), _STEP))
            self._timer.start(self._dispatch)

    def _dispatch(self) -> None:
        """Called by the loop: begins what is due."""
        try:
            until = self.clock() + _SLICE
            while self._idle or len(self._workers) < self.concurrency:
                now = self.clock()
                entry = self.schedule.take(now) if now < until else None
                if entry is None:
                    break
                self._hand(entry)
        except Exception:
            self._tell("what is due could not be begun")
        finally:
            self._arm()

    def _hand(self, entry: Entry) -> None:
        if self._idle:
            self._idle.pop().switch(entry)  # until it waits for something
            return
        worker = gevent.Greenlet(self._work, entry)
        self._workers.add(worker)
        worker.rawlink(self._workers.discard)
        worker.start()

    def _work(self, entry: Entry) -> None:
        while True:
            self._run(entry)
            if not self._running or len(self._workers) > self.concurrency:
                break
            taken = self.schedule.take(self.clock())
            entry = self._park() if taken is None else self._go_on(taken)
        self._workers.discard(getcurrent())
        self.wake()

    def _park(self) -> Entry:
        """Wait until there is something to do."""
        self._row = 0
        self._idle.append(getcurrent())
        self.wake()
        entry: Entry = self._hub.switch()
        return entry

    def _go_on(self, entry: Entry) -> Entry:
        """Take what is late; now and then, let others have a turn first."""
        self._row += 1
        if self._row > _IN_A_ROW:
            self._row = 0
            gevent.sleep(0)
        return entry

    def _run(self, entry: Entry) -> None:
        self.pace.begin(self.clock() - entry.due)
        interval, retry = entry.wait, None
        try:
            interval, retry = self.check(entry.name)
        except Exception:
            self._tell(f"the check of {entry.name!r} failed by a mistake of the monitor")
        finally:
            self.pace.done += 1
            self.schedule.done(entry.name, interval, self.clock(), retry)

    def _tell(self, what: str) -> None:
        """What goes wrong here is counted and logged, and all goes on."""
        self.pace.failures += 1
        logger.exception(what)
