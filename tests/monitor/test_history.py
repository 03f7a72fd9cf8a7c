"""What came of the checks: results of a day, rollups of a year."""

import json
import os
import random
import signal
import subprocess
import sys
import timeit

import pytest
from children import child
from hypothesis import given
from hypothesis import strategies as st

from safepatch.monitor.history import packing, rollups
from safepatch.monitor.history.history import History
from safepatch.monitor.results import ERRORS

DAY0 = 1_789_948_800.0  # 2026-09-21 00:00 UTC
HOUR, DAY = 3600.0, 86400.0


class Clock:
    def __init__(self, now=DAY0):
        self.now = now

    def __call__(self):
        return self.now


class Kept:
    """A history, and beside it all that was put in."""

    def __init__(self, path, now=DAY0, **options):
        self.path, self.clock, self.options = path, Clock(now), options
        self.put = []
        self._open()

    def _open(self):
        self.history = History(self.path, clock=self.clock, **self.options)
        # Nothing here is about the disk itself, and it may be busy.
        self.history.store.opened().engine._writer.execute("PRAGMA synchronous = OFF")

    def run(self, seconds, names=("a", "b"), interval=60, error=lambda at: "", every=1):
        """Check all each `interval`, and flush `every` so many seconds."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            before, self.clock.now = self.clock.now, self.clock.now + every
            if before // interval < self.clock.now // interval:
                for number, name in enumerate(names):
                    self.add(name, self.clock.now - 0.25, 0.1 + number, error(self.clock.now))
            self.history.flush(self.clock.now)

    def add(self, name, at, seconds, error=""):
        self.history.add(name, at, seconds, error)
        self.put.append((name, at, seconds, error))

    def raw(self, name, since=0.0, until=float("inf")):
        return [
            (float(int(at)), seconds, error)
            for one, at, seconds, error in self.put
            if one == name and since <= int(at) < until
        ]

    def again(self):
        """As after a kill: what is on disk is all there is."""
        self.history.store.close()
        self._open()


@pytest.fixture
def kept(tmp_path):
    kept = Kept(tmp_path / "history.db")
    yield kept
    kept.history.store.close()


def close(found, expected):
    """Whether results are the same, but for what is cut from seconds."""
    assert [(at, error) for at, _, error in found] == [(at, error) for at, _, error in expected]
    assert [one for _, one, _ in found] == pytest.approx([one for _, one, _ in expected], rel=0.003)


def test_what_is_added_is_there_after_a_flush(kept):
    kept.add("a", DAY0 + 1.5, 0.123, "")
    kept.add("b", DAY0 + 1.5, 10.0, "timeout")
    kept.add("a", DAY0 + 61.5, 0.234, "status")
    kept.history.flush(DAY0 + 62)

    close(kept.history.raw("a", DAY0, DAY0 + 100), kept.raw("a"))
    close(kept.history.raw("b", DAY0, DAY0 + 100), kept.raw("b"))
    assert kept.history.raw("a", DAY0 + 10, DAY0 + 61) == []
    assert kept.history.raw("nobody", DAY0, DAY0 + 100) == []


def test_all_of_it_is_there_after_hours_in_any_part(kept):
    kept.run(5 * HOUR, interval=300, every=60)

    close(kept.history.raw("a", DAY0, kept.clock.now + 1), kept.raw("a"))
    since, until = DAY0 + 2.5 * HOUR, DAY0 + 4.25 * HOUR
    close(kept.history.raw("b", since, until), kept.raw("b", since, until))


@pytest.mark.parametrize("seconds", [30.0, HOUR - 5, HOUR + 5, HOUR + 122, HOUR + 400, 2 * HOUR])
def test_a_kill_at_any_time_loses_nothing_that_was_flushed(kept, seconds):
    names = [f"e{number}" for number in range(8)]
    kept.run(seconds, names, interval=300, every=30)
    kept.run(10, names, interval=5, every=1)
    kept.again()

    for number in range(8):
        close(kept.history.raw(f"e{number}", DAY0, kept.clock.now), kept.raw(f"e{number}"))

    kept.run(HOUR, names, interval=300, every=60)
    close(kept.history.raw("e5", DAY0, kept.clock.now), kept.raw("e5"))


def test_a_kill_while_an_hour_is_half_folded_loses_and_doubles_nothing(kept):
    names = [f"e{number}" for number in range(600)]
    for second in range(0, 3600, 600):
        for name in names:
            kept.add(name, DAY0 + second + 1, 0.1)
        kept.history.flush(DAY0 + second + 2)
    kept.clock.now = DAY0 + HOUR + 130
    for name in names:
        kept.add(name, DAY0 + HOUR + 60, 0.2, "status")
    for _ in range(40):
        kept.clock.now += 1
        kept.history.flush(kept.clock.now)
    assert 0 < kept.history.folds.cursor < 600

    kept.again()

    for name in names[::37]:
        close(kept.history.raw(name, DAY0, kept.clock.now), kept.raw(name))

    kept.run(420, names=(), every=10)
    assert kept.history.folds.hour == DAY0 + HOUR
    for name in names[::37]:
        close(kept.history.raw(name, DAY0, kept.clock.now), kept.raw(name))


def test_a_machine_that_slept_for_hours_goes_on(kept):
    kept.run(HOUR / 2, every=60)
    kept.clock.now += 7 * HOUR
    kept.run(2 * HOUR, every=60)

    close(kept.history.raw("a", DAY0, kept.clock.now), kept.raw("a"))


def test_a_monitor_that_was_off_for_hours_goes_on(kept):
    kept.run(HOUR / 2, every=60)
    kept.clock.now += 7 * HOUR
    kept.again()
    kept.run(300, every=60)
    kept.again()
    kept.run(2 * HOUR, every=60)
    kept.again()

    close(kept.history.raw("a", DAY0, kept.clock.now), kept.raw("a"))


def test_a_clock_that_was_put_back_breaks_nothing(kept):
    kept.run(3 * HOUR, interval=300, every=300)
    kept.clock.now -= 2 * HOUR
    kept.run(1.5 * HOUR, interval=300, every=300)

    kept.again()
    assert len(kept.history.raw("a", DAY0, kept.clock.now + HOUR)) == len(kept.raw("a"))


# -- rollups


def test_rollups_of_hours_count_and_rank(kept):
    for minute in range(180):
        kept.add("a", DAY0 + 60 * minute, (minute % 60 + 1) / 100, "" if minute % 60 else "status")
        kept.history.flush(DAY0 + 60 * minute + 1)
    kept.clock.now = DAY0 + 3 * HOUR

    hours = kept.history.rollups("a", DAY0, DAY0 + 3 * HOUR)

    assert [hour["at"] for hour in hours] == [DAY0, DAY0 + HOUR, DAY0 + 2 * HOUR]
    for hour in hours:
        assert (hour["checks"], hour["failed"], hour["unknown"]) == (60, 1, 0)
        expected = [0.31, 0.58, 0.60]  # of 0.02 ... 0.60
        assert [hour["p50"], hour["p95"], hour["max"]] == pytest.approx(expected, rel=0.003)


def test_rollups_are_the_same_before_and_after_a_day_is_folded(kept):
    names = [*"abcde"]
    kept.run(
        DAY, names, interval=600, every=600, error=lambda at: "timeout" if at % 3600 < 900 else ""
    )
    since, until = DAY0, DAY0 + DAY
    hours = kept.history.rollups("a", since, until)
    days = kept.history.rollups("a", since, until, "day")
    assert kept.history.store.root["days"] == {}

    kept.run(6 * HOUR, names, interval=600, every=600)

    assert len(kept.history.store.root["days"]) == 5
    assert kept.history.rollups("a", since, until) == hours
    assert kept.history.rollups("a", since, until, "day") == days
    assert len(hours) == 24
    assert [day["checks"] for day in days] == [144]

    kept.again()
    assert kept.history.rollups("a", since, until, "day") == days


def test_results_are_kept_until_there_are_rollups_of_their_day(tmp_path):
    kept = Kept(tmp_path / "history.db", keep_raw=2 * HOUR)
    kept.run(30 * HOUR, interval=600, every=600)
    days = kept.history.rollups("a", DAY0, DAY0 + DAY, "day")
    kept.history.store.close()

    assert [day["checks"] for day in days] == [144]


def test_another_step_is_refused(kept):
    with pytest.raises(ValueError, match="got step='week'; give 'hour' or 'day'"):
        kept.history.rollups("a", 0, 1, "week")


def test_uptime_leaves_out_what_is_unknown(kept):
    for minute, error in enumerate(["", "", "", "timeout", "blind", "internal"]):
        kept.add("a", DAY0 + 60 * minute, 0.1, error)
    kept.add("b", DAY0, 0.1, "blind")
    kept.clock.now = DAY0 + 600
    kept.history.flush(kept.clock.now)

    assert kept.history.uptime("a", DAY) == 75.0
    assert kept.history.uptime("a", 30 * DAY) == 75.0
    assert kept.history.uptime("b", DAY) is None
    assert kept.history.uptime("nobody", DAY) is None
    assert kept.history.rollups("a", DAY0, DAY0 + HOUR)[0]["unknown"] == 2


def test_uptime_of_a_part_of_an_hour_is_exact(kept):
    for minute in range(60):
        kept.add("a", DAY0 + 60 * minute, 0.1, "status" if minute < 30 else "")
    kept.clock.now = DAY0 + HOUR
    kept.history.flush(kept.clock.now)

    assert kept.history.uptime("a", HOUR) == 50
    assert kept.history.uptime("a", HOUR / 2) == 100


def test_uptime_is_that_of_the_time_asked_for(kept):
    kept.run(
        30 * HOUR,
        interval=300,
        every=300,
        error=lambda at: "status" if at > DAY0 + 27 * HOUR else "",
    )

    assert kept.history.uptime("a", 3 * HOUR) == 0.0
    assert kept.history.uptime("a", 4 * HOUR) == pytest.approx(25, abs=2)
    assert kept.history.uptime("a", DAY) == pytest.approx(100 * 21 / 24, abs=0.5)
    assert kept.history.uptime("a", 30 * DAY) == pytest.approx(100 * 27 / 30, abs=0.5)


# -- bounds


def test_disk_is_bounded(tmp_path):
    kept = Kept(tmp_path / "history.db", keep_hours=2 * DAY)
    kept.run(4.2 * DAY, names=["a"], interval=1800, every=1800)
    seconds = {int(key.partition(".")[0]) for key in kept.history.store.root["seconds"]}
    documents = kept.history.store.stats()["documents"]
    kept.history.store.close()

    assert min(seconds) >= kept.clock.now - 2 * HOUR
    assert documents["hours"] <= 26
    assert documents["days"] <= 3
    assert documents["months"] == 1


def test_months_go_after_a_year(kept):
    for day in range(0, 500, 25):
        kept.clock.now = DAY0 + day * DAY
        kept.add("a", kept.clock.now, 0.1)
        kept.history.flush(kept.clock.now + 1)
        kept.clock.now += DAY + 9000
        for _ in range(4):
            kept.clock.now += 1
            kept.history.flush(kept.clock.now)

    months = [key.partition(".")[0] for key in kept.history.store.root["months"]]
    assert months[0] in ("202701", "202702", "202703")
    assert len(months) <= 14


def test_an_endpoint_that_is_not_watched_any_more_is_forgotten(kept):
    kept.run(2 * HOUR, every=60)
    kept.history.forget(["a", "nobody"])
    kept.run(2 * HOUR, names=("b",), every=60)
    kept.again()

    assert kept.history.names() == ["b"]
    assert kept.history.raw("a", 0, kept.clock.now) == []
    assert kept.history.rollups("a", 0, kept.clock.now) == []

    kept.run(60, names=("a",), every=60)
    assert len(kept.history.raw("a", 0, kept.clock.now)) == 1


def test_an_endpoint_of_which_nothing_is_left_is_forgotten_by_itself(tmp_path):
    kept = Kept(tmp_path / "history.db", keep_rollups=60 * DAY)
    kept.run(HOUR, names=["a"], every=300)
    for day in range(1, 100, 9):
        kept.clock.now = DAY0 + day * DAY + 9000
        kept.run(600, names=["b"], every=100)
        if day < 50:
            assert kept.history.names() == ["a", "b"]
    kept.history.store.close()

    assert kept.history.names() == ["b"]


def test_four_bytes_a_result_are_in_memory(kept):
    kept.run(HOUR, every=60)

    assert kept.history.stats()["results_bytes"] == 4 * 120


def test_adding_takes_less_than_three_microseconds(kept):
    add = kept.history.add

    seconds = min(timeit.repeat(lambda: add("a", DAY0, 0.1, ""), number=2000, repeat=10))

    assert seconds / 2000 < 3e-6


def test_others_run_while_a_flush_waits_for_the_disk(tmp_path):
    printed = child(f"""
        import gevent, threading
        from safepatch.monitor.history.history import History

        history = History({str(tmp_path / "history.db")!r}, clock=lambda: {DAY0 + 9})
        history.add("a", {DAY0 + 1}, 0.1, "")
        engine = history.store.opened().engine
        write, go = engine.write, threading.Event()

        def slow(batch):
            assert go.wait(20)
            write(batch)

        history.store.opened().commits.write = slow
        flushing = gevent.spawn(history.flush, {DAY0 + 2})
        gevent.sleep(0)
        history.add("a", {DAY0 + 3}, 0.2, "status")
        assert not flushing.dead
        go.set()
        flushing.get(timeout=20)
        history.flush({DAY0 + 4})
        print(len(history.raw("a", 0, {DAY0 + 9})))
        history.close()
    """)

    assert printed == "2"


# -- export


def test_results_are_exported_as_lines_of_json(kept):
    kept.run(HOUR, every=60)

    rows = [json.loads(line) for line in kept.history.export()]

    assert len(rows) == 120
    assert rows[0] == {
        "name": "a",
        "at": DAY0 + 59,
        "seconds": pytest.approx(0.1, rel=0.003),
        "error": "",
    }


def test_rollups_are_exported_as_csv(kept):
    kept.run(2 * HOUR, names=('a, "b"',), every=60)

    lines = list(kept.history.export('a, "b"', "csv", "hour"))

    assert lines[0] == "name,at,checks,failed,unknown,p50,p95,max\n"
    assert lines[1].startswith(f'"a, ""b""",{DAY0},60,0,0,0.')
    assert len(lines) == 3
    assert len(list(kept.history.export(None, "csv", "day"))) == 2


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((None, "xml"), "got format='xml'; give 'jsonl' or 'csv'"),
        ((None, "csv", "week"), "got what='week'; give 'raw', 'hour' or 'day'"),
        (("nobody",), "there is no history of 'nobody'"),
    ],
)
def test_what_cannot_be_exported_is_told_at_once(kept, arguments, part):
    with pytest.raises((ValueError, KeyError), match=part):
        kept.history.export(*arguments)


# -- packing


def test_every_error_has_a_code():
    assert {"", *ERRORS} < set(packing.ERRORS)
    assert packing.ERRORS[:14] == ("", *ERRORS)


words = st.lists(
    st.tuples(
        st.integers(0, 3599),
        st.floats(0, 7000) | st.floats(1e-6, 1e-2),
        st.sampled_from(packing.ERRORS),
    ),
    max_size=80,
)


@given(words)
def test_an_hour_comes_back_as_it_was(found):
    packed = sorted((packing.word(*one) for one in found), key=lambda value: value & 0xFFF)

    assert packing.hour_words(packing.hour_text(packing.array("I", packed))) == packed
    back = [packing.result(value, 7200) for value in packed]
    assert sorted(at - 7200 for at, _, _ in back) == sorted(at for at, _, _ in found)


@given(st.floats(2e-5, 7000))
def test_a_length_of_time_is_right_within_a_quarter_of_a_percent(seconds):
    _, found, _ = packing.result(packing.word(0, seconds, ""), 0)

    assert found == pytest.approx(seconds, rel=0.0026)


def test_an_error_of_a_later_version_is_internal():
    assert packing.result(packing.word(5, 1.0, "unheard of"), 0)[2] == "internal"
    assert packing.result(99 << 24, 0)[2] == "internal"


def test_rollups_come_back_as_they_were():
    some = [rollups.Rollup(hour, 60, 2, 1, 500, 600, 700) for hour in range(24)]

    assert rollups.rollups_of(rollups.text(some)) == some


def test_the_rank_is_that_of_a_sorted_list():
    for count in range(1, 60):
        took = list(range(count))
        for share in (0.5, 0.95):
            below = sum(value <= rollups._rank(took, share) for value in took)
            assert below >= share * count - 1e-9
            assert below - 1 < share * count


# -- a real kill

PROGRAM = """
import os, sys, time
from safepatch.monitor.history.history import History

history = History(sys.argv[1])
number = 0
while True:
    for _ in range(10):
        history.add(f"e{number % 7}", time.time(), 0.1, "")
        number += 1
    history.flush(time.time())
    os.write(1, b"%d\\n" % number)
"""


def test_kill_9_loses_nothing_that_was_flushed(tmp_path):
    path = tmp_path / "history.db"
    command = [sys.executable, "-c", PROGRAM, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        left, told = 8 + random.randrange(8), 0
        for line in process.stdout:
            left, told = left - 1, int(line)
            if not left:
                os.kill(process.pid, signal.SIGKILL)

    history = History(path)
    found = sum(len(history.raw(name, 0, 1e12)) for name in history.names())
    history.store.close()

    assert told <= found <= told + 10
