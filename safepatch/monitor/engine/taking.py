"""What becomes of a result: history, what was learned, the verdict, and whom that concerns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from safepatch.monitor.alerts import messages
from safepatch.monitor.checks import detecting
from safepatch.monitor.engine import journal
from safepatch.monitor.names.lookups import host_of
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.statuses import Event, Status
from safepatch.monitor.verdicts import verdicts, windows
from safepatch.store import FailedError

if TYPE_CHECKING:
    from safepatch.monitor.monitor import Monitor


_BEAT = 30.0  # seconds
_FEW = 20_000  # endpoints, of which the last good result is kept; 20 MB more for 50,000
_NOTHING: dict[str, Any] = {}


def checked(monitor: Monitor, endpoint: Endpoint) -> Result:
    """Check an endpoint; where it has no kind, that is found out first."""
    if endpoint.kind:
        return monitor.check(endpoint, monitor.tools)
    as_known = known(monitor, endpoint)
    if as_known is not None:
        return monitor.check(as_known, monitor.tools)
    detected, result = detecting.detect(endpoint, monitor.tools)
    if result.ok and detected.kind:
        found(monitor, endpoint, detected.address)
    return result


def known(monitor: Monitor, endpoint: Endpoint) -> Endpoint | None:
    """An endpoint with the kind that was found out for it; None where it is to be found out."""
    if endpoint.kind:
        return endpoint
    found_before = monitor.found.get(endpoint.name)
    if found_before is None and (
        address := monitor.learned.address(endpoint.name, endpoint.address)
    ):
        return _found(monitor, endpoint, address)
    return found_before


def found(monitor: Monitor, endpoint: Endpoint, address: str) -> None:
    """Note what an endpoint without a kind turned out to be."""
    monitor.learned.found(endpoint.name, address, endpoint.address)
    _found(monitor, endpoint, address)


def _found(monitor: Monitor, endpoint: Endpoint, address: str) -> Endpoint:
    known = Endpoint(endpoint.name, address, endpoint.options, endpoint.where)
    monitor.found[endpoint.name] = known
    return known


def take(monitor: Monitor, endpoint: Endpoint, result: Result) -> tuple[float, float | None]:
    """Take a result; see Monitor.take. Without a change it is quick, and nothing is written."""
    now, name, options = monitor.wall(), endpoint.name, endpoint.options
    status = monitor.statuses.get(name)
    if status is None:  # it comes with a plan that is being taken up, or has gone with the last
        return interval(endpoint), None
    before, warned, muted = status.state, status.warnings, status.muted
    blindness = monitor.blindness
    blindness.take(result, now)
    blind = blindness.covers(result)
    error = "blind" if blind and result.error else result.error
    if not (status.state == "new" and verdicts.is_awaited(result)):  # of which nothing is known
        monitor.history.add(name, result.at, result.phases.get("total", 0.0), error)
    if result.error == "internal":
        result.warnings += (f"cannot be checked: {result.message}",)
    if not result.error:
        if options.learn and (warnings := monitor.learned.take(endpoint, result)):
            result.warnings += warnings
        monitor.incidents.seen(name, result.facts.get("address", ""))
    if monitor.lookups.warnings and (message := monitor.lookups.warnings.get(host_of(endpoint))):
        result.warnings += (message,)
    change = verdicts.step(status, result, options, now, blind, blindness.seeing_since)
    if not muted.startswith("depends on "):  # which incidents know
        status.muted = why_muted(monitor, endpoint, now)
    if status.warnings != warned:
        monitor.warned.note(name, now)
    if change or status.warnings != warned or status.muted != muted or status.state != before:
        changed(monitor, endpoint, status, result, change, now)
    if result.error:
        _doubted(monitor, endpoint, status, result)
    elif len(monitor.statuses) < _FEW:
        result.facts = _expiry(result.facts)  # what was learned has all else, in less memory
    else:
        status.result = None
    every = interval(endpoint)
    return every, min(every, verdicts.due(status, options, blind))


def _expiry(facts: dict[str, Any]) -> dict[str, Any]:
    """Of the facts of a good check, when the certificate ends, which metrics tell."""
    certificate = facts.get("certificate")
    return {"certificate": {"expires": certificate.get("expires")}} if certificate else _NOTHING


def _doubted(monitor: Monitor, endpoint: Endpoint, status: Status, result: Result) -> None:
    """After a failure: look closer before the next check."""
    if verdicts.wants_fresh_dns(status, result, endpoint.options):
        monitor.tools.resolving.again(host_of(monitor.found.get(endpoint.name, endpoint)))
    for other in monitor.blindness.doubts(result):
        monitor.recheck(other)


def interval(endpoint: Endpoint) -> float:
    """How often it is looked at. A heartbeat that did not come is missed soon after its time,
    however seldom it comes."""
    every = endpoint.options.interval
    return min(every, _BEAT) if endpoint.kind == "beat" else every


def why_muted(monitor: Monitor, endpoint: Endpoint, now: float) -> str:
    """Why nobody is to be told of an endpoint, other than that it depends on one that is down."""
    if why := windows.muted(endpoint, monitor.plan, now):
        return why
    silence = dict.get(monitor.silences, endpoint.name)
    if silence and (until := silence["until"]) > now:
        return f"silenced until {messages.clock(until, now)}"
    return ""


def changed(
    monitor: Monitor, endpoint: Endpoint, status: Status, result: Result, change: str, now: float
) -> None:
    """Write what has changed, in one transaction, and then tell of it.

    What nobody is alerted of, a first good result or what is muted, is written within a second.
    """
    journal.note(endpoint.name, status, change)
    monitor.kept.dirty.add(endpoint.name)  # also for where the transaction below fails
    # Before the disk is waited for, in which time the endpoint may be removed.
    if status.state == "down":
        monitor.down.add(endpoint.name)
        monitor.restarts.down(endpoint, status, now)
    elif endpoint.name in monitor.down:
        monitor.down.discard(endpoint.name)
        monitor.restarts.up(endpoint, status, now)
    if change not in ("", "first"):
        write(monitor, endpoint, status, result, change, now)
    monitor.feed.put(type="status", name=endpoint.name, change=change, **shown(status))


def write(
    monitor: Monitor, endpoint: Endpoint, status: Status, result: Result, change: str, now: float
) -> None:
    """Write a verdict that has changed."""
    with transaction(monitor):
        monitor.incidents.take(endpoint, status, result, change, now)
        monitor.kept.write(endpoint.name, status)


@contextlib.contextmanager
def transaction(monitor: Monitor) -> Iterator[None]:
    """A transaction of what incidents and others do. Where the disk fails, the monitor ends; where
    they do, they go on from what is stored."""
    try:
        with monitor.store.transaction():
            yield
    except FailedError as error:
        monitor.fail(error)
        raise
    except Exception:
        monitor.recall()
        raise


def shown(status: Status) -> dict[str, Any]:
    """What is told of a status live."""
    return {
        "state": status.state, "since": status.since, "checked": status.checked,
        "error": status.error, "message": status.message, "muted": status.muted,
        "flapping": status.flapping, "warnings": [*status.warnings], "incident": status.incident,
    }  # fmt: skip


def restarted(monitor: Monitor, events: Iterable[Event]) -> None:
    """What restarts have to tell, within a transaction of theirs."""
    events = [*events]
    monitor.alerts.put(events)
    journal.tell(monitor, events)


def looked_up(monitor: Monitor, host: str, message: str) -> None:
    """DNS was asked for a host, past all caches; see Lookups."""
    monitor.blindness.look(host, not message, monitor.wall())
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
