"""DNS records: dns://example.com?type=MX&resolver=192.0.2.1&answer=..., and what they say.

The answers of a resolver, with how long they live, not those of the program's own cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from safepatch.monitor.courses import CheckError, Course, follow, printable
from safepatch.monitor.names.querying import Answer, query, servers_of
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.urls import split

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools

#: What may stand behind the question mark, with what it means.
PARAMETERS = {
    "type": "the kind of records, A if it is not said",
    "resolver": "the server that is asked, before that of the options",
    "answer": "must be among the records; may come several times, beside `answers` of the options",
}
#: Records that are told, and characters of each; an answer by TCP may have 64 kB of them.
MOST, LONGEST = 50, 1000
#: What codes mean, for people.
_CODES = {
    "NXDOMAIN": "there is no such name",
    "SERVFAIL": "the resolver failed to find out",
    "REFUSED": "the resolver does not answer us",
}


def check(endpoint: Endpoint, tools: Tools) -> Result:
    """Ask for records, and compare them with what is expected."""
    return follow(endpoint, tools, _walk)


def _walk(endpoint: Endpoint, tools: Tools, course: Course) -> None:
    name = split(endpoint.address).host
    said = parameters(endpoint, *PARAMETERS)
    kind = dict(said).get("type", "A").upper()
    records = lookup(endpoint, name, kind, course, dict(said).get("resolver", ""))
    expect(endpoint, said, name, kind, records)


def lookup(
    endpoint: Endpoint, name: str, kind: str, course: Course, resolver: str = ""
) -> list[str]:
    """The records of a name, at least one, noted in the course of a check.

    Raises CheckError: "dns" where there are none for a reason, "content" where the name exists and
    has none of that kind, and what `query` raises.
    """
    servers = servers_of(resolver or endpoint.options.resolver)
    course.enter("dns")
    course.facts["type"] = kind
    # Something is left of the time, so that this tells who did not answer.
    answer = query(name, kind, servers, endpoint.options.timeout * 0.95)
    course.leave()
    records, ttl = answer.records()
    _note(course, answer, records, ttl)
    if answer.rcode != "NOERROR":
        why = f"{answer.rcode}, {_CODES.get(answer.rcode, 'which is no answer')}"
        raise CheckError("dns", f"{kind} records of {name}: {why} (asked {answer.server[0]})")
    if not records:
        raise CheckError("content", f"{name} has no {kind} records (asked {answer.server[0]})")
    return records


def _note(course: Course, answer: Answer, records: list[str], ttl: int | None) -> None:
    host, port = answer.server
    course.facts.update(
        resolver=host if port == 53 else f"{host}:{port}",
        transport=answer.transport,
        rcode=answer.rcode,
        answers=[printable(record, LONGEST) for record in records[:MOST]],
        ttl=ttl,
    )


def parameters(endpoint: Endpoint, *known: str) -> list[tuple[str, str]]:
    """What stands behind the question mark. Raises CheckError for what is not known."""
    said = parse_qsl(split(endpoint.address).path.partition("?")[2], keep_blank_values=True)
    for parameter, _ in said:
        if parameter not in known:
            told = f"{endpoint.address} has {parameter!r} behind the question mark"
            raise CheckError("internal", f"{told}; known are {', '.join(known)}")
    return said


def expect(
    endpoint: Endpoint, said: list[tuple[str, str]], name: str, kind: str, records: list[str]
) -> None:
    """See that what is expected is among the records. Raises CheckError, "content"."""
    expected = [value for parameter, value in said if parameter == "answer"]
    for text in (*endpoint.options.answers, *expected):
        if not any(_is(text, record) for record in records):
            found = ", ".join(records)
            raise CheckError(
                "content", f"{text!r} is not among the {kind} records of {name}: {found}"
            )


def _is(expected: str, record: str) -> bool:
    """Also by the last word of a record: "mail.example.com" is in "10 mail.example.com."."""
    wanted, found = expected.rstrip(".").casefold(), record.rstrip(".").casefold()
    return wanted in (found, found.rpartition(" ")[2])
