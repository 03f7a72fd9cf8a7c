"""What is held of an endpoint, from check to check."""

from __future__ import annotations

from typing import Literal

import msgspec

from safepatch.monitor.results import Result

State = Literal["new", "up", "down", "unknown"]


class Status(msgspec.Struct, kw_only=True):
    """The verdict on an endpoint, and what led to it.

    "new" is before there is a verdict, "unknown" when it cannot be told, because the monitor is
    blind. `since` is when the state began and `checked` when it was looked at last, in seconds
    since 1970. `failing` and `passing` count checks in a row. `error` and `message` are those of
    the last check that failed, while the last one did. `muted` says why nobody is alerted:
    "maintenance nightly", "depends on gateway". `turns` are the times of the last changes between
    good and bad. `incident` is the id of the open one that it belongs to.
    """

    state: State = "new"
    since: float = 0.0
    checked: float = 0.0
    failing: int = 0
    passing: int = 0
    error: str = ""
    message: str = ""
    muted: str = ""
    flapping: bool = False
    turns: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()
    incident: str = ""
    result: Result | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is told of.

    `type` is "down", "up", "warning" (what was learned has changed, a certificate ends soon),
    "flapping", "steady", "blind", "seeing", "restart" or "test". `cause` is what its endpoints have
    in common: {"kind": "address", "value": "192.0.2.7"}. `endpoints` are at most 50 names, of
    `count`. The same `id` is never told of twice.
    """

    id: str
    type: str
    at: float
    severity: Literal["critical", "warning", "info"]
    title: str
    text: str
    incident: str = ""
    cause: dict[str, str] = {}
    endpoints: tuple[str, ...] = ()
    count: int = 0
    tags: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()  # () is all
    url: str = ""
