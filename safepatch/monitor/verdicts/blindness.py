"""Blindness: when it is the monitor's own line, or its resolver, that fails."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

from safepatch.monitor.plan import Plan
from safepatch.monitor.results import Result
from safepatch.monitor.statuses import Event
from safepatch.monitor.verdicts.evidence import Evidence
from safepatch.monitor.verdicts.places import Places, domain_of, is_private, network_of
from safepatch.monitor.verdicts.telling import duration, moment

KINDS = frozenset({"unreachable", "dns", "timeout"})  # the errors that a dead line makes
NO_EVIDENCE = frozenset({"silent", "private", "internal"})
LEAST, ENOUGH = 3, 20  # networks that must fail; half of all, within these bounds
_SMALL = 10  # networks; a list of fewer is given up on after so many seconds:
_GIVEN_UP = 600.0
_SURE = 10.0  # seconds of being blind before it is told
_STEADY = 30.0  # seconds of seeing before that is told
_OFTEN, _SELDOM = 2.0, 15.0  # seconds between checks of canaries
_LARGE = 500  # endpoints; of more none is doubted, and it is judged only every so many seconds:
_SELDOM_JUDGED = 0.2
_LATELY = 60.0  # seconds before the last canary failed, in which an endpoint did
_ASKED = 0.0003  # seconds; a name that took longer was not in our cache
_SLOWEST = 30.0  # seconds; nobody waits longer for a failure
_AT_ONCE = 0.5  # seconds; failures that are known so soon are known as soon as what is well
_WITNESSES = 5
_BACK = 1.0  # seconds that the clock may go back unheeded
COLLECTION = "blindness"


class Blindness:
    """Whether the monitor can see; the rules are in docs/monitor/verdicts.md.

    `take` is called for each result before `step`, also those of canaries, whose name is the canary
    as it was written; `look` for each of the paced DNS verdicts; `events` each second, within the
    engine's transaction. For one thread or hub.
    """

    def __init__(self, root: Any, plan: Callable[[], Plan], places: Places) -> None:
        self.root, self.plan, self.places = root, plan, places
        #: Since when it sees again; 0.0 if it was not blind before.
        self.seeing_since = 0.0
        self._line, self._names = Evidence(), Evidence()
        self._canaries: dict[str, tuple[bool, float, bool]] = {}  # well, since when, private
        self._bad: set[str] = set()  # who failed last, so that a failure is new only once
        self._changed = False
        self._kind = self._reason = ""
        self._since = self._judged = 0.0
        self._slowest = 0.0  # seconds that failures took to be known, since the last time it saw
        told = root[COLLECTION].get("state")
        self._told = bool(told)
        if told:
            self._kind, self._reason, self._since = told["kind"], told["reason"], told["since"]
        self._latest = self._since  # that the clock has told

    # -- evidence

    def take(self, result: Result, now: float) -> None:
        """Take a result; some microseconds, and none of it is I/O."""
        self._heed_clock(now)
        at = min(result.at, now)
        if result.name in self.plan().settings.canaries:
            self._take_canary(result, at)
        elif result.error not in NO_EVIDENCE:
            self._take(result, at)
            if result.error in KINDS:
                self._slowest = min(max(self._slowest, now - result.at), _SLOWEST)
        if self._changed or self._reason:
            # Thousands may fail in a second, and judging looks at all of them.
            large = len(self.plan().endpoints) > _LARGE
            if not large or now >= self._judged + _SELDOM_JUDGED:
                self._judge(now)

    def look(self, host: str, ok: bool, at: float) -> None:
        """Take the outcome of a lookup that no cache has answered."""
        (self._names.good if ok else self._names.bad)(domain_of(host) or host, at)
        self._changed = True

    def _heed_clock(self, now: float) -> None:
        """Where the clock was put back, have all be that much earlier.

        Or it would be blind, or take each failure for one from before it saw again, until the clock
        has come to where it was: for an hour or two, where it had told the local time.
        """
        back, self._latest = self._latest - now, now
        if back <= _BACK:
            return
        self._line.shift(back)
        self._names.shift(back)
        self._canaries = {
            name: (well, since - back, private)
            for name, (well, since, private) in self._canaries.items()
        }
        self._since, self._judged = self._since - back, self._judged - back
        self.seeing_since = max(0.0, self.seeing_since - back)

    def forget(self, names: Iterable[str]) -> None:
        """Drop what is not watched any more."""
        self._bad.difference_update(names)

    def _take_canary(self, result: Result, at: float) -> None:
        known = self._canaries.get(result.name)
        since = known[1] if known and known[0] is result.ok else at
        private = is_private(str(result.facts.get("address", "")))
        self._canaries[result.name] = result.ok, since, private
        self._changed = True

    def _take(self, result: Result, at: float) -> None:
        name = result.name
        address = result.facts.get("address") or self.places.addresses.get(name, "")
        if result.error in KINDS:
            # One that is dead all the time is no sign, however often it is tried.
            if name not in self._bad or self._reason:
                self._changed = True
                if not is_private(address):
                    self._line.bad(network_of(address) or self._domain(name), at)
                if result.error == "dns":
                    self._names.bad(self._domain(name), at)
            self._bad.add(name)
            return
        if self._bad:
            self._bad.discard(name)
        # What was not asked, such as a cron job that reports, has no address, and is no evidence.
        if address and not is_private(address):
            self._line.good(network_of(address), at)
        if result.phases.get("dns", 0.0) > _ASKED:
            self._names.good(self._domain(name), at)

    def _domain(self, name: str) -> str:
        endpoint = self.plan().endpoints.get(name)
        address = endpoint.address if endpoint else name
        return domain_of(address) or address

    # -- the judgement

    def reason(self, now: float) -> str:
        """Why the monitor is blind, or ""."""
        return self._reason

    def covers(self, result: Result) -> bool:
        """Whether a result says nothing of its endpoint, for the monitor is, or was, blind.

        So it is for what is private only if canaries are, too: the line that is dead leads outside.
        """
        if not self._reason and (not result.error or result.at >= self.seeing_since):
            return False
        if result.error == "dns" or any(private for _, _, private in self._canaries.values()):
            return True
        name = result.name
        return not is_private(result.facts.get("address") or self.places.addresses.get(name, ""))

    def doubts(self, result: Result) -> tuple[str, ...]:
        """Endpoints to be checked at once when one fails, so that it shows whether all do.

        () for longer lists, where the next ones are due soon enough.
        """
        if result.error not in KINDS or self._reason or self._units() >= 2 * ENOUGH:
            return ()
        if len(self.plan().endpoints) > _LARGE:  # in few networks; to look at all takes 30 ms
            return ()
        near = network_of(self.places.addresses.get(result.name, ""))
        others = (
            name
            for name in self.plan().endpoints
            if name not in self._bad and network_of(self.places.addresses.get(name, "")) != near
        )
        return tuple(itertools.islice(others, _WITNESSES))

    def canary_due(self) -> float:
        """Seconds until canaries are checked again; more often while there is a doubt."""
        doubt = self._reason or not all(well for well, _, _ in self._canaries.values())
        return _OFTEN if doubt or self._line.fails(self._need()) else _SELDOM

    def _units(self) -> int:
        """How many networks there are; or endpoints, as long as most have not been seen."""
        endpoints = len(self.plan().endpoints)
        if 2 * len(self.places.addresses) < endpoints:
            return endpoints
        return len(self.places.networks)

    def _need(self) -> int:
        return max(LEAST, min(ENOUGH, math.ceil(self._units() / 2)))

    def _judge(self, now: float) -> None:
        self._changed, self._judged = False, now
        if self._reason:
            if self._sees(now):
                self._reason, self.seeing_since, self._slowest = "", now, 0.0
        else:
            self._kind, self._reason = self._find()
            if self._reason:
                self._since = now

    def _find(self) -> tuple[str, str]:
        """The kind of blindness, and why; two times "" if there is none."""
        canaries = self.plan().settings.canaries
        if not canaries:
            if failing := self._line.fails(self._need()):
                return "line", f"nothing answers any more, in {failing} networks at once"
        elif self._canaries_tell():
            return "canaries", f"none of the canaries answers: {', '.join(canaries)}"
        if failing := self._names.fails(self._need()):
            return "names", f"no name can be resolved any more, in {failing} domains at once"
        return "", ""

    def _canaries_tell(self) -> bool:
        """Whether no canary answers, an endpoint failed, too, and most others are not well."""
        names = self.plan().settings.canaries
        known = [self._canaries[name] for name in names if name in self._canaries]
        if not known or len(known) < len(names) or any(well for well, _, _ in known):
            return False
        since = max(since for _, since, _ in known)
        return self._line.failed(since - _LATELY) and not self._line.mostly_good(since)

    def _sees(self, now: float) -> bool:
        if self._kind == "canaries":
            return not self._canaries_tell()
        small = self._units() < _SMALL
        if self._kind == "line" and small and now - self._since > _GIVEN_UP:
            self._line = Evidence()  # or else it would be blind again at once
            return True
        evidence = self._names if self._kind == "names" else self._line
        least = 1 if small else LEAST
        if self._slowest < _AT_ONCE:
            return evidence.works(least, self._since, now)
        # As long again, so that about as many that fail are among them as there are in truth; and
        # where there are few, all that failed lately.
        return evidence.works(ENOUGH, self._since, now - 2 * self._slowest) or evidence.works(
            least, self._since, now - _LATELY
        )

    # -- what is told

    def events(self, now: float) -> list[Event]:
        """ "blind" once it has lasted, and "seeing" once that has; for a short one neither."""
        self._heed_clock(now)
        if self._changed or self._reason:
            self._judge(now)
        if self._reason and not self._told and now - self._since >= _SURE:
            return [self._tell_blind(now)]
        if not self._reason and self._told and now - self.seeing_since >= _STEADY:
            return [self._tell_seeing()]
        return []

    def _tell_blind(self, now: float) -> Event:
        self._told = True
        self.root[COLLECTION]["state"] = {
            "kind": self._kind, "reason": self._reason, "since": self._since
        }  # fmt: skip
        what = "its resolver" if self._kind == "names" else "its own line"
        text = (
            f"Since {moment(self._since)} {self._reason}.\n"
            f"So the monitor takes it that {what} fails, and calls nothing down meanwhile."
        )
        return Event(
            id=f"blind-{int(self._since * 1000)}", type="blind", at=now, severity="critical",
            title=f"The monitor is blind: {self._reason}", text=text,
        )  # fmt: skip

    def _tell_seeing(self) -> Event:
        self._told = False
        state = self.root[COLLECTION].pop("state")
        lasted = duration(self.seeing_since - state["since"])
        text = (
            f"It was blind from {moment(state['since'])} to {moment(self.seeing_since)}: "
            f"{state['reason']}.\nFailures are counted anew; what is down will be told of."
        )
        return Event(
            id=f"seeing-{int(state['since'] * 1000)}", type="seeing", at=self.seeing_since,
            severity="info", title=f"The monitor sees again, after {lasted}", text=text,
        )  # fmt: skip
