"""Warnings that somebody is told of: what was learned has changed, a certificate ends soon."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from safepatch.monitor.plan import Endpoint, Plan
from safepatch.monitor.statuses import Event, Status

COLLECTION = "warned"
_APART = 60.0  # seconds at least between two messages
_AGAIN = 86400.0  # seconds after which one that went and came is told of again
_NAMES, _LINES = 50, 20  # of an event


class Warned:
    """Gathers warnings of endpoints that are new, and tells of all of them at once.

    A warning is told of once as long as it lasts, and at most once a day if it comes and goes;
    numbers in it make no other one of it. In the store is, by endpoint, what was told and when.
    `note` is called when the warnings of a status have changed, `settle` each second, within a
    transaction; `resume` once when the statuses are there, so that nothing is lost by a kill.
    """

    def __init__(self, root: Any, plan: Callable[[], Plan], statuses: Mapping[str, Status]) -> None:
        self._told = root[COLLECTION]
        self._plan, self._statuses = plan, statuses
        self._pending: dict[str, float] = {}  # who has changed, and when that was seen first
        self._last = 0.0  # when it was looked last at what has changed

    def note(self, name: str, now: float) -> None:
        """The warnings of an endpoint have changed."""
        self._pending.setdefault(name, now)

    def resume(self, now: float) -> None:
        """Look at all that has warnings, or had some."""
        names = {name for name, status in self._statuses.items() if status.warnings}
        for name in names.union(self._told):
            self.note(name, now)

    def forget(self, names: Iterable[str]) -> None:
        """Drop what is not watched any more; within a transaction."""
        for name in names:
            self._pending.pop(name, None)
            self._told.pop(name, None)

    def settle(self, now: float) -> list[Event]:
        """What is to be told now, one event at most."""
        gather = self._plan().settings.gather
        if not self._pending:
            return []
        first = min(self._pending.values())
        # Where the clock was put back these are of a time to come, and nothing waits for that.
        if first <= now < first + gather or self._last <= now < self._last + min(
            _APART, 4 * gather
        ):
            return []
        self._last = now
        new = [(name, text) for name in [*self._pending] for text in self._new(name, now)]
        return [self._event(new, now)] if new else []

    def _new(self, name: str, now: float) -> list[str]:
        """The warnings of an endpoint that nobody was told of, which are noted as told. Of what is
        muted or down nothing is told until that is over."""
        status = self._statuses.get(name)
        if status is None or name not in self._plan().endpoints:  # it is being forgotten
            del self._pending[name]
            return []
        if status.muted or status.state == "down":
            return []
        del self._pending[name]
        told = {**self._told.get(name, {})}
        keys = {_key(warning): warning for warning in status.warnings}
        kept = {key: at for key, at in told.items() if key in keys or now - at < _AGAIN}
        new = [warning for key, warning in keys.items() if key not in kept]
        kept |= {key: now for key in keys if key not in kept}
        if kept != told and kept:
            self._told[name] = kept
        elif not kept:
            self._told.pop(name, None)
        return new

    def _event(self, new: list[tuple[str, str]], now: float) -> Event:
        names = [*dict.fromkeys(name for name, _ in new)]
        endpoints = [self._plan().endpoints[name] for name in names]
        lines = [f"{name}: {warning}" for name, warning in new]
        more = [f"... and {len(lines) - _LINES} more"] if len(lines) > _LINES else []
        who = names[0] if len(names) == 1 else f"{len(names)} endpoints"
        verb = "is" if len(names) == 1 else "are"
        return Event(
            id=f"warning-{int(now * 1000)}",
            type="warning",
            at=now,
            severity="warning",
            title=lines[0] if len(lines) == 1 else f"{who} {verb} not as usual",
            text="\n".join([*lines[:_LINES], *more]),
            endpoints=tuple(names[:_NAMES]),
            count=len(names),
            tags=tuple(sorted({tag for each in endpoints for tag in each.options.tags})),
            channels=_channels(endpoints),
        )


def _key(warning: str) -> str:
    """What is the same in a warning from day to day."""
    return re.sub(r"\d+(\.\d+)?( days?)?", "#", warning)


def _channels(endpoints: Iterable[Endpoint]) -> tuple[str, ...]:
    """The channels that care for some of those, () for all."""
    named = {each.options.alerts for each in endpoints}
    return () if () in named else tuple(sorted({channel for some in named for channel in some}))
