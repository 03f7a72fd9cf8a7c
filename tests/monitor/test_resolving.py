"""The DNS layer, against a DNS server on loopback."""

import socket

import pytest

pytest.importorskip("httptools", reason="needs the extra `monitor`")
pytest.importorskip("dnslib", reason="the DNS server needs dnslib")

import gevent
from gevent.resolver import AbstractResolver
from nameserver import Nameserver, naming

import safepatch
from safepatch.monitor.courses import CheckError
from safepatch.monitor.names import ares
from safepatch.monitor.names.resolving import Resolving

pytestmark = pytest.mark.usefixtures("own_hub")


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def dns():
    """A DNS server that knows a.test."""
    made = Nameserver({"a.test": ["192.0.2.1"], "six.test": ["2001:db8::1"], "none.test": []})
    with naming(made) as made.address:
        yield made


@pytest.fixture
def resolving(dns, clock):
    made = Resolving(ttl=300, stale=900, servers=[dns.address], clock=clock)
    yield made
    made.close()


def test_addresses_are_what_sockets_connect_to(resolving):
    assert resolving.addresses("a.test", 80) == [(socket.AF_INET, ("192.0.2.1", 80))]
    assert resolving.addresses("six.test", 443) == [(socket.AF_INET6, ("2001:db8::1", 443, 0, 0))]


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_what_is_an_address_already_is_not_looked_up(resolving, dns, host):
    (row,) = resolving.addresses(host, 80)

    assert row[1][:2] == (host, 80)
    assert resolving.look(host) == ""
    assert not dns.queries


def test_answers_are_kept_for_all_ports_and_then_looked_up_anew(resolving, dns, clock):
    for port in (80, 443, 8080):
        resolving.addresses("a.test", port)
    assert dns.queries["a.test"] == 1

    clock.now += 301
    dns.hosts["a.test"] = ["192.0.2.2"]
    resolving.addresses("a.test", 80)  # the old answer, at once
    gevent.sleep(0.05)
    assert resolving.addresses("a.test", 80) == [(socket.AF_INET, ("192.0.2.2", 80))]
    assert dns.queries["a.test"] == 2


def test_many_who_ask_the_same_at_once_are_one_lookup(resolving, dns):
    asking = [gevent.spawn(resolving.addresses, "a.test", port) for port in range(1, 51)]
    gevent.joinall(asking, raise_error=True)

    assert dns.queries["a.test"] == 1


@pytest.mark.parametrize("host", ["absent.test", "none.test"])
def test_a_host_that_does_not_exist_says_so(resolving, host):
    with pytest.raises(CheckError) as caught:
        resolving.addresses(host, 80)

    assert caught.value.error == "dns"
    assert caught.value.message == f"DNS knows no address of {host}"
    assert isinstance(caught.value.__cause__, socket.gaierror)
    assert resolving.look(host) == f"DNS knows no address of {host}"


@pytest.mark.parametrize(
    ("fails", "said"),
    [("servfail", "DNS server returned general failure"), ("refused", "DNS server refused query")],
)
def test_a_dns_server_that_fails_is_told_as_such(resolving, dns, fails, said):
    dns.fails = fails
    with pytest.raises(CheckError) as caught:
        resolving.addresses("a.test", 80)

    assert caught.value.error == "dns"
    assert caught.value.message == f"DNS fails for a.test: {said}"


def test_a_name_that_cannot_be_one_is_told_as_such(resolving):
    with pytest.raises(CheckError, match=r"is no name that DNS could know") as caught:
        resolving.addresses("x" * 64 + ".test", 80)
    assert caught.value.error == "dns"


def test_old_addresses_are_used_while_dns_fails_and_that_is_told(resolving, dns, clock):
    resolving.addresses("a.test", 80)
    dns.fails = "servfail"
    clock.now += 301

    # It is known as soon as one lookup has failed.
    rows = [(socket.AF_INET, ("192.0.2.1", 80))]
    assert resolving.addresses("a.test", 80) == rows
    gevent.sleep(0.05)
    assert resolving.addresses("a.test", 80) == rows
    assert resolving.trouble("a.test") == (
        "DNS fails for a.test: DNS server returned general failure; its last known address is used"
    )
    stats = resolving.stats()
    assert (stats["stale"], stats["failing"]) == (1, 1)

    clock.now += 900
    with pytest.raises(CheckError):
        resolving.addresses("a.test", 80)

    dns.fails = ""
    assert resolving.addresses("a.test", 80) == rows
    assert resolving.trouble("a.test") == ""
    assert resolving.stats()["failing"] == 0


def test_that_a_host_no_longer_exists_is_no_failure_and_ends_its_old_addresses(
    resolving, dns, clock
):
    resolving.addresses("a.test", 80)
    del dns.hosts["a.test"]
    clock.now += 301
    resolving.addresses("a.test", 80)
    gevent.sleep(0.05)

    with pytest.raises(CheckError, match=r"DNS knows no address of a\.test"):
        resolving.addresses("a.test", 80)
    assert resolving.stats()["failures"] == 0


def test_again_has_the_next_check_resolve_anew_whatever_the_records_ttl(resolving, dns, clock):
    """c-ares has a cache of its own, that heeds TTLs."""
    dns.ttl = 3600
    resolving.addresses("a.test", 80)
    dns.hosts["a.test"] = ["192.0.2.2"]
    clock.now += 2

    resolving.again("A.test")
    assert resolving.addresses("a.test", 80) == [(socket.AF_INET, ("192.0.2.2", 80))]
    assert dns.queries["a.test"] == 2


def test_again_for_many_hosts_at_once_does_not_disturb_those_under_way(resolving, dns, clock):
    dns.hosts |= {f"{n}.test": ["192.0.2.9"] for n in range(30)}
    clock.now += 2

    def check(host):
        resolving.again(host)
        return resolving.addresses(host, 80)

    checks = [gevent.spawn(check, f"{n}.test") for n in range(30)]
    gevent.joinall(checks, raise_error=True)

    assert all(check.value == [(socket.AF_INET, ("192.0.2.9", 80))] for check in checks)
    assert set(dns.queries.values()) == {1}


@pytest.mark.skipif(
    [int(n) for n in gevent.__version__.split(".")[:2]] < [24, 10],
    reason="this version of gevent has a c-ares without a cache",
)
def test_the_ttl_of_records_is_heeded_below_ours(dns, clock):
    """What our cache forgot is still known to c-ares for as long as its record lives."""
    dns.ttl = 3600
    resolving = Resolving(ttl=10, stale=0, servers=[dns.address], clock=clock)
    try:
        for _ in range(3):
            resolving.addresses("a.test", 80)
            clock.now += 11
    finally:
        resolving.close()

    assert dns.queries["a.test"] == 1


def test_a_look_is_past_all_caches_and_changes_none(resolving, dns, clock):
    dns.ttl = 3600
    resolving.addresses("a.test", 80)
    for _ in range(2):
        clock.now += 2
        assert resolving.look("a.test") == ""
    dns.fails = "servfail"
    clock.now += 2
    assert resolving.look("a.test") == ("DNS fails for a.test: DNS server returned general failure")

    assert dns.queries["a.test"] >= 4
    assert resolving.addresses("a.test", 80)
    assert resolving.trouble("a.test") == ""


def test_looks_at_others_do_not_disturb_one_that_is_slow(resolving, dns, clock):
    """Each may begin with a new channel."""
    dns.slow["slow.test"] = 0.2
    dns.hosts["slow.test"] = ["192.0.2.9"]
    slow = gevent.spawn(resolving.look, "slow.test")
    for _ in range(5):
        clock.now += 2
        assert resolving.look("a.test") == ""
        gevent.sleep(0.01)

    assert slow.get(timeout=5) == ""
    assert dns.queries["slow.test"] == 1


def test_forgetting_takes_one_channel_a_second_at_most_and_leaves_none_open(
    dns, clock, monkeypatch
):
    channels = []

    class Counted(ares.Resolver):
        def __init__(self, **options):
            super().__init__(**options)
            channels.append(self)

    monkeypatch.setattr(ares, "Resolver", Counted)
    resolving = Resolving(ttl=0, servers=[dns.address], clock=clock)
    for _ in range(3):
        clock.now += 2
        for _ in range(10):
            resolving.again("a.test")
            resolving.addresses("a.test", 80)
    still_open = [channel for channel in channels if channel.cares is not None]
    resolving.close()

    assert (len(channels), len(still_open)) == (2 + 3, 2)  # one of them is for looks
    assert not [channel for channel in channels if channel.cares is not None]


def test_a_host_is_not_called_failing_for_ever(resolving, dns, clock):
    dns.fails = "servfail"
    with pytest.raises(CheckError):
        resolving.addresses("a.test", 80)
    assert resolving.stats()["failing"] == 1

    clock.now += 3601
    assert resolving.stats()["failing"] == 0


def test_what_is_under_way_when_it_is_closed_fails(dns, clock):
    dns.fails = "silent"
    resolving = Resolving(servers=[dns.address], clock=clock)
    asking = [gevent.spawn(resolving.addresses, host, 80) for host in ("a.test", "six.test")]
    gevent.sleep(0.01)
    resolving.close()
    gevent.joinall(asking, timeout=5)

    assert [type(each.exception) for each in asking] == [CheckError] * 2
    with pytest.raises(CheckError, match="the resolver is closed"):
        resolving.addresses("a.test", 80)


def test_a_look_takes_no_longer_than_it_may(resolving, dns):
    dns.fails = "silent"

    assert resolving.look("a.test", seconds=0.05) == "DNS did not answer for a.test within 0.05 s"


def test_a_check_that_has_no_more_time_does_not_keep_others_from_looking_up(resolving, dns):
    dns.fails = "silent"
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        resolving.addresses("a.test", 80)
    dns.fails = ""

    with gevent.Timeout(5):
        assert resolving.addresses("six.test", 80)
    assert resolving.stats()["failures"] == 1


def test_stats_count(resolving, dns, clock):
    for host in ("a.test", "a.test", "six.test"):
        resolving.addresses(host, 80)
    with pytest.raises(CheckError):
        resolving.addresses("absent.test", 80)
    resolving.addresses("192.0.2.1", 80)

    stats = resolving.stats()
    assert stats.pop("seconds") >= 0
    assert stats == {
        "lookups": 4,
        "hits": 1,
        "kept": 3,
        "stale": 0,
        "failures": 0,
        "failing": 0,
    }


# The patch.


def patched():
    """Some of what the recipe patches, as it stands there. Of functions of `socket`, the codes are
    what changes."""
    of_gevent = [vars(AbstractResolver)[name] for name in ("getaddrinfo", "gethostbyname_ex")]
    return [*of_gevent, socket.gethostbyname, socket.getaddrinfo.__code__]


def test_the_patch_is_one_as_any_user_makes_it_and_is_undone(dns):
    before = patched()
    resolving = Resolving(servers=[dns.address])
    assert "dns-cache" in str(safepatch.explain("gevent.resolver:AbstractResolver.getaddrinfo"))
    assert not [now for now, then in zip(patched(), before, strict=True) if now is then]
    resolving.close()
    resolving.close()

    assert patched() == before


def test_with_no_ttl_nothing_is_patched(dns):
    before = patched()
    resolving = Resolving(ttl=0, servers=[dns.address])
    try:
        assert patched() == before
        for _ in range(2):
            resolving.addresses("a.test", 80)
    finally:
        resolving.close()

    assert dns.queries["a.test"] == 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_at_once_work_and_are_closed_in_any_order(dns, clock, order):
    unpatched = patched()
    both = [Resolving(servers=[dns.address], clock=clock) for _ in range(2)]
    for each in both:
        assert each.addresses("a.test", 80) == [(socket.AF_INET, ("192.0.2.1", 80))]

    # A cache below the other's must not answer for it.
    dns.hosts["a.test"] = ["192.0.2.2"]
    clock.now += 2
    both[0].again("a.test")
    for each in both:
        assert each.addresses("a.test", 80) == [(socket.AF_INET, ("192.0.2.2", 80))]

    before = dns.queries["a.test"]
    both[order[0]].close()
    other = both[order[1]]
    assert other.addresses("a.test", 80) == [(socket.AF_INET, ("192.0.2.2", 80))]
    assert dns.queries["a.test"] == before
    other.close()
    assert patched() == unpatched


def test_all_goes_on_without_the_patch_where_it_is_disabled(dns, clock, monkeypatch):
    monkeypatch.setenv("SAFEPATCH_DISABLE", "dns-cache")
    made = Resolving(servers=[dns.address], clock=clock)
    try:
        before = AbstractResolver.getaddrinfo
        made.addresses("a.test", 80)
        made.again("a.test")

        assert made.stats()["lookups"] == 1
        assert (made.stats()["hits"], made.stats()["kept"]) == (0, 0)
        assert AbstractResolver.getaddrinfo is before
    finally:
        made.close()


def test_dns_servers_at_several_ports_are_refused():
    with pytest.raises(ValueError, match="c-ares knows one port"):
        Resolving(servers=["127.0.0.1:53", "127.0.0.1:54"])


def test_the_zone_of_an_address_becomes_a_number_so_that_sockets_look_nothing_up(resolving):
    name = socket.if_indextoname(1)
    assert resolving.addresses(f"fe80::1%{name}", 80) == [(socket.AF_INET6, ("fe80::1", 80, 0, 1))]
    assert resolving.addresses("fe80::1%7", 80) == [(socket.AF_INET6, ("fe80::1", 80, 0, 7))]


@pytest.mark.parametrize("zone", ["x.example.com", "eth0\0", "nowhere" * 20])
def test_a_zone_without_an_interface_is_told_and_never_given_to_a_socket(resolving, zone):
    with pytest.raises(CheckError, match="of which there is no interface") as caught:
        resolving.addresses(f"2606:4700::1%{zone}", 80)
    assert caught.value.error == "unreachable"
