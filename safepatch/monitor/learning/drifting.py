"""How long facts have been other ones than what was learned, and whether that is worth telling."""

from __future__ import annotations

from collections.abc import Mapping

#: After how many checks in a row that differ a change is told, and after how many slow ones.
CONFIRM = 2
SLOW = 5
#: How often a fact may change and change back before it is no use.
TURNS = 3


class _Drift:
    """A fact that is not as it was: checks in a row, below 0 those that are as before again."""

    __slots__ = ("row", "told")

    def __init__(self) -> None:
        self.row = 0
        self.told = ""


class Drifts:
    """The endpoints of which something is not as it was; of all others it holds nothing."""

    def __init__(self) -> None:
        self._drifts: dict[str, dict[str, _Drift]] = {}
        self._turns: dict[str, dict[str, int]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._drifts

    def is_told(self, name: str, fact: str) -> bool:
        """Whether it is being told that a fact of an endpoint has changed."""
        drift = self._drifts.get(name, {}).get(fact)
        return drift is not None and bool(drift.told)

    def take(self, name: str, now: Mapping[str, str]) -> tuple[tuple[str, ...], list[str]]:
        """Take the changes that a check has seen, by fact: what to tell, and what is no use.

        A change that lasts is told in the words that it had first. It is no use to go by facts that
        have changed and changed back again and again.
        """
        drifts = self._drifts.get(name, {})
        restless = []
        for fact in [*now, *(fact for fact in drifts if fact not in now)]:
            change = now.get(fact, "")
            drift = drifts.setdefault(fact, _Drift())
            drift.row = max(drift.row, 0) + 1 if change else min(drift.row, 0) - 1
            if change and not drift.told and drift.row >= (SLOW if fact == "latency" else CONFIRM):
                drift.told = change
            elif not change and (not drift.told or drift.row <= -CONFIRM):
                del drifts[fact]
                if drift.told and fact != "latency" and self._has_turned(name, fact):
                    restless.append(fact)
        if drifts:
            self._drifts[name] = drifts
        else:
            self._drifts.pop(name, None)
        return tuple(drift.told for drift in drifts.values() if drift.told), restless

    def _has_turned(self, name: str, fact: str) -> bool:
        """Whether a fact has changed back too often, this time included."""
        turns = self._turns.setdefault(name, {})
        turns[fact] = turns.get(fact, 0) + 1
        return turns[fact] >= TURNS

    def forget(self, name: str) -> None:
        """Forget an endpoint."""
        self._drifts.pop(name, None)
        self._turns.pop(name, None)
