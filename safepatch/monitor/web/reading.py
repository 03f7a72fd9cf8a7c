"""What pages and answers are made of, read from the monitor as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from safepatch.monitor.plan import Endpoint
from safepatch.monitor.statuses import Status
from safepatch.monitor.web.charts import UNKNOWN
from safepatch.monitor.web.current import monitor, plain
from safepatch.monitor.web.words import discreet

NEW = Status()


class Page(NamedTuple):
    """Some of many: the items of page `number` of `pages`, the first being 1, of `total`."""

    items: Sequence[Any]
    number: int
    pages: int
    total: int
    first: int


def page_of(items: Sequence[Any], asked: str, size: int) -> Page:
    """The page that was asked for, or the nearest that there is."""
    pages = max(1, -(-len(items) // size))
    number = min(max(1, int(asked)), pages) if asked.isdecimal() and len(asked) < 9 else 1
    first = (number - 1) * size
    return Page(items[first : first + size], number, pages, len(items), first)


def days(name: str, now: float, count: int = 90) -> list[dict[str, Any]]:
    """The rollups of the last days, today's last."""
    since = (now // 86400 - count + 1) * 86400
    return list(monitor().history.rollups(name, since, now, "day"))


def last_failure(
    raw: Sequence[tuple[float, float, str]], days: Sequence[dict[str, Any]]
) -> tuple[float, str] | None:
    """When a check failed last, and how; of results of a day, or else the day it was on and ""."""
    for at, _, error in reversed(raw):
        if error and error not in UNKNOWN:
            return at, error
    return next(((day["at"], "") for day in reversed(days) if day["failed"]), None)


def uptime(name: str, seconds: float) -> float | None:
    """The share of good checks, of 1, in the last so many seconds; None if nothing is known."""
    percent = monitor().history.uptime(name, seconds)
    return None if percent is None else float(percent / 100)


def facts(endpoint: Endpoint, status: Status) -> dict[str, Any]:
    """What was learned of it, or else seen last; without passwords in URLs."""
    found = dict(monitor().learned.facts(endpoint.name) or {})
    return {str(key): _discreet(value) for key, value in found.items()}


def _discreet(value: Any) -> Any:
    if isinstance(value, str):
        return discreet(value)
    if isinstance(value, dict):
        return {str(key): _discreet(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_discreet(each) for each in value]
    return value


def open_incidents() -> list[dict[str, Any]]:
    """The latest first."""
    return [plain(each) for each in monitor().incidents.open()]


def recent_incidents(count: int) -> list[dict[str, Any]]:
    """The latest first, whether they are over or not."""
    return [plain(each) for each in monitor().incidents.recent(count)]


def incident(key: str) -> dict[str, Any] | None:
    """One, by its id."""
    found = monitor().incidents.get(key)
    return None if found is None else plain(found)


def incidents_of(name: str, current: str, count: int) -> list[dict[str, Any]]:
    """The latest with that endpoint, before all the one that it is in now (its id, or "").

    An incident has the names of those that came to it first, so that of large ones that are over
    not all are found.
    """
    found = [each for each in recent_incidents(200) if name in each["names"]]
    now = incident(current) if current else None
    others = [each for each in found if each["id"] != current]
    return [*([now] if now else []), *others][:count]


def alerts(count: int) -> list[dict[str, Any]]:
    """What was told, the latest first."""
    return [plain(each) for each in monitor().alerts.recent(count)]


def alert_stats() -> dict[str, Any]:
    """How delivery goes, by channel."""
    return dict(monitor().alerts.stats())


def restarts_of(name: str, count: int) -> list[dict[str, Any]]:
    """What was done to bring it back, the latest first."""
    done = map(plain, monitor().restarts.recent(200))
    return [each for each in done if each.get("endpoint") == name][:count]


def dns() -> dict[str, Any]:
    """What the cache of names has done."""
    return dict(monitor().tools.resolving.stats())


def pace() -> dict[str, Any]:
    """How checks keep up."""
    return dict(monitor().pace.figures())


def problems() -> list[str]:
    """What is wrong in the sources, as text."""
    return [
        ": ".join(map(str, each)) if isinstance(each, tuple | list) else str(each)
        for each in monitor().problems
    ]
