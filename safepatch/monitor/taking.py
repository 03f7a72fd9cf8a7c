"""What becomes of a result: history, what was learned, the verdict, and whom that concerns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from safepatch.monitor import detecting, verdicts, windows
from safepatch.monitor.lookups import host_of
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.statuses import Status
from safepatch.store import FailedError

if TYPE_CHECKING:
    from safepatch.monitor.monitor import Monitor


def checked(monitor: Monitor, endpoint: Endpoint) -> Result:
    """Check an endpoint; where it has no kind, that is found out first."""
    if endpoint.kind:
        return monitor.check(endpoint, monitor.tools)
    known = monitor.found.get(endpoint.name)
    if known is None and (address := monitor.learned.address(endpoint.name)):
        known = _found(monitor, endpoint, address)
    if known is not None:
        return monitor.check(known, monitor.tools)
    detected, result = detecting.detect(endpoint, monitor.tools)
    if result.ok and detected.kind:
        monitor.learned.found(endpoint.name, detected.address)
        _found(monitor, endpoint, detected.address)
    return result


def _found(monitor: Monitor, endpoint: Endpoint, address: str) -> Endpoint:
    known = Endpoint(endpoint.name, address, endpoint.options, endpoint.where)
    monitor.found[endpoint.name] = known
    return known


def take(monitor: Monitor, endpoint: Endpoint, result: Result) -> tuple[float, float | None]:
    """Take a result; see Monitor.take. Without a change it is quick, and nothing is written."""
    now, name, options = monitor.wall(), endpoint.name, endpoint.options
    status = monitor.statuses[name]
    before, warned, muted = status.state, status.warnings, status.muted
    monitor.history.add(name, result.at, result.phases.get("total", 0.0), result.error)
    monitor.blindness.take(result, now)
    if not result.error:
        if options.learn and (warnings := monitor.learned.take(endpoint, result)):
            result.warnings += warnings
        monitor.incidents.seen(name, result.facts.get("address", ""))
    if monitor.lookups.warnings and (message := monitor.lookups.warnings.get(host_of(endpoint))):
        result.warnings += (f"DNS: {message}",)
    change = verdicts.step(status, result, options, now, blind=bool(monitor.blind))
    if not muted.startswith("depends on "):  # which incidents know
        status.muted = why_muted(monitor, endpoint, now)
    if change or status.warnings != warned or status.muted != muted or status.state != before:
        changed(monitor, endpoint, status, result, change, now)
    if result.error and verdicts.wants_fresh_dns(status, result, options):
        monitor.tools.resolving.again(host_of(monitor.found.get(name, endpoint)))
    return options.interval, verdicts.due(status, options, blind=bool(monitor.blind))


def why_muted(monitor: Monitor, endpoint: Endpoint, now: float) -> str:
    """Why nobody is to be told of an endpoint, other than that it depends on one that is down."""
    if why := windows.muted(endpoint, monitor.plan, now):
        return why
    silence = dict.get(monitor.silences, endpoint.name)
    if silence and (until := silence["until"]) > now:
        return f"silenced until {time.strftime('%H:%M', time.localtime(until))}"
    return ""


def changed(
    monitor: Monitor, endpoint: Endpoint, status: Status, result: Result, change: str, now: float
) -> None:
    """Write what has changed, in one transaction, and then tell of it.

    What nobody is alerted of, a first good result or what is muted, is written within a second.
    """
    if change in ("", "first"):
        monitor.kept.dirty.add(endpoint.name)
    else:
        write(monitor, endpoint, status, result, change, now)
    monitor.feed.put(type="status", name=endpoint.name, change=change, **shown(status))


def write(
    monitor: Monitor, endpoint: Endpoint, status: Status, result: Result, change: str, now: float
) -> None:
    try:
        with monitor.store.transaction():
            monitor.incidents.take(endpoint, status, result, change, now)
            monitor.kept.write(endpoint.name, status)
    except FailedError as error:
        monitor.fail(error)
        raise


def shown(status: Status) -> dict[str, Any]:
    """What is told of a status live."""
    return {
        "state": status.state, "since": status.since, "checked": status.checked,
        "error": status.error, "message": status.message, "muted": status.muted,
        "flapping": status.flapping, "warnings": [*status.warnings], "incident": status.incident,
    }  # fmt: skip


def looked_up(monitor: Monitor, host: str, message: str) -> None:
    """DNS was asked for a host, past all caches; see Lookups."""
    if message:
        monitor.feed.put(type="dns", host=host, message=message)


def silence(monitor: Monitor, name: str, seconds: float) -> None:
    """Have nobody told of an endpoint for some seconds; 0 ends that. Raises KeyError."""
    endpoint, now = monitor.plan.endpoints[name], monitor.wall()
    with monitor.store.transaction():
        if seconds > 0:
            monitor.silences[name] = {"until": now + seconds}
        else:
            monitor.silences.pop(name, None)
    status = monitor.statuses[name]
    if not status.muted.startswith("depends on "):
        status.muted = why_muted(monitor, endpoint, now)
    monitor.kept.dirty.add(name)
    monitor.feed.put(type="status", name=name, change="", **shown(status))
