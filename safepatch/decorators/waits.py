"""How long to wait between attempts."""

from __future__ import annotations

from collections.abc import Callable


def backoff(
    initial: float, longest: float, jitter: float, random: Callable[[], float] | None
) -> Callable[[int], float]:
    """Make the function that gives the seconds to wait after so many attempts."""

    def wait(attempt: int) -> float:
        part = random
        if part is None:
            import random as standard

            part = standard.random
        # The limit is for floats, which cannot hold 2**1024.
        return min(longest, initial * 2.0 ** min(attempt - 1, 1000) + part() * jitter)

    return wait
