"""What the pages are about: the monitor behind the request that is answered."""

from __future__ import annotations

from typing import Any, cast

import flask
import msgspec

from safepatch.monitor.plan import Endpoint, Settings
from safepatch.monitor.statuses import Status
from safepatch.monitor.web.board import Board
from safepatch.monitor.web.logins import Logins

NAME = "safepatch.monitor"


def monitor() -> Any:
    """The monitor, with the attributes that are written down for it."""
    return flask.current_app.extensions[NAME]


def settings() -> Settings:
    """Those that hold now; they change when the sources do."""
    return cast(Settings, monitor().plan.settings)


def board() -> Board:
    """All endpoints, in order, as of the last second."""
    return cast(Board, flask.current_app.extensions[f"{NAME}.boards"].latest())


def logins() -> Logins:
    """Those that hold."""
    return cast(Logins, flask.current_app.extensions[f"{NAME}.logins"])


def endpoint(name: str) -> tuple[Endpoint, Status]:
    """One endpoint, or the answer 404."""
    now = monitor()
    if name not in now.plan.endpoints:
        flask.abort(404, f"there is no endpoint {name[:200]!r}")
    return now.endpoint(name), now.statuses.get(name) or Status()


def plain(value: Any) -> Any:
    """Of structs, dicts."""
    return msgspec.to_builtins(value)
