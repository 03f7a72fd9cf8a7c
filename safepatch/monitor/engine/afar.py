"""A monitor whose checks are made by workers: what it sends them, and what it takes from them.

Heartbeats are checked by the monitor itself, to which jobs report; so are canaries.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from safepatch.monitor.engine import journal, taking
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.statuses import Event

if TYPE_CHECKING:
    from safepatch.monitor.monitor import Monitor
    from safepatch.monitor.workers import Vantages

#: Endpoints that are new are checked at once, if they are no more than so many.
_FEW = 50


def vantages(monitor: Monitor) -> Vantages | None:
    """Those of the settings, which are not started yet; None where there are none.

    Raises ValueError and ModuleNotFoundError as Vantages does.
    """
    settings = monitor.plan.settings
    if not settings.vantages:
        return None
    from safepatch.monitor.workers import Vantages  # of an extra of its own

    def take(endpoint: Endpoint, result: Result) -> tuple[float, float | None]:
        assert made is not None
        monitor.pace.begin(made.late)
        monitor.pace.done += 1
        return monitor.take(endpoint, result)

    made = Vantages(
        settings.broker,
        settings.vantages,
        lambda: monitor.plan.endpoints,
        take,
        quorum=settings.quorum,
        password=os.environ.get(settings.broker_password_env, ""),
        known=lambda endpoint: taking.known(monitor, endpoint) or endpoint,
        found=lambda endpoint, address: taking.found(monitor, endpoint, address),
        clock=monitor.wall,
    )
    return made


def is_afar(monitor: Monitor, endpoint: Endpoint) -> bool:
    """Whether workers check it."""
    return monitor.vantages is not None and endpoint.kind != "beat"


def added(monitor: Monitor, names: Iterable[str]) -> None:
    """Have those few that are new checked soon; many wait for their turn, within an interval."""
    some = [name for name in names if is_afar(monitor, monitor.plan.endpoints[name])]
    if monitor.vantages is not None and len(some) <= _FEW:
        for name in some:
            monitor.vantages.check(name)


def look(monitor: Monitor) -> None:
    """Tell, once each, when too few vantages report, and when enough do again."""
    if monitor.vantages is None:
        return
    before, monitor.deaf = monitor.deaf, monitor.vantages.reason()
    if bool(before) == bool(monitor.deaf):
        return
    now = monitor.wall()
    event = _blind(monitor.deaf, now) if monitor.deaf else _seeing(before, now)
    with taking.transaction(monitor):
        monitor.alerts.put([event])
    journal.tell(monitor, [event])


def _blind(reason: str, now: float) -> Event:
    text = f"{reason}.\nUntil enough report, what was known of endpoints stays as it is."
    return Event(
        id=f"vantages-silent-{int(now * 1000)}", type="blind", at=now, severity="critical",
        title="Too few vantages report", text=text,
    )  # fmt: skip


def _seeing(reason: str, now: float) -> Event:
    return Event(
        id=f"vantages-report-{int(now * 1000)}", type="seeing", at=now, severity="info",
        title="Enough vantages report again", text=f"Before that: {reason}.",
    )  # fmt: skip
