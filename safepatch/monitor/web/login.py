"""The form where people log in."""

from __future__ import annotations

import hmac
import logging
from urllib.parse import urlsplit

import flask
from flask import Blueprint, request, session
from werkzeug.wrappers import Response

from safepatch.decorators import RateLimitExceeded
from safepatch.monitor.web import access, addresses, passwords
from safepatch.monitor.web.current import logins, settings

log = logging.getLogger(__name__)

blueprint = Blueprint("login", __name__)


def own_path(text: str) -> str:
    """A path of ours to go to after the login, "/" for anything else, above all other sites.

    A browser takes "//host" and "/\\host" for another host, and leaves out tabs and line ends.
    """
    parts = urlsplit(text)
    safe = text.startswith("/") and not text.startswith("//") and text.isprintable()
    return text if safe and "\\" not in text and not (parts.scheme or parts.netloc) else "/"


@blueprint.get("/login")
def form() -> Response | str:
    """Ask for name and password."""
    back = own_path(request.args.get("next", "/"))
    if access.may_see():
        return flask.redirect(back, 303)
    return flask.render_template("login.html", back=back, wrong="")


@blueprint.post("/login")
def enter() -> Response | tuple[str, int]:
    """Compare them, at most so often for each address, and for all that are not known."""
    back = own_path(request.form.get("next", "/"))
    client = addresses.client(request)
    try:
        logins().attempt(client, addresses.is_local(request) or logins().is_known(client))
    except RateLimitExceeded as error:
        return _again(back, f"Too many tries; wait {error.retry_after:.0f} seconds.", 429)
    if not _is_right(request.form.get("name", ""), request.form.get("password", "")):
        log.warning("a login failed, from %r", client)  # without the name, which may be a password
        return _again(back, "That is not the name and the password.", 403)
    session.clear()
    session["mark"] = access.mark(settings())
    session["login"] = logins().begin(client)
    session.permanent = True
    log.info("somebody logged in, from %r", client)
    return flask.redirect(back, 303)


def _is_right(name: str, password: str) -> bool:
    """Whether both are; a wrong name takes as long as a wrong password."""
    hashed = access.password_hash(settings())
    if not hashed or len(password) > 1000:
        return False
    known = hmac.compare_digest(name.encode(), settings().login.encode())
    with logins().hashing:
        return passwords.fits(hashed, password) and known


def _again(back: str, wrong: str, status: int) -> tuple[str, int]:
    return flask.render_template("login.html", back=back, wrong=wrong), status


@blueprint.post("/logout")
def leave() -> Response:
    """End the login, also for who has a copy of its cookie."""
    logins().end(str(session.get("login", "")))
    session.clear()
    return flask.redirect(flask.url_for("login.form"), 303)
