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
    "address": "the address {}, where nothing else was found well",
    "network": "the network {}, where nothing else was found well",
    "domain": "their names end in {}, and cannot be resolved",
    "resolver": "their names are asked of the resolver {}, and cannot be resolved",
    "certificate": "the certificate {}",
    "issuer": "their certificates are issued by {}",
    "error": "the same kind of error at the same time, and no place that is shared",
}
# What they mean is in their messages: "127.0.0.1:80: the connection is refused".
_SAY_IT = frozenset({"refused", "reset", "unreachable", "certificate"})
_SHORT = {
    "address": "at {}",
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


def began(document: dict[str, Any], failures: Sequence[Failure]) -> tuple[str, str]:
    """The title and the text of a new incident."""
    single, flaps = document["count"] == 1, document["type"] == "flapping"
    verb = ("is" if single else "are") + (" flapping" if flaps else " down")
    first = failures[0]
    title = f"{_of(document)} {verb}"
    if document["cause"].get("kind") == "error" and not flaps:
        error = document["cause"]["value"]
        title = f"{title}: {ERRORS.get(error, error)}"
    if single:
        said = [f"{first.name} ({first.endpoint.address}) {verb} since {moment(first.since)}."]
        said += [_sentence(first)]
    else:
        said = [f"{how_many(document['count'])} {verb} since {moment(document['opened'])}."]
        said += [_common(document), f"Errors: {_errors(failures)}.", f"The first: {_first(first)}"]
        said += [listed(document["names"], document["count"]) + "."]
    if flaps:
        said += [f"{'It' if single else 'Each'} changed {TURNS} times between good and bad lately."]
        said += ["There are no more messages until it is steady."]
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
    return f"{failure.name}: {failure.message or ERRORS.get(failure.error, failure.error)}"


def _common(document: dict[str, Any]) -> str:
    cause = Cause(**document["cause"])
    return f"They have in common: {_WHERE[cause.kind].format(cause.value)}."


def _errors(failures: Sequence[Failure]) -> str:
    counts = Counter(failure.error for failure in failures).most_common()
    return ", ".join(f"{ERRORS.get(error, error)} ({count:,})" for error, count in counts)


def grew(document: dict[str, Any], down: int) -> tuple[str, str]:
    """The title and the text of an incident that is twice as large as when it was told of."""
    verb = "flapping" if document["type"] == "flapping" else "down"
    title = f"now {_of({**document, 'count': down})} are {verb}"
    said = [
        f"{how_many(down)} are {verb} now, of {document['told']:,} when it was told last.",
        f"It began {moment(document['opened'])}: {document['title']}.",
        listed(document["names"], document["count"]) + " were part of it.",
    ]
    return title, "\n".join(said)


def ended(document: dict[str, Any], now: float) -> tuple[str, str]:
    """The title and the text of an incident that is over."""
    flaps = document["type"] == "flapping"
    single = document["count"] == 1
    verb = ("is" if single else "are") + (" steady" if flaps else " up again")
    lasted = duration(now - document["opened"])
    title = f"{_of(document)} {verb}, after {lasted}"
    said = [f"{_of(document)} {verb} since {moment(now)}, after {lasted}."]
    if single:
        said += [f"It began {moment(document['opened'])}."]
    else:
        said += [f"It began {moment(document['opened'])}: {document['title']}."]
        said += [listed(document["names"], document["count"]) + " were part of it."]
    return title, "\n".join(said)
