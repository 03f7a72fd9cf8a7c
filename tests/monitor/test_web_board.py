"""The order in which endpoints are shown, made while checks go on."""

import gevent
import hubs
import pytest
from standins import many, shop

from safepatch.monitor.plan import Plan
from safepatch.monitor.statuses import Status
from safepatch.monitor.web import board


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def boards(monitor):
    clock = Clock()
    return board.Boards(monitor, clock=clock), clock


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status(), "new"),
        (Status(state="up"), "up"),
        (Status(state="up", failing=1), "warning"),
        (Status(state="up", warnings=("x",)), "warning"),
        (Status(state="up", flapping=True), "warning"),
        (Status(state="down", warnings=("x",)), "down"),
        (Status(state="unknown", failing=3), "unknown"),
    ],
)
def test_each_endpoint_is_in_one_group(status, expected):
    assert board.group(status) == expected


def test_a_board_is_made_once_a_second_at_most():
    monitor = shop()
    made, clock = boards(monitor)
    first = made.latest()

    clock.now += 0.9
    assert made.latest() is first
    clock.now += 0.2
    assert made.latest() is not first


def test_what_was_indexed_is_kept_until_the_plan_changes():
    monitor = shop()
    made, clock = boards(monitor)
    first = made.latest()
    clock.now += 2

    assert made.latest().words is first.words
    monitor.plan = Plan(endpoints=dict(monitor.plan.endpoints))
    assert made.latest().words is not first.words


def test_who_comes_while_a_board_is_made_gets_the_last_one():
    monitor = many(board.SLICE + 1)
    made, clock = boards(monitor)
    first = made.latest()
    clock.now += 2
    making = gevent.spawn(made.latest)
    gevent.sleep(0)  # it has done a slice

    assert not making.ready()
    assert made.latest() is first
    making.join()
    assert made.latest() is making.value is not first


def test_who_was_told_of_a_change_sees_it():
    """A board that was begun before is not shown, neither as the last one nor as the next."""
    monitor = many(board.SLICE + 1)
    made, clock = boards(monitor)
    made.latest()
    clock.now += 2
    making = gevent.spawn(made.latest)
    gevent.sleep(0)  # it has done a slice

    monitor.statuses["site-00001.example.com"].state = "down"
    made.is_stale = True

    assert "site-00001.example.com" in made.latest().groups["down"]
    making.join()
    assert "site-00001.example.com" in made.latest().groups["down"]


def test_those_who_come_first_wait_for_one_board_together():
    monitor = many(board.SLICE + 1)
    made, _ = boards(monitor)

    seen = [gevent.spawn(made.latest) for _ in range(5)]
    gevent.joinall(seen)

    assert len({id(each.value) for each in seen}) == 1


def test_checks_go_on_while_a_board_is_made():
    monitor = many(3 * board.SLICE)
    made, _ = boards(monitor)
    turns = []

    def check():
        while True:
            turns.append(1)
            gevent.sleep(0)

    checking = gevent.spawn(check)
    made.latest()
    checking.kill()

    assert len(turns) >= 6  # three slices of words, three of statuses


def test_an_endpoint_without_status_is_new():
    monitor = shop()
    monitor.statuses.pop("Web shop")

    assert "Web shop" in boards(monitor)[0].latest().groups["new"]


def test_the_latest_that_went_down_comes_first():
    monitor = many(500)

    down = boards(monitor)[0].latest().groups["down"]

    assert down == [f"site-{n:05}.example.com" for n in (0, 100, 200, 300, 400)]


def test_the_order_is_that_of_the_sources_where_very_many_are_down():
    monitor = many(board.SORTED + 1)
    for n, status in enumerate(monitor.statuses.values()):
        status.state, status.since = "down", float(n)

    assert boards(monitor)[0].latest().groups["down"] == list(monitor.plan.endpoints)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CHECKOUT", {"Checkout"}),
        ("example.com:25", {"Mail"}),
        ("checkout\nhttps", set()),  # not across name and address
        ("10.1.2.3", {"Database"}),
        ("old site", {"Old site"}),  # the last one
    ],
)
def test_texts_are_found_in_names_and_addresses(text, expected):
    words = boards(shop())[0].latest().words

    assert words.find(text, lambda: None) == expected


def test_all_that_have_a_text_are_found():
    seen = boards(many(300))[0].latest()

    assert len(seen.select(text="example")) == 300
    assert len(seen.select(text="site-001")) == 100
    assert len(seen.select(text="site-001", tag="team 1")) == 5


def test_what_was_selected_is_kept_for_some_queries_only():
    seen = boards(shop())[0].latest()
    for n in range(100):
        seen.select(text=str(n))

    assert len(seen._selected) <= 16
    assert seen.select(text="99") is seen.select(text="99")
