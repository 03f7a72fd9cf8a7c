"""What a monitor does again and again, beside the checks; each in a greenlet of its own."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event as Flag

from safepatch.monitor.engine import afar, journal, taking
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.statuses import Event
from safepatch.store import FailedError

if TYPE_CHECKING:
    from safepatch.monitor.monitor import Monitor

logger = logging.getLogger("safepatch.monitor")
_SECOND = 1.0
_WRITTEN = 500  # statuses in one transaction
_TIDY = 60.0
_SELDOM = 6 * 3600.0
_MANY = 5000  # endpoints
_PATIENCE = 5.0  # seconds for a canary's answer


@contextlib.contextmanager
def running(monitor: Monitor) -> Iterator[None]:
    """Do all of it, until the end of the block."""
    stop = Flag()

    def reread() -> None:
        if monitor.watch.changed():
            monitor.reload()

    def second() -> float:
        return _SECOND

    works: list[tuple[Callable[[], float], Callable[[], object]]] = [
        (second, lambda: settle(monitor)),
        (second, lambda: look_at_pace(monitor)),
        (second, lambda: afar.look(monitor)),
        (second, lambda: monitor.history.flush(monitor.wall())),
        (second, reread),
        (lambda: 60.0, monitor.learned.save),
        (lambda: _SELDOM, lambda: unlearn(monitor)),
        (second, monitor.lookups.round),
        (monitor.blindness.canary_due, lambda: look_around(monitor)),
        (lambda: _TIDY, lambda: tidy(monitor)),
    ]
    greenlets = [gevent.spawn(_again_and_again, monitor, stop, *work) for work in works]
    try:
        yield
    finally:
        stop.set()
        gevent.joinall(greenlets[:5], timeout=5.0)
        gevent.killall(greenlets)
        settle(monitor)
        monitor.history.flush(monitor.wall())


def _again_and_again(
    monitor: Monitor, stop: Flag, seconds: Callable[[], float], work: Callable[[], object]
) -> None:
    """Wait, work, and so on; a mistake is counted and logged, and does not end it."""
    while not stop.wait(seconds()):
        try:
            work()
        except FailedError as error:  # of the history, or of all that is kept
            monitor.fail(error)
        except Exception:
            monitor.pace.failures += 1
            logger.exception("a mistake of the monitor; it goes on")


def tidy(monitor: Monitor) -> None:
    """Take what there is of many endpoints out of the sight of the garbage collector.

    It would look at a million objects that are no garbage, which takes most of a second, in which
    nothing is checked; of what came in the last minute it is done within some milliseconds.
    """
    if len(monitor.statuses) >= _MANY:
        gc.collect()
        gc.freeze()
        # What glibc keeps after a busy while; of 250 MB that is some 10. Others have no such call.
        getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: 0)(0)


def unlearn(monitor: Monitor) -> None:
    """Forget what was learned of endpoints that are not watched, and have no history any more."""
    monitor.learned.keep([*monitor.plan.endpoints, *monitor.history.names()])


def settle(monitor: Monitor) -> None:
    """Say what there is to be said, and write down what has changed, in one transaction; alerts
    are sent after that."""
    now = monitor.wall()
    with taking.transaction(monitor):
        events = monitor.blindness.events(now)
        monitor.blind = monitor.blindness.reason(now) or monitor.deaf
        events += monitor.incidents.settle(now, blind=bool(monitor.blind))
        if not monitor.blind:
            events += monitor.warned.settle(now)
        if events:
            monitor.alerts.put(events)
        dirty = [*monitor.kept.dirty][:_WRITTEN]
        for name in {*dirty, *(name for event in events for name in event.endpoints)}:
            if (status := monitor.statuses.get(name)) is not None:
                monitor.kept.write(name, status)
        monitor.kept.dirty.difference_update(dirty)
    journal.tell(monitor, events)


def look_around(monitor: Monitor) -> None:
    """Check the canaries, which say whether it is the monitor's own line that fails."""
    names = monitor.plan.settings.canaries
    if not names:
        return

    def check(name: str) -> None:
        endpoint = Endpoint(name, name, Options(timeout=_PATIENCE, learn=False))
        monitor.blindness.take(taking.checked(monitor, endpoint), monitor.wall())

    greenlets = [gevent.spawn(check, name) for name in names]
    try:
        gevent.joinall(greenlets)
    finally:
        gevent.killall(greenlets)


def look_at_pace(monitor: Monitor) -> None:
    """Look whether the checks keep up, and tell it once when they do not."""
    pace, settings = monitor.pace, monitor.plan.settings
    shortest = monitor.schedule.shortest()
    if not pace.look(monitor.schedule.late(monitor.clock()), shortest):
        return
    now, late = monitor.wall(), pace.lateness
    if pace.overloaded:
        text = (
            f"Checks begin {pace.behind:.0f} s after they were due, so each endpoint is checked "
            f"less often; {pace.per_second:.0f} checks a second, {pace.in_flight} of at most "
            f"{settings.concurrency} at the same time; watch less, less often, or by more processes"
        )
    else:
        text = f"Checks begin in time again, {late['median'] * 1e3:.0f} ms late in the median"
    title = "The monitor is overloaded" if pace.overloaded else "The monitor keeps up again"
    event = Event(
        id=f"pace-{now:.0f}", type="warning", at=now,
        severity="warning" if pace.overloaded else "info", title=title, text=text,
    )  # fmt: skip
    with monitor.store.transaction():
        monitor.alerts.put([event])
    journal.tell(monitor, [event])
