"""Restarts: when one is made, when none is, and what is known of it afterwards."""

import itertools
import json
import os
import signal
import subprocess
import sys

import gevent
import pytest
from alerted import in_hub, receiver, wait_until
from children import ROOT

from safepatch.monitor.alerts.channels import DeliveryError
from safepatch.monitor.plan import Endpoint, Options, Plan, Restart, Settings
from safepatch.monitor.restarts.actions import act
from safepatch.monitor.restarts.restarting import Restarts
from safepatch.monitor.statuses import Status
from safepatch.store import Store
from safepatch.store.testing import without_syncs

NOW = 1_790_000_000.0
RESTART = Restart(command=("true",), wait=60.0, verify=120.0, per_hour=3)


@pytest.fixture
def store(tmp_path):
    with without_syncs():
        made = Store(tmp_path / "store", every=0)
        yield made
        made.close()


class World:
    """Sites that are up or down, and a monitor that is told so, at a time that is set."""

    def __init__(self, store, restart=RESTART, *, sites=30, kinds=None, **settings):
        self.now, self.ran, self.fails, self.events = NOW, [], "", []
        self.blind, self.cures = "", False
        endpoints = {
            f"site-{n}": Endpoint(
                f"site-{n}",
                f"https://site-{n}/",
                Options(restart=(kinds or {}).get(n, "web"), tags=("shop",)),
            )
            for n in range(sites)
        }
        restarts = {"web": restart, "other": restart}
        self.plan = Plan(settings=Settings(**settings), endpoints=endpoints, restarts=restarts)
        self.statuses = {name: Status(state="up", since=NOW - 1e6) for name in endpoints}
        self.store = store
        self.begin()

    def begin(self):
        self.restarts = Restarts(
            self.store,
            lambda: self.plan,
            self.statuses,
            counts=self.counts,
            blind=lambda: self.blind,
            tell=self.events.extend,
            run=self.run,
            now=lambda: self.now,
            spawn=lambda function: function(),
        )
        down = [name for name, status in self.statuses.items() if status.state == "down"]
        for name in down[::2]:  # before or after it starts
            self.restarts.down(self.plan.endpoints[name], self.statuses[name], self.now)
        self.restarts.start()
        self.restarts._loop.kill()  # time goes on by hand
        for name in down:
            self.restarts.down(self.plan.endpoints[name], self.statuses[name], self.now)

    def counts(self):
        states = [status.state for status in self.statuses.values()]
        return states.count("down"), len(states)

    def run(self, restart, what):
        self.ran.append((self.now - NOW, what.endpoint, what.attempt))
        if self.fails:
            raise DeliveryError(self.fails)
        if self.cures:
            self.up(what.endpoint)

    def down(self, *names, **fields):
        for name in names:
            self.statuses[name] = Status(
                state="down", since=self.now, error="refused", message="It refuses.", **fields
            )
            self.restarts.down(self.plan.endpoints[name], self.statuses[name], self.now)

    def up(self, *names):
        for name in names:
            self.statuses[name] = Status(state="up", since=self.now)
            self.restarts.up(self.plan.endpoints[name], self.statuses[name], self.now)

    def wait(self, seconds):
        """Let time pass, a second at a time, as the loop would."""
        for _ in range(int(seconds)):
            self.restarts.tick(self.now)
            self.now += 1

    @property
    def told(self):
        return [(event.severity, event.title) for event in self.events]


@in_hub
def test_what_is_down_is_restarted_after_a_wait_and_seen_to_recover(store):
    world = World(store)
    world.down("site-1")
    world.wait(60)
    assert world.ran == []

    world.wait(10)
    world.up("site-1")
    world.wait(2000)

    assert world.ran == [(60, "site-1", 1)]
    assert world.told == [
        ("info", "site-1 is restarted (attempt 1)"),
        ("info", "site-1 is up again, 10 seconds after its restart"),
    ]
    [document] = world.restarts.recent()
    assert document["state"] == "recovered"
    assert [step["text"] for step in document["steps"]] == [
        "site-1 is restarted (attempt 1). It refuses.",
        "It was run.",
        "site-1 is up again, 10 seconds after its restart.",
    ]


@in_hub
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_mistake_with_one_restart_ends_no_others_and_has_none_done_twice(store, nth, caplog):
    """The first is when it begins, the second when it was run, the third when it is verified."""
    world = World(store)
    write, count = world.restarts._attempts._write, itertools.count(1)

    def fail(*args):
        if next(count) == nth:
            raise RuntimeError("a mistake")
        write(*args)

    world.restarts._attempts._write = fail
    world.down("site-1")
    world.wait(75)
    world.up("site-1")
    world.wait(200)
    world.down("site-2")
    world.wait(75)

    assert [(name, attempt) for _, name, attempt in world.ran] == [("site-1", 1), ("site-2", 1)]
    assert [each["state"] for each in world.restarts.recent()] == ["ran", "recovered"]
    assert caplog.text.count("a mistake with the restart of 'site-1'; it goes on") == 1


@in_hub
def test_what_comes_up_by_itself_is_not_restarted(store):
    world = World(store)
    world.down("site-1")
    world.wait(59)
    world.up("site-1")
    world.wait(500)

    assert world.ran == []
    assert world.restarts.stats()["waiting"] == 0


@in_hub
def test_each_wait_is_twice_as_long_and_then_it_is_given_up_loudly_until_it_was_up(store):
    world = World(store)
    world.down("site-1")
    world.wait(3 * 3600)

    # 60 seconds; 120 to verify and 120; 120 to verify and 240.
    assert world.ran == [(60, "site-1", 1), (300, "site-1", 2), (660, "site-1", 3)]
    assert world.told[-1] == ("critical", "site-1 is not restarted any more")
    assert [severity for severity, _ in world.told].count("critical") == 1
    assert world.restarts.stats()["given_up"] == 1

    world.up("site-1")
    world.down("site-1")
    world.wait(100)
    assert world.ran[-1] == (3 * 3600 + 60, "site-1", 1)


@in_hub
def test_the_budget_of_an_hour_holds_over_outages_and_restarts_of_the_monitor(store):
    world = World(store)
    world.cures = True
    for _ in range(3):
        world.down("site-1")
        world.wait(100)
    world.down("site-1")
    world.begin()
    world.wait(100)

    assert len(world.ran) == 3
    assert world.told[-1] == ("critical", "site-1 is not restarted any more")


@in_hub
def test_a_restart_that_fails_is_told_and_tried_again(store):
    world = World(store)
    world.fails = "'sh' ended with exit code 1"
    world.down("site-1")
    world.wait(200)

    assert world.ran == [(60, "site-1", 1), (180, "site-1", 2)]
    assert world.events[1].severity == "warning"
    assert world.events[1].text == (
        "site-1 could not be restarted. What was tried failed: 'sh' ended with exit code 1."
    )


@in_hub
@pytest.mark.parametrize("guard", ["muted", "unknown", "blind", "new"])
def test_nothing_is_restarted_that_may_not_be_down_or_that_nobody_is_to_hear_of(store, guard):
    world = World(store)
    world.down("site-1")
    world.blind = "the resolver is dead" if guard == "blind" else ""
    status = world.statuses["site-1"]
    status.muted = "maintenance nightly" if guard == "muted" else ""
    status.state = guard if guard in ("unknown", "new") else "down"
    world.wait(500)
    assert (world.ran, world.events) == ([], [])

    world.blind, status.muted, status.state = "", "", "down"
    world.wait(20)
    assert len(world.ran) == 1


@in_hub
def test_nothing_is_restarted_while_too_many_are_down_which_is_told_once(store):
    kinds = {n: "web" if n % 2 else "other" for n in range(30)}
    world = World(store, kinds=kinds)
    world.down(*[f"site-{n}" for n in range(7)])
    world.wait(1000)

    assert world.ran == []
    assert world.told == [
        (
            "critical",
            "Restarts are stopped: 7 of 30 endpoints are down, which is more than a restart would "
            "cure",
        )
    ]
    assert world.restarts.stats()["stopped"].startswith("7 of 30")
    assert len(store.root["restarts"]) == 1

    world.up("site-6")
    world.wait(20)
    assert len(world.ran) == 2
    assert world.restarts.stats()["stopped"] == ""


@in_hub
def test_that_restarts_are_stopped_is_told_again_the_next_time(store):
    world = World(store)
    for _ in range(2):
        world.down(*[f"site-{n}" for n in range(10)])
        world.wait(100)
        world.up(*[f"site-{n}" for n in range(10)])

    assert [severity for severity, _ in world.told] == ["critical", "critical"]


@in_hub
def test_a_time_to_look_at_one_outage_is_none_for_the_next_one(store):
    world = World(store, Restart(command=("x",), wait=1000.0, verify=120.0))
    world.cures = True
    world.down("site-1")
    world.wait(1010)
    world.down("site-1")
    world.wait(500)

    assert len(world.ran) == 1


@in_hub
def test_a_few_may_be_down_whatever_share_that_is(store):
    world = World(store, sites=4)
    world.down("site-1", "site-2", "site-3")
    world.wait(70)

    assert len(world.ran) == 1


@in_hub
def test_the_same_restart_is_not_made_for_two_at_a_time(store):
    world = World(store, kinds={1: "web", 2: "web", 3: "other"})
    world.down("site-1", "site-2", "site-3")
    world.wait(70)
    assert world.ran == [(60, "site-1", 1), (60, "site-3", 1)]

    world.up("site-1", "site-2", "site-3")  # what helped one has helped the other
    world.wait(1000)
    assert len(world.ran) == 2


@in_hub
def test_all_together_have_a_budget_an_hour(store):
    world = World(store, restarts_per_hour=2, kinds={1: "web", 2: "other", 3: "web"})
    world.cures = True
    world.down("site-1", "site-2", "site-3")
    world.wait(3000)

    assert len(world.ran) == 2
    assert world.told[-1] == (
        "critical",
        "Restarts are stopped: there were 2 in the last hour, which is the most",
    )
    world.wait(700)
    assert world.ran[-1][1] == "site-3"


@in_hub
def test_a_dry_run_does_all_but_run_it(store):
    world = World(store, Restart(command=("x",), wait=60.0, per_hour=1, dry_run=True))
    world.down("site-1")
    world.wait(1000)

    assert world.ran == []
    assert world.told == [
        ("info", "site-1 would be restarted, were it no dry run (attempt 1)"),
        ("warning", "site-1 is still down, 120 seconds after it would have been restarted"),
        ("critical", "site-1 would not be restarted any more"),
    ]
    assert "It is down after 1 dry run in the last hour" in world.events[-1].text


@in_hub
def test_a_dry_run_takes_no_credit_for_what_came_back_by_itself(store):
    world = World(store, Restart(command=("x",), wait=60.0, dry_run=True))
    world.down("site-1")
    world.wait(70)
    world.up("site-1")
    world.wait(1)

    assert world.told[-1] == (
        "info",
        "site-1 is up again, 10 seconds after it would have been restarted",
    )


@in_hub
def test_what_has_no_restart_or_leaves_the_plan_is_left_alone(store):
    world = World(store, kinds={1: "", 2: "nosuch"})
    world.down("site-1", "site-2", "site-3")
    del world.plan.endpoints["site-3"]
    world.wait(500)

    assert world.ran == []
    assert world.restarts.stats()["waiting"] == 0


@in_hub
def test_events_are_of_the_endpoint_and_its_incident(store):
    world = World(store)
    world.down("site-1", incident="i7")
    world.wait(100)
    [event] = world.events

    assert event.type == "restart"
    assert event.endpoints == ("site-1",)
    assert event.tags == ("shop",)
    assert event.incident == "i7"
    assert len({event.id for event in world.events}) == len(world.events)


@in_hub
@pytest.mark.parametrize("helped", [True, False])
def test_what_was_begun_when_the_program_ended_is_looked_at_and_not_done_again(store, helped):
    world = World(store)

    def die(restart, what):
        world.ran.append((world.now - NOW, what.endpoint, what.attempt))
        raise gevent.GreenletExit

    world.run, run = die, world.run
    world.begin()
    world.down("site-1")
    with pytest.raises(gevent.GreenletExit):
        world.wait(70)
    world.run = run
    world.now += 10
    world.begin()
    if helped:
        world.up("site-1")
    world.wait(100)

    assert world.ran == [(60, "site-1", 1)]
    assert world.told[1] == ("warning", "It is not known whether site-1 was restarted")
    if helped:
        assert world.told[2] == ("info", "site-1 is up again, 10 seconds after its restart")
    else:
        world.wait(200)
        assert world.ran[1:] == [(60 + 10 + 120 + 120, "site-1", 2)]


@in_hub
def test_what_was_given_up_stays_so_over_a_restart_of_the_monitor(store):
    world = World(store)
    world.down("site-1")
    world.wait(2000)
    count = len(world.events)
    world.begin()
    world.wait(2 * 3600)

    assert len(world.ran) == 3
    assert len(world.events) == count


@in_hub
def test_the_history_is_bounded_but_has_all_of_the_last_hour(store):
    world = World(store, Restart(command=("x",), wait=1.0, per_hour=100), restarts_per_hour=100)
    world.restarts._attempts._keep = 5
    world.cures = True
    for _ in range(20):
        world.down("site-1")
        world.wait(60)
    assert len(store.root["restarts"]) == 20

    world.wait(3600)
    world.down("site-1")
    world.wait(10)
    assert len(store.root["restarts"]) == 5
    assert len(world.restarts.recent()) == 5
    json.dumps([world.restarts.recent(), world.restarts.stats()])


# -- for real


def given(restart, run=act):
    endpoint = Endpoint("site", "https://site/", Options(restart="web"))
    plan = Plan(endpoints={"site": endpoint}, restarts={"web": restart})
    status = Status(state="down", since=NOW, error="refused", message="It refuses.")
    return plan, endpoint, status


@in_hub
def test_a_webhook_is_told_what_it_is_for(store):
    with receiver() as there:
        url = f"{there.url}?token=SECRET"
        plan, endpoint, status = given(Restart(url=url, headers={"X-Key": "k"}, wait=0.0))
        restarts = Restarts(store, lambda: plan, {"site": status}, counts=lambda: (1, 1))
        restarts.start()
        restarts.down(endpoint, status, NOW)
        wait_until(lambda: restarts.stats()["verifying"])
        restarts.stop()

    [got] = there.got
    assert got.headers["Idempotency-Key"] == "site=201790000000.000=201"
    assert got.headers["X-Key"] == "k"
    assert got.json == {
        "id": "site 1790000000.000 1",
        "restart": "web",
        "endpoint": "site",
        "address": "https://site/",
        "attempt": 1,
        "of": 3,
        "since": NOW,
        "error": "refused",
        "message": "It refuses.",
        "incident": "",
    }
    assert "SECRET" not in json.dumps(restarts.recent())


@in_hub
def test_a_mistake_of_ours_shows_no_address(store, capfd, caplog):
    plan, endpoint, status = given(Restart(url="https://x/SECRET", wait=0.0))

    def run(restart, what):
        store.root["restarts"].clear()  # so that what comes next cannot be noted

    restarts = Restarts(store, lambda: plan, {"site": status}, counts=lambda: (1, 1), run=run)
    restarts.start()
    restarts.down(endpoint, status, NOW)
    wait_until(lambda: "KeyError" in caplog.text + "".join(capfd.readouterr()))
    restarts.stop()

    assert "SECRET" not in caplog.text + "".join(capfd.readouterr())


@in_hub
def test_a_command_that_takes_too_long_is_ended_and_told(store):
    plan, endpoint, status = given(Restart(command=("sleep", "60"), wait=0.0, timeout=0.2))
    events = []
    restarts = Restarts(
        store, lambda: plan, {"site": status}, counts=lambda: (1, 1), tell=events.extend
    )
    restarts.start()
    restarts.down(endpoint, status, NOW)
    wait_until(lambda: len(events) > 1)
    restarts.stop()

    assert "it took longer than 0.2 seconds" in events[1].text


@in_hub
def test_a_command_goes_on_when_the_monitor_is_stopped_and_is_known_as_begun(store, tmp_path):
    done = tmp_path / "done"
    command = ("sh", "-c", 'sleep 0.2; touch "$0"', str(done))
    plan, endpoint, status = given(Restart(command=command, wait=0.0))
    restarts = Restarts(store, lambda: plan, {"site": status}, counts=lambda: (1, 1))
    restarts.start()
    restarts.down(endpoint, status, NOW)
    wait_until(lambda: restarts._running)
    restarts.stop(seconds=0.05)
    [document] = restarts.recent()

    assert document["state"] == "begun"
    wait_until(done.exists)


PROGRAM = """
import os, signal, sys, time
import gevent
from test_restarts import Restart, Restarts, Store, given

directory, marks, kill = sys.argv[1:]
command = ("sh", "-c", 'echo "$SAFEPATCH_ATTEMPT $SAFEPATCH_ENDPOINT" >> "$0"; sleep 0.2', marks)
plan, endpoint, status = given(Restart(command=command, wait=0.0, verify=0.1, per_hour=1))
store = Store(directory, every=0)
restarts = Restarts(store, lambda: plan, {"site": status}, counts=lambda: (1, 1))
restarts.start()
restarts.down(endpoint, status, 0.0)
while kill and not os.path.exists(marks):
    gevent.sleep(0.005)
if kill:
    os.kill(os.getpid(), signal.SIGKILL)
while not restarts.stats()["given_up"]:
    gevent.sleep(0.01)
restarts.stop()
print([(each["state"], len(each["steps"])) for each in restarts.recent()])
store.close()
"""


def test_a_kill_in_the_middle_of_a_restart_does_not_have_it_done_twice(tmp_path):
    here = os.path.dirname(__file__)
    path = os.pathsep.join([str(ROOT), here, os.path.dirname(here)])
    ran = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "store"), str(tmp_path / "marks"), kill],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=30,
        )
        for kill in ("kill", "")
    ]

    assert ran[0].returncode == -signal.SIGKILL, ran[0].stderr
    assert (ran[1].returncode, ran[1].stderr) == (0, "")
    assert (tmp_path / "marks").read_text() == "1 site\n"
    assert ran[1].stdout == "[('given up', 1), ('still down', 3)]\n"
