"""What everybody may see: the status page, badges, and whether the monitor lives.

Nothing internal is on it: no addresses, no messages of checks, only names, descriptions and what
kind of trouble there is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import flask
import gevent
from flask import Blueprint, Response, request
from gevent.lock import BoundedSemaphore

from safepatch.decorators import ttl_cache
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import ERRORS
from safepatch.monitor.statuses import Status
from safepatch.monitor.web import access, badges, charts, reading
from safepatch.monitor.web.addresses import address_of
from safepatch.monitor.web.board import Board
from safepatch.monitor.web.current import NAME, board, monitor, settings
from safepatch.monitor.web.words import sentence

blueprint = Blueprint("public", __name__)

#: So many rows are on a page, and so many endpoints looked at between two pauses.
ROWS, SLICE = 50, 200

#: So many seconds a page is shown to all who ask for it.
KEPT = 5.0

_INSIDE = (
    *(".internal", ".intranet", ".lan", ".local", ".localdomain", ".localhost", ".home.arpa"),
    *(".corp", ".home", ".private"),
)
_PORT = re.compile(r"[a-z_-][a-z0-9_-]*:[0-9]+", re.IGNORECASE)


def is_public(endpoint: Endpoint) -> bool:
    """Whether the public may know of it: `public`, and no private host in what it is called."""
    return endpoint.options.public and not names_private_host(title(endpoint))


def title(endpoint: Endpoint) -> str:
    """What the public knows it by."""
    return endpoint.options.description or endpoint.name


def names_private_host(text: str) -> bool:
    """Whether a word of the text is, or has, a host that only insiders know."""
    return any(map(_is_private, text.split()))


def _is_private(word: str) -> bool:
    if (alone := _is_inside(word.strip("()[]{}<>,;.\"'"))) is not None:
        return alone
    try:
        parts = urlsplit(word if "://" in word else f"//{word}")
        host = parts.hostname or ""
    except ValueError:
        return True
    host = host.rstrip(".")
    if "://" in word and (parts.query or parts.username is not None):  # and perhaps a secret
        return True
    is_address = ("://" in word and parts.scheme != "beat") or _PORT.fullmatch(word)
    if is_address and "." not in host and ":" not in host:
        return True  # a name that only a network of ours resolves
    return host == "localhost" or host.endswith(_INSIDE) or bool(_is_inside(host))


def _is_inside(host: str) -> bool | None:
    """Whether an address is none of the internet's; None if it is no address."""
    address = address_of(host)
    return None if address is None else not address.is_global


def trouble(status: Status) -> str:
    """What the public is told of a failure: its kind, and nothing of what the check saw."""
    if status.state != "down":
        return ""
    hidden = status.error in ("private", "internal") or status.error not in ERRORS
    return "It does not work." if hidden else f"{sentence(ERRORS[status.error])}."


class Shown:
    """The public endpoints of a board, what is down first, the others as they were written."""

    def __init__(self, seen: Board, public: list[str]) -> None:
        down, new = set(seen.groups["down"]), set(seen.groups["new"])
        self.board = seen
        self.public = public
        self.names = [name for name in public if name in down]
        self.down = len(self.names)
        self.names += [name for name in public if name not in down]
        self.total = len(public)
        self.new = sum(1 for name in public if name in new)


def shown() -> Shown:
    """What the latest board has for the public; found out once for each board."""
    kept: Kept = flask.current_app.extensions[f"{NAME}.public"]
    with kept.showing:  # or all who come at once look at all endpoints
        last, seen = kept.shown, board()
        if last is not None and last.board is seen:
            return last
        plan = seen.words.plan
        if last is not None and last.board.words.plan is plan:
            public = last.public
        else:
            public = _public_names(plan.endpoints)
        kept.shown = Shown(seen, public)
        return kept.shown


def _public_names(endpoints: Mapping[str, Endpoint]) -> list[str]:
    found = []
    for number, (name, endpoint) in enumerate([*endpoints.items()], 1):
        if is_public(endpoint):
            found.append(name)
        if not number % SLICE:
            gevent.sleep(0)
    return found


def need_public() -> None:
    """Answer 404 where there is no public page."""
    if not settings().public_page and not access.may_see():
        flask.abort(404, "there is no public page here")


@blueprint.get("/status")
def status() -> Response:
    """The public page."""
    need_public()
    number = reading.page_of(shown().names, request.args.get("page", ""), ROWS).number
    if access.may_see():
        return Response(_page(number))
    answer = Response(flask.current_app.extensions[f"{NAME}.public"].page(number))
    answer.headers["Cache-Control"] = f"public, max-age={KEPT:.0f}"
    return answer


class Kept:
    """What was made for all that come within some seconds, since in an outage many do.

    One thing is made at a time: checks would have to wait for each of very many.
    """

    def __init__(self) -> None:
        self.shown: Shown | None = None
        self.showing, self.making = BoundedSemaphore(), BoundedSemaphore()
        self.page: Callable[[int], str] = ttl_cache(ttl=KEPT, maxsize=100)(self._make)

    def _make(self, number: int) -> str:
        with self.making:
            return _page(number)


def _page(number: int) -> str:
    seen, now = shown(), time.time()
    endpoints, statuses = monitor().plan.endpoints, monitor().statuses
    page = reading.page_of(seen.names, str(number), ROWS)
    return flask.render_template(
        "public.html",
        seen=seen,
        page=page,
        rows=[_row(endpoints[name], statuses.get(name) or reading.NEW, now) for name in page.items],
        incidents=_incidents(seen),
        blind=bool(monitor().blind),
    )


def _row(endpoint: Endpoint, status: Status, now: float) -> dict[str, Any]:
    gevent.sleep(0)  # its history takes most of a millisecond
    return {
        "title": title(endpoint),
        "status": status,
        "trouble": trouble(status),
        "days": charts.days(reading.days(endpoint.name, now), now),
        "uptime": reading.uptime(endpoint.name, 90 * 86400.0),
    }


def _incidents(seen: Shown) -> list[dict[str, Any]]:
    """Open ones and those of the last days, with public names alone; of an open one those that are
    down now, as many others may be up again."""
    names, endpoints = set(seen.names), monitor().plan.endpoints
    down = set(seen.names[: seen.down])
    told = []
    for each in reading.recent_incidents(50):
        known = [name for name in each["names"] if name in names]
        if not each["closed"]:
            known = [name for name in known if name in down] or known
        if known:
            told.append({**each, "titles": [title(endpoints[name]) for name in known]})
    return told[:10]


@blueprint.get("/badge/<path:name>.svg")
def badge(name: str) -> Response:
    """The state of a public endpoint, as a picture to put elsewhere; ?what=uptime its month."""
    need_public()
    endpoint = monitor().plan.endpoints.get(name)
    if endpoint is None or not is_public(endpoint):
        flask.abort(404, "there is no public endpoint of this name")
    if request.args.get("what") == "uptime":
        drawn = badges.uptime(reading.uptime(name, 30 * 86400.0))
    else:
        drawn = badges.state(title(endpoint), monitor().statuses.get(name) or reading.NEW)
    answer = Response(drawn, content_type="image/svg+xml; charset=utf-8")
    answer.headers["Cache-Control"] = "public, max-age=30"
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer


@blueprint.get("/healthz")
def healthz() -> Response:
    """Whether this process answers; for what restarts it."""
    return Response("ok\n", content_type="text/plain; charset=utf-8")
