"""A limit for the retries of many calls together."""

from __future__ import annotations

import itertools
from typing import Any

from safepatch.decorators.locks import give_lock


class RetryBudget:
    """Let a share of all calls be retried, and no more: `retry(budget=...)`.

    ::

        budget = RetryBudget(share=0.1, reserve=10)

        @retry(on=ConnectionError, budget=budget)
        def fetch(url): ...

    Of n calls in a row there are at most `reserve + share * n` retries, whatever n and however
    they fail. Each call of the functions that have this budget adds `share` to what is left, up
    to `reserve` (or 1, if that is more); each retry takes 1; what is left at first is `reserve`. So
    an outage brings a service a tenth more calls than usual instead of three times as many, and
    what fails now and then is retried as if there were no budget. It is a token bucket without a
    clock, as in gRPC's retry throttling and the AWS SDKs: calls fill it, time does not.

    Give one budget to all that calls the same service. Safe with threads, greenlets and forks; the
    child of a fork has a budget of its own. Raises ValueError for a share that is not 0 to 1 and a
    negative reserve.
    """

    def __init__(self, *, share: float = 0.1, reserve: float = 10) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"got share={share!r}; give a share of the calls, 0 to 1")
        if not reserve >= 0:
            raise ValueError(f"got reserve={reserve!r}; give a number of retries, 0 or more")
        self.share = share
        self.reserve = reserve
        self._left = float(reserve)
        calls = itertools.count()
        #: To be called once for each call. It takes no lock, and is next to nothing.
        self.count_call = calls.__next__
        self._counted = 0
        self.lock: Any
        give_lock(self)

    def __repr__(self) -> str:
        return f"RetryBudget(share={self.share!r}, reserve={self.reserve!r})"

    def take(self) -> bool:
        """Take one retry, if there is one left, and say so."""
        with self.lock:
            # To read the number is to count, and that is no call.
            calls = self.count_call()
            earned = self.share * (calls - self._counted)
            self._counted = calls + 1
            self._left = min(max(self.reserve, 1.0), self._left + earned)
            # A little less than 1, because ten times 0.1 may be.
            if self._left < 1 - 1e-9:
                return False
            self._left -= 1
            return True
