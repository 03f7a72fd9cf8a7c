"""Requests of checks of HTTP: what is asked, and who is told what."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from safepatch.monitor.courses import CheckError
from safepatch.monitor.plan import Options
from safepatch.monitor.urls import Url

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools

_DEFAULTS = {
    "user-agent": "User-Agent: safepatch-monitor",
    "accept": "Accept: */*",
    "accept-encoding": "Accept-Encoding: gzip, deflate",
    "connection": "Connection: close",
}
_PLAIN = "\r\n".join(_DEFAULTS.values())
# What is not told to hosts that an endpoint redirects to.
_SECRET = re.compile(r"auth|cookie|key|token|secret|^host$")
_METHOD = re.compile(r"[A-Za-z]+\Z")
# What is to say how long its body is, even if it has none.
_WITH_BODY = ("POST", "PUT", "PATCH")


def is_ours(first: Url, url: Url) -> bool:
    """Whether a URL is of the origin that was written, or of that with TLS in place of none."""
    if url.origin == first.origin:
        return True
    return url.origin == ("https", first.host, 443) and first.origin == ("http", first.host, 80)


def request(
    options: Options,
    tools: Tools,
    first: Url,
    url: Url,
    method: str,
    body: bytes,
    cookies: str = "",
) -> bytes:
    """The bytes of a request for `url`, to which an endpoint's `first` has led.

    Secrets are told to the origin of `first` alone. Raises CheckError("internal") for what would
    be another request than was meant.
    """
    lines = _PLAIN
    login = options.username or options.bearer_env or first.user
    sized = body or method in _WITH_BODY
    if sized or cookies or login or options.headers or options.headers_env:
        fields = _fields(options, tools, first, is_ours(first, url))
        if sized:
            fields["content-length"] = f"Content-Length: {len(body)}"
        if cookies:
            fields.setdefault("cookie", f"Cookie: {cookies}")
        lines = _headers(fields)
    start = f"{method} {url.path} HTTP/1.1\r\n"
    if not _METHOD.match(method):
        raise CheckError("internal", f"{method!r} is no method of HTTP")
    host = "" if "\r\nHost:" in lines else f"Host: {url.netloc}\r\n"
    return f"{start}{host}{lines}\r\n\r\n".encode("latin-1") + body


def _fields(options: Options, tools: Tools, first: Url, ours: bool) -> dict[str, str]:
    """The lines of an endpoint's headers, by name in small letters."""
    fields = {name.lower(): f"{name}: {value}" for name, value in options.headers.items()}
    if not ours:
        return {name: line for name, line in fields.items() if not _SECRET.search(name)}
    for name, variable in options.headers_env.items():
        fields[name.lower()] = f"{name}: {tools.secret(variable)}"
    if login := _login(options, tools, first):
        fields["authorization"] = f"Authorization: {login}"
    return fields


def _headers(fields: dict[str, str]) -> str:
    for line in fields.values():
        if not line.isprintable() or not _is_latin(line):
            name = line.partition(":")[0]
            raise CheckError(
                "internal", f"the header {name!r} has a line break in it, or no Latin letters"
            )
    # Host first, as is good use.
    host = [fields.pop("host")] if "host" in fields else []
    return "\r\n".join([*host, *(_DEFAULTS | fields).values()])


def _is_latin(line: str) -> bool:
    return line.isascii() or max(line) <= "\xff"


def _login(options: Options, tools: Tools, first: Url) -> str:
    if options.bearer_env:
        return f"Bearer {tools.secret(options.bearer_env)}"
    user = options.username or first.user
    if not user:
        return ""
    password = tools.secret(options.password_env) if options.password_env else first.password
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
