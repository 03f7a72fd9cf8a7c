"""Checks of HTTP and HTTPS."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from typing import TYPE_CHECKING

from safepatch.monitor.checks.answers import Answer, read
from safepatch.monitor.checks.bodies import expect
from safepatch.monitor.checks.pages import look
from safepatch.monitor.connecting import Connection, failed, reach
from safepatch.monitor.courses import CheckError, Course, follow
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.results import Result
from safepatch.monitor.securing import reach_tls, told
from safepatch.monitor.urls import Url, join, split

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools

_MOVED = (301, 302, 303, 307, 308)
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
_PATTERN = re.compile(r"(\d{3})|(\d)[xX]{2}|(\d{3})-(\d{3})")


def check(endpoint: Endpoint, tools: Tools) -> Result:
    """Ask for the address, follow redirects, and look at status and body.

    The facts are address, url, status, http, server, type, size, digest, title, words, redirects
    and certificate, as far as they were seen.
    """
    return follow(endpoint, tools, _walk)


def _walk(endpoint: Endpoint, tools: Tools, course: Course) -> None:
    options = endpoint.options
    first = url = split(endpoint.address)
    method, body = options.method, options.body.encode()
    passed: list[str] = []
    seen = {(method, url)}
    while True:
        answer = _ask(endpoint, tools, course, first, url, method, body)
        _note(course, url, answer)
        to = _target(answer, url, options)
        if to is None:
            break
        passed.append(url.shown)
        course.facts["redirects"] = passed
        if len(passed) > options.redirects or (method, to) in seen:
            raise CheckError("status", _endless(passed, to, options.redirects))
        method, body = _next(answer, first, to, method, body)
        if url.scheme == "https" and to.scheme == "http":
            course.warnings.append(f"{url.shown} redirects to {to.shown}, without TLS")
        url = to
        seen.add((method, url))
    _judge(course, method, url, answer, options)


def _ask(
    endpoint: Endpoint,
    tools: Tools,
    course: Course,
    first: Url,
    url: Url,
    method: str,
    body: bytes,
) -> Answer:
    ours = _is_ours(first, url)
    request = _request(endpoint.options, tools, first, url, method, body, ours)
    if url.scheme == "https":
        connection = reach_tls(endpoint, tools, course, url.host, url.port, alpn=True, ours=ours)
    else:
        connection = reach(endpoint, tools, course, url.host, url.port)
    try:
        connection.send(request)
        return read(connection, course, method)
    except OSError as error:
        raise _broken(error, connection, url) from error
    finally:
        connection.close()


def _broken(error: OSError, connection: Connection, url: Url) -> CheckError:
    import ssl

    if isinstance(error, ssl.SSLError):
        return CheckError("tls", f"{url.host}: {told(error)}")
    return failed(error, connection)


def _is_ours(first: Url, url: Url) -> bool:
    """Whether a URL is of the origin that was written, or of that with TLS in place of none."""
    if url.origin == first.origin:
        return True
    return url.origin == ("https", first.host, 443) and first.origin == ("http", first.host, 80)


def _request(
    options: Options, tools: Tools, first: Url, url: Url, method: str, body: bytes, ours: bool
) -> bytes:
    """The bytes of a request. Raises CheckError("internal") for what would be another request."""
    lines = _PLAIN
    login = options.username or options.bearer_env or first.user
    if body or login or options.headers or options.headers_env:
        lines = _headers(options, tools, first, body, ours)
    start = f"{method} {url.path} HTTP/1.1\r\n"
    if not _METHOD.match(method):
        raise CheckError("internal", f"{method!r} is no method of HTTP")
    host = "" if "\r\nHost:" in lines else f"Host: {url.netloc}\r\n"
    return f"{start}{host}{lines}\r\n\r\n".encode("latin-1") + body


def _headers(options: Options, tools: Tools, first: Url, body: bytes, ours: bool) -> str:
    fields = {name.lower(): f"{name}: {value}" for name, value in options.headers.items()}
    if ours:
        for name, variable in options.headers_env.items():
            fields[name.lower()] = f"{name}: {tools.secret(variable)}"
        login = _login(options, tools, first)
        if login:
            fields["authorization"] = f"Authorization: {login}"
    else:
        fields = {name: line for name, line in fields.items() if not _SECRET.search(name)}
    if body:
        fields["content-length"] = f"Content-Length: {len(body)}"
    for line in fields.values():
        if not line.isprintable():
            raise CheckError(
                "internal", f"the header {line.partition(':')[0]!r} has a line break in it"
            )
    # Host first, as is good use.
    host = [fields.pop("host")] if "host" in fields else []
    return "\r\n".join([*host, *(_DEFAULTS | fields).values()])


def _login(options: Options, tools: Tools, first: Url) -> str:
    if options.bearer_env:
        return f"Bearer {tools.secret(options.bearer_env)}"
    user = options.username or first.user
    if not user:
        return ""
    password = tools.secret(options.password_env) if options.password_env else first.password
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _target(answer: Answer, url: Url, options: Options) -> Url | None:
    """Where to go on; None where the answer is the last: also one that is just as expected."""
    if answer.status not in _MOVED or not options.redirects:
        return None
    if options.status and answer.status in accepted(options.status):
        return None
    location = answer.headers.get("location")
    return join(url, location) if location else None


def _next(answer: Answer, first: Url, to: Url, method: str, body: bytes) -> tuple[str, bytes]:
    """The method and body to go on with, as browsers do."""
    if answer.status == 303 or (answer.status in (301, 302) and method == "POST"):
        return "HEAD" if method == "HEAD" else "GET", b""
    if body and not _is_ours(first, to):
        raise CheckError(
            "status",
            f"{first.shown} redirects the {method} to {to.shown}, which is not given its body",
        )
    return method, body


def _endless(passed: list[str], to: Url, most: int) -> str:
    way = " -> ".join([*passed[-3:], to.shown])
    if len(passed) > most:
        return f"it redirects more than {most} times: ... {way}"
    return f"it redirects in a circle: {way}"


def _note(course: Course, url: Url, answer: Answer) -> None:
    facts = course.facts
    facts["url"] = url.shown
    facts["status"] = answer.status
    facts["http"] = answer.version
    if "server" in answer.headers:
        facts["server"] = answer.headers["server"][:100]


def _judge(course: Course, method: str, url: Url, answer: Answer, options: Options) -> None:
    """See that the last answer is as expected, and take its facts. Raises CheckError."""
    body = answer.unpacked()
    facts = course.facts
    facts["size"] = len(body)
    facts["digest"] = hashlib.blake2b(body, digest_size=8).hexdigest()
    kind = answer.headers.get("content-type", "")
    text = ""
    if "html" in kind or options.contains or options.lacks or options.matches or options.json:
        text = _decoded(body, kind)
    if "html" in kind:
        facts.update(look(text))
    if kind:
        facts["type"] = kind.partition(";")[0].strip().lower()[:100]
    status = answer.status
    good = status in accepted(options.status) if options.status else status < 400
    if not good:
        wanted = f", not {' or '.join(options.status)}" if options.status else ""
        title = f", with the title {facts['title']!r}" if facts.get("title") else ""
        reason = f" {answer.reason[:60]}" if answer.reason else ""
        raise CheckError("status", f"{method} {url.shown} answers {status}{reason}{wanted}{title}")
    expect(text, options)


def _decoded(body: bytes, kind: str) -> str:
    _, _, charset = kind.lower().partition("charset=")
    try:
        return body.decode(charset.partition(";")[0].strip("\"' ") or "utf-8", "replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace")


@functools.lru_cache(maxsize=1024)
def accepted(patterns: tuple[str, ...]) -> frozenset[int]:
    """The statuses of patterns like "200", "2xx" and "200-299". Raises CheckError("internal")."""
    found: set[int] = set()
    for pattern in patterns:
        match = _PATTERN.fullmatch(pattern)
        if match is None:
            raise CheckError(
                "internal", f'{pattern!r} is no status; write "200", "2xx" or "200-299"'
            )
        exact, hundred, first, last = match.groups()
        if exact:
            found.add(int(exact))
        elif hundred:
            found.update(range(int(hundred) * 100, int(hundred) * 100 + 100))
        else:
            found.update(range(int(first), int(last) + 1))
    return frozenset(found)
