"""What the buttons do."""

from __future__ import annotations

import flask
from flask import Blueprint, request
from werkzeug.wrappers import Response

from safepatch.monitor.web.current import endpoint, monitor
from safepatch.monitor.web.words import duration

blueprint = Blueprint("actions", __name__)


@blueprint.post("/recheck")
def recheck() -> Response:
    """Check it now."""
    name = _name()
    monitor().recheck(name)
    return _back(name, "It is checked as soon as there is room.")


@blueprint.post("/relearn")
def relearn() -> Response:
    """Forget what is normal for it."""
    name = _name()
    monitor().relearn(name)
    return _back(name, "What is normal is learned anew from the next good checks.")


@blueprint.post("/silence")
def silence() -> Response:
    """Alert nobody of it for some time."""
    name, given = _name(), request.form.get("seconds", "")
    seconds = int(given) if given.isdecimal() and len(given) < 9 else 0
    monitor().silence(name, float(seconds))
    told = f"Nobody is alerted of it for {duration(seconds)}." if seconds else "Alerts are on."
    return _back(name, told)


def _name() -> str:
    return endpoint(request.form.get("name", ""))[0].name


def _back(name: str, told: str) -> Response:
    flask.flash(told)
    return flask.redirect(flask.url_for("pages.one", name=name), 303)
