"""Verdicts: what the results of an endpoint's checks, one after the other, come to."""

from __future__ import annotations

from safepatch.monitor.plan import Options
from safepatch.monitor.results import Result
from safepatch.monitor.statuses import Status

TURNS = 8  # so many changes between good and bad within the time below are flapping
CALM = 2  # and no more than so many are steady
_LEAST = 600.0  # seconds in which turns are counted, or, for those checked seldom,
_CHECKS = 15  # so many intervals

# Where another address would make no difference, or where there was none.
_NOT_OF_THE_ADDRESS = frozenset({"dns", "silent", "private", "internal"})


def step(
    status: Status,
    result: Result,
    options: Options,
    now: float,
    blind: bool = False,
    seeing_since: float = 0.0,
) -> str:
    """Take the result of a check into a status; what has changed by it.

    "first": it is up, and there was no verdict before. "down": so many checks in a row failed that
    it is. "up": so many did not. "flapping": it changes too often to be told each time; from then
    on states change without a word. "steady": that is over, and `state` says how it ended. "":
    nothing to tell.

    Changes `status` in place, and nothing else. Times are those at which checks began. With `blind`
    the state stays, and counting begins anew; so it does for what was counted before
    `seeing_since`, when the monitor was blind last. A check that the monitor itself failed to make
    ("internal") says nothing of the endpoint, and leaves all as it was. A heartbeat that is still
    waited for makes nothing up that was not. Between two "down" there is
    always an "up", or a "steady" with the state "up". Less than 3 us for a good result of what is
    up.
    """
    if status.state == "up" and not (result.error or status.failing or status.flapping or blind):
        status.checked = result.at
        status.passing += 1
        status.result = result
        if status.warnings != result.warnings:
            status.warnings = result.warnings
        return ""
    return _slow_step(status, result, options, now, blind, seeing_since)


def _slow_step(
    status: Status, result: Result, options: Options, now: float, blind: bool, seeing_since: float
) -> str:
    if blind or status.checked < seeing_since:
        if status.passing if status.state == "down" else status.failing:
            status.turns = status.turns[:-1]  # with which began what is not counted any more
        status.failing = status.passing = 0
    was_bad, bad = _was_bad(status), bool(result.error)
    status.checked, status.result, status.warnings = result.at, result, result.warnings
    status.error, status.message = result.error, result.message if bad else ""
    if blind or result.error == "internal" or (status.state == "new" and is_awaited(result)):
        return ""
    if bad != was_bad:
        recent = now - _seconds(options)
        status.turns = (*(at for at in status.turns if at >= recent), result.at)[-TURNS:]
    if bad:
        status.failing, status.passing = status.failing + 1, 0
    else:
        status.failing, status.passing = 0, status.passing + 1
    return _damped(status, _verdict(status, result, options), options, now, bad != was_bad)


def is_awaited(result: Result) -> bool:
    """Whether it is of a heartbeat that never came, and need not have come yet."""
    return not result.error and result.facts.get("reported", 0.0) is None


def _was_bad(status: Status) -> bool:
    """Whether the last check failed that counts."""
    return status.failing > 0 or (status.state == "down" and not status.passing)


def _verdict(status: Status, result: Result, options: Options) -> str:
    """Change the state if enough checks agree; "down", "up", "first" or "".

    Of a heartbeat one is enough: looking again at what was reported tells nothing new.
    """
    is_sure = "reported" in result.facts
    if status.failing:
        if status.state == "down" or status.failing < (1 if is_sure else options.confirm_down):
            return ""
        status.state, status.since = "down", _row_began(status)
        return "down"
    if status.state == "down":
        if status.passing < (1 if is_sure else options.confirm_up):
            return ""
        status.state, status.since = "up", _row_began(status)
        return "up"
    if status.state == "up":
        return ""
    status.state, status.since = "up", status.checked
    return "first"


def _row_began(status: Status) -> float:
    """When the first of the checks in a row began."""
    return status.turns[-1] if status.turns else status.checked


def _damped(status: Status, change: str, options: Options, now: float, turned: bool) -> str:
    """A change, or what is told instead of it when there are too many."""
    if not status.flapping:
        # Turns within the time are all that are kept when there is one more.
        if not turned or len(status.turns) < TURNS:
            return change
        status.flapping = True
        return "flapping"
    recent = now - _seconds(options)
    enough = options.confirm_down if status.failing else options.confirm_up
    if sum(at >= recent for at in status.turns) > CALM:
        return ""
    if max(status.failing, status.passing) < enough:
        return ""
    status.flapping = False
    return "steady"


def _seconds(options: Options) -> float:
    return max(_LEAST, _CHECKS * options.interval)


def due(status: Status, options: Options, blind: bool = False) -> float:
    """Seconds until the next check: `interval`, or `retry_after` while a verdict is confirmed."""
    if blind:
        return options.interval
    confirming = status.passing if status.state == "down" else status.failing
    return min(options.retry_after, options.interval) if confirming else options.interval


def wants_fresh_dns(status: Status, result: Result, options: Options) -> bool:
    """Whether the address is to be looked up anew before the next check, asked after `step`.

    That is when one more failure makes it down: a name may have moved meanwhile, and an address
    that is out of date is no reason to call it down. With `confirm_down=1` there is no such moment.
    """
    return (
        status.state != "down"
        and 0 < status.failing == options.confirm_down - 1
        and result.error not in _NOT_OF_THE_ADDRESS
    )
