"""Restarts: what is down is brought back by a webhook or a command, where that is safe."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import gevent
import gevent.event

from safepatch.monitor.alerts.channels import why
from safepatch.monitor.plan import Endpoint, Plan, Restart
from safepatch.monitor.restarts.actions import Action, act, action
from safepatch.monitor.restarts.attempts import Attempts, key_of
from safepatch.monitor.restarts.outages import Outage, Outages
from safepatch.monitor.statuses import Event, Status
from safepatch.store import ClosedError, FailedError, Store

logger = logging.getLogger("safepatch.monitor")
_AGAIN = 10.0  # seconds until what is held back is looked at again
_FEW = 3  # so many may be down, whatever share of all that is
_SLICE = 200  # outages that are looked at in one go
_GONE = Restart()  # for what is not in the plan any more


class Restarts:
    """Restarts endpoints that are down and have a `restart`.

    ::

        restarts = Restarts(store, plan, statuses, counts=..., blind=..., tell=alerts.put)
        restarts.start()
        restarts.down(endpoint, status, now)

    An endpoint is restarted when it has been down for `wait` seconds more, again after twice as
    long, and so on. Not while nobody is to be alerted of it, the monitor is blind, more than
    `restarts_stop_at` of all are down, `restarts_per_hour` are used up, or the same restart is
    under way for another endpoint. After `per_hour` of its own it is given up until it was up.

    An attempt is in the store before it begins, and is never made again: of one that was begun when
    the program was killed only the result is looked at. `statuses` are those of now, `counts` gives
    how many are down, and of how many; `blind` says why the monitor is, or ""; `tell` is called
    with events, within a transaction. `run(restart, action)` does it, and raises what fails. For
    one hub of gevent. The store is opened at once.
    """

    def __init__(
        self,
        store: Store,
        plan: Callable[[], Plan],
        statuses: Mapping[str, Status],
        *,
        counts: Callable[[], tuple[int, int]],
        blind: Callable[[], str] = lambda: "",
        tell: Callable[[Iterable[Event]], object] = lambda events: None,
        run: Callable[[Restart, Action], None] = act,
        keep: int = 500,
        now: Callable[[], float] = time.time,
        spawn: Callable[..., Any] = gevent.spawn,
    ) -> None:
        self._plan, self._statuses, self._counts = plan, statuses, counts
        self._blind, self._run, self._now, self._spawn = blind, run, now, spawn
        self._attempts = Attempts(store, tell, keep, now())
        self._outages = Outages()
        self._stopped = ""  # why all are held back
        self._woken = gevent.event.Event()
        self._loop: Any = None
        self._stopping = False
        self._running: set[Any] = set()

    def down(self, endpoint: Endpoint, status: Status, now: float) -> None:
        """An endpoint was found to be down, now or before the program began.

        To be called, too, of each that is down when the program begins. Writes nothing.
        """
        name = endpoint.options.restart
        restart = self._plan().restarts.get(name)
        if restart is None or restart.per_hour < 1 or endpoint.name in self._outages.by_name:
            return
        attempt = self._attempts.tried(endpoint.name, status.since)
        outage = Outage(endpoint.name, status.since, name, attempt=attempt)
        self._outages.by_name[endpoint.name] = outage
        if key_of(endpoint.name, status.since, "given up") in self._attempts.keys:
            outage.phase = "given up"
        else:
            self._wait(outage, restart, now)

    def up(self, endpoint: Endpoint, status: Status, now: float) -> None:
        """An endpoint is up. Writes nothing."""
        outage = self._outages.by_name.get(endpoint.name)
        if outage is not None and outage.phase == "verifying":
            self._put(outage, now)
        elif outage is not None and outage.phase != "running":
            self._end(outage)

    def start(self) -> None:
        """Begin, with what was begun when the program ended. `statuses` must be there."""
        for document in self._attempts.unfinished():
            self._resume(document, self._now())
        self._stopping = False
        self._loop = gevent.spawn(self._work)

    def stop(self, seconds: float = 5.0) -> None:
        """End; what runs has so many seconds, and goes on without us after that."""
        self._stopping = True
        self._woken.set()
        working = [*self._running, *filter(None, [self._loop])]
        gevent.joinall(working, timeout=seconds)
        gevent.killall(working)
        self._running.clear()
        self._outages.clear()

    def stats(self) -> dict[str, Any]:
        """How many wait, run, are verified and given up, and were tried in the last hour."""
        phases = self._outages.phases()
        return {
            **{name: phases[name] for name in ("waiting", "running", "verifying")},
            "given_up": phases["given up"],
            "last_hour": self._attempts.in_hour(self._now()),
            "stopped": self._stopped,
        }

    def recent(self, n: int = 50) -> list[dict[str, Any]]:
        """The last documents, newest first; see `safepatch.monitor.restarts.attempts`."""
        newest = [*self._attempts.keys][::-1][:n]
        return [dict(self._attempts.documents[key]) for key in newest]

    def tick(self, now: float) -> float | None:
        """Do what is due; the seconds until something is next, if anything is."""
        for number, outage in enumerate(self._outages.due(now), 1):
            self._look_at(outage, now)
            if not number % _SLICE:
                gevent.sleep(0)
        return self._outages.next_in(now)

    def _look_at(self, outage: Outage, now: float) -> None:
        """Do what is due; a mistake is logged, and what it was about is looked at again."""
        phase, attempt = outage.phase, outage.attempt
        try:
            if phase == "waiting":
                self._consider(outage, now)
            elif phase == "verifying":
                self._verify(outage, now)
        except (FailedError, ClosedError):
            raise
        except Exception:
            logger.exception("a mistake with the restart of %r; it goes on", outage.name)
            outage.phase, outage.attempt = phase, attempt
            if phase == "waiting":
                self._outages.under_way.pop(outage.name, None)
            self._put(outage, now + _AGAIN)

    def _work(self) -> None:
        try:
            while not self._stopping:
                self._woken.clear()
                self._woken.wait(self.tick(self._now()))
        except Exception:
            logger.exception("no more restarts")

    def _consider(self, outage: Outage, now: float) -> None:
        """Restart, or do not, or look again later."""
        endpoint, status = self._endpoint(outage), self._statuses.get(outage.name)
        outage.restart = "" if endpoint is None else endpoint.options.restart
        restart = self._plan().restarts.get(outage.restart)
        if endpoint is None or restart is None or status is None or status.state == "up":
            self._end(outage)
        elif self._is_held(outage, status):
            self._put(outage, now + _AGAIN)
        elif self._attempts.in_hour(now, outage.name) >= restart.per_hour:
            self._give_up(outage, endpoint, restart, status, now)
        elif reason := self._why_none(now):
            self._put(outage, now + _AGAIN)
            self._stop_all(reason, now)
        else:
            self._stopped = ""
            self._begin(outage, endpoint, restart, status, now)

    def _is_held(self, outage: Outage, status: Status) -> bool:
        """Whether it may not be down, nobody is to hear of it, or the same is being done already,
        for another endpoint."""
        if status.state != "down" or status.muted or self._blind():
            return True
        return outage.restart in self._outages.under_way.values()

    def _why_none(self, now: float) -> str:
        settings = self._plan().settings
        down, total = self._counts()
        if down > _FEW and down > settings.restarts_stop_at * total:
            return f"{down} of {total} endpoints are down, which is more than a restart would cure"
        if self._attempts.in_hour(now) >= settings.restarts_per_hour:
            return f"there were {settings.restarts_per_hour} in the last hour, which is the most"
        return ""

    def _stop_all(self, reason: str, now: float) -> None:
        """Tell, once, that nothing is restarted until that has changed."""
        if not self._stopped:
            self._stopped = reason
            text = f"Restarts are stopped: {reason}."
            self._attempts.add(f"all {now:.3f}", "stopped", text, "critical", now)

    def _give_up(
        self, outage: Outage, endpoint: Endpoint, restart: Restart, status: Status, now: float
    ) -> None:
        outage.phase = "given up"
        says, what = ("would not be", "dry run") if restart.dry_run else ("is not", "restart")
        many = f"{restart.per_hour} {what}{'' if restart.per_hour == 1 else 's'}"
        text = (
            f"{outage.name} {says} restarted any more. It is down after {many} in the last hour, "
            "and somebody has to look at it."
        )
        key = key_of(outage.name, outage.since, "given up")
        incident = status.incident
        self._attempts.add(key, "given up", text, "critical", now, endpoint, incident=incident)

    def _begin(
        self, outage: Outage, endpoint: Endpoint, restart: Restart, status: Status, now: float
    ) -> None:
        outage.attempt += 1
        outage.phase = "running"
        self._outages.under_way[outage.name] = outage.restart
        says = "would be restarted, were it no dry run" if restart.dry_run else "is restarted"
        self._attempts.add(
            outage.key,
            "begun",
            f"{outage.name} {says} (attempt {outage.attempt}). {status.message}".strip(),
            "info",
            now,
            endpoint,
            attempt=outage.attempt,
            since=outage.since,
            restart=outage.restart,
            incident=status.incident,
            dry_run=restart.dry_run,
        )
        what = action(outage.key, endpoint, restart, status, outage.since, outage.attempt)
        # A greenlet that fails is shown with its arguments, which have addresses in them.
        greenlet = self._spawn(lambda: self._do(outage, restart, what))
        if greenlet is not None:
            self._running.add(greenlet)
            greenlet.rawlink(self._running.discard)

    def _do(self, outage: Outage, restart: Restart, what: Action) -> None:
        failure = ""
        try:
            if not restart.dry_run:
                self._run(restart, what)
        except Exception as error:
            failure = why(error)
        outage.ran = self._now()
        try:
            self._done(outage, restart, failure, outage.ran)
        except Exception:  # or it would be under way for ever
            logger.exception("a mistake with the restart of %r; it goes on", outage.name)
            outage.phase = "verifying"
            self._put(outage, outage.ran + restart.verify)

    def _done(self, outage: Outage, restart: Restart, failure: str, now: float) -> None:
        endpoint = self._endpoint(outage)
        if failure:
            text = f"{outage.name} could not be restarted. What was tried failed: {failure}."
            self._attempts.step(outage.key, "failed", text, "warning", now, endpoint)
            self._wait(outage, restart, now)
            return
        text = "Nothing was run." if restart.dry_run else "It was run."
        self._attempts.step(outage.key, "ran", text, None, now, endpoint)
        outage.phase = "verifying"
        self._put(outage, now if self._is_up(outage) else now + restart.verify)

    def _verify(self, outage: Outage, now: float) -> None:
        endpoint, is_up = self._endpoint(outage), self._is_up(outage)
        state, says = ("recovered", "is up again") if is_up else ("still down", "is still down")
        # A dry run restarted nothing, and who is told must not believe that it did.
        dry = self._attempts.documents[outage.key].get("dry_run", False)
        what = "it would have been restarted" if dry else "its restart"
        text = f"{outage.name} {says}, {now - outage.ran:.0f} seconds after {what}."
        severity: Literal["info", "warning"] = "info" if is_up else "warning"
        self._attempts.step(outage.key, state, text, severity, now, endpoint)
        if is_up:
            self._end(outage)
        else:
            self._wait(outage, self._plan().restarts.get(outage.restart, _GONE), now)

    def _resume(self, document: dict[str, Any], now: float) -> None:
        """Look at what has become of something that was begun when the program ended."""
        name, since, restart = (document[each] for each in ("endpoint", "since", "restart"))
        outage = Outage(name, since, restart, "verifying", document["attempt"], document["at"])
        if document["state"] == "begun":
            text = (
                f"It is not known whether {name} was restarted. The monitor ended meanwhile; it is "
                "not done again, and looked at whether it helped."
            )
            endpoint = self._endpoint(outage)
            self._attempts.step(outage.key, "ran", text, "warning", now, endpoint)
        self._outages.by_name[name] = outage
        self._outages.under_way[name] = restart
        self._put(outage, now + self._plan().restarts.get(restart, _GONE).verify)

    def _endpoint(self, outage: Outage) -> Endpoint | None:
        return self._plan().endpoints.get(outage.name)

    def _is_up(self, outage: Outage) -> bool:
        status = self._statuses.get(outage.name)
        return status is not None and status.state == "up"

    def _wait(self, outage: Outage, restart: Restart, now: float) -> None:
        outage.phase = "waiting"
        self._outages.under_way.pop(outage.name, None)
        self._put(outage, now + restart.wait * 2.0**outage.attempt)

    def _put(self, outage: Outage, due: float) -> None:
        self._outages.put(outage, due)
        self._woken.set()

    def _end(self, outage: Outage) -> None:
        self._outages.by_name.pop(outage.name, None)
        self._outages.under_way.pop(outage.name, None)
        if not self._outages.by_name:
            self._stopped = ""
