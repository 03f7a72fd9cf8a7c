"""Incidents: what fails together is one thing, and told of once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from safepatch.monitor.plan import Endpoint, Plan
from safepatch.monitor.results import Result
from safepatch.monitor.statuses import Event, Status
from safepatch.monitor.verdicts import causes, records, telling, windows
from safepatch.monitor.verdicts.causes import NONE, Cause, Failure, Group, paced
from safepatch.monitor.verdicts.membership import Membership, fails, keeps_down
from safepatch.monitor.verdicts.places import Places
from safepatch.monitor.verdicts.records import INCIDENTS, Document

GROWS = 300.0  # seconds between two messages that it has doubled
JOINS = 300.0  # seconds in which another failure of the same kind of error still joins
_AWAKE = 30.0  # seconds after which those in maintenance are looked at again
_BACK = 1.0  # seconds that the clock may go back unheeded
_WAITS = 4  # times `gather` that a dependency is given to be confirmed

Muted = Callable[[Endpoint, Plan, float], str]


class Incidents:
    """Gathers failures, finds out what they have in common, and says what is to be told.

    The engine calls `take` for each change that `step` returns, and `settle` each second, both
    within its transactions; `seen` for each good result; and once, when the statuses are there,
    `resume`. Nothing here waits or reads a clock. For one thread or hub.

    In the store are `incidents`, small documents, and `incident_members`, who ever came to which;
    who still is there, the statuses tell. So a recovery of thousands writes nothing large, and what
    a crash has cut off is found again: who is down and in no incident waits to be told of.
    """

    def __init__(
        self,
        root: Any,
        plan: Callable[[], Plan],
        statuses: Mapping[str, Status],
        places: Places | None = None,
        muted: Muted = windows.muted,
    ) -> None:
        self.root, self.plan, self.statuses, self._muted = root, plan, statuses, muted
        self.places = places or Places(lambda name: plan().endpoints[name].address)
        self._pending: dict[str, Failure] = {}
        self._asleep: dict[str, Failure] = {}  # in maintenance
        self._awake = 0.0  # when those are looked at again
        self._latest = 0.0  # that the clock has told
        self._alone: dict[str, Failure] = {}  # told of lately, with nothing in common with others
        self._grown: set[str] = set()
        self._who = Membership(statuses)

    # -- what happens

    def seen(self, name: str, address: str) -> None:
        """Note where an endpoint is, `facts["address"]` of a good result; 0.1 us if nowhere new."""
        self.places.seen(name, address)

    def take(
        self, endpoint: Endpoint, status: Status, result: Result, change: str, now: float
    ) -> None:
        """Take what `step` has returned, and tell it, or not, at one of the next `settle`."""
        if change == "down" or (change == "steady" and status.state == "down"):
            self._leave(endpoint.name, up=False)
            self._fail(endpoint, status, result.facts, "down", now)
        elif change == "flapping":
            self._leave(endpoint.name, up=False)
            self._fail(endpoint, status, result.facts, "flapping", now)
        elif change in ("up", "steady"):
            self._leave(endpoint.name, up=True)
            self._wake_dependents(endpoint.name, now)

    def _fail(
        self, endpoint: Endpoint, status: Status, facts: Mapping[str, Any], type_: str, at: float
    ) -> None:
        last = self.places.addresses.get(endpoint.name, "")
        failure = causes.failure_of(endpoint, status, facts, type_, at, last)
        self.places.forget([endpoint.name])  # it may ask another port since a reload
        self.places.seen(endpoint.name, failure.address)
        failure.service = self.places.service(endpoint.name)
        self._pending[endpoint.name] = failure

    def _leave(self, name: str, *, up: bool) -> None:
        for some in (self._pending, self._asleep, self._alone):
            some.pop(name, None)
        self._who.leave(name, up=up)

    def _wake_dependents(self, name: str, now: float) -> None:
        """Have those that waited for an endpoint told of, if they are not up soon as well."""
        for other in self._who.release(name):
            endpoint, status = self.plan().endpoints.get(other), self.statuses.get(other)
            if endpoint is not None and status is not None:
                self._fail_again(endpoint, status, now + endpoint.options.interval)

    def _fail_again(self, endpoint: Endpoint, status: Status, at: float) -> None:
        facts = status.result.facts if status.result else {}
        self._fail(endpoint, status, facts, "flapping" if status.flapping else "down", at)

    def replan(self, now: float) -> None:
        """After another plan was taken up: have what waits for an endpoint told of, if by this plan
        it would not; that one may have gone."""
        endpoints = self.plan().endpoints
        for name, dependency in self._who.waiting():
            endpoint, status = endpoints.get(name), self.statuses.get(name)
            if endpoint is None or status is None:
                continue  # it is being forgotten
            if keeps_down(endpoint, endpoints, self.statuses) != (dependency, True):
                self._leave(name, up=False)
                self._fail_again(endpoint, status, now)

    def forget(self, names: Iterable[str]) -> None:
        """Drop what is not watched any more."""
        for name in names:
            self._leave(name, up=False)
            self.places.forget([name])

    def resume(self, now: float) -> None:
        """Find out who is in which incident, after a start; those in none wait to be told of."""
        for incident in records.open_ids(self.root):
            document = self.root[INCIDENTS][incident]
            self._who.open(document)
            self._who.left[incident] = True  # somebody may have come up right before the end
            for name in records.members(self.root, document):
                self._who.come(name, incident)
        for name, endpoint in self.plan().endpoints.items():
            status = self.statuses.get(name)
            if status is None:
                continue
            if status.muted.startswith("depends on "):
                status.muted = ""  # until that is found out again
            if fails(status) and name not in self._who.of:
                self._fail_again(endpoint, status, now)

    # -- what is told

    def settle(
        self, now: float, blind: bool = False, pause: Callable[[], object] = lambda: None
    ) -> list[Event]:
        """What is to be told now; each event once. While blind nothing is, and all waits.

        Some 8 us for each failure; `pause` is called every so many, to let others run, who may
        call `take` meanwhile.
        """
        self._heed_clock(now)
        if blind:
            return []
        events = [*self._ended(now), *self._doubled(now)]
        if self._asleep and now >= self._awake:
            self._wake_asleep(now)
        ready = self._to_tell(paced(self._ready(now), pause), now)
        for type_ in ("down", "flapping"):
            events += self._told([one for one in ready if one.type == type_], type_, now, pause)
        return events

    def _heed_clock(self, now: float) -> None:
        """Where the clock was put back, have nothing wait until it has come to where it was."""
        back, self._latest = self._latest - now, now
        if back > _BACK:
            self._awake = now
            for failure in self._pending.values():
                failure.at -= back

    def _wake_asleep(self, now: float) -> None:
        self._awake = now + _AWAKE
        plan = self.plan()
        for failure in [*self._asleep.values()]:
            status = self.statuses[failure.name]
            # It may be said otherwise by now.
            failure.endpoint = plan.endpoints.get(failure.name, failure.endpoint)
            status.muted = self._muted(failure.endpoint, plan, now)
            if not status.muted:
                failure.at = now
                self._pending[failure.name] = self._asleep.pop(failure.name)

    def _ready(self, now: float) -> list[Failure]:
        """All that waits, once the first of them has waited for long enough; of the others those
        are told that have something in common with such a one."""
        if not any(self._is_ripe(failure, now) for failure in self._pending.values()):
            return []
        return [failure for failure in self._pending.values() if failure.at <= now]

    def _is_ripe(self, failure: Failure, now: float) -> bool:
        return failure.at <= now - self.plan().settings.gather

    def _to_tell(self, ready: Iterable[Failure], now: float) -> list[Failure]:
        """Those that are neither in maintenance nor down because of another one."""
        plan, told = self.plan(), []
        for failure in ready:
            if self._pending.get(failure.name) is not failure:
                continue  # it came up during a pause
            status = self.statuses[failure.name]
            if reason := self._muted(failure.endpoint, plan, now):
                status.muted = reason
                self._asleep[failure.name] = self._pending.pop(failure.name)
                continue
            dependency, sure = keeps_down(failure.endpoint, plan.endpoints, self.statuses)
            if sure:
                del self._pending[failure.name]
                self._who.wait(failure.name, dependency)
            elif dependency and failure.waited < _WAITS:
                if self._is_ripe(failure, now):
                    failure.at, failure.waited = now, failure.waited + 1
            else:
                told.append(self._pending.pop(failure.name))
        return told

    def _told(
        self, failures: list[Failure], type_: str, now: float, pause: Callable[[], object]
    ) -> list[Event]:
        if not failures:
            return []
        new = {failure.name for failure in failures}
        lately = self._alone_lately(type_, now)
        groups = causes.grouped([*failures, *lately], self.places, self.statuses, pause)
        groups = [group for group in groups if any(one.name in new for one in group.failures)]
        rest = [group for group in paced(groups, pause) if not self._joined(group, type_, now)]
        ripe = []
        for group in causes.merged(rest):
            own = [failure for failure in group.failures if failure.name in new]
            if any(self._is_ripe(failure, now) for failure in own):
                ripe.append(group)
            else:
                self._wait_on(own)
        return [self._opened(group, type_, now, pause) for group in ripe]

    def _wait_on(self, failures: Iterable[Failure]) -> None:
        """Put back what others of the same cause may still join."""
        for failure in failures:
            if fails(self.statuses[failure.name]):  # and did not come up during a pause
                self._pending[failure.name] = failure

    def _alone_lately(self, type_: str, now: float) -> list[Failure]:
        """Those that may have been the first of something larger."""
        self._alone = {name: one for name, one in self._alone.items() if now - one.at < JOINS}
        return [one for one in self._alone.values() if one.type == type_]

    def _joined(self, group: Group, type_: str, now: float) -> bool:
        """Whether failures belong to an incident that is open already."""
        wanted = [group.cause] if group.cause != NONE else causes.possible(group.failures[0])
        for cause in wanted:
            incident = self._who.by_cause.get((type_, cause))
            if incident is not None and self._fits(cause, group, incident, now):
                self._come(incident, group.failures, now)
                return True
        return False

    def _fits(self, cause: Cause, group: Group, incident: str, now: float) -> bool:
        """Whether the cause of an open incident still explains such a failure."""
        if cause.kind in ("error", "resolver"):
            return bool(now - self.root[INCIDENTS][incident]["joined"] < JOINS)
        if cause.kind not in ("address", "service", "network"):
            return True
        first = group.failures[0]
        bad = {*self._who.members[incident], *(failure.name for failure in group.failures)}
        place = self.places.service if cause.kind == "service" else None
        together, by_place = causes.look(
            first.network, bad, first.since, self.places, self.statuses, place
        )
        return (together if cause.kind == "network" else by_place[cause.value]).explains

    def _come(
        self,
        incident: str,
        failures: Sequence[Failure],
        now: float,
        pause: Callable[[], object] = lambda: None,
    ) -> None:
        document, ever = self.root[INCIDENTS][incident], self._who.ever[incident]
        # One that comes and goes, for months perhaps, is one endpoint.
        new = [failure.name for failure in failures if failure.name not in ever]
        for failure in paced(failures, pause):
            self._leave_alone(failure.name)
            self._who.come(failure.name, incident)
        records.come(self.root, document, failures, new, now)
        self._grown.add(incident)

    def _leave_alone(self, name: str) -> None:
        """Take an endpoint out of the incident that it had alone, as it is part of another one."""
        if self._alone.pop(name, None) is not None:
            self._leave(name, up=False)

    def _opened(self, group: Group, type_: str, now: float, pause: Callable[[], object]) -> Event:
        document = records.new(self.root, group, type_, now)
        self._who.open(document)
        failures = sorted(group.failures, key=lambda failure: failure.since)
        self._come(document["id"], failures, now, pause)
        self._grown.discard(document["id"])
        if len(failures) == 1:
            self._alone[failures[0].name] = failures[0]
        document["title"], document["text"] = telling.began(document, failures)
        return self._event(document, type_, document["title"], document["text"], now)

    def _event(self, document: Document, type_: str, title: str, text: str, now: float) -> Event:
        down, url = len(self._who.members[document["id"]]), self.plan().settings.url
        return records.event(document, type_, title, text, now, down, url)

    def _doubled(self, now: float) -> Iterator[Event]:
        for incident in [*self._grown]:
            document, down = self.root[INCIDENTS][incident], len(self._who.members[incident])
            if down >= 2 * max(1, document["told"]) and now - document["told_at"] >= GROWS:
                self._grown.discard(incident)
                title, text = telling.grew(document, down)
                yield self._event(document, document["type"], title, text, now)

    def _ended(self, now: float) -> Iterator[Event]:
        for incident, up in [*self._who.left.items()]:
            if self._who.members[incident]:
                continue
            document = self.root[INCIDENTS][incident]
            document["closed"] = now
            self._grown.discard(incident)
            if up:
                title, text = telling.ended(document, now)
                type_ = "steady" if document["type"] == "flapping" else "up"
                yield self._event(document, type_, title, text, now)
            self._who.close(document)
            records.prune(self.root, now, self._who.members)

    # -- what is shown

    def open(self) -> list[Document]:
        """The incidents that are not over, newest first, each with how many are `down` now."""
        found = [self.get(key) for key in sorted(self._who.members, reverse=True)]
        return [document for document in found if document]

    def recent(self, count: int) -> list[Document]:
        """The last incidents, newest first, open ones among them."""
        return [self._shown(document) for document in records.latest(self.root, count)]

    def get(self, incident: str) -> Document | None:
        """An incident, or None."""
        document = self.root[INCIDENTS].get(incident)
        return None if document is None else self._shown(document)

    def _shown(self, document: Document) -> Document:
        return {**document, "down": len(self._who.members.get(document["id"], ()))}

    def members(self, incident: str) -> list[str]:
        """Who is down in an open incident, and after them those that depend on them."""
        names = sorted(self._who.members.get(incident, ()))
        return names + sorted(other for name in names for other in self._who.holds(name))
