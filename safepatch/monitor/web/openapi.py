"""The OpenAPI document of the API, made of the structs that it answers with."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

import safepatch
from safepatch.monitor.web import answers

_REF = "#/components/schemas/{name}"


def _query(name: str, kind: str, told: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": told, "schema": {"type": kind, **more}}


_NAME = {**_query("name", "string", "The name of an endpoint."), "required": True}
_SINCE = _query("since", "number", "Seconds since 1970; a day before `until` otherwise.")
_UNTIL = _query("until", "number", "Seconds since 1970; now otherwise.")
_LIMIT = _query("limit", "integer", "At most so many.", minimum=1, maximum=1000)


def _path(name: str, told: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": "path", "required": True, "description": told, "schema": schema}


#: method, path, what it does, its parameters, and what it answers.
ROUTES: list[tuple[str, str, str, list[dict[str, Any]], type]] = [
    ("get", "/api/v1/status", "The monitor as a whole.", [], answers.StatusAnswer),
    (
        "get",
        "/api/v1/endpoints",
        "Endpoints, what is down first.",
        [
            _query(
                "state",
                "string",
                "Those in a state only.",
                enum=["down", "warning", "unknown", "new", "up", "muted"],
            ),
            _query("tag", "string", "Those with a tag only."),
            _query("q", "string", "Those with this text in name or address only."),
            _query("page", "integer", "The first is 1, the last is `pages`.", minimum=1),
            _query("per_page", "integer", "100 otherwise.", minimum=1, maximum=1000),
        ],
        answers.EndpointsAnswer,
    ),
    (
        "get",
        "/api/v1/endpoints/{name}",
        "One endpoint.",
        [_path("name", "Its name, percent-encoded.")],
        answers.DetailAnswer,
    ),
    (
        "get",
        "/api/v1/results",
        "The checks of an endpoint.",
        [_NAME, _SINCE, _UNTIL],
        answers.ResultsAnswer,
    ),
    (
        "get",
        "/api/v1/rollups",
        "The hours or days of an endpoint.",
        [_NAME, _SINCE, _UNTIL, _query("step", "string", "hour or day.", enum=["hour", "day"])],
        answers.RollupsAnswer,
    ),
    (
        "get",
        "/api/v1/incidents",
        "Incidents, the latest first.",
        [_query("open", "boolean", "Open ones only."), _LIMIT],
        answers.IncidentsAnswer,
    ),
    (
        "get",
        "/api/v1/incidents/{key}",
        "One incident.",
        [_path("key", "Its id.")],
        answers.IncidentAnswer,
    ),
    ("get", "/api/v1/alerts", "What was told, the latest first.", [_LIMIT], answers.AlertsAnswer),
    ("post", "/api/v1/recheck", "Check an endpoint now.", [_NAME], answers.DoneAnswer),
    (
        "post",
        "/api/v1/relearn",
        "Forget what is normal for an endpoint, and learn it again.",
        [_NAME],
        answers.DoneAnswer,
    ),
    (
        "post",
        "/api/v1/silence",
        "Alert nobody of an endpoint for some time; 0 ends that.",
        [_NAME, _query("seconds", "number", "3600 otherwise.", minimum=0, maximum=31_622_400)],
        answers.DoneAnswer,
    ),
]


@functools.cache
def document() -> dict[str, Any]:
    """The document, of OpenAPI 3.1."""
    kinds = [*{route[-1]: None for route in ROUTES}, answers.ErrorAnswer]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for method, path, told, parameters, answer in ROUTES:
        paths.setdefault(path, {})[method] = _operation(method, path, told, parameters, answer)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "safepatch monitor",
            "version": safepatch.__version__,
            "description": "Times are seconds since 1970, durations are seconds.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "login": {"type": "apiKey", "in": "cookie", "name": "safepatch_monitor"},
            },
        },
        "security": [{"token": []}, {"login": []}, {}],
    }


def _operation(
    method: str, path: str, told: str, parameters: list[dict[str, Any]], answer: type
) -> dict[str, Any]:
    words = [part.strip("{}") for part in path.split("/")[3:]]
    chosen = any(each["in"] == "query" for each in parameters)
    wrong = {"400": _answer("A parameter is wrong; `error` names what it may be.", "ErrorAnswer")}
    return {
        "operationId": "_".join([method, *words]),
        "summary": told,
        "parameters": parameters,
        "responses": {
            "200": _answer("As asked.", answer.__name__),
            **(wrong if chosen else {}),
            "default": _answer("What was wrong.", "ErrorAnswer"),
        },
    }


def _answer(told: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": _REF.format(name=schema)}
    return {"description": told, "content": {"application/json": {"schema": reference}}}
