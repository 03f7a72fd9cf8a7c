"""The schedule: nothing starves, nothing is checked twice at a time, and the grid is kept."""

import heapq
import itertools
import random

import gevent
import pytest
from alerted import in_hub
from hypothesis import example, given
from hypothesis import strategies as st

from safepatch.monitor.engine.pace import Pace
from safepatch.monitor.engine.pool import Pool
from safepatch.monitor.engine.schedule import Schedule, place

INTERVALS = (10.0, 30.0, 60.0, 3600.0)


def simulate(schedule, intervals, *, seconds, workers, takes, retry=None):
    """Let `workers` do what is due for `seconds`, each check taking `takes(name)`.

    Yields (name, when it was due, when it began, when it ended), as they begin.
    """
    now, busy = 0.0, []  # (when it ends, name)
    for name, interval in intervals.items():
        schedule.add(name, interval, now)
    while now < seconds:
        while busy and busy[0][0] <= now:
            ended, name = heapq.heappop(busy)
            schedule.done(name, intervals[name], ended, retry and retry(name))
        while len(busy) < workers and (entry := schedule.take(now)):
            heapq.heappush(busy, (now + takes(entry.name), entry.name))
            yield entry.name, entry.due, now, now + takes(entry.name)
        due = schedule.next() if len(busy) < workers else None
        now = min([ended for ended, _ in busy[:1]] + ([] if due is None else [max(due, now)]))


def counts(checks):
    found = {}
    for name, *_ in checks:
        found[name] = found.get(name, 0) + 1
    return found


names = st.text(min_size=1, max_size=8)
plans = st.dictionaries(names, st.sampled_from(INTERVALS), min_size=1, max_size=30)


@given(plans, st.integers(1, 4), st.floats(0.01, 20), st.integers(0, 9))
def test_nothing_is_checked_twice_at_a_time(intervals, workers, slowest, seed):
    chance = random.Random(seed)
    until = {}

    for name, _, began, ended in simulate(
        Schedule(), intervals, seconds=600, workers=workers,
        takes=lambda name: slowest * (place(name) + 0.1),
        retry=lambda name: chance.choice([None, 1.0, 5.0]),
    ):  # fmt: skip
        assert began >= until.get(name, 0.0)
        until[name] = ended


@given(plans, st.floats(-1e9, 1e9))
def test_all_is_due_on_its_grid(intervals, origin):
    schedule = Schedule(origin)

    for name, due, *_ in simulate(
        schedule, intervals, seconds=900, workers=99, takes=lambda name: 0.5
    ):
        turns = (due - origin) / intervals[name] - place(name)
        assert abs(turns - round(turns)) < 1e-6


@given(plans)
def test_each_is_checked_once_an_interval_while_there_is_time(intervals):
    found = counts(simulate(Schedule(), intervals, seconds=720, workers=99, takes=lambda _: 0.01))

    assert all(found.get(name, 0) - 720 // each in (0, 1) for name, each in intervals.items())


@given(st.text(), st.floats(0.001, 1e6), st.floats(-2e9, 2e9), st.floats(0, 2e9))
@example("a", 60.0, -1.76e9, 0.0)
def test_the_next_time_of_the_grid_is_later_and_within_an_interval(name, interval, origin, after):
    schedule = Schedule(origin)
    due = schedule.grid(name, interval, after)

    assert after < due <= after + interval * (1 + 1e-6) + 1e-5
    for _ in range(20):  # times of the grid, where dividing is rounded down now and then
        before, due = due, schedule.grid(name, interval, due)
        assert before < due


@given(st.sets(names, min_size=1, max_size=20), st.integers(1, 3), st.floats(1.0, 30.0))
def test_nothing_starves_however_much_there_is_to_do(names, workers, takes):
    intervals = {name: INTERVALS[place % 3] for place, name in enumerate(sorted(names))}
    wanted = sum(1 / each for each in intervals.values())  # checks a second
    factor = max(1.0, wanted * takes / workers)
    ended = {}

    for name, _, began, _ in simulate(
        Schedule(), intervals, seconds=300 * factor + 600, workers=workers, takes=lambda _: takes
    ):
        waited = began - ended.get(name, 0.0)
        assert waited <= 2 * intervals[name] * factor + len(names) * takes + intervals[name]
        ended[name] = began

    assert ended.keys() == names


def test_an_overload_makes_each_be_checked_less_often_by_the_same_factor():
    intervals = {f"site {number}": (10.0, 60.0)[number % 2] for number in range(200)}
    wanted = sum(1 / each for each in intervals.values())  # checks a second

    found = counts(
        simulate(Schedule(), intervals, seconds=6000, workers=1, takes=lambda name: 2.5 / wanted)
    )

    shares = [found[name] * each / 6000 for name, each in intervals.items()]
    assert max(shares) / min(shares) < 1.5
    assert 0.35 < min(shares) < 0.5


def test_all_of_the_same_interval_are_checked_as_often_as_each_other_in_an_overload():
    intervals = dict.fromkeys(map(str, range(100)), 10.0)

    found = counts(simulate(Schedule(), intervals, seconds=1000, workers=2, takes=lambda name: 0.7))

    assert max(found.values()) - min(found.values()) <= 1


def test_the_turns_are_spread_evenly_over_the_interval():
    names = [f"site{number}.example.com" for number in range(6000)]

    parts = [0] * 60
    for name in names:
        parts[int(place(name) * 60)] += 1

    assert min(parts) > 60
    assert max(parts) < 140


def test_the_grid_is_the_same_after_a_restart():
    origin = -1_764_158_000.0  # what a clock that began at the start says of 1970

    before = Schedule(origin).grid("a", 60.0, 100.0)
    after = Schedule(origin - 7000.0).grid("a", 60.0, 160.0 - 7000.0) + 7000.0

    assert abs(before + 60.0 - after) < 1e-5


def test_new_ones_are_checked_within_the_seconds_that_are_given():
    schedule = Schedule()
    for number in range(100):
        schedule.add(f"site {number}", 3600.0, 50.0, within=2.0)

    taken = [schedule.take(52.0) for _ in range(100)]

    assert None not in taken
    assert [each.due for each in taken] == sorted(each.due for each in taken)
    assert schedule.take(1e9) is None


def test_what_failed_comes_again_after_its_retry_and_then_on_its_grid():
    schedule = Schedule()
    schedule.add("a", 60.0, 0.0)
    first = schedule.take(60.0).due

    schedule.done("a", 60.0, first + 1.0, retry=10.0)
    assert schedule.next() == first + 11.0
    schedule.take(first + 11.0)
    schedule.done("a", 60.0, first + 12.0)

    assert schedule.next() == first + 60.0


def test_what_is_removed_is_not_checked_any_more():
    schedule = Schedule()
    schedule.add("a", 60.0, 0.0)
    schedule.remove("a")
    schedule.remove("never there")

    assert ("a" in schedule, len(schedule), schedule.next(), schedule.take(1e9)) == (
        False, 0, None, None,
    )  # fmt: skip


def test_what_is_removed_while_it_is_under_way_does_not_come_again():
    schedule = Schedule()
    schedule.add("a", 60.0, 0.0)
    schedule.take(60.0)
    schedule.soon("a", 60.0)
    schedule.remove("a")
    assert "a" not in schedule

    schedule.done("a", 60.0, 61.0)

    assert (len(schedule), schedule.running, schedule.take(1e9)) == (0, 0, None)


def test_what_is_removed_and_added_while_it_is_under_way_is_not_begun_before_it_ended():
    schedule = Schedule()
    schedule.add("a", 60.0, 0.0)
    schedule.take(60.0)
    schedule.remove("a")
    schedule.add("a", 10.0, 60.0)
    assert schedule.take(1e9) is None

    schedule.done("a", 10.0, 61.0)

    assert 61.0 < schedule.next() <= 71.0


def test_an_endpoint_with_another_interval_goes_by_that():
    schedule = Schedule()
    schedule.add("a", 3600.0, 0.0)
    schedule.add("a", 10.0, 0.0)

    assert schedule.next() <= 10.0
    assert len(schedule) == 1


def test_what_is_wanted_soon_is_due_now_and_once_more_if_it_is_under_way():
    schedule = Schedule()
    schedule.add("a", 3600.0, 0.0)
    assert schedule.soon("a", 1.0)
    assert schedule.take(1.0).due == 1.0

    assert schedule.soon("a", 2.0)
    assert schedule.take(2.0) is None
    schedule.done("a", 3600.0, 3.0)

    assert schedule.take(3.0).due == 3.0
    assert not schedule.soon("b", 3.0)


def test_many_changes_leave_no_entries_behind():
    schedule = Schedule()
    for name in "abc":
        schedule.add(name, 60.0, 0.0)

    for number in range(20_000):
        schedule.soon("abc"[number % 3], 0.001 * number)
        schedule.add("abc"[number % 3], 1.0 + number % 5000, 0.0)

    assert sum(map(len, schedule._heaps.values())) < 1100
    assert len(schedule._heaps) < 1100
    assert len(schedule) == 3


# Greenlets that run it.


class Ran:
    """A pool with a plan, whose checks take what gevent is told to sleep."""

    def __init__(self, intervals, *, concurrency=10, takes=0.0, fails=()):
        self.schedule = Schedule()
        self.names, self.now, self.most = [], 0, 0
        self.intervals, self.takes, self.fails = intervals, takes, fails
        self.pace = Pace()
        self.pool = Pool(self.schedule, self.check, concurrency=concurrency, pace=self.pace)
        for name, interval in intervals.items():
            self.schedule.add(name, interval, self.pool.clock(), within=0.0)

    def check(self, name):
        self.names.append(name)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.takes is not None:
                gevent.sleep(self.takes)
            if name in self.fails:
                raise RuntimeError("a mistake")
        finally:
            self.now -= 1
        return self.intervals.get(name, 60.0), None

    def until(self, condition):
        self.pool.start()
        with gevent.Timeout(5):
            while not condition(self):
                gevent.sleep(0.001)
        self.pool.stop()
        return self


@in_hub
def test_all_that_is_due_is_run_with_no_more_than_so_many_at_a_time():
    ran = Ran(dict.fromkeys(map(str, range(50)), 0.01), concurrency=7, takes=0.002)

    ran.until(lambda ran: len(ran.names) >= 100)

    assert ran.most == 7
    assert {*ran.names} == {*map(str, range(50))}


@in_hub
def test_a_mistake_in_a_check_is_counted_and_logged_and_all_goes_on(caplog):
    ran = Ran({"good": 0.05, "bad": 0.01}, fails={"bad"})

    ran.until(lambda ran: ran.names.count("bad") >= 3 and ran.names.count("good") >= 3)

    assert ran.pace.failures >= 2
    assert "the check of 'bad' failed" in caplog.text
    assert "RuntimeError: a mistake" in caplog.text


@in_hub
def test_others_have_their_turn_while_checks_that_never_wait_are_late():
    ran = Ran(dict.fromkeys(map(str, range(500)), 0.001), takes=None)
    ran.pool.check = lambda name: (0.00001, None)

    ran.pool.start()
    with gevent.Timeout(5):
        for _ in range(20):
            gevent.sleep(0.001)
    ran.pool.stop()

    assert ran.pace.checks > 500


@in_hub
def test_what_is_put_in_while_the_pool_waits_for_something_later_is_run():
    ran = Ran({})
    ran.schedule.add("later", 3600.0, ran.pool.clock())
    ran.pool.start()
    gevent.sleep(0.005)

    ran.schedule.soon("later", ran.pool.clock())
    ran.pool.wake()
    ran.until(lambda ran: ran.names == ["later"])

    assert ran.pace.lateness["max"] < 0.5


@in_hub
def test_a_retry_that_comes_before_all_else_is_not_slept_over():
    ran = Ran({"retried": 3600.0})
    ran.schedule.add("later", 3600.0, ran.pool.clock())
    ran.pool.check = lambda name: (ran.names.append(name), (3600.0, 0.01))[1]

    ran.until(lambda ran: len(ran.names) >= 3)

    assert {*ran.names} == {"retried"}


@in_hub
def test_a_pool_that_is_made_smaller_ends_greenlets_and_one_that_is_made_larger_has_more():
    ran = Ran(dict.fromkeys(map(str, range(50)), 0.01), concurrency=9, takes=0.001)
    ran.pool.start()
    gevent.sleep(0.02)
    assert ran.most == 9

    ran.pool.concurrency = 2
    gevent.sleep(0.02)
    ran.most = 0
    gevent.sleep(0.02)
    assert ran.most == 2
    ran.pool.concurrency = 5
    ran.until(lambda ran: ran.most == 5)


@in_hub
def test_a_pool_that_stops_lets_what_is_under_way_come_to_its_end():
    ran = Ran({"slow": 60.0}, takes=0.05)
    ran.pool.start()
    gevent.sleep(0.01)

    ran.pool.stop()

    assert (ran.pace.in_flight, ran.pace.done, ran.schedule.running) == (0, 1, 0)
    assert not ran.pool._workers


@in_hub
def test_a_pool_that_stops_kills_what_takes_too_long():
    ran = Ran({"stuck": 60.0}, takes=3600.0)
    ran.pool.start()
    gevent.sleep(0.01)

    ran.pool.stop(seconds=0.01)

    assert (ran.now, ran.pace.in_flight) == (0, 0)


# Figures.


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("late", [0.0, 0.0005, 0.01, 0.5, 7.0, 1000.0])
def test_the_median_of_lateness_is_right_to_an_eighth(late):
    pace = Pace(Clock())
    for _ in range(10):
        pace.begin(late)

    median = pace.lateness["median"]

    assert pace.lateness["max"] == late
    assert median == 0 if late <= 0.001 else late <= median <= late * 1.125


def test_lateness_is_that_of_the_last_minute():
    clock = Clock()
    pace = Pace(clock)
    pace.begin(100.0)
    for _ in range(120):
        clock.now += 1
        pace.look(0.0, 60.0)
        pace.begin(0.01)

    assert pace.lateness["max"] == 0.01
    assert pace.per_second == pytest.approx(1.0, rel=0.05)
    assert pace.checks == 121


def test_an_overload_is_told_once_when_it_begins_and_once_when_it_is_over():
    clock = Clock()
    pace = Pace(clock)
    told = []
    for behind in itertools.chain([0.1] * 5, [9.0] * 2, [0.0], [9.0] * 20, [2.0] * 60, [0.5] * 60):
        clock.now += 1
        if pace.look(behind, 60.0):
            told.append((clock.now, pace.overloaded))

    assert told == [(1011.0, True), (1118.0, False)]


def test_half_of_a_short_interval_is_too_late():
    clock = Clock()
    pace = Pace(clock)

    for _ in range(3):
        pace.look(0.6, 1.0)

    assert pace.overloaded
    assert pace.figures()["overloaded"] is True


@given(st.lists(st.floats(0, 100), min_size=1))
def test_no_figure_of_lateness_is_above_the_latest(late):
    pace = Pace(clock=lambda: 0.0)
    for seconds in late:
        pace.begin(seconds)
    figures = pace.lateness

    assert figures["max"] == max(late)
    assert figures["median"] <= figures["p95"] <= figures["max"]
