"""The JSON API, /api/v1; `openapi` describes it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import flask
import msgspec
from flask import Blueprint, Response, request

from safepatch.monitor.web import answers, openapi, reading
from safepatch.monitor.web.board import GROUPS
from safepatch.monitor.web.current import board, endpoint, monitor, settings

blueprint = Blueprint("api", __name__)

#: The most rows on a page, and the most results or rollups in an answer.
MOST, MOST_RESULTS = 1000, 20_000

#: What endpoints are chosen by, and how long nobody is alerted of one at most, in seconds.
STATES = (*GROUPS, "muted")
LONGEST = 366 * 86400.0

encode = msgspec.json.Encoder().encode


def _json(answer: Any) -> Response:
    return Response(encode(answer), content_type="application/json")


@blueprint.get("/api/openapi.json")
def document() -> Response:
    """What there is."""
    return _json(openapi.document())


@blueprint.get("/api/v1/status")
def status() -> Response:
    """The monitor as a whole."""
    now = monitor()
    seen = board()
    return _json(
        answers.StatusAnswer(
            title=settings().title,
            total=seen.total,
            counts=seen.counts,
            blind=now.blind,
            problems=reading.problems(),
            started=now.started,
            pace=reading.pace(),
            dns=reading.dns(),
        )
    )


@blueprint.get("/api/v1/endpoints")
def endpoints() -> Response:
    """A page of them."""
    seen = board()
    tag, text = (request.args.get(key, "")[:200] for key in ("tag", "q"))
    names = seen.select(_one_of("state", "", STATES), tag, text)
    size = _whole("per_page", 100, 1, MOST)
    number = _whole("page", 1, 1, max(1, -(-len(names) // size)))
    page = reading.page_of(names, str(number), size)
    statuses, known, plan = monitor().statuses, monitor().found, seen.words.plan
    told = [
        answers.of_endpoint(
            known.get(name) or plan.endpoints[name], statuses.get(name) or reading.NEW
        )
        for name in page.items
    ]
    return _json(answers.EndpointsAnswer(page.total, page.number, page.pages, told))


@blueprint.get("/api/v1/endpoints/<path:name>")
def one(name: str) -> Response:
    """One of them."""
    found, status = endpoint(name)
    uptime = {str(seconds): reading.uptime(name, seconds) for seconds in (86400, 2592000, 31536000)}
    told = answers.of_endpoint(found, status)
    return _json(answers.DetailAnswer(told, reading.facts(found, status), uptime))


@blueprint.get("/api/v1/results")
def results() -> Response:
    """Checks of ?name= in ?since= ... ?until=."""
    found, _ = endpoint(request.args.get("name", ""))
    since, until = _span(86400.0)
    raw = monitor().history.raw(found.name, since, until)[-MOST_RESULTS:]
    told = [answers.ResultAnswer(at, seconds, error) for at, seconds, error in raw]
    return _json(answers.ResultsAnswer(found.name, told))


@blueprint.get("/api/v1/rollups")
def rollups() -> Response:
    """Hours or days of ?name=."""
    found, _ = endpoint(request.args.get("name", ""))
    step = _one_of("step", "hour", ("hour", "day"))
    since, until = _span(30 * 86400.0)
    rows = list(monitor().history.rollups(found.name, since, until, step))[-MOST_RESULTS:]
    return _json(answers.RollupsAnswer(found.name, step, rows))


@blueprint.get("/api/v1/incidents")
def incidents() -> Response:
    """The latest, or those that are open."""
    count = _whole("limit", 100, 1, MOST)
    if _one_of("open", "", ("true", "false", "1", "0")) in ("true", "1"):
        return _json(answers.IncidentsAnswer(reading.open_incidents()[:count]))
    return _json(answers.IncidentsAnswer(reading.recent_incidents(count)))


@blueprint.get("/api/v1/incidents/<key>")
def incident(key: str) -> Response:
    """One of them."""
    found = reading.incident(key)
    if found is None:
        flask.abort(404, "there is no incident of this id")
    return _json(answers.IncidentAnswer(found))


@blueprint.get("/api/v1/alerts")
def alerts() -> Response:
    """The latest."""
    return _json(answers.AlertsAnswer(reading.alerts(_whole("limit", 100, 1, MOST))))


@blueprint.post("/api/v1/recheck")
def recheck() -> Response:
    """Check it now."""
    name = _named()
    monitor().recheck(name)
    return _json(answers.DoneAnswer("recheck", name))


@blueprint.post("/api/v1/relearn")
def relearn() -> Response:
    """Forget what is normal."""
    name = _named()
    monitor().relearn(name)
    return _json(answers.DoneAnswer("relearn", name))


@blueprint.post("/api/v1/silence")
def silence() -> Response:
    """Alert nobody of it for ?seconds=."""
    name = _named()
    monitor().silence(name, _number("seconds", 3600.0, 0.0, LONGEST))
    return _json(answers.DoneAnswer("silence", name))


def _named() -> str:
    return endpoint(str(_given().get("name", "")))[0].name


def _given() -> dict[str, Any]:
    """What was given in the URL, a form or as JSON."""
    if request.is_json:
        try:
            given = request.get_json()
        except RecursionError:
            flask.abort(400, "that JSON is too deep")
        return given if isinstance(given, dict) else {}
    return request.values.to_dict()


def _number(name: str, otherwise: float, least: float, most: float) -> float:
    text = str(_given().get(name, otherwise))
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        flask.abort(400, f"{name} is a number from {least:g} to {most:g}, not {text[:50]!r}")
    return number


def _whole(name: str, otherwise: int, least: int, most: int) -> int:
    text = str(_given().get(name, "")) or str(otherwise)
    if not text.isdecimal() or len(text) > 9 or not least <= int(text) <= most:
        flask.abort(400, f"{name} is a whole number from {least} to {most}, not {text[:50]!r}")
    return int(text)


def _one_of(name: str, otherwise: str, words: Sequence[str]) -> str:
    text = request.args.get(name) or otherwise
    if text not in (otherwise, *words):
        flask.abort(400, f"{name} is one of {', '.join(words)}, not {text[:50]!r}")
    return text


def _span(seconds: float) -> tuple[float, float]:
    until = _number("until", time.time(), 0, 1e11)
    return _number("since", max(0.0, until - seconds), 0, until), until
