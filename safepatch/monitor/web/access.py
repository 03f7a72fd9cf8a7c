"""Who may see what, and do what: logins, tokens, and where a request comes from.

Without a login, only who sits at the machine sees more than the public page. Reasons are in
docs/decisions/monitor-web.md.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets

import flask
from flask import Flask, request, session
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized
from werkzeug.wrappers import Response

from safepatch.monitor.plan import Settings
from safepatch.monitor.web import addresses, passwords
from safepatch.monitor.web.current import logins, settings
from safepatch.monitor.web.logins import LASTS

log = logging.getLogger(__name__)

_HIDDEN = "safepatch.monitor.hidden_proxy"

#: Blueprints that answer everybody.
OPEN = {"beats", "login", "public", "statics"}

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; manifest-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class UnsafeError(ValueError):
    """The pages are not to be served like this; `setting` is what is wrong."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


def need_safe(settings: Settings) -> None:
    """Raise UnsafeError where anybody could come in, or nobody."""
    if settings.login:
        hashed = os.environ.get(settings.password_hash_env, "")
        if not settings.password_hash_env or not hashed:
            raise UnsafeError(
                "password_hash_env",
                f"login = {settings.login!r} has no password: password_hash_env = "
                f"{settings.password_hash_env!r}, and no such environment variable; make a hash "
                "with `safepatch monitor password`, and put it there",
            )
        if not passwords.is_hash(hashed):
            raise UnsafeError(
                "password_hash_env",
                f"what the environment variable {settings.password_hash_env!r} has is no hash of a "
                "password; make one with `safepatch monitor password`",
            )
    elif not addresses.listens_on_loopback(settings):
        raise UnsafeError(
            "login",
            f"listen = {settings.listen!r} is reached from other machines, and there is no login; "
            "set login and password_hash_env, or listen on 127.0.0.1",
        )


def password_hash(settings: Settings) -> str:
    """The hash of the password, "" if there is none."""
    return os.environ.get(settings.password_hash_env, "") if settings.login else ""


def has_token(settings: Settings) -> bool:
    """Whether the request has one of the tokens; how many letters fit cannot be told from time."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not settings.tokens_env:
        return False
    tokens = os.environ.get(settings.tokens_env, "").split()
    wanted = _digest(given.strip())
    return any(hmac.compare_digest(wanted, _digest(token)) for token in tokens)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def mark(settings: Settings) -> str:
    """What each login has to fit; it changes with the password, which ends all logins."""
    told = f"{settings.login}\n{password_hash(settings)}".encode()
    key = str(flask.current_app.secret_key).encode()
    return hmac.new(key, told, hashlib.sha256).hexdigest()[:32]


def logged_in(settings: Settings) -> bool:
    """Whether the request comes from a browser that logged in."""
    if not password_hash(settings):
        return False
    fits = hmac.compare_digest(str(session.get("mark", "")), mark(settings))
    return fits and logins().holds(str(session.get("login", "")))


def may_see() -> bool:
    """Whether the request may see more than what is public."""
    now = settings()
    if _is_for_the_machine(now) and addresses.is_local(request) and not _hidden_proxy():
        return True
    return logged_in(now) or has_token(now)


def _is_for_the_machine(now: Settings) -> bool:
    """Whether who sits at the machine needs no login."""
    return not now.login and addresses.listens_on_loopback(now)


def _hidden_proxy() -> str:
    """What gave away that others come by a proxy that cannot be told from this machine."""
    return str(flask.current_app.extensions.get(_HIDDEN, ""))


def notice_proxy() -> None:
    """From the first request on that gives away such a proxy, let nobody in without a login."""
    if not _is_for_the_machine(settings()) or _hidden_proxy():
        return
    if found := addresses.hidden_proxy(request):
        flask.current_app.extensions[_HIDDEN] = found
        log.warning(
            "there is a proxy in front of the pages that sends no X-Forwarded-For, so that who "
            "comes by it cannot be told from who sits at the machine: there was %s; until the "
            "monitor is started again nobody sees more than the public page; set login and "
            "password_hash_env in [monitor], or have the proxy send that header",
            found,
        )


def csrf() -> str:
    """What forms carry, so that only our own pages can send them."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(16)
    return str(session["csrf"])


class _Cookies(SecureCookieSessionInterface):
    """Has cookies sent by https alone where people come by that; not to who sits here.

    By the request, and not by what is set for all of them, of which several are under way at once.
    """

    def get_cookie_secure(self, app: Flask) -> bool:
        return settings().url.startswith("https:") and not addresses.is_local(request)


def check_host() -> None:
    """Answer 400 to what was meant for another host."""
    if not addresses.is_for_us(request, settings()):
        raise BadRequest(
            "this monitor listens on loopback, and does not go by that name; "
            "set url in [monitor] to the address at which people reach it"
        )


def check_access() -> Response | None:
    """Answer 401 or 403, or lead to the login, where something is not for everybody."""
    if request.blueprint in OPEN or may_see():
        return None
    if is_for_programs():
        if "Authorization" not in request.headers:
            raise Unauthorized("give a token (Authorization: Bearer ...), or log in")
        raise Unauthorized("this is none of the tokens; tokens_env in [monitor] names them")
    if _is_for_the_machine(settings()) and _hidden_proxy():
        raise Forbidden(
            "there is no login, and a proxy in front that sends no X-Forwarded-For, so that nobody "
            "can be told from who sits at the machine; set login and password_hash_env in "
            "[monitor], or have the proxy send that header, and start the monitor again"
        )
    if not settings().login:
        raise Forbidden(
            "there is no login, so that this is only for who sits at the machine; "
            "set login and password_hash_env in [monitor]"
        )
    back = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return flask.redirect(flask.url_for("login.form", next=back), 303)


def check_origin() -> None:
    """Answer 403 to what another site has a browser send."""
    if request.method in ("GET", "HEAD", "OPTIONS") or request.blueprint == "beats":
        return
    now = settings()
    if has_token(now):
        return
    if not addresses.is_from_our_pages(request):
        raise Forbidden("this was sent by a page of another site")
    if is_for_programs() and not logged_in(now):
        return  # There is no login, and no cookie that another site could make use of.
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
    wanted = str(session.get("csrf", ""))
    if not wanted or not hmac.compare_digest(_digest(given), _digest(wanted)):
        raise Forbidden("this page is too old; go back, load it again, and try once more")


def is_for_programs() -> bool:
    """Whether what is asked for is no page."""
    return request.path.startswith(("/api/", "/metrics", "/live"))


def add_headers(response: Response) -> Response:
    """Say to browsers what they must not do with it."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def protect(app: Flask) -> None:
    """Put all that into an application."""
    app.config.update(
        SESSION_COOKIE_NAME="safepatch_monitor",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=LASTS,
        SESSION_REFRESH_EACH_REQUEST=False,  # a login ends when it ends
        MAX_CONTENT_LENGTH=64 * 1024,
        MAX_FORM_MEMORY_SIZE=64 * 1024,
        MAX_FORM_PARTS=50,
    )
    app.session_interface = _Cookies()
    app.before_request(check_host)
    app.before_request(notice_proxy)
    app.before_request(check_access)
    app.before_request(check_origin)
    app.after_request(add_headers)
