"""What an address without a scheme is, is found out by what answers there."""

import functools
import socket
import ssl

import gevent
import gevent.ssl
import hubs
import pytest
import trustme
from faulty import page, serving, silent, unused
from mailservers import mailserver
from nameservers import Nameserver

from safepatch.monitor import checks
from safepatch.monitor.checks import detecting
from safepatch.monitor.courses import CheckError
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.tools import Tools


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="module")
def context(authority):
    made = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "site.test").configure_cert(made)
    return made


@pytest.fixture
def tools():
    with Tools(dns_ttl=0) as made:
        yield made
    hubs.end()


@pytest.fixture
def detect(tools, trusted):
    def detect(address, **options):
        options = Options(**{"timeout": 1.0, "ca": trusted, **options})
        return detecting.detect(Endpoint("it", address, options, "sites.txt:1"), tools)

    return detect


@pytest.fixture
def at(tools, monkeypatch):
    """Have the well-known ports of site.test lead to ports of the test, or to nobody."""
    leading = {}
    real = detecting.http.reach

    def reach(endpoint, tools, course, host, port):
        return real(endpoint, tools, course, "127.0.0.1", leading.get(port) or unused())

    for module in (detecting.http, detecting.mx, detecting.smtp):
        monkeypatch.setattr(module, "reach", reach)
    monkeypatch.setattr("safepatch.monitor.checks.securing.reach", reach)
    return leading


ANY = {"private": ("any",)}


def hello(sock, address, body="hello"):
    if sock.recv(65536):
        sock.sendall(page(body))


def saying(data):
    def say(sock, address):
        sock.sendall(data)
        sock.recv(1000)

    return say


def hanging_up(sock, address):
    sock.recv(1)


def is_of(found, kind, address):
    endpoint, result = found
    assert (result.error, result.message) == ("", "")
    assert endpoint.address == f"{kind}://{address}"
    # And all else is as it was written.
    assert (endpoint.name, endpoint.options.timeout, endpoint.where) == ("it", 1.0, "sites.txt:1")
    assert result.name == "it"


def test_a_site_is_https(detect, at, context):
    with serving(hello, tls=context) as https, serving(hello) as http:
        at.update({443: https, 80: http})

        is_of(detect("site.test", **ANY), "https", "site.test")


def test_a_site_with_a_path_keeps_it(detect, at, context):
    with serving(hello, tls=context) as https:
        at[443] = https
        endpoint, result = detect("site.test/health?deep=1", **ANY)

    assert endpoint.address == "https://site.test/health?deep=1"
    assert result.facts["url"] == "https://site.test/health"


def test_a_site_without_https_is_http(detect, at):
    with serving(hello) as http:
        at[80] = http

        is_of(detect("site.test", **ANY), "http", "site.test")


def test_a_site_whose_https_does_not_answer_is_http(detect, at):
    with serving(silent) as https, serving(hello) as http:
        at.update({443: https, 80: http})

        is_of(detect("site.test", **ANY), "http", "site.test")


BROKEN = {
    "500": page("sorry", "500 Internal Server Error"),
    "garbage": b"\0\0\0\0garbage\r\n\r\n",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_site_whose_https_is_broken_is_not_taken_for_http(detect, at, context, broken):
    with serving(saying(BROKEN[broken]), tls=context) as https, serving(hello) as http:
        at.update({443: https, 80: http})
        endpoint, result = detect("site.test", **ANY)

    assert endpoint.address == "site.test"
    assert result.error in ("status", "protocol")


def test_a_site_whose_certificate_is_wrong_is_not_taken_for_http(detect, at, context):
    with serving(hello, tls=context) as https, serving(hello) as http:
        at.update({443: https, 80: http})
        endpoint, result = detect("other.test", **ANY)

    assert (endpoint.address, result.error) == ("other.test", "certificate")


def test_of_a_site_that_is_down_nothing_is_decided_and_both_failures_are_told(detect, at):
    endpoint, result = detect("127.0.0.1", **ANY)

    assert endpoint.address == "127.0.0.1"
    assert result.error == "refused"
    assert "https: 127.0.0.1" in result.message
    assert "; http: 127.0.0.1" in result.message


def test_a_domain_that_has_exchangers_alone_is_mx(detect, tools, monkeypatch):
    def addresses(host, port):
        if host != "one.test":
            raise CheckError("dns", f"{host} is not there")
        return [(socket.AF_INET, ("127.0.0.1", port))]

    tools.resolving.addresses = addresses
    with mailserver() as (_, port), Nameserver() as server:
        server.zone[("mail.test", "MX")] = ["mail.test. 300 MX 10 one.test."]
        monkeypatch.setitem(
            detecting._CHECKS, "mx", functools.partial(detecting.mx.check, port=port)
        )
        is_of(detect("mail.test", resolver=server.address, **ANY), "mx", "mail.test")
        endpoint, result = detect("missing.test", resolver=server.address, **ANY)

    assert (endpoint.address, result.error) == ("missing.test", "dns")
    assert result.message == "missing.test is not there"


@pytest.mark.parametrize(
    ("port", "kind"),
    [(25, "smtp"), (587, "smtp"), (465, "smtps"), (443, "https"), (80, "http")],
)
def test_well_known_ports_are_tried_as_what_they_are_for(detect, monkeypatch, port, kind):
    tried = []

    def check(endpoint, tools):
        tried.append(endpoint.address)
        return detecting.Result(name=endpoint.name, at=0.0)

    monkeypatch.setattr(detecting, "_CHECKS", dict.fromkeys(detecting._CHECKS, check))

    is_of(detect(f"site.test:{port}"), kind, f"site.test:{port}")
    assert tried == [f"{kind}://site.test:{port}"]


def test_a_port_that_speaks_http_is_http(detect):
    with serving(hello) as port:
        is_of(detect(f"127.0.0.1:{port}"), "http", f"127.0.0.1:{port}")


def test_a_port_that_speaks_http_over_tls_is_https(detect, context):
    with serving(hello, tls=context) as port:
        is_of(detect(f"127.0.0.1:{port}"), "https", f"127.0.0.1:{port}")


def test_a_port_that_speaks_something_else_over_tls_is_tls(detect, context):
    with serving(saying(b"* OK IMAP4rev1\r\n"), tls=context) as port:
        is_of(detect(f"127.0.0.1:{port}"), "tls", f"127.0.0.1:{port}")


def test_a_port_that_greets_as_a_mail_server_is_smtp(detect):
    with mailserver() as (_, port):
        is_of(detect(f"127.0.0.1:{port}"), "smtp", f"127.0.0.1:{port}")


OTHERS = {
    "says something": saying(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "says 220, and is FTP": saying(b"220 (vsFTPd 3.0.5)\r\n500 what?\r\n530 no\r\n530 no\r\n"),
    "answers something": lambda sock, address: sock.recv(100) and sock.sendall(b"-ERR what?\r\n"),
    "hangs up": hanging_up,
    "is silent": silent,
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_port_that_takes_connections_and_no_more_is_tcp(detect, other):
    with serving(OTHERS[other]) as port:
        is_of(detect(f"127.0.0.1:{port}"), "tcp", f"127.0.0.1:{port}")


def test_few_connections_are_made(detect, context):
    counts = {}

    def counted(name, handle):
        def handler(sock, address):
            counts[name] = counts.get(name, 0) + 1
            handle(sock, address)

        return handler

    for name, handle in {"http": hello, **OTHERS}.items():
        with serving(counted(name, handle)) as port:
            detect(f"127.0.0.1:{port}", timeout=0.3)
            gevent.sleep(0.01)  # until the last one has arrived

    assert counts == {
        "http": 2,
        "says something": 2,
        "says 220, and is FTP": 3,
        "answers something": 2,
        "hangs up": 3,
        "is silent": 3,
    }


def test_a_port_that_is_closed_is_refused_and_nothing_is_decided(detect):
    endpoint, result = detect(f"127.0.0.1:{unused()}")

    assert endpoint.kind == ""
    assert result.error == "refused"


def test_a_web_server_on_another_port_that_fails_is_not_taken_for_something_else(detect):
    with serving(lambda sock, address: sock.recv(9) and sock.sendall(BROKEN["500"])) as port:
        endpoint, result = detect(f"127.0.0.1:{port}")

    assert (endpoint.kind, result.error) == ("", "status")


def test_all_of_it_takes_no_longer_than_one_check(detect, at, tools):
    with serving(silent) as port:
        at.update({443: port, 80: port})
        for address in ("site.test", f"127.0.0.1:{port}"):
            began = tools.clock()
            detect(address, timeout=0.3, **ANY)

            assert tools.clock() - began < 0.39


def test_a_name_that_leads_to_a_private_address_needs_permission(detect, tools):
    tools.resolving.addresses = lambda host, port: [(socket.AF_INET, ("127.0.0.1", port))]
    with serving(hello) as port:
        endpoint, result = detect(f"private.test:{port}")

    assert (endpoint.kind, result.error) == ("", "private")


def test_what_is_no_address_is_told(detect):
    endpoint, result = detect("no such thing")

    assert (endpoint.address, result.error) == ("no such thing", "protocol")


def test_an_address_of_ipv6_needs_no_brackets(detect, at):
    with serving(hello) as http:
        at[80] = http
        endpoint, result = detect("::1", **ANY)

    assert (endpoint.address, result.error) == ("http://[::1]", "")


def test_whether_the_host_replies_to_echoes_is_told_beside_a_failure(detect, at, monkeypatch):
    for replies, told in ((True, 0.25), (False, None)):

        def echo(endpoint, tools, replies=replies):
            error = "" if replies else "timeout"
            return detecting.Result(name="it", at=0.0, error=error, phases={"first_byte": 0.25})

        monkeypatch.setitem(detecting._CHECKS, "icmp", echo)
        _, result = detect("127.0.0.1", **ANY)

        assert (result.error, result.facts["ping"]) == ("refused", told)


def test_a_check_of_an_address_without_a_scheme_finds_out_itself(tools, trusted):
    with serving(hello) as port:
        endpoint = Endpoint("it", f"127.0.0.1:{port}", Options(timeout=1.0, ca=trusted))
        result = gevent.spawn(checks.run, endpoint, tools).get()

    assert (result.error, result.facts["status"]) == ("", 200)
