"""Checks against what is broken, slow, endless or nonsense."""

import gzip
import time
import zlib

import pytest

pytest.importorskip("httptools", reason="checks need the extra `monitor`")

import gevent
from faulty import (
    Site,
    deaf,
    dripping,
    endless,
    moved,
    page,
    resetting,
    serving,
    silent,
)
from nameserver import Nameserver, naming

from safepatch.monitor import checks
from safepatch.monitor.checks.answers import read
from safepatch.monitor.checks.pages import look
from safepatch.monitor.courses import Course
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.tools import Tools

pytestmark = pytest.mark.usefixtures("own_hub")

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
GARBAGE = {
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", "what it answers is not HTTP"),
    "binary": (b"\x00\x01\xff", "what it answers is not HTTP"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x16", "what it answers is not HTTP"),
    "HTTP/2": (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "what it answers is not HTTP"),
    "a page without headers": (b"<html>HTTP/0.9</html>", "what it answers is not HTTP"),
    "no status": (b"HTTP/1.1 OK\r\n\r\n", "what it answers is not HTTP"),
    "a wrong length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "what it answers is not HTTP (Invalid character in Content-Length)",
    ),
    "a wrong chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "its answer with status 200 goes on in a way that is not HTTP: ",
    ),
    "another protocol's turn": (
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "it answers with another protocol than HTTP/1.1",
    ),
    "no gzip": (page("x" * 50, Content_Encoding="gzip"), "its body is no gzip: "),
    "no deflate": (page("\xff" * 50, Content_Encoding="deflate"), "its body is no deflate: "),
    "a long header": (
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000,
        "its headers are longer than 65536 bytes",
    ),
    "many headers": (
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
        "its headers are longer than 65536 bytes",
    ),
    "many interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
        "its headers are longer than 65536 bytes",
    ),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_no_http_is_told_as_such(checked, what):
    answer, message = GARBAGE[what]
    with serving(Site(otherwise=answer)) as port:
        result = checked(f"http://127.0.0.1:{port}/")

    assert result.error == "protocol"
    assert result.message.startswith(message)
    assert len(result.message) < 300
    assert result.message.isprintable()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "the connection ended before there was an answer"),
        (b"HTTP/1.1 200 OK\r\nServer: x", "the connection ended amid its headers"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "the connection ended amid its headers"),
        (HALF, "the connection ended amid the body, after 4 of 100 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "the connection ended amid the body, after 4 bytes",
        ),
    ],
)
def test_a_connection_that_ends_too_early_is_a_reset(checked, answer, message):
    with serving(Site(otherwise=answer)) as port:
        result = checked(f"http://127.0.0.1:{port}/")

    assert (result.error, result.message) == ("reset", message)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", HALF])
def test_a_connection_that_is_reset_is_told_as_such(checked, data):
    with serving(Site(otherwise=resetting(data))) as port:
        result = checked(f"http://127.0.0.1:{port}/")

    assert (result.error, result.message) == (
        "reset",
        f"127.0.0.1:{port}: the connection was reset",
    )


SLOW = {
    "silence": (silent, "waiting for the first byte of an answer (dns took "),
    "a drip of headers": (dripping(page("x" * 1000)), "waiting for the rest of the answer (dns"),
    "a drip of a body": (
        lambda sock, request: (sock.sendall(HALF), dripping(b"x" * 90)(sock, request)),
        "waiting for the rest of the answer (dns took ",
    ),
    "a rest that never comes": (
        lambda sock, request: (sock.sendall(HALF), silent(sock)),
        "waiting for the rest of the answer (dns took ",
    ),
}


@pytest.mark.parametrize("what", SLOW)
def test_one_deadline_holds_for_all_of_a_check(checked, what):
    answer, message = SLOW[what]
    with serving(Site(otherwise=answer)) as port:
        result = checked(f"http://127.0.0.1:{port}/", timeout=0.15)

    assert result.error == "timeout"
    assert result.message.startswith(f"no answer from 127.0.0.1 within 0.15 s: {message}")
    assert 0.15 <= result.seconds < 0.5
    assert list(result.phases)[-1] == "total"


def test_redirects_do_not_prolong_the_deadline(checked):
    def slow(sock, request):
        gevent.sleep(0.1)
        place = int(request.split(b" ")[1][1:])
        sock.sendall(moved(f"/{place + 1}"))

    with serving(Site(otherwise=slow)) as port:
        result = checked(f"http://127.0.0.1:{port}/0", timeout=0.25)

    assert result.error == "timeout"
    assert result.seconds < 0.5


def test_a_connection_that_nobody_takes_times_out(checked):
    with deaf() as port:
        result = checked(f"http://127.0.0.1:{port}/", timeout=0.1)

    assert result.error == "timeout"
    assert result.message.startswith(
        "no answer from 127.0.0.1 within 0.1 s: waiting for the connection (dns took "
    )


def test_a_body_without_end_is_read_as_far_as_it_is_looked_at(checked):
    def pour(sock, request):
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        endless(b"x" * 65536)(sock, request)

    with serving(Site(otherwise=pour)) as port:
        result = checked(f"http://127.0.0.1:{port}/")

    assert (result.error, result.facts["size"]) == ("", 1 << 20)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_unpacks_to_very_much_is_unpacked_no_further(checked, coding):
    pack = gzip.compress if coding == "gzip" else zlib.compress
    bomb = page(pack(bytes(9 << 20), 9), Content_Encoding=coding)
    with serving(Site(otherwise=bomb)) as port:
        before = time.process_time()
        result = checked(f"http://127.0.0.1:{port}/")

    assert (result.error, result.facts["size"]) == ("", 1 << 20)
    assert time.process_time() - before < 0.3


def test_a_body_that_cannot_be_unpacked_is_up_unless_something_is_expected_of_it(checked):
    answer = page(b"\x1b\x00", Content_Encoding="br", Content_Type="text/html")
    with serving(Site(otherwise=answer)) as port:
        address = f"http://127.0.0.1:{port}/"
        assert checked(address).ok
        result = checked(address, contains=["x"])

    assert (result.error, result.message) == (
        "protocol",
        "its body is packed with 'br', which was not asked for",
    )


@pytest.mark.parametrize("coding", ["none", "UTF-8", "identity", ""])
def test_a_coding_that_is_none_is_not_missed(checked, coding):
    with serving(Site(otherwise=page("hello", Content_Encoding=coding))) as port:
        assert checked(f"http://127.0.0.1:{port}/", contains=["hello"]).ok


def test_a_bad_status_tells_more_than_a_bad_body(checked):
    answer = page("xxxx", "500 Oops", Content_Encoding="gzip")
    with serving(Site(otherwise=answer)) as port:
        assert checked(f"http://127.0.0.1:{port}/").error == "status"


HOSTILE = {
    "a charset whose time grows with the square": page(
        "a" * 900_000 + "-" + "b" * 9_000, Content_Type="text/html; charset=punycode"
    ),
    "tags that do not end": page("<" * 900_000, Content_Type="text/html"),
    "scripts that do not end": page("<script>" * 90_000, Content_Type="text/html"),
    "titles that do not end": page("<title>" * 90_000, Content_Type="text/html"),
    "JSON as deep as can be": page("[" * 900_000),
    "a number as long as can be": page("9" * 900_000),
    "very small chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\nx\r\n" * 500_000,
    "a location as long as can be": page(status="302 F", Location="http://" + "@" * 60_000),
    "a host as long as can be": page(status="302 F", Location="http://" + "\u0430" * 8_000),
    "many cookies": page(status="302 F", Location="/", Set_Cookie="a=b\r\nSet-Cookie: " * 3_000),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_no_answer_keeps_the_monitor_busy_for_long(checked, what):
    with serving(Site(otherwise=HOSTILE[what])) as port:
        before = time.process_time()
        result = checked(f"http://127.0.0.1:{port}/", json={"a": 1}, timeout=5)

    assert result.error in ("content", "protocol", "status")
    assert time.process_time() - before < 0.6


def test_others_have_their_turn_while_somebody_sends_faster_than_we_read():
    class Flood:
        sent = 0

        def receive(self, wait=True):
            self.sent += 1
            return b"HTTP/1.1 200 OK\r\n\r\n" if self.sent == 1 else b"x" * 65536

    turns = []

    def count():
        while True:
            turns.append(1)
            gevent.sleep(0)

    greenlet = gevent.spawn(count)
    read(Flood(), Course(time.monotonic), "GET")
    greenlet.kill()

    assert len(turns) > 5


def test_looking_at_a_page_takes_no_time_that_grows_with_its_square():
    before = time.process_time()
    for _ in range(50):
        look("<p>" + "<" * 4000)

    assert time.process_time() - before < 0.15


def test_a_page_that_unpacks_only_to_its_middle_is_still_a_page(checked):
    """What is over the limit is cut, packed or not."""
    body = bytes(range(256)) * 20_000
    packed = gzip.compress(body, 0)
    with serving(Site(otherwise=page(packed, Content_Encoding="gzip"))) as port:
        result = checked(f"http://127.0.0.1:{port}/")

    assert result.ok
    assert 1_000_000 < result.facts["size"] <= 1 << 20


# Several addresses.


@pytest.fixture
def named():
    """A function that checks http://site.test/, with an own DNS server, by some addresses."""

    def run(port, *addresses, private=("127.0.0.0/8",), timeout=1.0):
        options = Options(private=private, timeout=timeout)
        with (
            naming(Nameserver({"site.test": addresses})) as server,
            Tools(dns_ttl=0, dns_servers=[server]) as tools,
        ):
            return checks.run(Endpoint("it", f"http://site.test:{port}/", options), tools)

    return run


def test_the_next_address_is_tried_where_one_refuses(named):
    with serving(Site(otherwise=page())) as port:
        for addresses in (["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]):
            result = named(port, *addresses)
            assert result.ok
            assert result.facts["address"] == "127.0.0.1"
            if result.warnings:  # c-ares has an order of its own
                assert result.warnings == (f"127.0.0.2:{port}: the connection is refused",)


def test_the_next_address_is_tried_where_one_does_not_answer(named):
    with deaf() as port, serving(Site(otherwise=page()), host="127.0.0.2", port=port):
        result = named(port, "127.0.0.1", "127.0.0.2", timeout=0.4)

    assert result.ok
    assert result.facts["address"] == "127.0.0.2"
    if result.warnings:
        assert result.warnings == (f"127.0.0.1:{port}: the connection timed out",)


def test_where_all_addresses_fail_all_are_told(named):
    result = named(1, "127.0.0.1", "127.0.0.2")

    assert result.error == "refused"
    assert set(result.message.split("; ")) == {
        "127.0.0.1:1: the connection is refused",
        "127.0.0.2:1: the connection is refused",
    }


def test_of_public_and_private_addresses_only_those_allowed_are_asked(named):
    site = Site(otherwise=page())
    with serving(site, host="127.0.0.2") as port:
        result = named(port, "10.1.2.3", "127.0.0.2")

    assert result.ok
    assert result.facts["address"] == "127.0.0.2"
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith(
        "not asked: site.test is 10.1.2.3, which is private; to allow that, write"
    )


def test_a_name_that_leads_into_a_private_network_is_not_asked(named):
    site = Site(otherwise=page("secret"))
    with serving(site) as port:
        result = named(port, "127.0.0.1", private=())

    assert result.error == "private"
    assert result.message.startswith("site.test is 127.0.0.1, which is loopback; to allow that")
    assert site.requests == []


def test_an_address_that_changes_after_it_was_looked_at_is_not_asked():
    """DNS rebinding: the first answer is allowed, and the next one is not."""

    class Rebinding(Nameserver):
        def answer(self, data):
            reply = super().answer(data)
            if self.queries["site.test"]:  # the answer for A is given
                self.hosts = {"site.test": ["127.0.0.1"]}
            return reply

    secret, site = Site(otherwise=page("secret")), Site()
    site.pages["/"] = moved("/again")
    with serving(site, host="127.0.0.2") as port, serving(secret, port=port):
        dns = Rebinding({"site.test": ["127.0.0.2"]})
        options = Options(private=("127.0.0.2",), timeout=2)
        endpoint = Endpoint("it", f"http://site.test:{port}/", options)
        with naming(dns) as server, Tools(dns_ttl=0, dns_servers=[server]) as own:
            result = checks.run(endpoint, own)

    # The first request went where it was allowed to; for the redirect it was looked at anew.
    assert len(site.requests) == 1
    assert result.error == "private"
    assert result.message.startswith("site.test is 127.0.0.1, which is loopback")
    assert secret.requests == []


def test_a_name_that_does_not_exist_is_told_as_such(named):
    result = named(1)

    assert (result.error, result.message) == ("dns", "DNS knows no address of site.test")
    assert list(result.phases) == ["total"]


# What is nobody's fault but ours.


def test_trouble_of_our_own_is_internal_and_logged(tools, checked, monkeypatch, caplog):
    def broken(*arguments):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(tools.resolving, "addresses", broken)
    result = checked("http://a.test/")

    assert (result.error, result.message) == (
        "internal",
        "the check itself failed: ZeroDivisionError: oops",
    )
    assert "cannot check it" in caplog.text


def test_what_ends_a_greenlet_ends_a_check(checked):
    with serving(Site(otherwise=silent)) as port:
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
            checked(f"http://127.0.0.1:{port}/", timeout=5)

        greenlet = gevent.spawn(checked, f"http://127.0.0.1:{port}/", timeout=5)
        gevent.sleep(0.02)
        greenlet.kill()
        assert isinstance(greenlet.value, gevent.GreenletExit)


def test_nothing_stays_open(checked):
    import os

    answers = {
        "/ok": page(),
        "/half": HALF,
        "/garbage": b"garbage",
        "/silent": silent,
        "/reset": resetting(),
        "/moved": moved("/ok"),
    }
    with serving(Site(answers)) as port:
        gevent.sleep(0)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            for path in answers:
                checked(f"http://127.0.0.1:{port}{path}", timeout=0.05)
        checked("http://127.0.0.1:1/")
    gevent.sleep(0.01)

    assert len(os.listdir("/proc/self/fd")) <= before
