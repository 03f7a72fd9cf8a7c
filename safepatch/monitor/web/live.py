"""Tell open pages that something changed, by server-sent events.

Pages then ask for themselves anew, so that what is shown is made in one place. There is one
subscription to the monitor's events for all of them, while there are any.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import flask
import gevent
from flask import Blueprint, Response, request
from gevent.event import Event as Flag
from werkzeug.exceptions import ServiceUnavailable

from safepatch.monitor.web import access
from safepatch.monitor.web.board import Boards
from safepatch.monitor.web.current import NAME, board

blueprint = Blueprint("live", __name__)

#: Streams at the same time; seconds between signs of life, and at least between two events.
STREAMS, ALIVE, PAUSE = 100, 15.0, 1.0


class Live:
    """The streams that are open, and what wakes them."""

    def __init__(
        self, monitor: Any, boards: Boards, *, pause: float = PAUSE, alive: float = ALIVE
    ) -> None:
        self.monitor, self.boards, self.pause, self.alive = monitor, boards, pause, alive
        self.waiting: dict[Flag, str] = {}
        self.teller: gevent.Greenlet[Any, Any] | None = None

    def enter(self, name: str) -> Flag:
        """Begin a stream of what changes at an endpoint, "" for all; raises 503 if there are
        too many."""
        if len(self.waiting) >= STREAMS:
            raise ServiceUnavailable("too many pages are open; this one asks from time to time")
        flag = Flag()
        self.waiting[flag] = name
        if self.teller is None or self.teller.dead:
            self.teller = gevent.spawn(self._tell, self.monitor.events())
        return flag

    def leave(self, flag: Flag) -> None:
        """A stream has ended; with the last one ends the subscription."""
        self.waiting.pop(flag, None)
        if not self.waiting and self.teller is not None:
            self.teller.kill(block=False)
            self.teller = None

    def _tell(self, events: Any) -> None:
        try:
            for event in events:
                self._wake(event)
        finally:
            if hasattr(events, "close"):
                events.close()

    def _wake(self, event: dict[str, Any]) -> None:
        if event.get("type") == "dns":  # which a warning will tell
            return
        self.boards.is_stale = True  # who asks because of it is not to see what was before
        names = {event.get("name", ""), *event.get("endpoints", ())} - {""}
        for flag, name in self.waiting.items():
            if not name or not names or name in names:
                flag.set()


@blueprint.get("/live")
def stream() -> Response:
    """Events named "change", with the counts by state; of ?name= only, if that is given."""
    live: Live = flask.current_app.extensions[f"{NAME}.live"]
    flag = live.enter(request.args.get("name", ""))
    answer = Response(
        flask.stream_with_context(_lines(live, flag)), content_type="text/event-stream"
    )
    answer.call_on_close(functools.partial(live.leave, flag))
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would keep them back
    return answer


def _lines(live: Live, flag: Flag) -> Iterator[str]:
    yield "retry: 5000\n\n"
    while access.may_see():  # until a logout, which others may have a copy of the cookie of
        if not flag.wait(live.alive):
            yield ": alive\n\n"
            continue
        flag.clear()
        yield f"event: change\ndata: {json.dumps(board().counts)}\n\n"
        gevent.sleep(live.pause)
