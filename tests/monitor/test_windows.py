"""When nobody is alerted, for maintenance."""

import timeit
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from safepatch.monitor.plan import Endpoint, Options, Plan, Window
from safepatch.monitor.verdicts.windows import muted, next_change, problem, spans

VIENNA = ZoneInfo("Europe/Vienna")


def at(text, zone=VIENNA, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def active(window, now):
    plan = Plan(windows={"w": window})
    return muted(Endpoint("a", "https://a", Options()), plan, now) == "maintenance w"


NIGHT = Window(at="23:30", seconds=3600, zone="Europe/Vienna")
SUNDAY = Window(at="23:30", seconds=3600, days=("sun",), zone="Europe/Vienna")
TWO = Window(at="02:30", seconds=3600, zone="Europe/Vienna")
ONCE = Window(start="2026-12-24T18:00", end="2026-12-26T06:00", zone="Europe/Vienna")
LONG = Window(at="20:00", seconds=60 * 3600, days=("fri",), zone="Europe/Vienna")


@pytest.mark.parametrize(
    ("window", "now", "expected"),
    [
        (NIGHT, at("2026-11-26T23:29:59"), False),
        (NIGHT, at("2026-11-26T23:30"), True),
        (NIGHT, at("2026-11-27T00:29:59"), True),  # over midnight
        (NIGHT, at("2026-11-27T00:30"), False),
        (SUNDAY, at("2026-11-29T23:45"), True),
        (SUNDAY, at("2026-11-30T00:15"), True),  # it began on Sunday
        (SUNDAY, at("2026-11-29T00:15"), False),
        (SUNDAY, at("2026-11-30T23:45"), False),
        (LONG, at("2026-11-30T07:59"), True),  # until Monday
        (LONG, at("2026-11-30T08:00"), False),
        (ONCE, at("2026-12-24T17:59"), False),
        (ONCE, at("2026-12-25T12:00"), True),
        (ONCE, at("2026-12-26T06:00"), False),
        # The clock leaves out 02:30 in March, and has it twice in October.
        (TWO, at("2026-03-29T03:29:59"), False),
        (TWO, at("2026-03-29T03:30"), True),
        (TWO, at("2026-03-29T04:29:59"), True),
        (TWO, at("2026-03-29T04:30"), False),
        (TWO, at("2026-10-25T02:30", fold=0), True),
        (TWO, at("2026-10-25T02:29", fold=1), True),
        (TWO, at("2026-10-25T02:30", fold=1), False),
        (Window(start="2026-12-24T18:00+00:00"), at("2031-01-01T00:00"), True),
        (Window(end="2026-12-24T18:00"), at("2026-12-24T19:01"), False),
    ],
)
def test_a_window_is_active_from_its_beginning_until_before_its_end(window, now, expected):
    assert active(window, now) is expected


@pytest.mark.parametrize(
    ("options", "window", "expected"),
    [
        (Options(), Window(), True),
        (Options(maintenance=("other",)), Window(), False),
        (Options(maintenance=("w",)), Window(), True),
        (Options(maintenance=("w",)), Window(endpoints=("b",)), True),
        (Options(), Window(endpoints=("a",)), True),
        (Options(), Window(endpoints=("b",)), False),
        (Options(tags=("db",)), Window(endpoints=("b", "#db")), True),
        (Options(tags=("web",)), Window(endpoints=("#db",)), False),
    ],
)
def test_a_window_is_for_those_that_name_it_or_are_named(options, window, expected):
    plan = Plan(windows={"w": window})

    assert bool(muted(Endpoint("a", "https://a", options), plan, 946684860.0)) is expected


def test_a_window_that_an_endpoint_names_mutes_no_others():
    database = Endpoint("database", "tcp://a:1", Options(maintenance=("w",)))
    shop = Endpoint("shop", "https://a", Options())
    plan = Plan(endpoints={"database": database, "shop": shop}, windows={"w": Window()})

    assert muted(database, plan, 946684860.0) == "maintenance w"
    assert muted(shop, plan, 946684860.0) == ""


def test_a_window_of_the_next_plan_is_noticed_at_once():
    endpoint = Endpoint("a", "https://a", Options())

    assert muted(endpoint, Plan(windows={"w": NIGHT}), at("2026-11-26T23:45"))
    assert not muted(endpoint, Plan(windows={"w": ONCE}), at("2026-11-26T23:45"))


def test_a_window_is_noticed_in_the_second_in_which_it_begins():
    plan = Plan(windows={"w": NIGHT})
    endpoint = Endpoint("a", "https://a", Options())
    edge = at("2026-11-26T23:30")

    found = [bool(muted(endpoint, plan, edge + offset)) for offset in (-30, -1, 0, 3599, 3600)]

    assert found == [False, False, True, True, False]
    assert next_change(plan.windows, edge - 5) == edge


def test_asking_is_cheap_for_tens_of_thousands():
    plan = Plan(windows={"w": NIGHT, "s": SUNDAY, "o": ONCE})
    endpoint = Endpoint("a", "https://a", Options())
    now = at("2026-11-26T12:00")

    seconds = min(timeit.repeat(lambda: muted(endpoint, plan, now), number=1000, repeat=10))

    assert seconds / 1000 < 5e-6


@pytest.mark.parametrize(
    ("window", "part"),
    [
        (Window(zone="Europe/Wien", at="02:00"), "there is no timezone 'Europe/Wien'"),
        (Window(at="25:00"), "at: '25:00' is no time of the day"),
        (Window(start="tomorrow"), "start: 'tomorrow' is no time"),
        (Window(at="02:00", days=("sunday",)), "days: 'sunday' is no day; give some of mon, tue"),
        (Window(start="2026-12-24", at="02:00"), "give one of them"),
        (Window(), "a window needs a time to begin"),
        (Window(start="2026-12-24", end="2026-12-23"), "is not after the start"),
        (Window(at="02:00", seconds=0), "seconds: 0 is no length"),
    ],
)
def test_a_window_that_cannot_be_is_told_before_it_is_used(window, part):
    assert part in problem(window)


def test_a_window_that_can_be_has_no_problem():
    assert [problem(window) for window in (NIGHT, SUNDAY, ONCE, LONG)] == [""] * 4
    assert len(list(spans(ONCE, 0.0))) == 1
