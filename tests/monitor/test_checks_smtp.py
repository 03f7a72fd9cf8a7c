"""Mail servers are asked all that is asked before a mail, and no mail is ever sent."""

import socket
import time

import hubs
import pytest
import trustme
from mailservers import lines, mailserver, saying, server_context

from safepatch.monitor.checks.smtp import check
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.tools import Tools

BANNER, HELLO = b"220 mx.test ESMTP\r\n", b"250-mx.test\r\n250-SIZE 100\r\n250 8BITMIME\r\n"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def tools():
    with Tools(dns_ttl=0) as made:
        yield made
    hubs.end()


@pytest.fixture
def checked(tools):
    def checked(port, scheme="smtp", **options):
        options = Options(**{"timeout": 2.0, **options})
        return check(Endpoint("it", f"{scheme}://127.0.0.1:{port}", options), tools)

    return checked


def test_a_mail_server_is_greeted_and_taken_leave_of(checked):
    with mailserver() as (postbox, port):
        result = checked(port)

    assert (result.error, result.message) == ("", "")
    assert result.facts["address"] == "127.0.0.1"
    assert "test" in result.facts["banner"]
    assert "SIZE" in result.facts["extensions"]
    assert list(result.phases) == ["dns", "connect", "first_byte", "total"]
    assert postbox.commands == ["EHLO [127.0.0.1]", "QUIT"]


def test_tls_is_begun_where_it_is_offered_and_the_certificate_is_verified(
    checked, authority, trusted
):
    with mailserver(server_context(authority, "127.0.0.1")) as (postbox, port):
        result = checked(port, ca=trusted)

    assert (result.error, result.message) == ("", "")
    assert list(result.phases) == ["dns", "connect", "first_byte", "tls", "total"]
    assert postbox.commands == ["EHLO [127.0.0.1]", "EHLO [127.0.0.1] in TLS", "QUIT"]


def test_a_certificate_for_another_name_is_told(checked, authority, trusted):
    with mailserver(server_context(authority, "mx.other.test")) as (_, port):
        assert checked(port, ca=trusted).error == "certificate"
        assert checked(port, ca=trusted, server_name="mx.other.test").ok


def test_a_certificate_that_nobody_trusts_is_told(checked, authority):
    with mailserver(server_context(authority, "127.0.0.1")) as (_, port):
        assert checked(port).error == "certificate"
        assert checked(port, verify=False).ok


def test_tls_that_is_not_wanted_is_not_begun(checked, authority):
    with mailserver(server_context(authority, "127.0.0.1")) as (postbox, port):
        assert checked(port, starttls=False).ok

    assert postbox.commands == ["EHLO [127.0.0.1]", "QUIT"]


def test_tls_that_is_demanded_must_be_offered(checked):
    with mailserver() as (_, port):
        result = checked(port, starttls=True)

    assert result.error == "tls"
    assert "does not offer STARTTLS" in result.message


def test_smtps_speaks_tls_from_the_beginning(checked, authority, trusted):
    with mailserver(server_context(authority, "127.0.0.1"), implicit=True) as (postbox, port):
        result = checked(port, "smtps", ca=trusted)

    assert (result.error, result.message) == ("", "")
    assert list(result.phases) == ["dns", "connect", "tls", "first_byte", "total"]
    assert postbox.commands == ["EHLO [127.0.0.1]", "QUIT"]


def test_whether_a_mail_would_be_taken_is_asked_and_taken_back(checked):
    with mailserver() as (postbox, port):
        result = checked(port, mail_from="me@example.test", rcpt_to="known@example.test")

    assert result.ok
    assert postbox.commands[1:] == [
        "MAIL me@example.test",
        "RCPT known@example.test",
        "RSET",
        "QUIT",
    ]
    assert postbox.mails == []


def test_a_mail_that_would_not_be_taken_is_told_with_the_reply(checked):
    with mailserver() as (postbox, port):
        result = checked(port, mail_from="me@example.test", rcpt_to="nobody@example.test")

    assert (result.error, result.message) == (
        "status",
        "RCPT TO is answered with '550 5.1.1 no such user here', where 250 or 251 was expected",
    )
    assert postbox.mails == []


@pytest.mark.parametrize("trick", ["a@b>\r\nDATA", "a@b\nQUIT"])
def test_an_address_cannot_be_several_commands(checked, trick):
    with mailserver() as (postbox, port):
        result = checked(port, mail_from=trick, rcpt_to="known@example.test")

    assert result.error == "internal"
    assert "several commands" in result.message
    assert [name for name in postbox.commands if name.startswith("MAIL")] == []


FAULTS = {
    "garbage": ([b"\x16\x03\0\0garbage\r\n"], "protocol", "does not speak SMTP, but says"),
    "http": ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "protocol", "'HTTP/1.1 400 Bad Request"),
    "busy": ([b"421 4.3.2 too busy\r\n"], "status", "with '421 4.3.2 too busy', where 220"),
    "refusing": ([b"554 go away\r\n"], "status", "'554 go away'"),
    "busy later": ([BANNER, b"421 closing\r\n"], "status", "EHLO is answered with '421 closing'"),
    "two codes": ([BANNER, b"250-mx.test\r\n251 SIZE\r\n"], "protocol", "'251 SIZE'"),
    "no end": ([b"220-" + b"x" * 5000], "protocol", "a line that does not end"),
    "many lines": ([b"220-more\r\n" * 200], "protocol", "more than 100 lines"),
    "cut off": ([b"220 mx.te"], "reset", "closed the connection after '220 mx.te'"),
    "nothing": ([b""], "reset", "before its reply was complete"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_told_with_what_was_said(checked, fault):
    answers, error, told = FAULTS[fault]

    def talk(connection):
        for answer in answers[:-1]:
            connection.sendall(answer)
            connection.recv(1000)
        connection.sendall(answers[-1])

    with saying(talk) as port:
        result = checked(port)

    assert (result.error, told in result.message) == (error, True), result.message


def test_a_banner_of_several_lines_is_one(checked):
    with saying(lines(b"220-mx.test\r\n220-no spam\r\n220\r\n", HELLO, b"221 bye\r\n")) as port:
        result = checked(port)

    assert result.ok
    assert result.facts["banner"] == "mx.test no spam"
    assert result.facts["extensions"] == ["8BITMIME", "SIZE"]


def test_replies_may_come_in_pieces(checked):
    def talk(connection):
        for piece in (b"22", b"0 mx.test\r", b"\n"):
            connection.sendall(piece)
            time.sleep(0.005)
        connection.recv(1000)
        connection.sendall(HELLO)
        connection.recv(1000)

    with saying(talk) as port:
        assert checked(port).ok


def test_a_server_that_knows_no_ehlo_is_asked_with_helo(checked):
    with saying(lines(BANNER, b"502 what?\r\n", b"250 mx.test\r\n", b"221 bye\r\n")) as port:
        result = checked(port)

    assert result.ok
    assert result.facts["extensions"] == []


def test_a_server_that_goes_without_a_word_at_the_end_is_up(checked):
    def talk(connection):
        connection.sendall(BANNER)
        connection.recv(1000)
        connection.sendall(HELLO)
        assert connection.recv(1000) == b"QUIT\r\n"

    with saying(talk) as port:
        assert checked(port).ok


def test_a_slow_server_is_out_of_time_however_much_it_says(checked):
    def talk(connection):
        for _ in range(100):
            connection.sendall(b"220-wait\r\n")
            time.sleep(0.02)

    with saying(talk) as port:
        began = time.monotonic()
        result = checked(port, timeout=0.2)

    assert (result.error, time.monotonic() - began < 1) == ("timeout", True)
    assert "waiting for the first byte of an answer" in result.message


def test_what_was_said_before_tls_does_not_count_as_said_within(checked, trusted):
    """Or somebody on the way could put words into the server's mouth (CVE-2011-0411)."""
    hello = b"250-mx.test\r\n250 STARTTLS\r\n"
    with saying(lines(BANNER, hello, b"220 go\r\n250 injected\r\n")) as port:
        result = checked(port, ca=trusted)

    assert (result.error, "went on without TLS" in result.message) == ("protocol", True)


def test_tls_that_is_offered_and_then_refused_is_told(checked):
    hello = b"250-mx.test\r\n250 STARTTLS\r\n"
    with saying(lines(BANNER, hello, b"454 not now\r\n")) as port:
        result = checked(port)

    assert (result.error, "'454 not now'" in result.message) == ("tls", True)


def test_nobody_there_refuses(checked):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    assert checked(port).error == "refused"


def test_a_name_that_leads_to_a_private_address_needs_permission(tools):
    with mailserver() as (postbox, port):
        address = f"smtp://private.test:{port}"
        tools.resolving.addresses = lambda host, port: [(socket.AF_INET, ("127.0.0.1", port))]
        refused = check(Endpoint("it", address, Options()), tools)
        allowed = check(Endpoint("it", address, Options(private=("127.0.0.0/8",))), tools)

    assert (refused.error, allowed.error) == ("private", "")
    assert postbox.commands == ["EHLO [127.0.0.1]", "QUIT"]


def test_what_a_server_says_cannot_move_a_cursor(checked):
    hello = b"250-mx.test\r\n250 \x1b[2J" + b"X" * 200 + b"\r\n"
    with saying(lines(b"220 mx.test \x1b]0;owned\x07 hello\r\n", hello)) as port:
        result = checked(port, starttls=True)

    assert result.error == "tls"
    told = [result.message, result.facts["banner"], *result.facts["extensions"]]
    assert all(each.isprintable() for each in told)
    assert len(result.facts["extensions"][0]) == 50
