"""Somebody is told of warnings once, together, and of nothing twice after a restart."""

import pytest

pytest.importorskip("msgspec", reason="a monitor needs the extra `monitor`")

from safepatch.monitor.learning.warned import Warned
from safepatch.monitor.plan import Endpoint, Options, Plan, Settings
from safepatch.monitor.statuses import Status

TITLE = "title was 'Shop', now 'Index of /'"


class World:
    """Endpoints by name, what is told of them, and a time."""

    def __init__(self, *names, **options):
        endpoints = {name: Endpoint(name, f"tcp://{name}:1", Options(**options)) for name in names}
        self.plan = Plan(settings=Settings(gather=15.0), endpoints=endpoints)
        self.statuses = {name: Status(state="up") for name in names}
        self.root, self.now = {"warned": {}}, 1000.0
        self.restart()

    def restart(self):
        self.warned = Warned(self.root, lambda: self.plan, self.statuses)
        self.warned.resume(self.now)

    def warn(self, name, *warnings):
        self.statuses[name].warnings = warnings
        self.warned.note(name, self.now)

    def after(self, seconds=100.0):
        self.now += seconds
        return self.warned.settle(self.now)


def test_a_warning_is_told_once_however_long_it_lasts():
    world = World("shop")
    world.warn("shop", TITLE)

    assert world.after(14.0) == []
    [event] = world.after(1.0)
    assert (event.type, event.title, event.endpoints) == ("warning", f"shop: {TITLE}", ("shop",))
    world.warn("shop", TITLE)
    assert world.after(7 * 86400.0) == []


def test_what_comes_together_is_told_together():
    world = World(*(f"site{number}" for number in range(70)), tags=("web",))
    for name in world.statuses:
        world.warn(name, TITLE)

    [event] = world.after()

    assert event.title == "70 endpoints are not as usual"
    assert (event.count, len(event.endpoints), event.tags) == (70, 50, ("web",))
    assert event.text.splitlines()[0] == f"site0: {TITLE}"
    assert event.text.splitlines()[-1] == "... and 50 more"


def test_messages_are_a_minute_apart():
    world = World("a", "b", "c")
    world.warn("a", TITLE)
    assert len(world.after(15.0)) == 1
    world.warn("b", TITLE)
    assert world.after(20.0) == []
    world.warn("c", TITLE)

    [event] = world.after(40.0)

    assert event.endpoints == ("b", "c")


def test_nothing_waits_until_a_clock_that_was_put_back_has_come_to_where_it_was():
    world = World("a", "b")
    world.warn("a", TITLE)
    assert len(world.after(15.0)) == 1
    world.warn("b", TITLE)

    assert len(world.after(-7200.0)) == 1


def test_of_what_is_being_forgotten_nothing_is_told():
    """A plan is there some moments before all of the last one has gone."""
    world = World("a", "b")
    world.warn("a", TITLE)
    world.warn("b", TITLE)
    del world.plan.endpoints["a"]

    [event] = world.after()

    assert event.endpoints == ("b",)


def test_a_number_makes_no_other_warning():
    world = World("shop")
    world.warn("shop", "the certificate ends in 13.9 days")
    assert len(world.after()) == 1

    world.warn("shop", "the certificate ends in 1 day")

    assert world.after() == []


def test_another_warning_is_told():
    world = World("shop")
    world.warn("shop", TITLE)
    world.after()

    world.warn("shop", TITLE, "size was 1 kB, now 9 kB")

    assert [event.title for event in world.after()] == ["shop: size was 1 kB, now 9 kB"]


def test_what_comes_and_goes_is_told_once_a_day():
    world = World("shop")
    told = 0
    for _ in range(100):
        world.warn("shop", TITLE)
        told += len(world.after(1800.0))
        world.warn("shop")
        told += len(world.after(1800.0))

    assert 4 <= told <= 5


def test_of_what_is_muted_or_down_nothing_is_told_until_that_is_over():
    world = World("a", "b")
    world.statuses["a"].muted = "maintenance"
    world.statuses["b"].state = "down"
    world.warn("a", TITLE)
    world.warn("b", TITLE)
    assert world.after() == []

    world.statuses["a"].muted, world.statuses["b"].state = "", "up"

    assert [event.count for event in world.after()] == [2]


def test_after_a_restart_nothing_is_told_again_and_nothing_is_forgotten():
    world = World("a", "b")
    world.warn("a", TITLE)
    world.after()
    world.warn("b", TITLE)

    world.restart()

    assert [event.endpoints for event in world.after()] == [("b",)]
    world.restart()
    assert world.after() == []


def test_what_is_not_watched_any_more_is_forgotten():
    world = World("a", "b")
    world.warn("a", TITLE)
    world.after()
    world.warn("b", TITLE)
    world.warned.forget(["a", "b"])

    assert (world.after(), world.root["warned"]) == ([], {})


def test_only_channels_that_care_are_told():
    world = World("a", alerts=("ops", "chat"))
    world.warn("a", TITLE)

    assert [event.channels for event in world.after()] == [("chat", "ops")]
