"""What was well and what failed lately, by the second."""

from __future__ import annotations

from typing import NamedTuple

_KEPT = 60  # seconds
SHARE = 0.8  # of what was looked at since something failed, so much must fail


class _Second(NamedTuple):
    good: set[str]
    bad: set[str]


class Evidence:
    """Units that are independent of one another, such as networks, that were well or failed.

    Of those a check may be long under way; what counts is when it began. So what began before the
    line was cut, and came back well meanwhile, is no evidence against it.
    """

    def __init__(self) -> None:
        self._seconds: dict[int, _Second] = {}

    def good(self, unit: str, at: float) -> None:
        """Note that a unit was well, in a check that began then."""
        found = self._seconds.get(int(at))
        (found or self._make(int(at))).good.add(unit)

    def bad(self, unit: str, at: float) -> None:
        """Note that a unit failed, in a check that began then."""
        found = self._seconds.get(int(at))
        (found or self._make(int(at))).bad.add(unit)

    def _make(self, second: int) -> _Second:
        latest = max(self._seconds, default=second)
        for old in [known for known in self._seconds if known < latest - _KEPT]:
            del self._seconds[old]
        made = self._seconds[second] = _Second(set(), set())
        return made

    def shift(self, back: float) -> None:
        """Have all be earlier by some seconds."""
        self._seconds = {second - round(back): found for second, found in self._seconds.items()}

    def fails(self, need: int) -> int:
        """How many units fail, if nearly all that were looked at since some moment do, or else 0.

        At least `need` of them.
        """
        good: set[str] = set()
        bad: set[str] = set()
        most = sum(len(found.bad) for found in self._seconds.values())
        for _, found in sorted(self._seconds.items(), reverse=True):
            good |= found.good
            if most < need or most < SHARE * (most + len(good)):
                return 0  # before looking at more, for there may be tens of thousands
            bad |= found.bad
            bad -= good
            if len(bad) >= need and len(bad) >= SHARE * (len(bad) + len(good)):
                return len(bad)
        return 0

    def works(self, need: int, since: float, failed_since: float) -> bool:
        """Whether at least half of what was looked at since some moment, and `need`, are well.

        What fails is known later than what is well, by its timeout: the newest seconds have only
        those that are well. So what failed since `failed_since` counts in any case.
        """
        good: set[str] = set()
        bad: set[str] = set()
        for second, found in self._seconds.items():
            if second >= failed_since:
                bad |= found.bad
        for second, found in sorted(self._seconds.items(), reverse=True):
            if second < since:
                return False
            good |= found.good
            bad |= found.bad
            if len(good) >= need and len(good) >= len(bad - good):
                return True
        return False

    def failed(self, since: float) -> bool:
        """Whether anything failed since then."""
        return any(found.bad for second, found in self._seconds.items() if second >= since)

    def mostly_good(self, since: float) -> bool:
        """Whether more units were well than failed, of those that were looked at since then."""
        some = [found for second, found in self._seconds.items() if second >= since]
        good = set[str]().union(*(found.good for found in some))
        bad = set[str]().union(*(found.bad for found in some))
        return len(good) > len(bad - good)
