"""What fails together is told of once, by its cause."""

import itertools
import time

import msgspec
import pytest
from verdict_helpers import QUICK, World

from safepatch.monitor.plan import Endpoint, Options, Plan, Window
from safepatch.monitor.results import ERRORS
from safepatch.monitor.verdicts import records
from safepatch.monitor.verdicts.causes import Failure
from safepatch.monitor.verdicts.incidents import Incidents
from safepatch.monitor.verdicts.places import Places, domain_of, network_of
from safepatch.monitor.verdicts.telling import began, duration, ended, grew, listed
from safepatch.store import Store


def types(events):
    return [event.type for event in events]


def filled(count, address, **settings):
    """A world of endpoints e0, e1, ..., at addresses by their numbers."""
    world = World(**settings)
    for number in range(count):
        world.add(f"e{number}", address(number))
    return world


def fail(world, numbers, error="timeout", **facts):
    for number in numbers:
        world.check(f"e{number}", error, **facts)


# -- causes


def test_one_endpoint_is_told_of_by_its_name_with_what_was_found():
    world = filled(3, "192.0.2.{}".format)
    fail(world, [1], "status")

    (event,) = world.settle()

    assert (event.type, event.severity, event.title) == ("down", "critical", "e1 is down")
    assert event.text == ("e1 (https://e1/) is down since 2026-09-21 14:13:20 UTC.\nStatus it is")
    assert (event.endpoints, event.count, event.cause) == (("e1",), 1, {})


@pytest.mark.parametrize(
    ("error", "message", "told"),
    [
        ("refused", "127.0.0.1:80: the connection is refused", None),
        ("certificate", "its certificate expired", "Its certificate expired"),
        ("content", "'a' is not in it", "It answers with something else than expected: 'a' is n"),
        ("timeout", "", "No answer in time."),
        ("silent", "'job' has not reported in 2 days", None),
        ("status", "GET https://a/ answers 502 Bad Gateway", None),
    ],
)
def test_what_a_message_says_itself_is_not_said_before_it(error, message, told):
    failure = Failure(Endpoint("a", "https://a/", QUICK), "down", error, message, 0.0, 0.0)

    _, text = began({"count": 1, "names": ["a"], "cause": {}, "type": "down"}, [failure])

    assert text.splitlines()[1].startswith(told or message)


def told_of(count, cause, *failures, type_="down"):
    """What is told of an incident of so many, when it begins, grows and ends."""
    names = [f"e{number}" for number in range(count)]
    document = {"count": count, "names": names, "cause": cause, "type": type_, "opened": 0.0}
    failures = [
        Failure(Endpoint(name, f"https://{name}/", QUICK), type_, *each, 0.0, 0.0)
        for name, each in zip(names, failures, strict=False)
    ]
    document["title"], text = began(document, failures)
    grown = grew({**document, "told": count}, 2 * count)
    return (document["title"], text), grown, ended(document, 60.0)


@pytest.mark.parametrize("error", ERRORS)
def test_titles_of_many_are_in_the_plural(error):
    cause = {"kind": "error", "value": error}

    (title, text), (more, _), _ = told_of(6, cause, (error, ""), (error, ""))

    means = title.partition("6 endpoints are down: ")[2]
    assert means
    assert not {"its", "it"} & {*means.split()}
    assert more == f"Now 12 endpoints are down: {means}"
    assert f"Errors: {means} (2)." in text.splitlines()


def test_what_flaps_and_is_well_at_the_moment_is_no_error():
    (_, text), (_, more), (title, _) = told_of(
        3, {"kind": "address", "value": "192.0.2.1"}, ("flapping", ""), ("dns", "no"),
        type_="flapping",
    )  # fmt: skip

    assert text.splitlines()[1:4] == [
        "They have in common: the address 192.0.2.1, where nothing else was found well.",
        "Errors: up at this moment (1), its name cannot be resolved (1).",
        "The first was e0: up at this moment",
    ]
    assert text.splitlines()[-1] == "There are no more messages until they are steady."
    assert more.startswith("6 endpoints are flapping now; there were 3 at the last message.")
    assert title == "3 endpoints at 192.0.2.1 are up and steady, after 1 min"


def test_failures_are_gathered_first():
    world = filled(1, "192.0.2.{}".format, gather=15.0)
    fail(world, [0])

    assert world.settle(14.9) == []
    assert types(world.settle(0.1)) == ["down"]
    assert world.settle(1) == []


def test_what_is_gathered_does_not_wait_for_a_clock_that_was_put_back():
    world = filled(2, "192.0.2.{}".format, gather=15.0)
    world.settle(1)
    fail(world, [0])
    assert world.settle(1) == []

    world.now -= 7200

    assert world.settle(1) == []
    assert types(world.settle(15)) == ["down"]


def test_what_began_just_now_is_gathered_though_something_else_is_told():
    world = filled(5, "192.0.{}.1".format, gather=15.0)
    fail(world, [0], "reset")
    world.now += 14.5
    fail(world, [1, 2], "certificate", certificate={"issuer": "nobody"})

    (first,) = world.settle(0.5)
    fail(world, [3, 4], "certificate", certificate={"issuer": "nobody"})
    (second,) = [event for _ in range(20) for event in world.settle(1)]

    assert first.endpoints == ("e0",)
    assert second.cause == {"kind": "issuer", "value": "nobody"}
    assert second.count == 4


def test_an_address_is_the_cause_when_all_there_fail_and_the_network_is_well():
    world = filled(10, lambda number: "192.0.2.1" if number < 4 else f"192.0.2.{number}")
    world.now += 60
    for number in range(4, 10):
        world.check(f"e{number}", address=f"192.0.2.{number}")
    fail(world, range(4), "refused")

    (event,) = world.settle()

    assert event.cause == {"kind": "address", "value": "192.0.2.1"}
    assert event.title == "4 endpoints at 192.0.2.1 are down"


def test_a_network_is_the_cause_when_nearly_all_there_fail():
    world = filled(10, "192.0.2.{}".format)
    world.now += 60
    fail(world, range(9))
    world.check("e9", address="192.0.2.9")

    (event,) = world.settle()

    assert event.cause == {"kind": "network", "value": "192.0.2.0/24"}
    assert event.count == 9


def host(*, sites, well=()):
    """A machine with sites at one port, one of another server, and those of `well`."""
    world = World()
    for name in sites:
        world.add(name, "192.0.2.1", url=f"https://{name}.example/")
    world.add("mail", "192.0.2.1", url="smtp://mail.example")
    world.now += 60
    for name in ("mail", *well):
        world.check(name, address="192.0.2.1")
    return world


def test_a_port_is_the_cause_when_all_there_fail_and_others_at_the_address_are_well():
    world = host(sites=["a", "b", "c"])
    for name in "abc":
        world.check(name, "refused", "192.0.2.1")

    (event,) = world.settle()

    assert event.cause == {"kind": "service", "value": "192.0.2.1:443"}
    assert event.title == "3 endpoints at 192.0.2.1:443 are down"
    assert "192.0.2.1:443, where nothing else was found well" in event.text


def test_a_port_where_others_were_found_well_meanwhile_is_no_cause():
    world = host(sites=["a", "b", "c", "d"], well=["c", "d"])
    for name in "ab":
        world.check(name, "refused", "192.0.2.1")

    assert [event.cause for event in world.settle()] == [{}, {}]


def test_what_fails_later_at_a_port_that_is_down_joins():
    world = host(sites=["a", "b", "c"])
    for name in "ab":
        world.check(name, "refused", "192.0.2.1")
    (event,) = world.settle()

    world.check("c", "refused", "192.0.2.1")

    assert world.settle() == []
    assert world.statuses["c"].incident == event.incident


def test_a_port_is_that_which_is_asked_since_the_last_reload():
    world = host(sites=["a", "b"])
    for name in "ab":
        endpoint = world.plan.endpoints[name]
        url = endpoint.address.replace(".example/", ".example:8443/")
        world.plan.endpoints[name] = Endpoint(name, url, endpoint.options)
        world.check(name, "refused", "192.0.2.1")

    assert world.settle()[0].cause == {"kind": "service", "value": "192.0.2.1:8443"}


def test_what_a_reload_has_taken_out_asks_no_port():
    world = host(sites=["a", "b"])
    del world.plan.endpoints["a"]

    world.incidents.seen("a", "192.0.2.9")

    assert world.incidents.places.service("a") == ""


def test_an_address_says_more_than_a_network_of_which_nobody_else_is_known():
    world = filled(3, lambda number: "192.0.2.1")
    fail(world, range(3))

    assert world.settle()[0].cause == {"kind": "address", "value": "192.0.2.1"}


def test_a_place_where_others_were_found_well_meanwhile_is_no_cause():
    world = filled(10, lambda number: "192.0.2.1")
    world.now += 60
    fail(world, range(3))
    for number in range(3, 10):
        world.check(f"e{number}", address="192.0.2.1")

    events = world.settle()

    assert [event.cause for event in events] == [{}] * 3


def test_who_has_not_been_looked_at_since_says_nothing_of_a_place():
    world = filled(100, "192.0.2.{}".format)
    world.now += 60
    fail(world, range(25))  # the others are due later

    (event,) = world.settle()

    assert event.cause == {"kind": "network", "value": "192.0.2.0/24"}


def test_two_of_a_network_of_which_nobody_else_was_looked_at_say_too_little():
    world = filled(100, "192.0.2.{}".format)
    world.now += 60
    fail(world, [3, 7])

    assert [event.cause for event in world.settle()] == [{}] * 2


def test_what_is_down_for_long_is_not_counted_with_those_that_fail_now():
    world = filled(8, lambda number: "192.0.2.1")
    fail(world, range(5))
    world.settle()
    world.now += 86400
    fail(world, [5, 6])
    world.check("e7", address="192.0.2.1")

    assert [event.count for event in world.settle()] == [1, 1]


def test_who_was_alone_long_ago_is_no_part_of_what_follows():
    world = filled(2, lambda number: "192.0.2.1")
    fail(world, [0])
    world.settle()
    world.now += 400
    fail(world, [1])

    assert [event.title for event in world.settle()] == ["e1 is down"]


def test_those_that_are_not_confirmed_yet_count_for_a_place():
    world = World()
    slow = Options(confirm_down=3)
    for number in range(8):
        world.add(f"e{number}", f"192.0.2.{number}", QUICK if number < 2 else slow)
    world.now += 60
    fail(world, range(6))
    for number in (6, 7):
        world.check(f"e{number}", address=f"192.0.2.{number}")

    assert [event.cause for event in world.settle()] == [{}] * 2  # 6 of 8 are not nearly all

    world = World()
    for number in range(10):
        world.add(f"e{number}", f"192.0.2.{number}", QUICK if number < 2 else slow)
    world.now += 60
    fail(world, range(9))
    world.check("e9", address="192.0.2.9")

    assert world.settle()[0].cause["kind"] == "network"


def test_ipv6_networks_are_48_bits():
    world = filled(4, lambda number: f"2001:db8:7:{number}::1")
    fail(world, range(4))

    assert world.settle()[0].cause == {"kind": "network", "value": "2001:db8:7::/48"}


def certificate(fingerprint, issuer="An Authority"):
    return {"certificate": {"fingerprint": fingerprint, "issuer": issuer}}


def test_a_certificate_that_several_present_is_the_cause():
    world = filled(6, lambda number: f"192.0.{number}.1")
    fail(world, range(4), "certificate", **certificate("ab:cd"))
    fail(world, [4], "certificate", **certificate("ef"))

    first, second = sorted(world.settle(), key=lambda event: -event.count)

    assert (first.cause, first.count) == ({"kind": "certificate", "value": "ab:cd"}, 4)
    assert second.cause == {}


def test_an_issuer_is_the_cause_of_certificates_that_differ():
    world = filled(3, lambda number: f"192.0.{number}.1")
    for number in range(3):
        fail(world, [number], "certificate", **certificate(f"0{number}"))

    (event,) = world.settle()

    assert event.cause == {"kind": "issuer", "value": "An Authority"}


def test_a_domain_whose_names_cannot_be_resolved_is_the_cause():
    world = World()
    for name in ("a.example.com", "b.example.com", "c.example.org"):
        world.add(name, f"192.0.{len(world.statuses)}.1")
        world.check(name, "dns")

    events = world.settle()

    assert {event.title for event in events} == {
        "2 endpoints under example.com are down",
        "c.example.org is down",
    }


def test_a_resolver_is_the_cause_when_many_domains_ask_it():
    world = World()
    options = Options(confirm_down=1, resolver="192.0.2.53")
    for number in range(6):
        world.add(f"www.example{number}.com", f"192.0.{number}.1", options)
        world.check(f"www.example{number}.com", "dns")

    (event,) = world.settle()

    assert event.cause == {"kind": "resolver", "value": "192.0.2.53"}


def test_many_of_one_kind_of_error_with_nothing_else_in_common_are_told_together():
    world = filled(12, lambda number: f"192.0.{number}.1")
    fail(world, range(5), "timeout")
    fail(world, range(5, 9), "status")

    events = world.settle()

    assert [event.count for event in events] == [5, 1, 1, 1, 1]
    assert events[0].cause == {"kind": "error", "value": "timeout"}


def test_three_thousand_failures_at_once_are_one_alert():
    world = filled(3230, lambda number: f"10.{number // 250}.{number % 250}.7")
    world.now += 60
    fail(world, range(2800))
    for number in range(2800, 3230):
        world.check(f"e{number}", address=f"10.{number // 250}.{number % 250}.7")
    begun = time.process_time()

    (event,) = world.settle()

    assert time.process_time() - begun < 0.5
    assert event.title == "2,800 endpoints are down: no answers in time"
    assert event.count == 2800
    assert len(event.endpoints) == 50
    assert "e0, e1, e2, e3, e4, e5, e6, e7, e8, e9 and 2,790 more." in event.text.splitlines()
    assert "Errors: no answers in time (2,800)." in event.text.splitlines()
    assert len(event.text) < 1000
    assert {status.incident for status in world.statuses.values()} == {"", event.incident}


# -- what becomes of an incident


def at_one_address(down, total=40):
    """A world where some of those at an address have failed, and were told of."""
    world = filled(total, lambda number: "192.0.2.1")
    world.now += 60
    fail(world, range(down))
    (event,) = world.settle()
    return world, event


def test_later_failures_of_the_same_cause_join_and_are_not_told():
    world, event = at_one_address(10)
    fail(world, range(10, 15))

    assert world.settle() == []

    (incident,) = world.incidents.open()

    assert (incident["id"], incident["down"], incident["count"]) == (event.incident, 15, 15)
    assert world.statuses["e12"].incident == event.incident


def test_an_incident_that_doubles_is_told_again_but_not_within_minutes():
    world, event = at_one_address(10)
    fail(world, range(10, 25))

    assert world.settle() == []
    assert world.settle(10) == []

    (again,) = world.settle(300)

    assert (again.type, again.incident, again.count) == ("down", event.incident, 25)
    assert again.title == "Now 25 endpoints at 192.0.2.1 are down"
    assert again.id != event.id

    fail(world, range(25, 40))

    assert world.settle(400) == []


def test_the_end_of_an_incident_is_told_once_with_how_long_it_took():
    world, event = at_one_address(3, total=3)
    for number in (0, 1):
        world.check(f"e{number}", address="192.0.2.1")

    assert world.settle() == []
    assert world.incidents.open()[0]["down"] == 1

    world.check("e2", address="192.0.2.1")
    (up,) = world.settle(1)

    assert (up.type, up.severity, up.incident) == ("up", "info", event.incident)
    assert up.title == "3 endpoints at 192.0.2.1 are up again, after 41 s"
    assert world.incidents.open() == []
    assert world.incidents.recent(5)[0]["closed"] == world.now
    assert world.settle(600) == []


def test_what_is_up_before_it_was_told_of_is_not_told():
    world = filled(1, "192.0.2.{}".format)
    fail(world, [0])
    world.now += 5
    world.check("e0", address="192.0.2.0")

    assert world.settle() == []
    assert world.incidents.recent(5) == []


def test_another_failure_of_a_kind_joins_only_soon_after():
    world = filled(20, lambda number: f"192.0.{number}.1")
    fail(world, range(8))
    assert types(world.settle()) == ["down"]
    fail(world, [8])

    assert world.settle() == []

    world.now += 400
    fail(world, [9])

    assert [event.title for event in world.settle()] == ["e9 is down"]


def test_a_failure_at_an_address_where_others_are_well_again_does_not_join():
    world, event = at_one_address(10)
    world.now += 60
    for number in range(9):
        world.check(f"e{number}", address="192.0.2.1")
    world.now += 60
    fail(world, [20])
    for number in range(8):
        world.check(f"e{number}", address="192.0.2.1")

    (second,) = world.settle()

    assert second.title == "e20 is down"
    assert second.incident != event.incident


def test_who_was_alone_becomes_part_of_what_follows():
    world = filled(4, lambda number: "192.0.2.1")
    world.now += 60
    fail(world, [0])
    (first,) = world.settle()
    fail(world, [1, 2, 3])

    (second,) = world.settle()
    third = world.settle()

    assert (first.title, second.count) == ("e0 is down", 4)
    assert third == []
    assert [incident["id"] for incident in world.incidents.open()] == [second.incident]

    for number in range(4):
        world.check(f"e{number}", address="192.0.2.1")

    assert [event.incident for event in world.settle()] == [second.incident]


def test_what_is_down_for_long_is_no_part_of_what_follows():
    world = filled(3, lambda number: "192.0.2.1")
    fail(world, [0])
    world.settle()
    world.now += 86400
    world.check("e1", address="192.0.2.1")
    fail(world, [2])

    assert [event.title for event in world.settle()] == ["e2 is down"]


def test_what_is_not_watched_any_more_leaves_without_a_word():
    world, _ = at_one_address(1)
    world.incidents.forget(["e0"])
    del world.statuses["e0"]

    assert world.settle() == []
    assert world.incidents.open() == []


def test_others_may_run_while_thousands_are_looked_at():
    world = filled(3000, lambda number: f"10.{number // 250}.{number % 250}.7")
    fail(world, range(3000))
    pauses = []

    def pause():
        for number in (len(pauses), 2999 - len(pauses)):
            world.check(f"e{number}", address="10.0.0.7")
        pauses.append(1)

    (event,) = world.settle(pause=pause)
    up = {name for name, status in world.statuses.items() if status.state == "up"}

    assert len(pauses) >= 60
    assert len(up) == 2 * len(pauses)
    assert up.isdisjoint(world.incidents.members(event.incident))
    assert all(world.statuses[name].incident == "" for name in up)


def test_nothing_is_told_while_blind_and_all_of_it_afterwards():
    world = filled(3, "192.0.2.{}".format)
    fail(world, range(3))

    assert world.settle(blind=True) == []

    world.check("e0", address="192.0.2.0")

    assert sum(event.count for event in world.settle(1)) == 2


# -- flapping


def flap(world, name, times=10):
    for mark in itertools.islice(itertools.cycle(["timeout", ""]), times):
        world.now += 30
        world.check(name, mark, "192.0.2.1")


def test_flapping_is_told_once_and_then_that_it_is_steady():
    world = World()
    world.add("a", "192.0.2.1", Options(confirm_down=3))
    flap(world, "a")

    (event,) = world.settle()

    assert (event.type, event.severity, event.title) == ("flapping", "warning", "a is flapping")
    assert event.text.splitlines()[1:] == [
        "It changed 8 times between good and bad lately.",
        "There are no more messages until it is steady.",
    ]

    flap(world, "a")
    assert world.settle() == []
    for _ in range(40):
        world.now += 60
        world.check("a", address="192.0.2.1")

    (steady,) = world.settle()

    assert (steady.type, steady.incident) == ("steady", event.incident)


def test_what_is_down_and_flaps_is_not_told_as_up():
    world = World()
    world.add("a", "192.0.2.1")
    told = []
    for mark in ["timeout", "", "timeout", *["", "timeout"] * 5]:
        world.now += 40
        world.check("a", mark, "192.0.2.1")
        told += types(world.settle(20))
    told += types(world.settle())
    for _ in range(40):
        world.now += 60
        world.check("a", "timeout")
    told += types(world.settle())

    # It was down when it began to flap, and is so when it is steady.
    assert told == ["down", "up", "down", "up", "down", "up", "down", "flapping", "down"]


# -- maintenance and dependencies


def test_maintenance_is_over_for_an_endpoint_that_is_taken_out_of_it():
    world = World()
    world.plan = Plan(windows={"w": Window(end="2026-09-22", start="2026-09-21", endpoints=("b",))})
    world.add("a", options=msgspec.structs.replace(QUICK, maintenance=("w",)))
    world.check("a", "timeout")
    assert world.settle() == []
    assert world.statuses["a"].muted == "maintenance w"

    world.plan.endpoints["a"] = Endpoint("a", "https://a/", QUICK)

    assert types([event for _ in range(5) for event in world.settle()]) == ["down"]


def test_maintenance_tells_nobody_but_afterwards_of_what_is_still_down():
    world = World()
    world.plan = Plan(windows={"w": Window(end="2026-09-21T14:30", start="2026-09-21T14:00")})
    world.add("a", "192.0.2.1")
    world.add("b", "192.0.3.1")
    world.check("a", "timeout")
    world.check("b", "timeout")

    assert world.settle() == []
    assert world.statuses["a"].muted == "maintenance w"

    world.check("b", address="192.0.3.1")
    world.now += 1000
    events = [event for _ in range(3) for event in world.settle()]

    assert [event.title for event in events] == ["a is down"]
    assert world.statuses["a"].muted == ""


def depending():
    world = World()
    world.add("gateway", "192.0.2.1", Options(confirm_down=1, confirm_up=1))
    world.add("db", "192.0.3.1", Options(confirm_down=1, confirm_up=1, depends_on=("gateway",)))
    world.add("app", "192.0.4.1", Options(confirm_down=1, confirm_up=1, depends_on=("db",)))
    return world


@pytest.mark.parametrize("gone", [True, False])
def test_what_does_not_depend_any_more_on_what_is_down_is_told_of(gone):
    """By another plan, which has the one that is down no more, or the dependency."""
    world = depending()
    for name in ("app", "db", "gateway"):
        world.check(name, "timeout")
    world.settle()

    if gone:
        del world.plan.endpoints["gateway"]
        world.incidents.forget(["gateway"])
        del world.statuses["gateway"]
    else:
        world.plan.endpoints["db"] = Endpoint("db", "https://db/", QUICK)
    world.incidents.replan(world.now)
    events = [event for _ in range(9) for event in world.settle()]

    assert [event.title for event in events] == ["db is down"]
    assert (world.statuses["db"].muted, world.statuses["app"].muted) == ("", "depends on db")


def test_another_plan_lets_wait_what_still_depends_on_what_is_down():
    world = depending()
    for name in ("app", "db", "gateway"):
        world.check(name, "timeout")
    world.settle()

    world.incidents.replan(world.now)

    assert world.statuses["db"].muted == "depends on gateway"
    assert [event for _ in range(9) for event in world.settle()] == []


def test_what_depends_on_what_is_down_is_muted_and_part_of_its_incident():
    world = depending()
    for name in ("app", "db", "gateway"):
        world.check(name, "timeout")

    (event,) = world.settle()

    assert event.title == "gateway is down"
    assert world.statuses["app"].muted == world.statuses["db"].muted == "depends on gateway"
    assert {status.incident for status in world.statuses.values()} == {event.incident}
    assert world.incidents.members(event.incident) == ["gateway", "app", "db"]


def test_a_dependency_that_fails_and_is_not_confirmed_is_waited_for():
    world = depending()
    slow = world.plan.endpoints["gateway"]
    world.plan.endpoints["gateway"] = Endpoint(slow.name, slow.address, Options(confirm_down=3))
    world.check("gateway", "timeout")
    world.check("db", "timeout")

    assert world.settle() == []

    world.check("gateway", "timeout")
    world.check("gateway", "timeout")

    assert [event.title for event in world.settle()] == ["gateway is down"]


def test_a_dependency_that_is_well_mutes_nobody():
    world = depending()
    world.check("db", "timeout")

    assert [event.title for event in world.settle()] == ["db is down"]


def test_what_stays_down_when_its_dependency_is_up_is_told():
    world = depending()
    world.check("db", "timeout")
    world.check("gateway", "timeout")
    world.settle()
    world.now += 60
    world.check("gateway", address="192.0.2.1")

    assert types(world.settle()) == ["up"]
    assert world.statuses["db"].muted == ""
    assert [event.title for event in world.settle(80)] == ["db is down"]


def test_what_comes_up_after_its_dependency_is_not_told():
    world = depending()
    world.add("other", "192.0.9.1")
    world.check("db", "timeout")
    world.check("gateway", "timeout")
    world.settle()
    world.check("gateway", address="192.0.2.1")
    world.check("other", "timeout")

    assert [event.title for event in world.settle()] == [
        "gateway is up again, after 40 s",
        "other is down",
    ]

    world.check("db", address="192.0.3.1")

    assert world.settle(100) == []


def test_what_depends_on_itself_is_told_all_the_same():
    world = World()
    world.add("a", "192.0.2.1", Options(confirm_down=1, depends_on=("b", "a", "nobody")))
    world.add("b", "192.0.3.1", Options(confirm_down=1, depends_on=("a",)))
    world.check("a", "timeout")

    assert [event.title for event in world.settle()] == ["a is down"]


# -- the store


def again(world):
    """The same world after a restart, of which only the statuses and the root are left."""
    world.incidents = Incidents(world.root, lambda: world.plan, world.statuses)
    for status in world.statuses.values():
        status.incident = ""
    world.incidents.resume(world.now)
    return world


@pytest.mark.parametrize("restarts", [False, True])
def test_one_that_comes_and_goes_is_counted_and_kept_once(restarts):
    """Another one at the address may be down for months, and the incident be open as long."""
    world = filled(2, lambda _: "192.0.2.1")
    fail(world, [0, 1])
    world.settle()
    kept = len(world.root["incident_members"])

    for _ in range(5):
        world.now += 3600
        world.check("e1", address="192.0.2.1")
        world.settle()
        if restarts:
            world = again(world)
            for name in ("e0", "e1"):
                world.incidents.seen(name, "192.0.2.1")
        world.now += 3600
        fail(world, [1])
        assert world.settle() == []
    world.check("e0", address="192.0.2.1")
    world.check("e1", address="192.0.2.1")
    (event,) = world.settle()

    assert event.title.startswith("2 endpoints at 192.0.2.1 are up again")
    assert (event.count, event.endpoints) == (2, ("e0", "e1"))
    assert len(world.root["incident_members"]) == kept


def test_a_restart_tells_nothing_again_and_forgets_nothing():
    world, event = at_one_address(10)
    world.check("e0", address="192.0.2.1")
    before = world.incidents.open()

    again(world)

    assert world.incidents.open() == before
    assert world.statuses["e5"].incident == event.incident
    assert world.settle() == []

    for number in range(1, 10):
        world.check(f"e{number}", address="192.0.2.1")

    assert types(world.settle()) == ["up"]
    assert again(world).settle() == []


def test_what_was_gathered_when_it_was_killed_is_told_after_the_restart():
    world = filled(3, "192.0.2.{}".format)
    fail(world, [1])

    again(world)

    assert [event.title for event in world.settle()] == ["e1 is down"]


def test_what_depends_on_what_came_up_before_a_restart_is_told_after_it():
    world = depending()
    world.check("db", "timeout")
    world.check("gateway", "timeout")
    world.settle()
    assert world.statuses["db"].muted

    again(world)
    assert world.statuses["db"].muted == ""
    assert world.settle() == []
    assert world.statuses["db"].muted == "depends on gateway"

    world.check("gateway", address="192.0.2.1")
    again(world)

    assert [event.title for event in world.settle()] == [
        "gateway is up again, after 1 min",
        "db is down",
    ]


def test_what_came_up_right_before_the_end_is_told_after_the_restart():
    world, event = at_one_address(1)
    world.check("e0", address="192.0.2.1")

    again(world)

    assert [(one.type, one.incident) for one in world.settle()] == [("up", event.incident)]


def test_it_is_kept_in_a_store_and_no_id_comes_twice(tmp_path):
    ids = []
    statuses = {}
    for _ in range(3):
        with Store(tmp_path / "state", every=0) as store, store.transaction():
            world = World(store.root)
            world.incidents.statuses = world.incidents._who.statuses = world.statuses
            for number in range(3):
                world.add(f"e{number}", f"192.0.{number}.1")
            world.statuses.update(statuses)
            world.incidents.resume(world.now)
            fail(world, [0, 1])
            ids += [event.id for event in world.settle()]
            world.check("e0", address="192.0.0.1")
            ids += [event.id for event in world.settle()]
            statuses = world.statuses

    assert len(ids) == len(set(ids)) == 2 + 1 + 1 + 1 + 1 + 1


def test_a_recovery_of_thousands_writes_small_documents():
    world = filled(2000, lambda number: "192.0.2.1")
    fail(world, range(2000))
    (event,) = world.settle()

    sizes = [len(document["names"]) for document in world.root[records.MEMBERS].values()]
    assert sizes == [500] * 4
    assert len(world.root[records.INCIDENTS][event.incident]["names"]) == 50


def test_old_incidents_are_dropped_with_their_members(monkeypatch):
    monkeypatch.setattr(records, "MOST", 3)
    world = filled(2, lambda number: f"192.0.{number}.1")
    fail(world, [1])
    world.settle()
    for _ in range(6):
        fail(world, [0])
        world.settle()
        world.check("e0", address="192.0.0.1")
        world.settle(1000)

    assert len(world.root[records.INCIDENTS]) == 4
    assert len(world.root[records.MEMBERS]) == 4
    assert len(world.incidents.open()) == 1

    world.now += 401 * 86400
    fail(world, [0])
    world.settle()
    world.check("e0", address="192.0.0.1")
    world.settle()

    assert len(world.root[records.INCIDENTS]) == 2


# -- channels, tags, words


def test_an_event_is_for_the_channels_and_tags_of_all_in_it():
    world = World(url="https://status.example.com/")
    for number, options in enumerate(
        [
            Options(confirm_down=1, alerts=("mail",), tags=("db",)),
            Options(confirm_down=1, alerts=("chat",), tags=("web", "db")),
        ]
    ):
        world.add(f"e{number}", "192.0.2.1", options)
    fail(world, [0, 1])

    (event,) = world.settle()

    assert (event.channels, event.tags) == (("chat", "mail"), ("db", "web"))
    assert event.url == f"https://status.example.com/incidents/{event.incident}"


def test_an_event_is_for_all_channels_if_one_of_its_endpoints_is():
    world = World()
    world.add("e0", "192.0.2.1", Options(confirm_down=1, alerts=("mail",)))
    world.add("e1", "192.0.2.1", Options(confirm_down=1))
    fail(world, [0, 1])

    assert world.settle()[0].channels == ()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (250, "4 min 10 s"), (7200, "2 h"), (90061, "1 d 1 h")],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds, text):
    assert duration(seconds) == text


def test_names_are_listed_as_in_a_sentence():
    assert listed(["a"], 1) == "a"
    assert listed(["a", "b", "c"], 3) == "a, b and c"
    assert listed(["a", "b"], 1002) == "a, b and 1,000 more"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("2001:db8::1", "2001:db8::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("nonsense", ""),
        ("no:address", ""),
    ],
)
def test_the_network_of_an_address(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("https://user@www.Example.com:8443/path?query", "example.com"),
        ("example.com", "example.com"),
        ("dns://example.com?type=MX", "example.com"),
        ("tcp://localhost:80", ""),
        ("https://192.0.2.1/", ""),
    ],
)
def test_the_domain_of_an_endpoint(address, domain):
    assert domain_of(address) == domain


def test_places_follow_those_that_move():
    places = Places()
    for name, address in [("a", "192.0.2.1"), ("b", "192.0.2.2"), ("a", "192.0.2.3")]:
        places.seen(name, address)
    places.seen("c", "192.0.2.9")

    assert set(places.near("192.0.2.0/24")) == {"a", "b", "c"}

    places.seen("a", "198.51.100.1")
    places.forget(["b"])

    assert set(places.near("192.0.2.0/24")) == {"c"}
    assert set(places.near("198.51.100.0/24")) == {"a"}

    places.forget(["c", "a", "unknown"])

    assert (places.addresses, places.networks) == ({}, {})
