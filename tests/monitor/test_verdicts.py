"""When an endpoint is up, and when it is down."""

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdict_helpers import NOW, result

from safepatch.monitor.plan import Options
from safepatch.monitor.statuses import Status
from safepatch.monitor.verdicts.verdicts import due, step, wants_fresh_dns

PLAIN = Options(interval=60, retry_after=10, confirm_down=3, confirm_up=2)


def steps(marks, options=PLAIN, status=None, every=60.0):
    """What each of some results changes: "." is good, "x" is bad, "b" is bad while blind."""
    status = status or Status()
    changes = []
    for number, mark in enumerate(marks):
        at = NOW + number * every
        found = result("a", at, "" if mark == "." else "timeout")
        changes.append(step(status, found, options, at, blind=mark == "b"))
    return changes, status


@pytest.mark.parametrize(
    ("marks", "changes", "state"),
    [
        (".", ["first"], "up"),
        (".xx", ["first", "", ""], "up"),
        (".xxx", ["first", "", "", "down"], "down"),
        (".xxxx", ["first", "", "", "down", ""], "down"),
        (".xxx.", ["first", "", "", "down", ""], "down"),
        (".xxx..", ["first", "", "", "down", "", "up"], "up"),
        (".xxx.x.", ["first", "", "", "down", "", "", ""], "down"),
        (".xx.xx", ["first", "", "", "", "", ""], "up"),
        ("xx", ["", ""], "new"),
        ("xxx", ["", "", "down"], "down"),
        ("xx.", ["", "", "first"], "up"),
        ("xxx..", ["", "", "down", "", "up"], "up"),
    ],
)
def test_both_ways_take_as_many_checks_in_a_row_as_was_asked_for(marks, changes, state):
    found, status = steps(marks)

    assert found == changes
    assert status.state == state


def test_a_state_began_with_the_first_check_of_the_row():
    _, status = steps(".xxx")

    assert status.since == NOW + 60

    step(status, result("a", NOW + 300), PLAIN, NOW + 300)
    step(status, result("a", NOW + 310), PLAIN, NOW + 310)

    assert (status.state, status.since) == ("up", NOW + 300)


def test_what_the_monitor_failed_to_check_says_nothing_of_the_endpoint():
    status = Status()
    told = [step(status, result("it", at, "internal"), Options(), at) for at in range(5)]
    assert (told, status.state, status.error) == ([""] * 5, "new", "internal")

    for at, error in enumerate(["", "timeout", "timeout", "internal", "timeout"], 10):
        told.append(step(status, result("it", at, error), Options(), at))
    assert told[5:] == ["first", "", "", "", "down"]


def test_the_error_is_that_of_the_last_check_while_it_failed():
    _, status = steps(".xx")

    assert (status.error, status.message) == ("timeout", "timeout it is")

    step(status, result("a", NOW + 300), PLAIN, NOW + 300)

    assert (status.error, status.message) == ("", "")


def test_warnings_change_no_state():
    status = Status()
    for at in range(5):
        found = result("a", NOW + at)
        found.warnings = ("it has another title",)
        step(status, found, PLAIN, NOW + at)

    assert status.state == "up"
    assert status.warnings == ("it has another title",)


def test_while_blind_nothing_changes_and_counting_begins_anew():
    changes, status = steps(".xxbbbbbxx")

    assert changes == ["first", *[""] * 9]
    assert (status.state, status.failing) == ("up", 2)


def test_what_failed_before_it_was_blind_does_not_count_after():
    _, status = steps(".xx")

    change = step(status, result("a", NOW + 500, "timeout"), PLAIN, NOW + 500, False, NOW + 400)

    assert change == ""
    assert (status.state, status.failing) == ("up", 1)


def test_what_turns_too_often_is_told_once_and_then_nothing_until_it_is_steady():
    changes, status = steps("." + "x." * 20 + "." * 40)

    assert [change for change in changes if change] == ["first", "flapping", "steady"]
    assert changes.index("flapping") == 8
    assert not status.flapping
    assert status.state == "up"


def test_what_is_down_after_flapping_is_told_as_steady_with_the_state_down():
    changes, status = steps("." + "x." * 10 + "x" * 40)

    assert [change for change in changes if change] == ["first", "flapping", "steady"]
    assert status.state == "down"


def test_a_few_failures_an_hour_are_no_flapping():
    changes, _ = steps(("." * 14 + "x") * 20)

    assert "flapping" not in changes


def test_flapping_ends_at_fewer_turns_than_it_begins_with():
    # Four turns in the time: too few to begin with, too many to end with.
    changes, status = steps("x." * 5 + "...x..." * 30)

    assert changes.count("flapping") == 1
    assert "steady" not in changes
    assert status.flapping


def test_flapping_does_not_end_before_checks_agree():
    changes, status = steps("." + "x." * 10)
    more, status = steps("x." * 20, status=status, every=500.0)  # two turns within the time

    assert changes.count("flapping") == 1
    assert "steady" not in more
    assert status.flapping


def test_it_is_checked_sooner_only_while_a_verdict_is_confirmed():
    seconds = []
    status = Status()
    for number, mark in enumerate(".xxxx..."):
        at = NOW + number
        step(status, result("a", at, "" if mark == "." else "timeout"), PLAIN, at)
        seconds.append(due(status, PLAIN))

    assert seconds == [60, 10, 10, 60, 60, 10, 60, 60]
    assert due(Status(failing=1, state="up"), Options(interval=5, retry_after=10)) == 5
    assert due(Status(failing=1, state="up"), PLAIN, blind=True) == 60


def test_a_name_is_resolved_anew_before_the_failure_that_would_make_it_down():
    status, wants = Status(), []
    for number, mark in enumerate(".xxx"):
        found = result("a", NOW + number, "" if mark == "." else "refused")
        step(status, found, PLAIN, NOW)
        wants.append(wants_fresh_dns(status, found, PLAIN))

    assert wants == [False, False, True, False]

    two = Status(state="up", failing=2)
    assert wants_fresh_dns(two, result("a", NOW, "reset"), PLAIN)
    assert not wants_fresh_dns(two, result("a", NOW, "silent"), PLAIN)
    down = Status(state="down", failing=2)  # after it was blind
    assert not wants_fresh_dns(down, result("a", NOW, "reset"), PLAIN)


class Model:
    """The rules once more, from all results instead of counters."""

    def __init__(self, options):
        self.options, self.good, self.state = options, [], "new"

    def take(self, ok):
        self.good.append(ok)
        if not any(self.good[-self.options.confirm_down :]) and (
            len(self.good) >= self.options.confirm_down
        ):
            self.state = "down"
        elif ok and self.state == "new":
            self.state = "up"
        elif all(self.good[-self.options.confirm_up :]) and self.state == "down":
            self.state = "up" if len(self.good) >= self.options.confirm_up else "down"
        return self.state


confirmed = st.builds(
    Options,
    confirm_down=st.integers(1, 4),
    confirm_up=st.integers(1, 3),
    interval=st.sampled_from([10.0, 60.0, 3600.0]),
)


@given(confirmed, st.lists(st.booleans(), max_size=80), st.sampled_from([1.0, 60.0, 400.0]))
def test_states_are_those_of_a_model_that_remembers_everything(options, goods, every):
    status, model = Status(), Model(options)
    for number, ok in enumerate(goods):
        at = NOW + number * every
        step(status, result("a", at, "" if ok else "timeout"), options, at)

        assert status.state == model.take(ok)


@given(confirmed, st.text(".xb", max_size=120), st.sampled_from([1.0, 30.0, 60.0, 400.0]))
def test_what_is_told_makes_sense_to_somebody_who_hears_nothing_else(options, marks, every):
    status, told, failures = Status(), "new", 0
    for number, mark in enumerate(marks):
        at = NOW + number * every
        before, flapped = status.state, status.flapping
        found = result("a", at, "" if mark == "." else "timeout")
        change = step(status, found, options, at, blind=mark == "b")
        failures = failures + 1 if mark == "x" else 0

        if change == "down":
            assert told != "down"
            assert failures >= options.confirm_down
        if change == "up":
            assert told == "down"
        if change == "first":
            assert told == "new"
        if change == "steady":
            assert told == "flapping"
        elif flapped:
            assert change == ""
            assert status.flapping
        if mark == "b":
            assert (status.state, change) == (before, "")
        if change:
            told = change if change == "flapping" else status.state
        elif told != "flapping":
            assert told == status.state or told == "new"


def test_a_good_result_of_what_is_up_takes_less_than_three_microseconds():
    status, found = Status(state="up"), result("a")

    seconds = min(timeit.repeat(lambda: step(status, found, PLAIN, NOW), number=2000, repeat=20))

    assert seconds / 2000 < 3e-6


def test_a_line_that_is_cut_again_and_again_is_no_flapping():
    """Each time some fail before it is clear that the monitor is blind."""
    status, options, now = Status(), Options(), 1_790_000_000.0
    changes = []
    for _ in range(10):
        for error, blind in (("", False), ("timeout", False), ("timeout", True), ("", False)):
            now += 10
            found = result("it", now, error)
            changes.append(step(status, found, options, now, blind=blind))

    assert changes == ["first", *[""] * 39]
    assert (status.state, status.flapping, status.turns) == ("up", False, ())
