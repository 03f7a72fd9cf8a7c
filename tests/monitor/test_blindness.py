"""When it is the monitor itself that cannot see."""

import pathlib
import re
import timeit
import tomllib

import msgspec
import pytest
from verdict_helpers import NOW, fresh, result

from safepatch.monitor.plan import Endpoint, Options, Plan, Settings
from safepatch.monitor.verdicts.blindness import Blindness
from safepatch.monitor.verdicts.evidence import Evidence
from safepatch.monitor.verdicts.places import Places

ROOT = pathlib.Path(__file__).parents[2]


class Monitor:
    """So many endpoints, each in a network of its own, of which one is checked after the other."""

    def __init__(self, count, canaries=(), root=None, address="203.{}.{}.7", every=60.0):
        self.root = fresh() if root is None else root
        self.places = Places()
        self.names = [f"www.example{number}.com" for number in range(count)]
        endpoints = {name: Endpoint(name, f"https://{name}/", Options()) for name in self.names}
        self.plan = Plan(settings=Settings(canaries=canaries), endpoints=endpoints)
        self.now, self.every, self.turn = NOW, every, 0
        self.address = address
        for number, name in enumerate(self.names):
            self.places.seen(name, self.address_of(number))
        self.blindness = Blindness(self.root, lambda: self.plan, self.places)
        self.events = []

    def address_of(self, number):
        return self.address.format(number // 250, number % 250)

    def check(self, number, error="", at=None, **phases):
        address = "" if error == "dns" else self.address_of(number)
        found = result(self.names[number], self.now if at is None else at, error, address)
        found.phases.update(phases)
        self.blindness.take(found, self.now)
        return found

    def run(self, seconds, bad=lambda number: "", **phases):
        """Check all in turn; `bad` says which error who has."""
        end, told = self.now + seconds, self.now
        while self.now < end:
            self.now += self.every / len(self.names)
            number = self.turn = (self.turn + 1) % len(self.names)
            self.check(number, bad(number), **phases)
            if self.now >= told + 1:
                told = self.now
                self.events += self.blindness.events(self.now)

    def canary(self, name, error=""):
        self.now += 1
        self.blindness.take(result(name, self.now, error, "198.51.100.1"), self.now)

    @property
    def blind(self):
        return bool(self.blindness.reason(self.now))


def everything(number):
    return "timeout"


@pytest.mark.parametrize("count", [3, 10, 100, 3000])
def test_it_is_blind_when_nothing_answers_any_more_and_sees_when_things_do(count):
    monitor = Monitor(count)
    monitor.run(120)
    assert not monitor.blind

    monitor.run(90, everything)
    assert monitor.blind
    assert [event.type for event in monitor.events] == ["blind"]
    assert "nothing answers any more" in monitor.events[0].title

    monitor.run(100)
    assert not monitor.blind
    assert [event.type for event in monitor.events] == ["blind", "seeing"]


def test_a_large_list_is_blind_within_seconds_and_sees_again_as_soon():
    monitor = Monitor(3000)
    monitor.run(60)

    monitor.run(2, everything)
    assert monitor.blind

    monitor.run(4)
    assert not monitor.blind


def test_a_few_that_still_answer_do_not_make_it_see():
    """They answer at once, and the others only after their timeout: of the checks that began in the
    last seconds nobody knows but who is well."""
    monitor = Monitor(100, every=2.0)
    monitor.run(20)
    blind = _cut(monitor, 60, well=5)

    assert blind == sorted(blind), "once it is blind, it stays so"
    assert monitor.blind
    monitor.run(8)
    assert not monitor.blind


def _cut(monitor, seconds, well):
    """Check all in turn, where but the first ones fail after two seconds; when it was blind."""
    end, under_way, blind = monitor.now + seconds, [], []
    while monitor.now < end:
        monitor.now += monitor.every / len(monitor.names)
        number = monitor.turn = (monitor.turn + 1) % len(monitor.names)
        if number < well:
            monitor.check(number)
        else:
            under_way.append((monitor.now, number))
        while under_way and under_way[0][0] <= monitor.now - 2:
            at, number = under_way.pop(0)
            monitor.check(number, "timeout", at)
        blind.append(monitor.blind)
    return blind


def test_good_results_that_were_under_way_when_the_line_was_cut_do_not_count_against_it():
    monitor = Monitor(200)
    monitor.run(60)
    cut = monitor.now
    for number in range(40):
        monitor.now += 0.05
        monitor.check(number, at=cut - 0.5)
        monitor.check(number + 50, "timeout", at=cut + 1)

    assert monitor.blind


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_endpoints_never_make_it_blind(count):
    monitor = Monitor(count)
    monitor.run(120)
    monitor.run(300, everything)

    assert not monitor.blind
    assert monitor.events == []


def test_two_of_three_that_fail_do_not_make_it_blind():
    monitor = Monitor(3)
    monitor.run(120)
    monitor.run(300, lambda number: "timeout" if number else "")

    assert not monitor.blind


def test_some_of_a_short_list_that_fail_one_after_the_other_do_not_make_it_blind():
    monitor = Monitor(12)
    monitor.run(60)
    monitor.run(120, lambda number: "timeout" if number < 5 else "")

    assert monitor.events == []
    assert not monitor.blind


def test_a_tenth_that_fails_at_once_does_not_make_it_blind():
    monitor = Monitor(300)
    monitor.run(60)
    monitor.run(120, lambda number: "timeout" if number % 10 == 0 else "")

    assert monitor.events == []


def test_those_that_are_dead_all_the_time_are_no_sign():
    monitor = Monitor(20)
    monitor.run(200, lambda number: "timeout" if number < 15 else "")
    for _ in range(10):  # and are tried again more often than others
        monitor.now += 1
        for number in range(15):
            monitor.check(number, "timeout")

    assert not monitor.blind


def test_a_provider_that_is_down_is_one_network_however_many_are_there():
    monitor = Monitor(100, address="203.0.113.7")
    monitor.run(60)
    monitor.run(120, everything)

    assert not monitor.blind


def test_an_answer_that_is_wrong_shows_that_the_line_is_well():
    monitor = Monitor(100)
    monitor.run(60)
    monitor.run(120, lambda number: "status" if number % 2 else "timeout")

    assert not monitor.blind


def test_no_name_that_can_be_resolved_is_blindness_too():
    monitor = Monitor(100)
    monitor.run(60)
    monitor.run(60, lambda number: "dns" if number % 3 == 0 else "")

    assert "no name can be resolved" in monitor.blindness.reason(monitor.now)
    assert monitor.blindness.covers(result("www.example0.com", monitor.now, "dns"))

    monitor.run(60, dns=0.02)

    assert not monitor.blind


def test_some_names_that_cannot_be_resolved_are_none_while_others_can():
    monitor = Monitor(100)
    monitor.run(60)
    monitor.run(90, lambda number: "dns" if number % 3 == 0 else "", dns=0.02)

    assert not monitor.blind


def test_lookups_of_their_own_are_evidence():
    monitor = Monitor(100)
    monitor.run(60)
    for number in range(50):
        monitor.now += 1
        monitor.blindness.look(f"www.example{number}.com", number < 20, monitor.now)
        monitor.blindness.events(monitor.now)
    assert monitor.blind

    for number in range(10):
        monitor.now += 1
        monitor.blindness.look(f"www.example{number}.com", True, monitor.now)
        monitor.blindness.events(monitor.now)
    assert not monitor.blind


# -- canaries


def test_canaries_that_all_fail_make_it_blind_however_short_the_list():
    monitor = Monitor(1, canaries=("a", "b"))
    monitor.run(60)
    monitor.canary("a")
    monitor.canary("b", "timeout")
    assert not monitor.blind

    monitor.canary("a", "timeout")
    assert not monitor.blind  # nothing fails that would have to be kept from being called down

    monitor.check(0, "timeout")
    assert monitor.blindness.reason(monitor.now) == "none of the canaries answers: a, b"

    monitor.canary("b")
    assert not monitor.blind


def test_canaries_that_are_dead_themselves_do_not_blind_it():
    monitor = Monitor(30, canaries=("a",))
    monitor.run(60)
    monitor.canary("a", "timeout")
    monitor.run(60)
    monitor.canary("a", "timeout")

    assert not monitor.blind


def test_a_canary_that_answers_shows_that_it_is_the_endpoints_that_fail():
    monitor = Monitor(30, canaries=("a", "b"))
    monitor.run(60)
    monitor.canary("a", "timeout")
    monitor.canary("b")
    monitor.run(120, everything)

    assert not monitor.blind


def test_canaries_are_asked_more_often_when_there_is_a_doubt():
    monitor = Monitor(1, canaries=("a",))
    monitor.canary("a")
    assert monitor.blindness.canary_due() == 15

    monitor.canary("a", "timeout")
    assert monitor.blindness.canary_due() == 2


# -- what it covers


def blind(count=30, **how):
    monitor = Monitor(count, **how)
    monitor.run(60)
    monitor.run(60, everything)
    assert monitor.blind
    return monitor


def test_what_is_reached_without_the_line_is_judged_all_the_same():
    monitor = blind()

    assert monitor.blindness.covers(result("www.example1.com", monitor.now, "timeout"))
    assert monitor.blindness.covers(result("x", monitor.now, "", "203.0.113.1"))
    assert not monitor.blindness.covers(result("x", monitor.now, "timeout", "192.168.0.7"))


def test_a_private_network_that_fails_does_not_blind_it():
    monitor = Monitor(100, address="10.{}.{}.1")
    monitor.run(60)
    monitor.run(120, everything)

    assert not monitor.blind


def test_failures_that_began_before_it_saw_again_are_covered():
    monitor = blind()
    began = monitor.now
    monitor.run(30)
    assert not monitor.blind

    assert monitor.blindness.covers(result("www.example1.com", began, "timeout"))
    assert not monitor.blindness.covers(result("www.example1.com", began, ""))
    assert not monitor.blindness.covers(result("www.example1.com", monitor.now, "timeout"))


def test_a_short_list_asks_others_at_once_when_one_fails():
    monitor = Monitor(4)
    monitor.run(60)
    failed = monitor.check(0, "timeout")

    assert monitor.blindness.doubts(failed) == tuple(monitor.names[1:])
    assert monitor.blindness.doubts(monitor.check(1, "status")) == ()
    assert Monitor(500).blindness.doubts(failed) == ()


def test_a_long_list_in_one_network_is_not_looked_through_for_each_failure():
    """Of 50,000 behind one proxy that would take 30 ms for each check, and 20 s of each second."""
    looked = []

    class Endpoints(dict):
        def __iter__(self):
            looked.append(1)
            return super().__iter__()

    monitor = Monitor(600, address="203.0.113.7")
    monitor.plan = msgspec.structs.replace(
        monitor.plan, endpoints=Endpoints(monitor.plan.endpoints)
    )

    assert monitor.blindness.doubts(monitor.check(0, "timeout")) == ()
    assert looked == []


# -- clocks that are put back


@pytest.mark.parametrize("canaries", [(), ("192.0.2.1",)])
def test_it_sees_as_soon_where_the_clock_was_put_back_meanwhile(canaries):
    """As it is where the clock had told the local time, and the line to the time server is back."""
    monitor = Monitor(100, canaries)
    monitor.run(60)
    monitor.run(30, everything)
    for name in canaries:
        monitor.canary(name, "timeout")
    monitor.run(30, everything)
    assert monitor.blind

    monitor.now -= 7200
    monitor.run(5, everything)
    assert monitor.blind

    for name in canaries:
        monitor.canary(name)
    monitor.run(60)
    assert not monitor.blind


def test_what_fails_after_the_clock_was_put_back_is_no_failure_of_a_time_when_it_was_blind():
    monitor = blind()
    monitor.run(90)
    assert not monitor.blind

    monitor.now -= 7200
    failed = monitor.check(1, "timeout")

    assert not monitor.blindness.covers(failed)
    assert monitor.blindness.seeing_since <= monitor.now


def test_a_line_that_is_cut_after_the_clock_was_put_back_is_noticed():
    monitor = Monitor(100)
    monitor.run(60)
    under_way = monitor.now
    monitor.now -= 7200
    monitor.check(0, at=under_way)  # which began before that

    monitor.run(90, everything)

    assert monitor.blind


def test_one_that_was_blind_before_a_restart_sees_though_its_clock_was_put_back():
    monitor = blind()
    after = Monitor(30, root=monitor.root)
    assert after.blind

    after.now = monitor.now - 7200
    after.run(30, everything)
    after.run(90)

    assert not after.blind


def test_a_short_list_that_fails_for_long_is_given_up_on():
    monitor = Monitor(3)
    monitor.run(60)
    monitor.run(1000, everything)
    assert not monitor.blind

    monitor.run(1000, everything)
    assert not monitor.blind

    monitor.run(60)
    monitor.run(120, everything)
    assert monitor.blind


# -- what is told


def test_a_blink_is_not_told():
    monitor = Monitor(3000)
    monitor.run(60)
    monitor.run(5, everything)
    monitor.run(60)

    assert monitor.events == []


def test_a_line_that_comes_and_goes_is_told_once():
    monitor = Monitor(3000)
    monitor.run(60)
    for _ in range(5):
        monitor.run(20, everything)
        monitor.run(10)
    monitor.run(60)

    assert [event.type for event in monitor.events] == ["blind", "seeing"]


def test_a_restart_while_blind_tells_nothing_again():
    monitor = blind()
    (event,) = monitor.events
    after = Monitor(30, root=monitor.root)
    assert after.blind

    after.now = monitor.now + 10
    after.run(30, everything)
    after.run(90)

    assert [one.type for one in after.events] == ["seeing"]
    assert after.root["blindness"] == {}
    assert after.events[0].id != event.id


def test_a_network_where_something_is_well_does_not_fail():
    evidence = Evidence()
    for number in range(10):
        evidence.bad(str(number), 100)
        evidence.good(str(number), 100 - number)
    assert evidence.fails(3) == 9  # of the last second

    for number in range(10):
        evidence.good(str(number), 100)
    assert evidence.fails(3) == 0


def test_evidence_is_of_the_last_minute():
    evidence = Evidence()
    for second in range(300):
        evidence.good(str(second), second)
        evidence.bad(str(second), second)

    assert len(evidence._seconds) <= 62


def test_a_good_result_takes_some_microseconds_at_most():
    monitor = Monitor(1000)
    found = result(monitor.names[0], NOW, "", "203.0.0.7")

    repeated = timeit.repeat(lambda: monitor.blindness.take(found, NOW), number=1000, repeat=10)

    assert min(repeated) / 1000 < 10e-6


def test_the_settings_that_the_documents_show_are_settings():
    text = (ROOT / "docs" / "monitor" / "verdicts.md").read_text()
    (block,) = re.findall(r"^```toml\n(.+?)\n```$", text, re.M | re.S)

    settings = msgspec.convert(tomllib.loads(block)["monitor"], Settings)

    assert len(settings.canaries) == 2
