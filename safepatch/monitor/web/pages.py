"""The pages for those who look after the endpoints."""

from __future__ import annotations

import time
from typing import Any

import flask
from flask import Blueprint, request

from safepatch.monitor.plan import Endpoint
from safepatch.monitor.web import charts, reading
from safepatch.monitor.web.current import board, endpoint, monitor

blueprint = Blueprint("pages", __name__)

#: Results: when, how many seconds, and "" or the kind of error.
Raw = list[tuple[float, float, str]]

#: So many rows are on a page.
ROWS = 100

#: range -> its seconds, and of which rollups its chart is made; "" is of the results themselves.
RANGES = {
    "day": (86400.0, ""),
    "month": (30 * 86400.0, "hour"),
    "year": (365 * 86400.0, "day"),
}


@blueprint.get("/")
def overview() -> str:
    """All endpoints, what is down first; ?state= ?tag= ?q= ?page= choose."""
    seen = board()
    chosen = {key: request.args.get(key, "")[:200].strip() for key in ("state", "tag", "q")}
    names = seen.select(chosen["state"], chosen["tag"], chosen["q"])
    page = reading.page_of(names, request.args.get("page", ""), ROWS)
    statuses, endpoints = monitor().statuses, seen.words.plan.endpoints
    return flask.render_template(
        "overview.html",
        board=seen,
        chosen=chosen,
        page=page,
        rows=[(endpoints[name], statuses.get(name) or reading.NEW) for name in page.items],
        tags=seen.words.some_tags,
    )


@blueprint.get("/endpoint")
def one() -> str:
    """The page of ?name=."""
    found, status = endpoint(request.args.get("name", ""))
    span = request.args.get("range", "day")
    span = span if span in RANGES else "day"
    now = time.time()
    raw = monitor().history.raw(found.name, now - 86400, now + 1)
    days = reading.days(found.name, now)
    return flask.render_template(
        "endpoint.html",
        endpoint=found,
        status=status,
        span=span,
        ranges=RANGES,
        chart=_chart(found, raw, span, now),
        days=charts.days(days, now),
        uptimes=[
            (label, reading.uptime(found.name, seconds))
            for label, seconds in (("24 hours", 86400), ("30 days", 2592000), ("year", 31536000))
        ],
        recent=raw[-12:][::-1],
        failure=reading.last_failure(raw, days),
        facts=reading.facts(found, status),
        reports_to=monitor().beat_url(found.name) if found.kind == "beat" else "",
        incidents=reading.incidents_of(found.name, status.incident, 10),
        restarts=reading.restarts_of(found.name, 10),
    )


def _chart(found: Endpoint, raw: Raw, span: str, now: float) -> Any:
    seconds, step = RANGES[span]
    since = now - seconds
    if step:
        size = 3600.0 if step == "hour" else 86400.0
        rows = monitor().history.rollups(found.name, since, now, step)
        return charts.latency(charts.points_of_rollups(rows, size), since, now, gap=3 * size)
    if raw:  # a monitor that has just begun is not to show an empty day
        since = max(since, min(raw[0][0], now - 600))
    gap = max(3 * found.options.interval, (now - since) / 80)
    return charts.latency(charts.points_of_raw(raw, since, now), since, now, gap)


@blueprint.get("/incidents")
def incidents() -> str:
    """Those that are open, and the latest others."""
    return flask.render_template(
        "incidents.html", open=reading.open_incidents(), recent=reading.recent_incidents(100)
    )


@blueprint.get("/incidents/<key>")
def incident(key: str) -> str:
    """One of them, and who is down in it, or was."""
    found = reading.incident(key)
    if found is None:
        flask.abort(404, "there is no incident of this id")
    names = (not found["closed"] and monitor().incidents.members(key)) or found["names"]
    return flask.render_template("incident.html", incident=found, names=names[:200])


@blueprint.get("/alerts")
def alerts() -> str:
    """What was told to whom, the latest first."""
    return flask.render_template(
        "alerts.html", alerts=reading.alerts(100), channels=reading.alert_stats()
    )


@blueprint.get("/pace")
def pace() -> str:
    """How the monitor itself keeps up."""
    return flask.render_template("pace.html", pace=reading.pace(), dns=reading.dns())
