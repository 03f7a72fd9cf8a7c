"""Endpoints go to workers in batches by hash slot, and results come back as bytes."""

import itertools
import math
import statistics

import msgspec
import pytest

from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.results import Result
from safepatch.monitor.workers.batches import Packet, opened, packed, sealed, slots, unpacked
from safepatch.monitor.workers.cleaning import cleaned

SHARED = Options()
MANY = [Endpoint(f"site{n}", f"https://site{n}.test", SHARED) for n in range(10_000)]


def test_batches_have_at_least_a_hundred_endpoints_and_all_are_in_one():
    found = slots(MANY)

    assert min(len(slot.names) for slot in found) >= 100
    assert sorted(name for slot in found for name in slot.names) == sorted(e.name for e in MANY)


def test_batches_are_spread_over_the_interval():
    phases = sorted(slot.phase for slot in slots(MANY))
    steps = {round(after - before, 6) for before, after in itertools.pairwise(phases)}

    assert (phases[0], steps) == (0.0, {60.0 / len(phases)})


def test_an_endpoint_that_is_added_changes_one_batch():
    before = {slot.names for slot in slots(MANY)}
    after = {slot.names for slot in slots([*MANY, Endpoint("new", "https://new.test", Options())])}

    assert len(before - after) == 1


def test_each_interval_has_batches_of_its_own():
    often = [Endpoint(f"often{n}", "tcp://a:1", Options(interval=10.0)) for n in range(250)]
    found = slots([*MANY, *often])

    assert statistics.mode(slot.interval for slot in found) == 60.0
    assert [len(slot.names) for slot in found if slot.interval == 10.0] == [250]


def test_heartbeats_are_not_sent_since_they_come_to_the_monitor():
    assert slots([Endpoint("backup", "beat://backup", Options())]) == []


def test_what_is_unpacked_is_what_was_packed():
    options = Options(timeout=3.0, status=("2xx",), private=("any",), json={"a": [1]}, tags=("x",))
    endpoints = [*MANY[:10], Endpoint("other", "example.com", options)]
    sent = msgspec.json.decode(msgspec.json.encode(packed(endpoints)))

    assert unpacked(sent) == endpoints
    assert len(sent["options"]) == 2
    assert len({id(endpoint.options) for endpoint in unpacked(sent)}) == 2


def test_options_that_are_not_known_are_refused():
    """A worker of an older version must not check something else than was asked for."""
    with pytest.raises(msgspec.ValidationError, match="newer"):
        unpacked({"options": ['{"newer": 1}'], "endpoints": []})


def test_results_come_back_as_they_were():
    results = [Result(name="a", at=1.0, phases={"total": 0.5}, facts={"x": [1]}, warnings=("w",))]

    packet = opened(sealed(Packet("vienna", 1.0, 61.0, results)))

    assert (packet.vantage, packet.sent, packet.until) == ("vienna", 1.0, 61.0)
    assert packet.results == results


@pytest.mark.parametrize("data", [b"", b"garbage", sealed(Packet("v", 1.0, 2.0, []))[:-3]])
def test_what_is_no_packet_is_refused(data):
    with pytest.raises(ValueError, match=r"no results|cut off"):
        opened(data)


def test_what_would_take_too_much_memory_is_refused():
    packet = Packet("v", 1.0, 2.0, [Result(name="x" * 10_000, at=1.0)])
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        opened(sealed(packet), most=1000)


NOW = 1_790_000_000.0


def test_a_result_of_a_worker_stays_as_it_is():
    facts = {
        "address": "192.0.2.1", "status": 200, "certificate": {"expires": 1.8e9, "chain": ["a"]},
        "words": ["basket", "prices"], "ping": None, "trusted": True,
    }  # fmt: skip
    result = Result(
        name="shop", at=NOW - 5, error="timeout", message="no answer in 10 s",
        phases={"dns": 0.0, "connect": 0.1, "total": 0.2}, facts=facts, warnings=("it is slow",),
    )  # fmt: skip

    assert cleaned(result, NOW) == result


def test_a_result_of_a_worker_moves_no_cursor_and_ends_no_line():
    bad = "\x1b[2J\nx"
    result = Result(
        name="shop", at=NOW, error="down\n", message=bad, warnings=(bad,),
        phases={'dns"} 1\nevil 1': 0.1, "total": 0.2},
        facts={bad: bad, "list": [bad, {bad: bad}]},
    )  # fmt: skip

    made = cleaned(result, NOW)

    assert "\\x1b" not in repr(made)
    assert "\\n" not in repr(made)
    assert made.phases == {"total": 0.2}
    assert made.error == "internal"
    assert made.message == "?[2J?x"


@pytest.mark.parametrize(
    "facts",
    [
        {"address": 5}, {"size": "x"}, {"status": "x"}, {"words": [1]}, {"title": None},
        {"certificate": "x"}, {"certificate": {"expires": "x"}}, {"digest": []}, {"url": {}},
    ],
)  # fmt: skip
def test_a_fact_of_a_worker_is_of_the_type_that_those_of_checks_are(facts):
    """Or a monitor would fail to take it, and to write what it has learned of others."""
    result = Result(name="shop", at=NOW, facts={**facts, "ping": 0.1})

    assert cleaned(result, NOW).facts == {"ping": 0.1}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_of_a_worker_that_are_none_are_left_out(number):
    result = Result(name="shop", at=number, phases={"total": number}, facts={"size": number})

    made = cleaned(result, NOW)

    assert (made.at, made.phases, made.facts) == (NOW, {}, {})


def test_a_result_of_a_worker_is_no_larger_than_one_of_a_check():
    deep = []
    for _ in range(50):
        deep = [deep]
    result = Result(
        name="shop", at=NOW, message="x" * 10**6, warnings=("w" * 10**5,) * 1000,
        facts={"text": "x" * 10**6, "many": ["x"] * 10**5, "deep": deep, "bytes": b"x"},
    )  # fmt: skip

    made = cleaned(result, NOW)

    assert len(made.message) == 2000
    assert {len(each) for each in made.warnings} == {2000}
    assert len(made.warnings) == len(made.facts["many"]) == 200
    assert len(made.facts["text"]) == 8192
    assert made.facts["deep"] == [[[[None]]]]
    assert made.facts["bytes"] is None
