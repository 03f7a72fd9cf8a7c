"""Down is what enough vantages see down; who is silent has no vote."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.results import Result
from safepatch.monitor.workers import Vantages
from safepatch.monitor.workers.batches import Packet, sealed
from safepatch.monitor.workers.quorum import Quorum, judged

PLACES = ("vienna", "tokyo", "austin")


def vote(error="", name="site", **more):
    return Result(name=name, at=1.0, error=error, message=error and f"{error}!", **more)


def counted(quorum, votes, sent=100.0, now=101.0, until=160.0):
    """What a round's votes lead to, in the order in which they come."""
    return [
        result
        for place, error in votes
        for result in quorum.vote(place, sent, until, vote(error), now)
    ]


@pytest.fixture
def quorum():
    return Quorum(PLACES, 2, now=90.0)


def test_a_round_is_decided_when_all_have_voted(quorum):
    assert counted(quorum, [("vienna", ""), ("tokyo", "")]) == []
    (result,) = counted(quorum, [("austin", "")])

    assert result.ok


def test_one_that_sees_it_down_is_not_enough_and_is_told(quorum):
    (result,) = counted(quorum, [("tokyo", "timeout"), ("vienna", ""), ("austin", "")])

    assert result.ok
    assert result.warnings == ("tokyo sees it down: timeout!",)
    assert result.facts["vantages"] == {"vienna": "", "tokyo": "timeout: timeout!", "austin": ""}


def test_enough_that_see_it_down_are_a_failure_with_who_they_are(quorum):
    (result,) = counted(quorum, [("tokyo", "timeout"), ("vienna", ""), ("austin", "refused")])

    assert (result.error, result.message) == (
        "timeout",
        "timeout!; so say 2 of 3 vantages (tokyo, austin)",
    )


def test_one_that_is_silent_does_not_vote_when_the_time_is_over(quorum):
    assert counted(quorum, [("vienna", "timeout"), ("tokyo", "timeout")]) == []
    assert [*quorum.settle(159.9)] == []
    (result,) = quorum.settle(160.0)

    assert "2 of 2 vantages (vienna, tokyo)" in result.message
    assert result.facts["vantages"].keys() == {"vienna", "tokyo"}


def test_one_that_was_silent_for_long_is_not_waited_for(quorum):
    """For 120 seconds after it was heard last, which was at 90."""
    two = [("vienna", ""), ("tokyo", "")]

    assert counted(quorum, two, sent=209.0, until=269.0, now=210.0) == []
    assert len(counted(quorum, two, sent=211.0, until=271.0, now=212.0)) == 2  # and the last one


def test_where_too_few_vote_nothing_is_known(quorum):
    counted(quorum, [("vienna", "timeout")])

    assert [*quorum.settle(200.0)] == []


def test_where_too_few_vote_and_one_sees_it_up_it_is_up(quorum):
    counted(quorum, [("vienna", "")])
    (result,) = quorum.settle(200.0)

    assert result.ok


def test_votes_that_come_too_late_count_for_nothing(quorum):
    counted(quorum, [("vienna", ""), ("tokyo", "")])
    assert len([*quorum.settle(160.0)]) == 1

    assert counted(quorum, [("austin", "timeout")]) == []


def test_votes_of_one_round_are_not_mixed_with_those_of_another(quorum):
    counted(quorum, [("vienna", "timeout")], sent=100.0)
    counted(quorum, [("tokyo", "timeout")], sent=160.0, until=220.0)

    assert [*quorum.settle(300.0)] == []


def test_a_vote_of_an_earlier_round_does_not_count_in_a_later_one(quorum):
    counted(quorum, [("vienna", "timeout")], sent=160.0, until=220.0)
    counted(quorum, [("tokyo", "timeout")], sent=100.0, until=160.0)

    assert [*quorum.settle(300.0)] == []


def test_a_vote_of_the_next_round_ends_the_last_one(quorum):
    counted(quorum, [("vienna", "timeout"), ("tokyo", "timeout")], sent=100.0)
    (result,) = counted(quorum, [("vienna", "")], sent=160.0, until=220.0)

    assert result.error == "timeout"


def test_rounds_go_on_where_the_clock_was_put_back(quorum):
    counted(quorum, [("vienna", "")], sent=7300.0, until=7360.0, now=7301.0)

    down = [(name, "timeout") for name in PLACES]
    (result,) = counted(quorum, down, sent=100.0, now=101.0)
    assert result.error == "timeout"
    assert quorum.silent(101.0) == []
    assert quorum.silent(300.0) == [*PLACES]


def test_one_round_is_not_two_where_the_clock_was_put_back_while_it_was_under_way(quorum):
    votes = [(name, "timeout") for name in PLACES]

    assert len(counted(quorum, votes, sent=130.0, until=190.0, now=101.0)) == 1


def test_rounds_of_what_is_not_watched_any_more_are_forgotten(quorum):
    counted(quorum, [(name, "") for name in PLACES])
    assert quorum._rounds.keys() == {"site"}

    quorum.keep({"another": None})

    assert quorum._rounds == {}


def test_nobody_votes_twice(quorum):
    counted(quorum, [("vienna", "timeout"), ("vienna", "timeout")])

    assert [*quorum.settle(200.0)] == []


def test_strangers_do_not_vote(quorum):
    votes = [("mars", "timeout"), ("vienna", "timeout"), ("tokyo", ""), ("austin", "")]
    (result,) = counted(quorum, votes)

    assert result.ok


def test_a_single_vantage_decides_alone_and_its_words_stay_as_they_are():
    quorum = Quorum(("here",), 1, now=90.0)
    (result,) = counted(quorum, [("here", "timeout")])

    assert (result.error, result.message) == ("timeout", "timeout!")


def test_who_is_silent_is_told(quorum):
    counted(quorum, [("vienna", "")], now=200.0)

    assert quorum.silent(211.0) == ["tokyo", "austin"]
    assert quorum.silent(209.0) == []


def test_a_short_round_waits_for_all_who_report_seldom(quorum):
    """As when an endpoint is looked at again, long after the last interval began."""
    votes = [("vienna", "timeout"), ("tokyo", "timeout"), ("austin", "")]
    assert counted(quorum, votes[:2], sent=145.0, until=160.0, now=146.0) == []
    (result,) = counted(quorum, votes[2:], sent=145.0, until=160.0, now=147.0)

    assert result.error == "timeout"


@pytest.mark.parametrize("need", [0, 4])
def test_a_quorum_that_cannot_be_reached_is_refused(need):
    with pytest.raises(ValueError, match="cannot be reached by 3"):
        Quorum(PLACES, need, now=0.0)


def test_the_votes_are_not_changed():
    votes = {"vienna": vote(), "tokyo": vote("timeout")}
    judged(votes, PLACES, 2)

    assert votes == {"vienna": vote(), "tokyo": vote("timeout")}


@given(
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["", "timeout", "refused"])),
    st.integers(1, 5),
)
def test_a_failure_has_a_quorum_and_a_success_somebody_who_saw_it(votes, need):
    result = judged({name: vote(error) for name, error in votes.items()}, "abcde", need)
    failing = sum(map(bool, votes.values()))

    if result is None:
        assert failing == len(votes) < need
    elif result.error:
        assert failing >= need
    else:
        assert failing < need
        assert "" in votes.values()
        assert len(result.warnings) == failing


@pytest.mark.parametrize(
    ("written", "found", "expected"),
    [
        ("shop.example", "https://shop.example", True),
        ("2001:db8::1", "http://[2001:db8::1]", True),
        ("shop.example", "http://169.254.169.254", False),
        ("shop.example", "http://shop.example@127.0.0.1:6379", False),
        ("shop.example", 7, False),
        ("https://shop.example/", "http://127.0.0.1/", False),
    ],
)
def test_a_worker_can_say_how_an_address_is_asked_and_not_which(written, found, expected):
    """What it says is taken for what an operator wrote, also at private addresses."""
    pytest.importorskip("celery", reason="workers need the extra `workers`")
    pytest.importorskip("redis", reason="workers need the extra `workers`")
    known, told = {"site": Endpoint("site", written, Options())}, []
    vantages = Vantages(
        "redis://127.0.0.1:1/0",
        ["here"],
        lambda: known,
        lambda endpoint, result: (60.0, None),
        found=lambda endpoint, address: told.append(address),
    )
    try:
        vantages._agreed(vote(facts={"found": found}))
    finally:
        vantages.stop()

    assert told == ([found] if expected else [])


@pytest.fixture
def told():
    """A monitor's side of workers, which notes what is agreed; at the time 100."""
    pytest.importorskip("celery", reason="workers need the extra `workers`")
    pytest.importorskip("redis", reason="workers need the extra `workers`")
    agreed = []
    vantages = Vantages(
        "redis://127.0.0.1:1/0",
        ["here"],
        lambda: {"site": Endpoint("site", "https://site.test", Options())},
        lambda endpoint, result: agreed.append(result) or (60.0, None),
        clock=lambda: 100.0,
    )
    vantages.agreed = agreed
    yield vantages
    vantages.stop()


@pytest.mark.parametrize("back", [0.0, 7200.0])
def test_batches_are_sent_as_often_where_the_clock_was_put_back(told, back):
    sent, endpoints = [], told._endpoints()
    told._endpoints = lambda: endpoints
    told._send = lambda endpoints, at, seconds: sent.append(at)
    for second in range(300):
        told._send_due(10_000.0 + second)
    before = len(sent)

    for second in range(300):
        told._send_due(10_300.0 - back + second)

    assert (before, len(sent) - before) == (6, 5)  # all are sent once at the start


def test_what_a_worker_says_is_made_plain(told):
    told._open(sealed(Packet("here", 90.0, 150.0, [vote(facts={"title": "\x1b[2J"})])))

    [result] = told.agreed
    assert result.facts["title"] == "?[2J"


def test_what_a_worker_says_of_others_than_endpoints_is_not_kept(told, quorum):
    told.quorum = quorum  # which waits for others
    told._open(sealed(Packet("vienna", 90.0, 150.0, [vote(name=f"n{n}") for n in range(100)])))

    assert told.quorum._rounds == {}


@pytest.mark.parametrize(
    ("sent", "until"),
    [
        (1e12, 2e12),
        (170.0, 200.0),
        (math.nan, 150.0),
        (90.0, math.nan),
        (90.0, 80.0),
        (90.0, math.inf),
    ],
)
def test_a_worker_cannot_vote_for_a_time_to_come(told, caplog, sent, until):
    """Which would have all others be too late, for ever."""
    told._open(sealed(Packet("here", sent, until, [vote("timeout")])))
    assert told.agreed == []
    assert "of a time to come, or of none" in caplog.text

    told._open(sealed(Packet("here", 90.0, 150.0, [vote()])))
    assert len(told.agreed) == 1
