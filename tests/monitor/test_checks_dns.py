"""DNS records are asked for at a real server, and what it says is told apart."""

import socket
import time
from types import SimpleNamespace

import gevent
import hubs
import pytest
from dnslib import RCODE, RR, DNSRecord
from nameservers import Nameserver

from safepatch.monitor.checks.dns import check
from safepatch.monitor.courses import CheckError
from safepatch.monitor.names.querying import query, servers_of
from safepatch.monitor.plan import Endpoint, Options

TOOLS = SimpleNamespace(clock=time.perf_counter, time=time.time)


@pytest.fixture(autouse=True)
def hub():
    yield
    hubs.end()


@pytest.fixture
def server():
    with Nameserver() as serving:
        serving.zone = {
            ("example.test", "MX"): [
                "example.test. 300 MX 10 mail.example.test.",
                "example.test. 300 MX 20 spare.example.test.",
            ],
            ("example.test", "A"): ["example.test. 77 A 192.0.2.7"],
            ("example.test", "TXT"): ['example.test. 60 TXT "v=spf1 " "-all"'],
            ("www.example.test", "CNAME"): [
                "www.example.test. 20 CNAME example.test.\nexample.test. 77 A 192.0.2.7"
            ],
        }
        yield serving


def checked(server, what, **options):
    options = Options(**{"resolver": server.address, "timeout": 0.6, **options})
    return check(Endpoint("it", f"dns://{what}", options), TOOLS)


def test_records_come_with_how_long_they_live(server):
    result = checked(server, "example.test?type=MX")

    assert (result.error, result.message) == ("", "")
    assert result.facts == {
        "type": "MX",
        "resolver": server.address,
        "transport": "udp",
        "rcode": "NOERROR",
        "answers": ["10 mail.example.test.", "20 spare.example.test."],
        "ttl": 300,
    }
    assert list(result.phases) == ["dns", "total"]


def test_without_a_type_it_is_an_address_that_is_asked_for(server):
    assert checked(server, "example.test").facts["answers"] == ["192.0.2.7"]


def test_aliases_are_followed_and_the_shortest_life_counts(server):
    result = checked(server, "www.example.test")

    assert (result.facts["answers"], result.facts["ttl"]) == (["192.0.2.7"], 20)


def test_a_text_record_is_one_text(server):
    assert checked(server, "example.test?type=TXT").facts["answers"] == ["v=spf1 -all"]


@pytest.mark.parametrize("expected", ["10 mail.example.test", "MAIL.example.test."])
def test_an_expected_answer_is_found_whole_or_by_its_last_word(server, expected):
    assert checked(server, "example.test?type=MX", answers=(expected,)).ok


def test_an_expected_answer_that_is_missing_is_told_with_what_there_is(server):
    result = checked(server, "example.test?type=MX&answer=mx.other.test")

    assert (result.error, result.message) == (
        "content",
        "'mx.other.test' is not among the MX records of example.test: "
        "10 mail.example.test., 20 spare.example.test.",
    )


def test_names_that_are_not_there_and_kinds_that_are_not_there_are_told_apart(server):
    missing, other = checked(server, "missing.test"), checked(server, "example.test?type=AAAA")

    assert (missing.error, missing.facts["rcode"]) == ("dns", "NXDOMAIN")
    assert missing.message == (
        "A records of missing.test: NXDOMAIN, there is no such name (asked 127.0.0.1)"
    )
    assert (other.error, other.facts["rcode"]) == ("content", "NOERROR")
    assert other.message == "example.test has no AAAA records (asked 127.0.0.1)"


def test_a_resolver_that_fails_is_told_from_a_name_that_is_not_there(server):
    def failing(request, transport):
        reply = request.reply()
        reply.header.rcode = RCODE.SERVFAIL
        return reply.pack()

    server.answer = failing
    result = checked(server, "example.test")

    assert (result.error, result.facts["rcode"]) == ("dns", "SERVFAIL")


def test_a_resolver_that_says_nothing_is_out_of_time(server):
    server.answer = lambda request, transport: []
    result = checked(server, "example.test", timeout=0.2)

    assert result.error == "timeout"
    assert f"no answer of {server.address}" in result.message
    assert len(server.asked) == 3  # datagrams get lost
    assert result.seconds < 0.4


def test_a_resolver_that_is_not_there_refuses():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
    result = check(Endpoint("it", "dns://a.test", Options(resolver=address)), TOOLS)

    assert (result.error, result.message) == (
        "refused",
        f"the resolver {address}: Connection refused",
    )


def test_what_does_not_fit_is_asked_for_by_tcp(server):
    lines = [f"example.test. 60 TXT {'x' * 250}{number}" for number in range(20)]
    server.zone[("example.test", "TXT")] = lines

    server.answer = lambda request, transport: (
        cut(request) if transport == "udp" else server.reply(request).pack()
    )
    result = checked(server, "example.test?type=TXT")

    assert result.ok
    assert (result.facts["transport"], len(result.facts["answers"])) == ("tcp", 20)


def cut(request):
    reply = request.reply()
    reply.header.tc = 1
    return reply.pack()


def other_id(request):
    request.header.id ^= 1


def other_question(request):
    request.q.qname = "other.test"


def no_answer(request):
    request.header.qr = 0


@pytest.mark.parametrize("forge", [other_id, other_question, no_answer])
def test_what_is_no_answer_to_the_question_is_passed_over(server, forge):
    def forging(request, transport):
        forged = DNSRecord.parse(server.reply(request).pack())
        forged.rr = RR.fromZone("example.test. 60 A 203.0.113.66")
        forge(forged)
        return [forged.pack(), b"\0garbage", server.reply(request).pack()]

    server.answer = forging

    assert checked(server, "example.test").facts["answers"] == ["192.0.2.7"]


def test_what_comes_from_elsewhere_is_not_read(server):
    """The right id and question, sooner than the answer, from another port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        clients = []

        def forging(request, transport):
            forged = request.reply()
            forged.add_answer(*RR.fromZone("example.test. 60 A 203.0.113.66"))
            elsewhere.sendto(forged.pack(), clients[0])
            time.sleep(0.02)
            return server.reply(request).pack()

        server.answer = forging
        serve = server._serve
        server._serve = lambda request, client: (clients.append(client), serve(request, client))

        assert checked(server, "example.test").facts["answers"] == ["192.0.2.7"]
        assert clients


def test_garbage_alone_is_not_understood(server):
    server.answer = lambda request, transport: b"\0garbage"

    assert checked(server, "example.test", timeout=0.2).error == "protocol"


def test_garbage_by_tcp_is_not_understood(server):
    server.answer = lambda request, transport: cut(request) if transport == "udp" else b"\0"

    assert checked(server, "example.test").error == "protocol"


def test_the_next_resolver_is_asked_where_one_fails_or_is_silent(server):
    with Nameserver() as failing, Nameserver() as silent:
        silent.answer = lambda request, transport: []
        failing.answer = lambda request, transport: refusal(request)
        servers = [("127.0.0.1", each.port) for each in (failing, silent, server)]
        answer = query("example.test", "A", servers, 0.6)

    assert answer.server == servers[2]
    assert answer.records() == (["192.0.2.7"], 77)


def refusal(request):
    reply = DNSRecord.parse(request.pack()).reply()
    reply.header.rcode = RCODE.REFUSED
    return reply.pack()


def test_resolvers_are_written_as_addresses_with_a_port_or_without():
    assert servers_of("192.0.2.1") == [("192.0.2.1", 53)]
    assert servers_of("192.0.2.1:5353") == [("192.0.2.1", 5353)]
    assert servers_of("2001:db8::1") == [("2001:db8::1", 53)]
    assert servers_of("[2001:db8::1]:5353") == [("2001:db8::1", 5353)]


@pytest.mark.parametrize("text", ["dns.example.com", "192.0.2.1:0", "192.0.2.1:x", "[::1"])
def test_what_is_no_address_is_no_resolver(text):
    with pytest.raises(CheckError, match="write it like"):
        servers_of(text)


def test_the_resolvers_of_the_system_are_those_of_its_file(tmp_path):
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")

    found = servers_of("", system=str(tmp_path / "resolv.conf"))

    assert found == [("192.0.2.1", 53), ("2001:db8::1", 53)]


def test_a_system_without_resolvers_is_told(tmp_path):
    (tmp_path / "resolv.conf").write_text("")
    with pytest.raises(CheckError, match="no resolver is configured"):
        servers_of("", system=str(tmp_path / "resolv.conf"))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("example.test?typ=MX", "'typ'"),
        ("example.test?type=NONSENSE", "NONSENSE records"),
        (f"{'x' * 64}.test", "cannot be asked for"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anybody_is(server, what, told):
    result = checked(server, what)

    assert result.error == "internal"
    assert told in result.message
    assert server.asked == []


def test_what_records_say_cannot_move_a_cursor_nor_fill_memory(server):
    server.zone["evil.test", "TXT"] = [
        f'evil.test. 60 TXT "\x1b]0;{number}\x07\x1b[2J"' for number in range(70)
    ]
    result = checked(server, "evil.test?type=TXT&answer=v%3Dspf1")

    assert result.error == "content"
    assert result.message.isprintable()
    assert len(result.message) <= 2000
    assert all(each.isprintable() for each in result.facts["answers"])
    assert len(result.facts["answers"]) == 50


def many_labels(request, records):
    """An answer of records with one name of 120 labels, which dnspython takes long to read."""
    head = request.header.id.to_bytes(2) + bytes((0x81, 0x80, 0, 1, 0, records, 0, 0, 0, 0))
    question, name = b"\1e\4test\0\0\x0f\0\1", b"\1a" * 120 + b"\xc0\x0c"
    record = b"\xc0\x0c\0\x0f\0\1\0\0\0\x3c"
    first = record + (2 + len(name)).to_bytes(2) + b"\0\0" + name
    at = 0xC000 | len(head + question + record) + 4
    others = [
        record + b"\0\4" + number.to_bytes(2) + at.to_bytes(2) for number in range(1, records)
    ]
    return head + question + first + b"".join(others)


def test_an_answer_that_takes_long_to_read_keeps_nobody_waiting(server):
    server.answer = lambda request, transport: many_labels(request, 100)
    began, last, longest = time.perf_counter(), time.perf_counter(), 0.0
    checking = gevent.spawn(checked, server, "e.test?type=MX", timeout=5.0)
    while not checking.ready():
        gevent.sleep(0.001)
        now = time.perf_counter()
        last, longest = now, max(longest, now - last)

    assert checking.get().error == ""
    assert longest < (last - began) / 2


def test_an_answer_of_more_records_than_anybody_needs_is_not_read(server):
    server.answer = lambda request, transport: many_labels(request, 201)

    result = checked(server, "e.test?type=MX")

    assert result.error == "protocol"
    assert "more than 200 records" in result.message
