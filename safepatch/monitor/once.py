"""Checking everything once, now, for `safepatch monitor once`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
from gevent.pool import Pool as Greenlets

from safepatch.monitor import checks
from safepatch.monitor.plan import Endpoint, Plan
from safepatch.monitor.results import Result
from safepatch.monitor.tools import Tools

Check = Callable[[Endpoint, Tools], Result]


def check_all(
    plan: Plan,
    tools: Tools,
    *,
    attempts: int = 2,
    pause: float = 1.0,
    check: Check = checks.run,
    sleep: Callable[[float], object] = gevent.sleep,
) -> Iterator[tuple[Endpoint, Result]]:
    """Check all endpoints of a plan, as they come to an end; heartbeats are left out, of which only
    a running monitor knows.

    What fails is checked up to `attempts` times, `pause` seconds apart, and is as it was the last
    time.
    """

    def one(endpoint: Endpoint) -> tuple[Endpoint, Result]:
        result = check(endpoint, tools)
        for _ in range(attempts - 1):
            if result.ok:
                break
            sleep(pause)
            result = check(endpoint, tools)
        return endpoint, result

    greenlets = Greenlets(plan.settings.concurrency)
    try:
        yield from greenlets.imap_unordered(one, all_of(plan))
    finally:
        greenlets.kill()


def all_of(plan: Plan) -> list[Endpoint]:
    """Those that can be checked by anybody."""
    return [each for each in plan.endpoints.values() if each.kind != "beat"]
