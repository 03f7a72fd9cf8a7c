"""What a channel is told: an event as it is, or many of them as one digest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal
from urllib.parse import quote

import msgspec

from safepatch.monitor.statuses import Event

_LISTED = 100  # events of a digest: the first half and the last one
_NAMED = 50  # endpoints
_REASON = 160  # characters of why, in a line of a digest
_ERRORS = "Errors: "  # as incidents have it, see verdicts/telling.py
_SAID = frozenset({"up", "steady", "blind", "seeing"})  # all of it in the title
_ORDER = {"critical": 0, "warning": 1, "info": 2}


class Message(Event, frozen=True, kw_only=True):
    """What is sent: an event, or, of type "digest", what many events come to.

    A digest has in `types` how many there are of each type, and in `events` those themselves, at
    most 100: the first 50 and the last 50. Its `since` is when the first of them was.
    """

    since: float = 0.0
    types: dict[str, int] = msgspec.field(default_factory=dict)
    events: tuple[Event, ...] = ()


def message(event: Event) -> Message:
    """What says a single event."""
    return Message(**{name: getattr(event, name) for name in event.__struct_fields__})


def leading(event: Event, url: str) -> Event:
    """An event that has a page to look at, where pages are reached at `url`; "" is for nowhere."""
    if not url or event.url:
        return event
    one = event.endpoints[0] if event.count == len(event.endpoints) == 1 else ""
    page = f"/endpoint?name={quote(one, safe='')}" if one else "/"
    return msgspec.structs.replace(event, url=url.rstrip("/") + page)


def trial(channel: str, at: float) -> Event:
    """An event by which somebody sees that a channel works."""
    return Event(
        id=f"test-{channel}-{at:.3f}",
        type="test",
        at=at,
        severity="info",
        title=f"A test of the channel {channel}",
        text="If you read this, alerts arrive here.",
    )


def digest(parts: Sequence[Message]) -> Message:
    """What says all that some messages say, of which some may be digests; oldest first."""
    types: Counter[str] = Counter()
    events: list[Event] = []
    for part in parts:
        types.update(part.types or {part.type: 1})
        events += part.events or (part,)
    if len(events) > _LISTED:
        events = events[: _LISTED // 2] + events[-_LISTED // 2 :]
    incidents = {event.incident for event in events}
    names = [*dict.fromkeys(name for event in events for name in event.endpoints)]
    since = parts[0].since or parts[0].at
    return Message(
        id=f"digest-{_first_id(parts[0])}-{types.total()}",
        type="digest",
        at=parts[-1].at,
        since=since,
        severity=_severity(events, types),
        title=_title(events, types, since),
        text="\n".join(_lines(events, types.total())),
        incident=incidents.pop() if len(incidents) == 1 else "",
        endpoints=tuple(names[:_NAMED]),
        count=len(names),
        tags=tuple(dict.fromkeys(tag for event in events for tag in event.tags)),
        url=events[-1].url if is_pair(events) else "",
        types=dict(types),
        events=tuple(plain(event) for event in events),
    )


def plain(event: Event) -> Event:
    """The event itself, without what makes it a message."""
    return Event(**{name: getattr(event, name) for name in Event.__struct_fields__})


def is_pair(events: Sequence[Event]) -> bool:
    """Say whether these are a "down" and its "up", and nothing else."""
    return len(events) == 2 and ended(events[0], events[1:]) is not None


def ended(event: Event, later: Iterable[Event]) -> Event | None:
    """The "up" of a "down" among later events, if it is there."""
    if event.type != "down" or not event.incident:
        return None
    return next((up for up in later if up.type == "up" and up.incident == event.incident), None)


def reason(event: Event) -> str:
    """Why, for the line of an event in a digest: ": " and what its text says beyond its title.

    Of incidents that is the line of their errors, or the second one, since the first has names and
    times.
    """
    if event.type in _SAID or (event.type == "down" and event.cause.get("kind") == "error"):
        return ""
    lines = event.text.splitlines()[event.type in ("down", "flapping") :]
    errors = [line.removeprefix(_ERRORS) for line in lines if line.startswith(_ERRORS)]
    lines = errors or lines
    said = lines[0].removeprefix(event.title).strip(". ") if lines else ""
    if not said:
        return ""
    return f": {said if len(said) <= _REASON else said[: _REASON - 1] + '…'}"


def clock(at: float, now: float) -> str:
    """A time to be read by people: "02:10 UTC", with the day if it is another one."""
    there, here = time.gmtime(at), time.gmtime(now)
    day = "" if there[:3] == here[:3] else f"{there.tm_mday} {_MONTHS[there.tm_mon - 1]} "
    return f"{day}{there.tm_hour:02}:{there.tm_min:02} UTC"


_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def _first_id(part: Message) -> str:
    return part.events[0].id if part.events else part.id


def _severity(
    events: Sequence[Event], types: Counter[str]
) -> Literal["critical", "warning", "info"]:
    """The worst of what is not over; what is "down" and not listed may not be."""
    if types.total() > len(events) and types["down"]:
        return "critical"
    over = {
        id(each)
        for at, event in enumerate(events)
        if (up := ended(event, events[at + 1 :])) is not None
        for each in (event, up)
    }
    left = [event.severity for event in events if id(event) not in over]
    return min(left, key=_ORDER.__getitem__, default="info")


def _title(events: Sequence[Event], types: Counter[str], since: float) -> str:
    if is_pair(events):
        return events[-1].title
    kinds = ", ".join(f"{count} {kind}" for kind, count in types.most_common())
    return f"{types.total()} alerts since {clock(since, events[-1].at)}: {kinds}"


def _lines(events: Sequence[Event], total: int) -> Iterator[str]:
    """A line for each event; one for a "down" and its "up" together."""
    told: set[int] = set()
    for at, event in enumerate(events):
        if total > len(events) and at == _LISTED // 2:
            yield f"... {total - len(events)} more ..."
        if id(event) in told:
            continue
        line = f"{clock(event.at, events[-1].at)} {event.title}{reason(event)}"
        up = ended(event, events[at + 1 :])
        if up is not None:
            told.add(id(up))
            line += f"; up again at {clock(up.at, events[-1].at)}"
        yield line
