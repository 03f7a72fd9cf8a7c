"""freezegun, which replaces time.time, and time-machine, which changes what it does."""

import datetime
import functools
import itertools
import sys
import time
import types

import freezegun
import pytest
import time_machine
from helpers import noting, spaces
from plays import cases, in_good_order, names
from tools import MONKEYPATCH, OURS, Tool

import safepatch

STAMP = datetime.datetime(2001, 2, 3, tzinfo=datetime.UTC)


class Clock:
    """time.time as a place, where those who set the time are heard by what it is."""

    owner, name, owners, result = time, "time", (time,), None

    def __init__(self):
        self.set_by = {}

    def call(self):
        self.set_by.get(time.time(), lambda: None)()


def set_time(make, place, heard, mark):
    place.set_by[STAMP.timestamp()] = functools.partial(heard.append, mark)
    setting = make(STAMP)
    setting.start()
    return setting.stop


def freeze(place, heard, mark):
    return set_time(freezegun.freeze_time, place, heard, mark)


def travel(place, heard, mark):
    return set_time(functools.partial(time_machine.travel, tick=False), place, heard, mark)


FREEZEGUN = Tool(
    "freezegun",
    freeze,
    "puts back the first",
    told="freezegun",
    says_what_it_wraps=False,
    calls_what_it_wraps=False,
)
# It changes the C function itself, so it is below everybody, and calls nobody.
TIME_MACHINE = Tool("time-machine", travel, "takes itself out", in_place=True)


def lineups():
    for one in (FREEZEGUN, TIME_MACHINE):
        yield from [(one, OURS), (OURS, one), (OURS, one, OURS)]
        yield from itertools.permutations([OURS, one, MONKEYPATCH])
        yield from [(OURS, one, OURS, MONKEYPATCH), (OURS, MONKEYPATCH, OURS, one)]


# From the first time on freezegun leaves a name in the module time, that of a function long gone.
with freezegun.freeze_time(STAMP):
    pass


@pytest.mark.parametrize(("lineup", "order"), [*cases(lineups())])
def test_the_time_is_as_the_tools_left_it(play, lineup, order):
    at = play(Clock)
    for tool, mark in zip(lineup, names(lineup), strict=True):
        at.install(tool, mark)
        assert at.expected() == at.call()
    for number in order:
        at.undo(number)

        assert at.expected() == at.call()
        assert at.superseded() == at.said_to_be_superseded()
        if FREEZEGUN not in lineup and in_good_order(lineup, order):
            assert at.ideal() == at.call()

    at.look()
    if at.chain.standing is at.chain.original:
        assert at.before == at.spaces()


@pytest.mark.parametrize(("lineup", "order"), [*cases([(OURS, FREEZEGUN), (FREEZEGUN, OURS)])])
def test_a_patch_that_freezegun_took_off_can_be_put_on_top_again(play, lineup, order):
    at = play(Clock)
    for tool, mark in zip(lineup, names(lineup), strict=True):
        at.install(tool, mark)
    for number in order:
        for part in at.superseded():
            at.apply_again(part)
            assert at.call()[0] == "ours"
        at.undo(number)

    at.look()
    assert at.before == at.spaces()


# Names that others took by `from time import time`.


@pytest.fixture
def holder():
    module = types.ModuleType("holder")
    module.now = time.time
    sys.modules["holder"] = module
    yield module
    del sys.modules["holder"]


def start_freezing():
    freezer = freezegun.freeze_time(STAMP)
    freezer.start()
    return freezer.stop


@pytest.mark.filterwarnings("ignore::safepatch.AliasWarning")  # others have it in lists
@pytest.mark.parametrize("ours_goes_first", [True, False])
@pytest.mark.parametrize("ours_comes_first", [True, False])
def test_a_name_that_a_patch_re_pointed_is_frozen_and_in_the_end_calls_the_original(
    holder, ours_comes_first, ours_goes_first
):
    """freezegun's own name of time.time is re-pointed, too, so that it knows our face."""
    before, log = time.time, []

    def apply():
        return safepatch.apply("time:time", noting(log, "ours"), aliases="rebind").undo

    comings = {"ours": apply, "freezegun": start_freezing}
    first, second = sorted(comings, reverse=ours_comes_first)
    undos = {first: comings[first](), second: comings[second]()}
    assert holder.now() == STAMP.timestamp()

    for name in sorted(undos, reverse=ours_goes_first):
        undos[name]()

    log.clear()
    assert holder.now() > STAMP.timestamp() + 1e8
    assert log == []
    assert time.time is freezegun.api.real_time is before


# The classes of datetime are immutable, but freezegun puts others in their place.


def test_a_method_of_freezeguns_datetime_is_patched_and_left_as_it_was():
    with pytest.raises(safepatch.UnsupportedTargetError):
        safepatch.apply("datetime:datetime.now", noting([], "ours"))

    log, stop = [], start_freezing()
    fake, before = datetime.datetime, spaces(datetime.datetime)
    patch = safepatch.apply("datetime:datetime.now", noting(log, "ours"), aliases="ignore")
    assert datetime.datetime.now(datetime.UTC).timestamp() == STAMP.timestamp()
    assert log == ["ours"]

    stop()

    assert patch.superseded
    patch.undo()
    assert before == spaces(fake)
