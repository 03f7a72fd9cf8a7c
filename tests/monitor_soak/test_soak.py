"""For as long as one likes, everything goes wrong that can, and the monitor is right about it.

SAFEPATCH_SOAK is for how many seconds, 120 if it is not said.
"""

import os
import time

import pytest

pytest.importorskip("httptools", reason="a monitor needs the extra `monitor`")

import gevent
import hubs
from soak_leaks import leaks
from soaking import KINDS, soaking

SECONDS = float(os.environ.get("SAFEPATCH_SOAK") or 120)
PERIOD = 300.0  # seconds from one time that the monitor is blind to the next


def test_a_soak_has_right_verdicts_one_alert_for_each_cause_and_no_leaks(tmp_path):
    try:
        with soaking(tmp_path) as soak:
            _soak(soak)
    finally:
        hubs.end()


def _soak(soak):
    until, blind, settled = time.monotonic() + SECONDS, 0, 0.0
    soak.wait("all are up", lambda: (now := soak.now()) and not now["new"])
    while time.monotonic() < until or not blind:
        soak.faults(_part(until))
        _be_blind(soak)
        blind += 1
        settled = settled or time.time()  # as many checks as ever have been under way at once
        _lose_dns(soak)
        soak.faults(_part(until))
    soak.wait("told that it sees again", lambda: _count(soak, "seeing") == blind)
    samples = [each for each in soak.samples if each["at"] > settled]
    _start_again(soak)
    print(f"\n{dict(soak.done)}, {blind} times blind; from {samples[0]} to {samples[-1]}")

    assert leaks(samples) == []
    assert _count(soak, "blind") == blind
    assert _incidents(soak, "down") == _incidents(soak, "up") == sorted(soak.expected)
    assert _count(soak, "flapping") == 0
    assert len(soak.done) == len(KINDS), soak.done
    assert soak.visits > 20
    assert "Traceback" not in soak.log, soak.log


def _part(until):
    """How long faults come and go, between the times that it is blind, and that DNS is dead."""
    return max(20.0, min(until - time.monotonic(), PERIOD) / 3)


def _incidents(soak, type_):
    return sorted(each["incident"] for each in soak.told if each["type"] == type_)


def _count(soak, type_):
    return sum(each["type"] == type_ for each in soak.told)


def _be_blind(soak):
    """Nothing answers any more, anywhere: that is told, and no verdict changes."""
    told = _count(soak, "blind")
    states, since = soak.now()["down"], time.time()
    soak.world.cut = True
    soak.world.names.fails = "silent"
    try:
        soak.wait("told that it is blind", lambda: _count(soak, "blind") > told)
        gevent.sleep(3)
    finally:
        soak.world.cut = False
        soak.world.names.fails = ""
    soak.wait("it sees", lambda: not soak.now()["blind"])
    gevent.sleep(3)

    assert _other_than(states, soak, since) == []


def _lose_dns(soak):
    """DNS is dead, and all servers are well: the last known addresses do, and that is told."""
    since = time.time()
    soak.world.names.fails = "silent"
    try:
        soak.wait("warned of DNS", lambda: soak.now()["stale"])
        gevent.sleep(8)
    finally:
        soak.world.names.fails = ""
    soak.wait("warned no more", lambda: not soak.now()["stale"])

    assert _other_than({}, soak, since) == []


def _other_than(down, soak, since):
    """Those who were down since then, where it were not these."""
    return [one["down"] for one in soak.samples if one["at"] > since and one["down"] != down]


def _start_again(soak):
    """It ends when it is told to, and goes on with the same verdicts, of which nobody is told."""
    case = next(case for case in soak.cases if case.kind == "killed")
    soak._used.clear()
    before = {each["id"] for each in soak.told}
    case.begin()
    alert = soak._see(case, before)
    took, down, ended = soak.end(), soak.now()["down"], time.time()
    told = len(soak.told)
    soak.start()
    soak.wait("it runs again", lambda: (now := soak.now())["at"] > ended and now["done"] > 600)

    assert took < 20
    assert _other_than(down, soak, ended) == []
    assert len(soak.told) == told
    case.end()
    soak.wait("up again after the start", lambda: soak.ups(alert["incident"]))
    assert soak.end() < 20
