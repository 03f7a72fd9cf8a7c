"""Taking a plan up: at the start, and again when the sources have changed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

import gevent

from safepatch.monitor.engine import afar
from safepatch.monitor.engine.taking import interval
from safepatch.monitor.plan import Plan
from safepatch.monitor.sources import PlanError

if TYPE_CHECKING:
    from safepatch.monitor.monitor import Monitor

logger = logging.getLogger("safepatch.monitor")
_SLICE = 500  # endpoints that are looked at in one go
_SOON = 0.02  # seconds; new endpoints are checked for the first time within so much for each


def begin(monitor: Monitor) -> None:
    """Take up the plan that was read, with all statuses as they were."""
    endpoints = monitor.plan.endpoints
    _watch(monitor, endpoints, within=_SOON * len(endpoints))
    _expect_beats(monitor)
    monitor.incidents.resume(monitor.wall())
    monitor.warned.resume(monitor.wall())
    _resume_restarts(monitor, [n for n, each in monitor.statuses.items() if each.state == "down"])
    _forget(monitor, monitor.kept.strangers(endpoints))


def reload(monitor: Monitor) -> bool:
    """Read the sources again, and take up what they say; see Monitor.reload."""
    with monitor.reloading:  # by a signal, while a change was seen
        try:
            plan = monitor.read()
        except PlanError as error:
            monitor.problems = error.problems
            for line in str(error).splitlines():  # a line each, as journals want them
                logger.error("the sources are wrong, and all goes on as before: %s", line.strip())
            monitor.feed.put(type="problems", problems=error.problems)
            return False
        if monitor.problems:
            monitor.problems = []
            monitor.feed.put(type="problems", problems=[])
        take_up(monitor, plan)
        return True


def take_up(monitor: Monitor, plan: Plan) -> None:
    """Go by another plan; what stays keeps its state, and its place on the grid."""
    before, monitor.plan = monitor.plan, plan
    added, changed = _differences(before, plan)
    gone = [name for name in before.endpoints if name not in plan.endpoints]
    _forget(monitor, gone)
    monitor.incidents.replan(monitor.wall())
    for name in changed:
        monitor.found.pop(name, None)  # which has what was said before
    _watch(monitor, changed, within=None)
    _watch(monitor, added, within=_SOON * len(added))
    afar.added(monitor, added)
    monitor.pool.concurrency = plan.settings.concurrency
    _expect_beats(monitor)
    monitor.pool.wake()
    monitor.alerts.start()
    _resume_restarts(monitor, [name for name in changed if name in monitor.down])
    logger.info("the sources were read again: %d endpoints, %d new, %d changed, %d gone",
                len(plan.endpoints), len(added), len(changed), len(gone))  # fmt: skip
    monitor.feed.put(type="plan", added=len(added), changed=len(changed), removed=len(gone))


def _watch(monitor: Monitor, names: Iterable[str], within: float | None) -> None:
    """Have endpoints checked, those without a verdict in the next `within` seconds; by workers,
    where there are any, but for heartbeats, which only this process hears."""
    now = monitor.clock()
    for number, name in enumerate(names, 1):
        endpoint = monitor.plan.endpoints[name]
        status = monitor.statuses.get(name)
        if status is None:
            status = monitor.statuses[name] = monitor.kept.load(name)
        if afar.is_afar(monitor, endpoint):
            monitor.schedule.remove(name)  # it may have been a heartbeat
            continue
        every = interval(endpoint)
        # On the grid they come within an interval anyhow.
        soon = None if within is None or within >= every or status.state != "new" else within
        monitor.schedule.add(name, every, now, soon)
        if not number % _SLICE:
            gevent.sleep(0)


def _differences(before: Plan, after: Plan) -> tuple[list[str], list[str]]:
    """What is new, and what was there and is said to be otherwise; where it is written is not."""
    same: dict[tuple[int, int], bool] = {}  # thousands have the same options
    added, changed = [], []
    for number, (name, new) in enumerate(after.endpoints.items(), 1):
        old = before.endpoints.get(name)
        if old is None:
            added.append(name)
            continue
        pair = id(old.options), id(new.options)
        if pair not in same:
            same[pair] = old.options == new.options
        if old.address != new.address or not same[pair]:
            changed.append(name)
        if not number % _SLICE:
            gevent.sleep(0)
    return added, changed


def _forget(monitor: Monitor, names: Iterable[str]) -> None:
    """What is not watched any more. Its history and what was learned grow old by themselves, in
    case that it was removed by mistake."""
    names = [*names]
    for name in names:
        monitor.schedule.remove(name)
        monitor.down.discard(name)
        monitor.found.pop(name, None)
    monitor.blindness.forget(names)
    for at in range(0, len(names), _SLICE):
        part = names[at : at + _SLICE]
        with monitor.store.transaction():
            monitor.incidents.forget(part)
            monitor.warned.forget(part)
            monitor.kept.forget(part)
            for name in part:
                monitor.silences.pop(name, None)
                monitor.beats.forget(name)
        for name in part:
            monitor.statuses.pop(name, None)


def _resume_restarts(monitor: Monitor, down: Iterable[str]) -> None:
    """Have what is down restarted, if it is to be."""
    for name in down:
        monitor.down.add(name)
        monitor.restarts.down(monitor.plan.endpoints[name], monitor.statuses[name], monitor.wall())


def _expect_beats(monitor: Monitor) -> None:
    """Wait for heartbeats from now on, if that was not so before."""
    beats = [name for name, each in monitor.plan.endpoints.items() if each.kind == "beat"]
    for at in range(0, len(beats), _SLICE):
        with monitor.store.transaction():
            for name in beats[at : at + _SLICE]:
                monitor.beats.expect(name, monitor.wall())
