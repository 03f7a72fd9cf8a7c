"""A domain takes mail as long as one of its best exchangers does."""

import socket

import hubs
import pytest
from mailservers import free_port, lines, mailserver, saying
from nameservers import Nameserver

from safepatch.monitor.checks.mx import check
from safepatch.monitor.courses import CheckError
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.tools import Tools

ADDRESSES = {"one.test": "127.0.0.1", "two.test": "127.0.0.2", "three.test": "127.0.0.3"}


@pytest.fixture
def nameserver():
    with Nameserver() as serving:
        serving.zone[("example.test", "MX")] = [
            "example.test. 300 MX 20 two.test.",
            "example.test. 300 MX 10 one.test.",
        ]
        yield serving


@pytest.fixture
def tools():
    def addresses(host, port):
        if host not in ADDRESSES:
            raise CheckError("dns", f"{host} is not there")
        return [(socket.AF_INET, (ADDRESSES[host], port))]

    with Tools(dns_ttl=0) as made:
        made.resolving.addresses = addresses
        yield made
    hubs.end()


@pytest.fixture
def checked(tools, nameserver):
    def checked(port, domain="example.test", **options):
        given = {"private": ("127.0.0.0/8",), "timeout": 1.0, "resolver": nameserver.address}
        options = Options(**{**given, **options})
        return check(Endpoint("it", f"mx://{domain}", options), tools, port=port)

    return checked


def test_a_domain_is_up_whose_best_exchanger_says_220(checked):
    with mailserver() as (postbox, port):
        result = checked(port)

    assert (result.error, result.message, result.warnings) == ("", "", ())
    assert result.facts["exchangers"] == ["one.test", "two.test"]
    assert (result.facts["address"], result.facts["ttl"]) == ("127.0.0.1", 300)
    assert list(result.phases) == ["dns", "connect", "first_byte", "total"]
    assert postbox.commands == ["QUIT"]


def test_the_next_exchanger_is_enough_and_what_is_wrong_with_the_best_is_warned_of(
    checked, nameserver
):
    nameserver.zone[("example.test", "MX")] = [
        "example.test. 300 MX 10 two.test.",
        "example.test. 300 MX 20 one.test.",
    ]
    with mailserver() as (_, port):  # at 127.0.0.1 alone
        result = checked(port)

    assert result.ok
    assert result.warnings == (f"two.test: 127.0.0.2:{port}: the connection is refused",)


def test_a_slow_exchanger_leaves_time_for_the_next(checked, nameserver):
    def slow(connection):
        connection.recv(1)

    with saying(slow) as port:
        result = checked(port, timeout=0.3)

    assert result.error == "timeout"
    assert result.message == (
        f"one.test: no banner within 0.1 seconds; two.test: 127.0.0.2:{port}: "
        "the connection is refused"
    )
    assert result.seconds < 0.3


def test_an_exchanger_is_asked_once_however_often_it_is_named(checked, nameserver):
    nameserver.zone[("example.test", "MX")] *= 2

    assert checked(free_port()).facts["exchangers"] == ["one.test", "two.test"]


def test_a_domain_is_down_none_of_whose_exchangers_answers(checked):
    result = checked(free_port())

    assert result.error == "refused"
    assert "one.test: 127.0.0.1" in result.message
    assert "two.test: 127.0.0.2" in result.message


def test_no_more_than_three_exchangers_are_asked(checked, nameserver):
    names = ["one", "two", "three", "four"]
    nameserver.zone[("example.test", "MX")] = [
        f"example.test. 300 MX {10 * place} {name}.test." for place, name in enumerate(names)
    ]
    result = checked(free_port())

    assert result.facts["exchangers"] == [f"{name}.test" for name in names]
    assert (result.error, "four.test" in result.message) == ("refused", False)


def test_an_exchanger_that_says_something_else_does_not_count(checked):
    with saying(lines(b"554 no\r\n")) as port:
        result = checked(port)

    assert result.error == "status"
    assert "one.test: the connection is answered with '554 no'" in result.message


def test_a_domain_that_takes_no_mail_is_told(checked, nameserver):
    nameserver.zone[("example.test", "MX")] = ["example.test. 300 MX 0 ."]
    result = checked(free_port())

    assert (result.error, result.message) == (
        "content",
        "example.test says that it takes no mail: its MX record has no name",
    )


def test_a_domain_without_exchangers_is_told(checked, nameserver):
    nameserver.zone[("other.test", "A")] = ["other.test. 300 A 192.0.2.1"]

    assert checked(25, "other.test").error == "content"
    assert checked(25, "missing.test").error == "dns"


def test_an_expected_exchanger_must_be_there(checked):
    result = checked(25, answers=("three.test",))

    assert (result.error, "'three.test' is not among" in result.message) == ("content", True)


def test_an_exchanger_at_a_private_address_needs_permission(checked):
    """Others write MX records."""
    with mailserver() as (postbox, port):
        result = checked(port, private=())

    assert result.error == "private"
    assert postbox.commands == []
