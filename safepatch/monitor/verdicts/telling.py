"""What people are told of incidents: titles and texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from safepatch.monitor.results import ERRORS
from safepatch.monitor.verdicts.causes import Cause, Failure
from safepatch.monitor.verdicts.verdicts import TURNS

NAMES = 10  # that a text has
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_WHERE = {
    "address": "They have in common: the address {}, where nothing else was found well.",
    "service": "They have in common: {}, where nothing else was found well.",
    "network": "They have in common: the network {}, where nothing else was found well.",
    "domain": "Their names end in {}, and cannot be resolved.",
    "resolver": "Their names are asked of the resolver {}, and cannot be resolved.",
    "certificate": "They show the same certificate, {}.",
    "issuer": "Their certificates are issued by {}.",
    "error": "They fail in the same way at the same time, and share no place.",
}
# ERRORS, of more than one.
_MANY = {
    "dns": "their names cannot be resolved",
    "refused": "their connections are refused",
    "timeout": "no answers in time",
    "reset": "their connections ended too early",
    "unreachable": "there is no way to their addresses",
    "tls": "no TLS with them",
    "certificate": "their certificates are expired, not trusted, or for other names",
    "protocol": "what they answer cannot be understood",
    "status": "they answer with other statuses than expected",
    "content": "they answer with something else than expected",
    "private": "their addresses are private, and nobody has allowed that",
    "silent": "they did not report in time",
    "internal": "the monitor failed to check them",
}
_WELL = "up at this moment"  # as what flaps may be
# What they mean is in their messages: "127.0.0.1:80: the connection is refused".
_SAY_IT = frozenset(
    {"refused", "timeout", "reset", "unreachable", "certificate", "status", "silent"}
)
_SHORT = {
    "address": "at {}",
    "service": "at {}",
    "network": "in {}",
    "domain": "under {}",
    "resolver": "by the resolver {}",
    "certificate": "with one certificate",
    "issuer": "with certificates of {}",
    "error": "",
}


def moment(at: float) -> str:
    """A time as people read it: "2026-11-26 12:03:10 UTC"."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """A length of time in its two largest units: "2 h 5 min"."""
    left, parts = max(0, round(seconds)), []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def listed(names: Sequence[str], count: int) -> str:
    """The first few of so many names: "a, b and 2,790 more"."""
    shown = names[:NAMES]
    if count > len(shown):
        return f"{', '.join(shown)} and {count - len(shown):,} more"
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)


def how_many(count: int) -> str:
    """A number of endpoints: "1 endpoint", "3,000 endpoints"."""
    return f"{count:,} endpoint{'s' if count != 1 else ''}"


def _of(document: dict[str, Any]) -> str:
    """What an incident is about: the one name, or how many, and where."""
    if document["count"] == 1:
        return str(document["names"][0])
    short = _SHORT.get(document["cause"].get("kind", ""), "")
    return f"{how_many(document['count'])} {short.format(document['cause'].get('value'))}".strip()


def _why(document: dict[str, Any]) -> str:
    """The kind of error that all of them have, if that is what they have in common, for a title."""
    cause = document["cause"]
    if cause.get("kind") != "error" or document["type"] == "flapping":
        return ""
    return f": {_means(cause['value'], document['count'])}"


def _means(error: str, count: int) -> str:
    return (ERRORS if count == 1 else _MANY).get(error, error)


def began(document: dict[str, Any], failures: Sequence[Failure]) -> tuple[str, str]:
    """The title and the text of a new incident."""
    single, flaps = document["count"] == 1, document["type"] == "flapping"
    verb = ("is" if single else "are") + (" flapping" if flaps else " down")
    first = failures[0]
    title = f"{_of(document)} {verb}{_why(document)}"
    if single:
        said = [f"{first.name} ({first.endpoint.address}) {verb} since {moment(first.since)}."]
        said += [_sentence(first)]
    else:
        said = [f"{how_many(document['count'])} {verb} since {moment(document['opened'])}."]
        said += [_common(document), f"Errors: {_errors(failures)}.", _first(first)]
        said += [listed(document["names"], document["count"]) + "."]
    if flaps:
        said += [f"{'It' if single else 'Each'} changed {TURNS} times between good and bad lately."]
        said += [f"There are no more messages until {'it is' if single else 'they are'} steady."]
    return title, "\n".join(line for line in said if line)


def _sentence(failure: Failure) -> str:
    """What was found, after what such an error means, where the message does not say that too."""
    means, message = ERRORS.get(failure.error, ""), failure.message
    if not message:
        text = f"{means}." if means else ""
    elif not means or failure.error in _SAY_IT:
        text = message
    else:
        text = f"{means}: {message}"
    return f"{text[:1].upper()}{text[1:]}"


def _first(failure: Failure) -> str:
    said = failure.message or ERRORS.get(failure.error, _WELL)
    return f"The first was {failure.name}: {said}"


def _common(document: dict[str, Any]) -> str:
    cause = Cause(**document["cause"])
    return _WHERE[cause.kind].format(cause.value)


def _errors(failures: Sequence[Failure]) -> str:
    counts = Counter(failure.error for failure in failures).most_common()
    return ", ".join(f"{_means(_shown(error), count)} ({count:,})" for error, count in counts)


def _shown(error: str) -> str:
    return _WELL if error == "flapping" else error


def grew(document: dict[str, Any], down: int) -> tuple[str, str]:
    """The title and the text of an incident that is twice as large as when it was told of."""
    verb = "flapping" if document["type"] == "flapping" else "down"
    now = {**document, "count": down}
    title = f"Now {_of(now)} are {verb}{_why(now)}"
    said = [
        f"{how_many(down)} are {verb} now; there were {document['told']:,} at the last message.",
        f"It began {moment(document['opened'])}: {document['title']}.",
        listed(document["names"], document["count"]) + " were part of it.",
    ]
    return title, "\n".join(said)


def ended(document: dict[str, Any], now: float) -> tuple[str, str]:
    """The title and the text of an incident that is over."""
    flaps = document["type"] == "flapping"
    single = document["count"] == 1
    verb = ("is" if single else "are") + (" up and steady" if flaps else " up again")
    lasted = duration(now - document["opened"])
    title = f"{_of(document)} {verb}, after {lasted}"
    said = [f"{_of(document)} {verb} since {moment(now)}, after {lasted}."]
    if single:
        said += [f"It began {moment(document['opened'])}."]
    else:
        said += [f"It began {moment(document['opened'])}: {document['title']}."]
        said += [listed(document["names"], document["count"]) + " were part of it."]
    return title, "\n".join(said)
