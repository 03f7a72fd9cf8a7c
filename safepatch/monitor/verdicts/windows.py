"""Maintenance windows: when nobody is to be alerted."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from safepatch.monitor.plan import Endpoint, Plan, Window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 86400.0
_LONG = 60.0  # seconds; what is active is worked out anew then, or earlier where it changes


class _Active(NamedTuple):
    """What is active for a while; of a plan's windows, so that a reload is noticed."""

    windows: Mapping[str, Window]
    since: float
    until: float
    active: list[tuple[str, frozenset[str] | None]]  # endpoints and tags of each; None for all


_last = _Active({}, 0.0, 0.0, [])


def muted(endpoint: Endpoint, plan: Plan, now: float) -> str:
    """Why nobody is to be told of an endpoint: "maintenance NAME", or "".

    A window is for an endpoint that has it in `maintenance`, and for those that it names, or a tag
    of theirs. One that names none, and that none has in `maintenance`, is for all that have nothing
    there. `now` is in seconds since 1970. Half a microsecond when no window is active.
    """
    if not plan.windows:
        return ""
    for name, among in _active(plan, now):
        if _is_for(name, among, endpoint):
            return f"maintenance {name}"
    return ""


def _active(plan: Plan, now: float) -> list[tuple[str, frozenset[str] | None]]:
    global _last
    windows = plan.windows
    if _last.windows is not windows or not _last.since <= now < _last.until:
        active = [
            (name, _among(name, window, plan))
            for name, window in windows.items()
            if any(begin <= now < end for begin, end in spans(window, now))
        ]
        _last = _Active(windows, now, min(now + _LONG, next_change(windows, now)), active)
    return _last.active


def _among(name: str, window: Window, plan: Plan) -> frozenset[str] | None:
    """The endpoints and tags that it names, or None if it is for all."""
    if window.endpoints:
        return frozenset(window.endpoints)
    # `maintenance = "w"` of one endpoint must not silence all the others.
    named = any(name in each.options.maintenance for each in plan.endpoints.values())
    return frozenset() if named else None


def _is_for(name: str, among: frozenset[str] | None, endpoint: Endpoint) -> bool:
    options = endpoint.options
    if name in options.maintenance:
        return True
    if among is None:
        return not options.maintenance
    return endpoint.name in among or any(f"#{tag}" in among for tag in options.tags)


def next_change(windows: Mapping[str, Window], now: float) -> float:
    """When the next window begins or ends, within a day or so; infinity if none does."""
    edges = (edge for window in windows.values() for span in spans(window, now) for edge in span)
    return min((edge for edge in edges if edge > now), default=float("inf"))


def spans(window: Window, now: float) -> Iterator[tuple[float, float]]:
    """From when until when a window is active, all that touch a day from now on.

    It begins at `at` of the local clock, and takes `seconds`, also where the clock is changed
    meanwhile. A time that the clock leaves out is as much later, and one that comes twice is the
    first.
    """
    zone = _zone(window.zone)
    if window.start or window.end:
        yield (
            _moment(window.start, zone) if window.start else 0.0,
            _moment(window.end, zone) if window.end else float("inf"),
        )
        return
    begins = time.fromisoformat(window.at or "00:00")
    today = datetime.fromtimestamp(now, zone).date()
    for offset in range(-1 - int(window.seconds // _DAY), 2):
        day = today + timedelta(days=offset)
        if not window.days or DAYS[day.weekday()] in window.days:
            begin = _local(day, begins, zone)
            yield begin, begin + window.seconds


def _local(day: date, begins: time, zone: ZoneInfo) -> float:
    return datetime.combine(day, begins, tzinfo=zone).timestamp()


@functools.lru_cache(256)
def _moment(text: str, zone: ZoneInfo) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()


@functools.lru_cache(256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def problem(window: Window) -> str:
    """What is wrong with a window, for whoever reads it from a file; "" if nothing is."""
    try:
        zone = _zone(window.zone)
    except (KeyError, ValueError, OSError):
        return f"zone: there is no timezone {window.zone!r}; give a name such as 'Europe/Vienna'"
    for key in ("start", "end"):
        try:
            if text := getattr(window, key):
                _moment(text, zone)
        except ValueError:
            return f"{key}: {text!r} is no time; write it as '2026-12-24T18:00'"
    try:
        time.fromisoformat(window.at or "00:00")
    except ValueError:
        return f"at: {window.at!r} is no time of the day; write it as '02:00'"
    return _contradiction(window, zone)


def _contradiction(window: Window, zone: ZoneInfo) -> str:
    unknown = [day for day in window.days if day not in DAYS]
    if unknown:
        return f"days: {unknown[0]!r} is no day; give some of {', '.join(DAYS)}"
    if (window.start or window.end) and (window.at or window.days):
        return "start and end are for once, days and at for again and again; give one of them"
    if not (window.start or window.end or window.at):
        return "at: a window needs a time to begin, 'at', or 'start' and 'end'"
    if window.start and window.end and _moment(window.start, zone) >= _moment(window.end, zone):
        return f"end: {window.end!r} is not after the start, {window.start!r}"
    return "" if window.seconds > 0 else f"seconds: {window.seconds!r} is no length of time"
