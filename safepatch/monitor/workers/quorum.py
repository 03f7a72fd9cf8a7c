"""What several vantages see, made into one result: down is what enough of them see down.

A *vantage* is a place that checks are made from. Each has a vote on an endpoint in each round; one
that says nothing has none.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

import msgspec

from safepatch.monitor.results import Result


class _Round:
    """The votes on an endpoint, until they are decided upon, and from when the last ones were."""

    __slots__ = ("sent", "until", "votes")

    def __init__(self, sent: float, until: float) -> None:
        self.sent, self.until = sent, until
        self.votes: dict[str, Result] | None = {}


class Quorum:
    """Counts votes. `need` failing ones are a failure; `vantages` are all that may vote.

    A round is decided when all have voted who are not silent, or when its time is over. It fails
    if `need` vantages say so; it is good if less do, and at least one sees it good. Where less than
    `need` have voted, and none sees it good, nothing is known, and nothing is decided. One that was
    not heard for `patience` seconds is silent.
    """

    def __init__(
        self, vantages: Sequence[str], need: int, now: float, patience: float = 120.0
    ) -> None:
        if not 1 <= need <= len(vantages):
            raise ValueError(f"a quorum of {need} cannot be reached by {len(vantages)} vantages")
        self.vantages, self.need = tuple(vantages), need
        self.patience = patience
        self.heard = dict.fromkeys(vantages, now)
        self._rounds: dict[str, _Round] = {}

    def vote(
        self, vantage: str, sent: float, until: float, result: Result, now: float
    ) -> Iterator[Result]:
        """Take a vote for the round that was sent at `sent`; the results that it decides."""
        if vantage not in self.heard:
            return
        self.heard[vantage] = now
        current = self._rounds.get(result.name)
        # One of a time to come is over, too: our clock was put back.
        if current is not None and (sent > current.sent or current.sent > max(sent, now)):
            yield from self._decided(current)
            current = None
        if current is None:
            current = self._rounds[result.name] = _Round(sent, until)
        if sent < current.sent or current.votes is None:
            return  # too late
        current.votes[vantage] = result
        if all(name in current.votes for name in self.heard if not self._is_silent(name, sent)):
            yield from self._decided(current)

    def settle(self, now: float) -> Iterator[Result]:
        """Decide the rounds whose time is over, without those who have not voted."""
        for each in [*self._rounds.values()]:
            if each.votes is not None and each.until <= now:
                yield from self._decided(each)

    def silent(self, now: float) -> list[str]:
        """The vantages that are."""
        return [name for name in self.heard if self._is_silent(name, now)]

    def keep(self, names: Container[str]) -> None:
        """Forget all but those, which are watched."""
        self._rounds = {name: each for name, each in self._rounds.items() if name in names}

    def _is_silent(self, name: str, now: float) -> bool:
        return now - self.heard[name] > self.patience

    def _decided(self, current: _Round) -> Iterator[Result]:
        votes, current.votes = current.votes, None
        if votes:
            result = judged(votes, self.vantages, self.need)
            if result is not None:
                yield result


def judged(votes: dict[str, Result], vantages: Sequence[str], need: int) -> Result | None:
    """The result that votes come to, None where too few have voted to know.

    It is that of the first vantage of those that are in the right, with what each sees in the fact
    "vantages": "" for good, and otherwise what is wrong.
    """
    voted = [name for name in vantages if name in votes]
    failing = [name for name in voted if votes[name].error]
    good = [name for name in voted if not votes[name].error]
    down = len(failing) >= need
    if not (down or good):
        return None
    first = votes[failing[0] if down else good[0]]
    facts = {**first.facts, "vantages": {name: _seen(votes[name]) for name in voted}}
    result = msgspec.structs.replace(first, facts=facts)
    if down and len(vantages) > 1:
        places = f"{len(failing)} of {len(voted)} vantages ({', '.join(failing)})"
        result.message = f"{first.message}; so say {places}"
    elif failing:
        result.warnings += tuple(f"{name} sees it down: {votes[name].message}" for name in failing)
    return result


def _seen(result: Result) -> str:
    return f"{result.error}: {result.message}" if result.error else ""
