"""The documents of incidents in the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from safepatch.monitor.statuses import Event
from safepatch.monitor.verdicts.causes import NONE, Failure, Group

INCIDENTS, MEMBERS = "incidents", "incident_members"
NAMES = 50  # that a document has, and an event
KEEP = 400 * 86400.0  # seconds, since an incident was closed
MOST = 10_000  # closed ones
_CHUNK = 500  # names in a document of members

Document = dict[str, Any]


def new_id(root: Any, now: float) -> str:
    """An id that no incident has had, in the order of time."""
    number = int(now * 1000)
    while str(number) in root[INCIDENTS]:
        number += 1
    return str(number)


def new(root: Any, group: Group, type_: str, now: float) -> Document:
    """Make the document of an incident; who is in it comes by `come`.

    `opened` is when the first of them failed, `count` is how many endpoints ever came, `joined`
    when the last of them did, `told` how many were down when it was told last, at `told_at`.
    """
    cause = {} if group.cause == NONE else group.cause._asdict()
    document = {
        "id": new_id(root, now),
        "type": type_,
        "cause": cause,
        "opened": min(failure.since for failure in group.failures),
        "joined": now,
        "closed": 0.0,
        "title": "",
        "text": "",
        "count": 0,
        "names": [],
        "tags": [],
        "channels": _channels(group.failures),
        "told": 0,
        "told_at": 0.0,
        "messages": 0,
        "chunks": 0,
    }
    root[INCIDENTS][document["id"]] = document
    return document


def come(
    root: Any, document: Document, failures: Sequence[Failure], names: Sequence[str], now: float
) -> None:
    """Note who has come to an incident; `names` are of those who were never in it before."""
    _add_members(root, document, names)
    document["count"] += len(names)
    document["joined"] = now
    document["names"] = [*document["names"], *names][:NAMES]
    tags = {tag for failure in failures for tag in failure.endpoint.options.tags}
    document["tags"] = sorted({*document["tags"], *tags})
    if document["channels"]:
        more = _channels(failures)
        document["channels"] = more and sorted({*document["channels"], *more})


_SEVERITY: dict[str, Any] = {"down": "critical", "flapping": "warning"}


def event(
    document: Document, type_: str, title: str, text: str, now: float, down: int, url: str
) -> Event:
    """What is told of an incident, of which so many are down now; it notes that it was."""
    document["told"], document["told_at"] = down, now
    document["messages"] += 1
    return Event(
        id=f"{document['id']}-{document['messages']}-{type_}",
        type=type_,
        at=now,
        severity=_SEVERITY.get(type_, "info"),
        title=title,
        text=text,
        incident=document["id"],
        cause=dict(document["cause"]),
        endpoints=tuple(document["names"]),
        count=down or document["count"],
        tags=tuple(document["tags"]),
        channels=tuple(document["channels"]),
        url=f"{url.rstrip('/')}/incidents/{document['id']}" if url else "",
    )


def _channels(failures: Sequence[Failure]) -> list[str]:
    """The channels that care for some of those; [] for all channels."""
    named = {failure.endpoint.options.alerts for failure in failures}
    return [] if () in named else sorted({channel for some in named for channel in some})


def open_ids(root: Any) -> list[str]:
    """The ids of those that are not over, oldest first. Reads all documents."""
    return [key for key, document in root[INCIDENTS].items() if not document["closed"]]


def _add_members(root: Any, document: Document, names: Sequence[str]) -> None:
    # In documents that are never written again, however many come and go.
    for at in range(0, len(names), _CHUNK):
        key = f"{document['id']}/{document['chunks']:06}"
        root[MEMBERS][key] = {"names": [*names[at : at + _CHUNK]]}
        document["chunks"] += 1


def members(root: Any, document: Document) -> Iterator[str]:
    """All that ever came to an incident."""
    for number in range(document["chunks"]):
        found = root[MEMBERS].get(f"{document['id']}/{number:06}")
        yield from found["names"] if found else ()


def latest(root: Any, count: int) -> Iterator[Document]:
    """The last incidents, newest first."""
    for key in reversed(root[INCIDENTS]):
        if count <= 0:
            return
        count -= 1
        yield root[INCIDENTS][key]


def prune(root: Any, now: float, open_: Iterable[str]) -> None:
    """Drop the oldest that are closed, if there are too many, or they are too old."""
    documents, kept = root[INCIDENTS], {*open_}
    spare = len(documents) - len(kept) - MOST
    drop = []
    for key in documents:
        if key in kept:
            continue
        if spare <= 0 and documents[key]["closed"] > now - KEEP:
            break
        spare -= 1
        drop.append(key)
    for key in drop:
        for number in range(documents[key]["chunks"]):
            root[MEMBERS].pop(f"{key}/{number:06}", None)
        del documents[key]
