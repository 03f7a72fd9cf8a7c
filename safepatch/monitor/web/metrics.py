"""/metrics, for Prometheus: all endpoints, in slices, so that checks go on meanwhile.

Samples of one name have to stand together, so there is a walk over all endpoints for each name.
It is written here rather than with prometheus_client, which makes the whole text in one go; its
parser reads it in the tests.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
from flask import Blueprint, Response, stream_with_context

from safepatch.monitor.plan import Endpoint
from safepatch.monitor.statuses import Status
from safepatch.monitor.web.current import board, monitor

blueprint = Blueprint("metrics", __name__)

#: So many endpoints are written between two pauses, which takes about 2 ms.
SLICE = 100

Each = Callable[[str, Endpoint, Status], str]

_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_SPECIAL = re.compile(r'[\\"\n]').search


def label(text: str) -> str:
    """A label's value, between quotes."""
    return f'"{text.translate(_ESCAPED)}"' if _SPECIAL(text) else f'"{text}"'


@blueprint.get("/metrics")
def metrics() -> Response:
    """All of it, in the text format 0.0.4."""
    return Response(
        stream_with_context(text(monitor(), board().counts, lambda: gevent.sleep(0))),
        content_type="text/plain; version=0.0.4; charset=utf-8",
    )


def text(monitor: Any, counts: dict[str, int], pause: Callable[[], Any]) -> Iterator[str]:
    """The lines, some at a time; `pause` is called in between."""
    yield "".join([*_process(monitor, counts), *_channels(monitor.alerts.stats())])
    endpoints, found, statuses = monitor.plan.endpoints, monitor.found, monitor.statuses
    names = tuple(endpoints)
    for name, kind, told, each in ENDPOINTS:
        yield _head(name, kind, told)
        for at in range(0, len(names), SLICE):
            yield "".join(
                each(name, found.get(key) or endpoints[key], statuses[key])
                for key in names[at : at + SLICE]
                if key in statuses
            )
            pause()


def _head(name: str, kind: str, told: str) -> str:
    return f"# HELP {name} {told}\n# TYPE {name} {kind}\n"


def _up(name: str, endpoint: Endpoint, status: Status) -> str:
    if status.state not in ("up", "down"):
        return ""
    kind = endpoint.kind or "unknown"
    value = 1 if status.state == "up" else 0
    return f'{name}{{endpoint={label(endpoint.name)},kind="{kind}"}} {value}\n'


def _muted(name: str, endpoint: Endpoint, status: Status) -> str:
    return f"{name}{{endpoint={label(endpoint.name)}}} 1\n" if status.muted else ""


def _warnings(name: str, endpoint: Endpoint, status: Status) -> str:
    if not status.warnings:
        return ""
    return f"{name}{{endpoint={label(endpoint.name)}}} {len(status.warnings)}\n"


def _checked(name: str, endpoint: Endpoint, status: Status) -> str:
    if not status.checked:
        return ""
    return f"{name}{{endpoint={label(endpoint.name)}}} {status.checked!r}\n"


def _phases(name: str, endpoint: Endpoint, status: Status) -> str:
    if status.result is None:
        return ""
    begin = f"{name}{{endpoint={label(endpoint.name)},phase="
    return "".join(
        [f'{begin}"{phase}"}} {seconds!r}\n' for phase, seconds in status.result.phases.items()]
    )


def _expires(name: str, endpoint: Endpoint, status: Status) -> str:
    facts = status.result.facts if status.result else {}
    expires = (facts.get("certificate") or {}).get("expires")
    if not isinstance(expires, int | float):
        return ""
    return f"{name}{{endpoint={label(endpoint.name)}}} {expires!r}\n"


#: name, type, help, and what writes an endpoint's samples.
ENDPOINTS: list[tuple[str, str, str, Each]] = [
    ("safepatch_endpoint_up", "gauge", "Whether the endpoint is up, by the verdict.", _up),
    ("safepatch_endpoint_muted", "gauge", "1 while nobody is alerted of it.", _muted),
    (
        "safepatch_endpoint_warnings",
        "gauge",
        "How many warnings it has; none if it is not there.",
        _warnings,
    ),
    (
        "safepatch_endpoint_checked_timestamp_seconds",
        "gauge",
        "When it was checked last.",
        _checked,
    ),
    (
        "safepatch_endpoint_phase_seconds",
        "gauge",
        "How long the phases of its last check took, and all of it (total).",
        _phases,
    ),
    (
        "safepatch_endpoint_certificate_expires_timestamp_seconds",
        "gauge",
        "When its certificate expires.",
        _expires,
    ),
]


def _process(monitor: Any, counts: dict[str, int]) -> Iterable[str]:
    """Samples of the monitor as a whole."""
    pace = monitor.pace
    yield _head("safepatch_monitor_endpoints", "gauge", "Endpoints by state.")
    for state, count in counts.items():
        yield f'safepatch_monitor_endpoints{{state="{state}"}} {count}\n'
    yield _head(
        "safepatch_monitor_lateness_seconds", "gauge", "How late checks began, last minute."
    )
    for kind, seconds in pace.lateness.items():
        yield f'safepatch_monitor_lateness_seconds{{of="{kind}"}} {seconds!r}\n'
    yield from _one("checks_total", "counter", "Checks that were begun.", pace.checks)
    yield from _one("checks_per_second", "gauge", "Over the last minute.", pace.per_second)
    yield from _one("checks_in_flight", "gauge", "Checks under way.", pace.in_flight)
    yield from _one("overloaded", "gauge", "Whether it cannot keep up.", int(pace.overloaded))
    yield from _one("blind", "gauge", "Whether it cannot tell.", int(bool(monitor.blind)))
    yield from _one("problems", "gauge", "What is wrong in the sources.", len(monitor.problems))
    yield from _one("open_incidents", "gauge", "Incidents.", len(monitor.incidents.open()))
    yield from _one("uptime_seconds", "gauge", "Since it began.", time.time() - monitor.started)
    for key, value in monitor.tools.resolving.stats().items():
        if isinstance(value, int | float):
            yield from _one(f"dns_{key}", "gauge", "Of the cache of names.", value)


def _channels(stats: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Whether anybody would be told: that cannot be alerted of by a channel that is dead."""
    yield _head("safepatch_channel_waiting", "gauge", "Alerts that wait to be sent.")
    for name, each in stats.items():
        yield f"safepatch_channel_waiting{{channel={label(name)}}} {each['waiting']}\n"
    since = "safepatch_channel_failing_since_timestamp_seconds"
    yield _head(since, "gauge", "Since when it takes nothing; none if it is not there.")
    for name, each in stats.items():
        if each["failing_since"]:
            yield f"{since}{{channel={label(name)}}} {each['failing_since']!r}\n"


def _one(name: str, kind: str, told: str, value: float) -> Iterable[str]:
    name = f"safepatch_monitor_{name}"
    yield _head(name, kind, told)
    yield f"{name} {float(value)!r}\n"
