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
    until = time.monotonic() + SECONDS
    began = time.time()
    soak.wait("all are up", lambda: (now := soak.now()) and not now["new"])
    blind = 0
    while (left := until - time.monotonic()) > 0 or not blind:
        soak.faults(max(20.0, min(left, PERIOD) / 3))
        _be_blind(soak)
        blind += 1
        _lose_dns(soak)
        soak.faults(max(20.0, min(until - time.monotonic(), PERIOD / 3)))
    soak.wait("told of all that it sees again", lambda: _count(soak, "seeing") == blind)
    leaked = leaks([each for each in soak.samples if each["at"] > began])
    _start_again(soak)
    print(f"\n{dict(soak.done)}, {blind} times blind, {soak.now()['lateness']}")

    assert leaked == []
    assert _count(soak, "blind") == blind
    assert sorted(soak.expected) == sorted(set(soak.expected))
    assert sorted(each["incident"] for each in soak.told if each["type"] == "down") == sorted(
        soak.expected
    )
    assert sorted(each["incident"] for each in soak.told if each["type"] == "up") == sorted(
        soak.expected
    )
    assert _count(soak, "flapping") == 0
    assert all(soak.done[kind] for kind in {case.kind for case in soak.cases}), soak.done
    assert len(soak.done) == len(KINDS)
    assert "Traceback" not in soak.log, soak.log


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

    assert [each["down"] for each in soak.samples if each["at"] > since and each["down"] != states] == []


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

    assert [each["down"] for each in soak.samples if each["at"] > since and each["down"]] == []


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
    since = [each for each in soak.samples if each["at"] > ended]

    assert took < 20
    assert [each["down"] for each in since if each["down"] != down] == []
    assert len(soak.told) == told
    case.end()
    soak.wait("up again after the start", lambda: soak.ups(alert["incident"]))
    assert soak.end() < 20
