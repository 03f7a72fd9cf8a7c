"""Where a domain takes its mail: mx://example.com.

It is up if its MX records can be found, and one of its best three exchangers takes a connection
and says 220. What is wrong with better ones than that is warned of.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import gevent

from safepatch.monitor.checks.connecting import reach
from safepatch.monitor.checks.dns import MOST, expect, lookup, parameters
from safepatch.monitor.checks.smtp import Talk, greet, leave
from safepatch.monitor.courses import CheckError, Course, follow
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.urls import split

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools

#: So many exchangers are asked at most, the best ones first.
_MOST = 3


def check(endpoint: Endpoint, tools: Tools, *, port: int = 25) -> Result:
    """Find the exchangers of a domain, and one of them that answers."""
    return follow(endpoint, tools, functools.partial(_walk, port=port))


def _walk(endpoint: Endpoint, tools: Tools, course: Course, *, port: int) -> None:
    domain = split(endpoint.address).host
    said = parameters(endpoint, "resolver", "answer")
    records = lookup(endpoint, domain, "MX", course, dict(said).get("resolver", ""))
    expect(endpoint, said, domain, "MX", records)
    exchangers = _in_order(records)
    course.facts["exchangers"] = exchangers[:MOST]
    if exchangers == [""]:
        raise CheckError(
            "content", f"{domain} says that it takes no mail: its MX record has no name"
        )
    failures: list[CheckError] = []
    for place, exchanger in enumerate(exchangers[:_MOST]):
        left = min(len(exchangers), _MOST) - place
        share = (endpoint.options.timeout * 0.95 - (tools.clock() - course.began)) / left
        try:
            _greeted(endpoint, tools, course, exchanger, port, share)
        except CheckError as failure:
            failures.append(CheckError(failure.error, f"{exchanger}: {failure}"))
            continue
        course.warnings += map(str, failures)
        return
    raise CheckError(failures[0].error, "; ".join(map(str, failures)))


def _in_order(records: list[str]) -> list[str]:
    """The names of exchangers, each once, those of the least preference value first."""
    pairs = (record.split() for record in records)
    ranked = sorted((int(preference), name.rstrip(".")) for preference, name in pairs)
    return list(dict.fromkeys(name for _, name in ranked))


def _greeted(
    endpoint: Endpoint, tools: Tools, course: Course, exchanger: str, port: int, share: float
) -> None:
    timeout: Any = gevent.Timeout.start_new(max(share, 0.001))
    connection = None
    try:
        connection = reach(endpoint, tools, course, exchanger, port)
        talk = Talk(connection)
        greet(talk, course)
        leave(talk)
    except gevent.Timeout as late:
        if late is not timeout:
            raise
        raise CheckError("timeout", f"no banner within {share:.1f} seconds") from None
    finally:
        timeout.close()
        timeout = None  # which makes a cycle with its traceback; see Answer.end
        if connection is not None:
            connection.close()
