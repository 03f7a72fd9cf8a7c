"""What is told to who looks on, and to the log, which may be all that there is: a line for each
change of a state, and one for each event."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from safepatch.monitor.alerts.messages import reason
from safepatch.monitor.courses import printable
from safepatch.monitor.statuses import Event, Status

if TYPE_CHECKING:
    from safepatch.monitor.monitor import Monitor

logger = logging.getLogger("safepatch.monitor")
_LONGEST = 500  # characters of a line


def tell(monitor: Monitor, events: Iterable[Event]) -> None:
    """Tell of events, wherever they come from."""
    for event in events:
        level = logging.INFO if event.severity == "info" else logging.WARNING
        logger.log(level, "%s", _line(f"{event.title}{reason(event)}"))
        monitor.feed.put(
            type="event", event=event.type, title=event.title, severity=event.severity,
            at=event.at, incident=event.incident, endpoints=[*event.endpoints], count=event.count,
        )  # fmt: skip


def note(name: str, status: Status, change: str) -> None:
    """Log what `step` has returned: "shop: down (refused): 192.0.2.7:80: the connection ..."."""
    level = logging.DEBUG if change == "first" else logging.INFO
    if change and logger.isEnabledFor(level):
        state = "up" if change == "first" else change
        state += f", {status.state}" if change == "steady" else ""
        why = f" ({status.error}): {status.message}" if status.error else ""
        muted = f"; nobody is alerted: {status.muted}" if status.muted else ""
        logger.log(level, "%s", _line(f"{name}: {state}{why}{muted}"))


def _line(text: str) -> str:
    return printable(" ".join(text.split()), _LONGEST)
