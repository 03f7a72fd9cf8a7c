"""Whatever happens, and whenever the program is killed, restarts keep within their bounds."""

import os
import tempfile
from collections import Counter

import gevent
from alerted import in_hub
from hypothesis import given, settings
from hypothesis import strategies as st
from test_restarts import NOW, World

from safepatch.monitor.alerts.channels import DeliveryError
from safepatch.monitor.plan import Restart
from safepatch.store import Store
from safepatch.store.testing import without_syncs

LONG = "SAFEPATCH_CRASHES" in os.environ
SITES = st.sampled_from(["site-0", "site-1", "site-2", "site-3"])
STEPS = st.one_of(
    st.tuples(st.just("down"), SITES),
    st.tuples(st.just("up"), SITES),
    st.tuples(st.just("wait"), st.sampled_from([5, 40, 100, 300, 1000])),
    st.tuples(st.just("down and wait"), SITES),
    st.tuples(st.just("muted"), SITES),
    st.tuples(st.just("blind"), st.booleans()),
    # What becomes of the next restart: it works, fails, or the program dies in it.
    st.tuples(st.just("fate"), st.sampled_from(["cures", "fails", "dies", ""])),
    st.just(("killed", None)),
)


class Killed(BaseException):
    """Takes the program away."""


class Program(World):
    """One that can be killed, and begins again with what is in the store."""

    def __init__(self, store):
        self.fate, self.guards = "", set()
        restart = Restart(command=("x",), wait=30.0, verify=60.0, per_hour=2)
        super().__init__(store, restart, sites=4, restarts_per_hour=5, restarts_stop_at=0.9)

    def run(self, restart, what):
        status = self.statuses[what.endpoint]
        self.guards.add((status.state, status.muted, self.blind))
        self.ran.append((self.now, what.endpoint, what.id))
        fate, self.fate = self.fate, ""
        if fate == "dies":
            raise Killed
        if fate == "fails":
            raise DeliveryError("it fails")
        if fate == "cures":
            self.up(what.endpoint)

    def step(self, what, value):
        if what in ("up", "down") and self.statuses[value].state != what:
            (self.up if what == "up" else self.down)(value)
        elif what == "down and wait":
            self.step("down", value)
            self.step("wait", 40)
        elif what == "muted":
            self.statuses[value].muted = "" if self.statuses[value].muted else "maintenance"
        elif what == "blind":
            self.blind = "no line" if value else ""
        elif what == "fate":
            self.fate = value
        elif what == "killed":
            self.begin()
        elif what == "wait":
            try:
                self.wait(value)
            except Killed:
                self.begin()


@in_hub
@settings(max_examples=300 if LONG else 15)
@given(steps=st.lists(STEPS, max_size=25))
def test_restarts_keep_their_budgets_and_none_is_made_twice(steps):
    with tempfile.TemporaryDirectory() as directory, without_syncs():
        store = Store(directory, every=0)
        world = Program(store)
        for step in steps:
            world.step(*step)
        for step in [("fate", ""), ("killed", None), ("wait", 100)]:
            world.step(*step)

        assert world.guards <= {("down", "", "")}
        assert max(Counter(key for _, _, key in world.ran).values(), default=0) <= 1
        for at, name, _ in world.ran:
            hour = [each for each in world.ran if at - 3600 < each[0] <= at]
            assert len(hour) <= 5
            assert len([each for each in hour if each[1] == name]) <= 2
        assert len({event.id for event in world.events}) == len(world.events)
        states = {each["state"] for each in world.restarts.recent()[1:]}
        assert states <= {"recovered", "still down", "failed", "given up", "stopped"}
        assert all(at >= NOW + 30 for at, _, _ in world.ran)
        store.close()
        gevent.sleep(0)
