"""Where cron jobs and the like report that they are well: /beat/KEY/NAME."""

from __future__ import annotations

from collections.abc import Callable

import flask
from flask import Blueprint, request

from safepatch.decorators import RateLimitExceeded, rate_limit
from safepatch.monitor.web import addresses
from safepatch.monitor.web.current import monitor

blueprint = Blueprint("beats", __name__)

#: What else is said, is cut off.
LONGEST = 1000


_GOOD = frozenset({"ok", "up", "success"})
_BAD = frozenset({"fail", "failed", "failure", "down", "error"})


@blueprint.route("/beat/<key>/<path:name>", methods=["GET", "POST"])
def beat(key: str, name: str) -> tuple[str, int, dict[str, str]]:
    """Take a report: it is well, unless ?status=fail says otherwise, and ?msg= or the body, why."""
    try:
        flask.current_app.extensions["safepatch.monitor.beats"](addresses.client(request))
    except RateLimitExceeded as error:
        return _told(f"too often; wait {error.retry_after:.0f} seconds", 429)
    status = request.values.get("status", "ok")
    if status not in _GOOD | _BAD:  # what failed is not to pass as well, for a word that we lack
        return _told(f"status is ok or fail, not {status[:50]!r}", 400)
    ok = status in _GOOD
    if monitor().beat(key, name, ok, _message()):
        return _told("ok", 200)
    return _told("there is no heartbeat of this name with this key", 404)


def _message() -> str:
    given = request.values.get("msg") or request.get_data(as_text=True)
    return given[:LONGEST]


def _told(text: str, status: int) -> tuple[str, int, dict[str, str]]:
    return f"{text}\n", status, {"Content-Type": "text/plain; charset=utf-8"}


def limit() -> Callable[[str], None]:
    """Let 500 reports of an address through at once, and then 50 a second."""
    return rate_limit(_nothing, rate=50, burst=500, on_limit="raise", key=str)


def _nothing(client: str) -> None:
    pass
