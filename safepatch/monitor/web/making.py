"""Put the application together."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Any, cast
from urllib.parse import urlencode

import flask
import gevent
from flask import Flask, request
from werkzeug.exceptions import BadRequest, HTTPException, RequestTimeout
from werkzeug.wrappers import Response

from safepatch.monitor.results import ERRORS
from safepatch.monitor.web import (
    access,
    actions,
    answers,
    api,
    beats,
    charts,
    live,
    login,
    metrics,
    pages,
    public,
    reading,
    statics,
    words,
)
from safepatch.monitor.web.board import Boards
from safepatch.monitor.web.current import NAME, monitor, settings
from safepatch.monitor.web.logins import Logins

log = logging.getLogger(__name__)

#: Seconds for the body of a request to arrive.
PATIENCE = 20.0

BLUEPRINTS = (actions, api, beats, live, login, metrics, pages, public, statics)

_FILTERS = (
    "ago", "clip", "day", "discreet", "duration", "fact", "iso", "many", "number", "percent",
    "sentence", "took", "when",
)  # fmt: skip


def make(monitor: Any) -> Flask:
    """The pages of a monitor, as a Flask application."""
    app = application()
    attach(app, monitor)
    return app


def application() -> Flask:
    """All pages, of no monitor yet."""
    app = Flask("safepatch.monitor.web", static_folder=None)
    app.url_map.merge_slashes = False  # Names are URLs.
    app.before_request(_receive)
    access.protect(app)
    for module in BLUEPRINTS:
        app.register_blueprint(module.blueprint)
    app.register_error_handler(HTTPException, _tell)
    app.register_error_handler(Exception, _fail)
    _prepare_templates(app)
    return app


def attach(app: Flask, monitor: Any) -> None:
    """Have the pages be about a monitor."""
    app.secret_key = key_of(monitor)
    app.extensions[NAME] = monitor
    boards = app.extensions[f"{NAME}.boards"] = Boards(monitor)
    app.extensions[f"{NAME}.live"] = live.Live(monitor, boards)
    app.extensions[f"{NAME}.logins"] = Logins(getattr(monitor, "store", None))
    app.extensions[f"{NAME}.beats"] = beats.limit()
    app.extensions[f"{NAME}.public"] = public.Kept()


def key_of(monitor: Any) -> str:
    """What cookies are signed with: kept in the state, so that logins outlive a restart."""
    store = getattr(monitor, "store", None)
    if store is None:
        return secrets.token_hex(32)
    with store.transaction():
        kept = store.root["secrets"]
        if "web" not in kept:
            kept["web"] = {"key": secrets.token_hex(32)}
        return str(kept["web"]["key"])


def _receive() -> None:
    """Wait for the body, which is small, before anything is done with the request."""
    try:
        with gevent.Timeout(PATIENCE, TimeoutError()):
            request.get_data(parse_form_data=True)
            request.form, request.args  # noqa: B018
    except (TimeoutError, ConnectionError) as error:
        raise RequestTimeout("the request did not arrive") from error
    except UnicodeDecodeError as error:
        raise BadRequest("the address has bytes that are no UTF-8") from error


def _prepare_templates(app: Flask) -> None:
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    for name in _FILTERS:
        app.jinja_env.filters[name] = getattr(words, name)
    app.jinja_env.globals.update(static_file=statics.address, csrf=access.csrf)
    app.context_processor(_for_all_pages)


def _for_all_pages() -> dict[str, Any]:
    return {
        "settings": settings(),
        "monitor": monitor(),
        "may_see": access.may_see(),
        "now": time.time(),
        "again": _again,
        "errors": ERRORS,
        "phases": charts.phases,
        "problems": reading.problems,
    }


def _again(**changed: Any) -> str:
    """The address of this page, with other values of what chooses."""
    kept = {**request.args.to_dict(), **changed}
    values = {f"{key}": value for key, value in kept.items() if value not in (None, "")}
    return f"{request.path}?{urlencode(values)}" if values else request.path


def _tell(error: HTTPException) -> Response | tuple[str, int]:
    """An error as a page, or as JSON to programs."""
    status = error.code or 500
    if error.response is not None:  # a redirect
        return cast(Response, error.response)
    told = error.description or error.name
    if access.is_for_programs() or request.blueprint == "beats":
        body = api.encode(answers.ErrorAnswer(told, status))
        answer = flask.Response(body, status, content_type="application/json")
        if status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    return flask.render_template("error.html", status=status, name=error.name, told=told), status


def _fail(error: Exception) -> Response | tuple[str, int]:
    """A mistake of ours: it goes to the log, and nothing of it to the page."""
    log.error("cannot answer %r", words.keyless(request.path)[:200], exc_info=error)
    internal = HTTPException("the monitor failed to answer; its log says why")
    internal.code = 500
    return _tell(internal)
