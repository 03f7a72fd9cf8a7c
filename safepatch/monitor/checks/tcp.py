"""Checks of TCP: that a port takes connections, and what comes first, if anything is expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safepatch.monitor.checks.bodies import expect, expects
from safepatch.monitor.checks.connecting import Connection, failed, reach
from safepatch.monitor.courses import CheckError, Course, follow, printable
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.urls import Url, split

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools

MOST = 4096  # bytes of a banner


def check(endpoint: Endpoint, tools: Tools) -> Result:
    """Connect; with `contains`, `lacks` or `matches`, read what comes before we say a word."""
    return follow(endpoint, tools, _walk)


def _walk(endpoint: Endpoint, tools: Tools, course: Course) -> None:
    url = with_port(endpoint)
    connection = reach(endpoint, tools, course, url.host, url.port)
    try:
        greeted(endpoint, course, connection)
    finally:
        connection.close()


def with_port(endpoint: Endpoint) -> Url:
    """The endpoint's address. Raises CheckError("protocol") where it has no port."""
    url = split(endpoint.address)
    if not url.port:
        raise CheckError(
            "protocol", f"{url.shown} has no port; write {url.scheme}://{url.host}:PORT"
        )
    return url


def greeted(endpoint: Endpoint, course: Course, connection: Connection) -> None:
    """See that a server begins with what is expected, if anything is: the fact "banner"."""
    options = endpoint.options
    if not expects(options):
        return
    course.enter("first_byte")
    try:
        banner = connection.receive()
    except OSError as error:
        raise failed(error, connection) from error
    course.leave()
    if not banner:
        raise CheckError("reset", "the connection ended before anything was said")
    text = banner[:MOST].decode("utf-8", "replace")
    course.facts["banner"] = printable(text.strip(), 200)
    expect(text, options)
