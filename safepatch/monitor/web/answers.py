"""What the API answers; its OpenAPI document is made of the same structs."""

from __future__ import annotations

from typing import Any

import msgspec

from safepatch.monitor.plan import Endpoint
from safepatch.monitor.statuses import State, Status
from safepatch.monitor.web.words import discreet


class EndpointAnswer(msgspec.Struct):
    """An endpoint and its state; nothing of its options that may be secret."""

    name: str
    address: str
    kind: str
    state: State
    since: float
    checked: float
    failing: int
    error: str
    message: str
    muted: str
    flapping: bool
    incident: str
    warnings: tuple[str, ...]
    tags: tuple[str, ...]
    description: str
    public: bool
    interval: float
    phases: dict[str, float]


class DetailAnswer(msgspec.Struct):
    """One endpoint, and what was learned of it.

    `uptime` has shares of good checks, of 1, by how many seconds back they go.
    """

    endpoint: EndpointAnswer
    facts: dict[str, Any]
    uptime: dict[str, float | None]


class EndpointsAnswer(msgspec.Struct):
    """A page of endpoints, what is down first."""

    total: int
    page: int
    pages: int
    endpoints: list[EndpointAnswer]


class ResultAnswer(msgspec.Struct):
    """One check: when, in seconds since 1970, how long, and "" or one of the kinds of errors."""

    at: float
    seconds: float
    error: str


class ResultsAnswer(msgspec.Struct):
    """Checks of an endpoint, the oldest first."""

    name: str
    results: list[ResultAnswer]


class RollupsAnswer(msgspec.Struct):
    """Hours or days of an endpoint, the oldest first."""

    name: str
    step: str
    rollups: list[dict[str, Any]]


class IncidentsAnswer(msgspec.Struct):
    """Incidents, the latest first."""

    incidents: list[dict[str, Any]]


class IncidentAnswer(msgspec.Struct):
    """One incident."""

    incident: dict[str, Any]


class AlertsAnswer(msgspec.Struct):
    """What was told, the latest first."""

    alerts: list[dict[str, Any]]


class StatusAnswer(msgspec.Struct):
    """The monitor as a whole; `counts` are endpoints by state."""

    title: str
    total: int
    counts: dict[str, int]
    blind: str
    problems: list[str]
    started: float
    pace: dict[str, Any]
    dns: dict[str, Any]


class DoneAnswer(msgspec.Struct):
    """It is done."""

    done: str
    name: str


class ErrorAnswer(msgspec.Struct):
    """What was wrong."""

    error: str
    status: int


def of_endpoint(endpoint: Endpoint, status: Status) -> EndpointAnswer:
    """An endpoint as the API tells of it."""
    options = endpoint.options
    return EndpointAnswer(
        name=endpoint.name,
        address=discreet(endpoint.address),
        kind=endpoint.kind,
        state=status.state,
        since=status.since,
        checked=status.checked,
        failing=status.failing,
        error=status.error,
        message=discreet(status.message),
        muted=status.muted,
        flapping=status.flapping,
        incident=status.incident,
        warnings=tuple(map(discreet, status.warnings)),
        tags=options.tags,
        description=options.description,
        public=options.public,
        interval=options.interval,
        phases=status.result.phases if status.result else {},
    )
