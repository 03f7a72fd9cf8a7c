"""Checks of HTTP and HTTPS."""

from __future__ import annotations

import functools
import hashlib
import re
import ssl
from typing import TYPE_CHECKING

from safepatch.monitor.checks.answers import Answer, read
from safepatch.monitor.checks.bodies import decoded, expect, expects
from safepatch.monitor.checks.connecting import Connection, failed, reach
from safepatch.monitor.checks.pages import look
from safepatch.monitor.checks.requests import is_ours, request
from safepatch.monitor.checks.securing import reach_tls, told
from safepatch.monitor.courses import CheckError, Course, follow, printable
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.results import Result
from safepatch.monitor.urls import Url, join, split

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools

_MOVED = (301, 302, 303, 307, 308)
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
    method, body = options.method.upper(), options.body.encode()
    passed: list[str] = []
    jar: dict[str, str] = {}  # cookies by host, without which some redirect in circles
    seen = set()
    while True:
        seen.add((method, url, jar.get(url.host)))
        answer = _ask(endpoint, tools, course, first, url, method, body, jar)
        _note(course, url, answer)
        to = _target(answer, url, options)
        if to is None:
            break
        passed.append(url.shown)
        course.facts["redirects"] = passed
        if answer.cookies:
            jar[url.host] = _cookies(jar.get(url.host, ""), answer.cookies)
        method, body = _next(answer, first, to, method, body)
        if len(passed) > options.redirects or (method, to, jar.get(to.host)) in seen:
            raise CheckError("status", _endless(passed, to, options.redirects))
        if url.scheme == "https" and to.scheme == "http":
            course.warnings.append(f"{url.shown} redirects to {to.shown}, without TLS")
        url = to
    _judge(endpoint, tools, course, method, url, answer)


def _ask(
    endpoint: Endpoint,
    tools: Tools,
    course: Course,
    first: Url,
    url: Url,
    method: str,
    body: bytes,
    jar: dict[str, str],
) -> Answer:
    asked = request(endpoint.options, tools, first, url, method, body, jar.get(url.host, ""))
    if url.scheme == "https":
        ours = is_ours(first, url)
        connection = reach_tls(endpoint, tools, course, url.host, url.port, alpn=True, ours=ours)
    else:
        connection = reach(endpoint, tools, course, url.host, url.port)
    try:
        connection.send(asked)
        return read(connection, course, method)
    except OSError as error:
        raise _broken(error, connection, url) from error
    finally:
        connection.close()


def _cookies(before: str, more: list[str]) -> str:
    """A Cookie header, with those of Set-Cookie headers added; as short as what any browser sends.

    They are for the rest of this check and this host, whatever else they say.
    """
    pairs = [pair for pair in before.split("; ") if pair]
    pairs += [cookie.partition(";")[0].strip() for cookie in more]
    by_name = {pair.partition("=")[0]: pair for pair in pairs if pair.isprintable()}
    return "; ".join(by_name.values())[:4096]


def _broken(error: OSError, connection: Connection, url: Url) -> CheckError:
    if isinstance(error, ssl.SSLError):
        return CheckError("tls", f"{url.host}: {told(error)}")
    return failed(error, connection)


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
    if body and not is_ours(first, to):
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
        facts["server"] = printable(answer.headers["server"], 100)


def _judge(
    endpoint: Endpoint, tools: Tools, course: Course, method: str, url: Url, answer: Answer
) -> None:
    """See that the last answer is as expected, and take its facts. Raises CheckError."""
    status, facts, options = answer.status, course.facts, endpoint.options
    good = _is_good(status, options)
    try:
        body = answer.unpacked()
    except CheckError:
        if good:
            raise
        body = b""  # the status tells more
    facts["size"] = len(body)
    facts["digest"] = hashlib.blake2b(body, digest_size=8).hexdigest()
    kind = answer.headers.get("content-type", "")
    wanted = expects(options)
    # To look at a page takes as long as all else of a check, and most are what they were.
    is_new = "html" in kind and not (good and tools.familiar(endpoint.name, facts["digest"]))
    text = decoded(body, kind) if (is_new or wanted) and answer.is_readable else ""
    if text and is_new:
        facts.update(look(text))
    if kind:
        facts["type"] = printable(kind.partition(";")[0].strip().lower(), 100)
    if not good:
        raise CheckError("status", _unexpected(method, url, answer, options, facts.get("title")))
    if wanted and not answer.is_readable:
        message = f"its body is packed with {answer.coding!r}, which was not asked for"
        raise CheckError("protocol", message)
    expect(text, options)


def _is_good(status: int, options: Options) -> bool:
    if options.status:
        return status in accepted(options.status)
    # With 401 a server that works asks for what nobody has given us.
    is_ours_to_know = options.username or options.bearer_env or options.headers_env
    return status < 400 or (status == 401 and not is_ours_to_know)


def _unexpected(method: str, url: Url, answer: Answer, options: Options, title: str | None) -> str:
    reason = f" {printable(answer.reason, 60)}" if answer.reason else ""
    wanted = f", not {' or '.join(options.status)}" if options.status else ""
    titled = f", with the title {title!r}" if title else ""
    return f"{method} {url.shown} answers {answer.status}{reason}{wanted}{titled}"


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
