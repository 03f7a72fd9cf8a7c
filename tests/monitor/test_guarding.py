"""What a monitor may be sent to ask."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("gevent", reason="needs the extra `monitor`")

from safepatch.monitor import guarding
from safepatch.monitor.guarding import networks, refuse, special

# The first and the last address of each block, and why it is none of the public Internet.
SPECIAL = [
    ("0.0.0.0", "of this network"),
    ("0.255.255.255", "of this network"),
    ("10.0.0.0", "private"),
    ("10.255.255.255", "private"),
    ("100.64.0.0", "shared by a carrier"),
    ("100.127.255.255", "shared by a carrier"),
    ("127.0.0.0", "loopback"),
    ("127.255.255.255", "loopback"),
    ("169.254.0.0", "link-local"),
    ("169.254.169.254", "link-local"),  # where clouds tell secrets
    ("169.254.255.255", "link-local"),
    ("172.16.0.0", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.0", "reserved"),
    ("192.0.0.255", "reserved"),
    ("192.0.2.0", "for documentation"),
    ("192.0.2.255", "for documentation"),
    ("192.88.99.0", "reserved"),
    ("192.88.99.255", "reserved"),
    ("192.168.0.0", "private"),
    ("192.168.255.255", "private"),
    ("198.18.0.0", "for benchmarks"),
    ("198.19.255.255", "for benchmarks"),
    ("198.51.100.0", "for documentation"),
    ("198.51.100.255", "for documentation"),
    ("203.0.113.0", "for documentation"),
    ("203.0.113.255", "for documentation"),
    ("224.0.0.0", "multicast"),
    ("239.255.255.255", "multicast"),
    ("240.0.0.0", "reserved"),
    ("255.255.255.255", "reserved"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::127.0.0.1", "loopback"),
    ("::10.0.0.1", "private"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:192.168.1.1", "private"),
    ("::fffe:8.8.8.8", "reserved"),
    ("64:ff9b::127.0.0.1", "loopback"),
    ("64:ff9b::169.254.169.254", "link-local"),
    ("64:ff9b:1::8.8.8.8", "reserved"),
    ("100::", "reserved"),
    ("100:0:0:1::", "reserved"),
    ("2001::", "reserved"),  # Teredo
    ("2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("2001:db8::", "for documentation"),
    ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "for documentation"),
    ("2002:7f00:1::", "loopback"),
    ("2002:a00:1::1", "private"),
    ("2002:c0a8:101:ffff:ffff:ffff:ffff:ffff", "private"),
    ("3fff::", "for documentation"),
    ("3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "for documentation"),
    ("4000::", "reserved"),
    ("5f00::", "reserved"),
    ("fc00::", "private"),
    ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local"),
    ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
    ("fec0::", "site-local"),
    ("ff02::1", "multicast"),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
]
PUBLIC = [
    "1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255",
    "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0",
    "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255",
    "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
    "2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2606:4700::1111", "2a00::",
    "3ffe:ffff::", "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1",
]  # fmt: skip


@pytest.mark.parametrize(("address", "why"), SPECIAL)
def test_special_addresses_are_known(address, why):
    assert special(address) == why


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_need_no_permission(address):
    assert special(address) == ""
    assert refuse("a.test", 80, address, "http://a.test/", ()) == ""


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_special_in_every_dress_or_in_none(address):
    bare = special(str(address))

    for dress in ("::ffff:0:0", "64:ff9b::", "2002::"):
        shift = 80 if dress == "2002::" else 0
        dressed = ipaddress.IPv6Address(int(ipaddress.IPv6Address(dress)) | int(address) << shift)
        assert special(str(dressed)) == bare


@given(st.ip_addresses())
def test_what_python_calls_private_is_never_public(address):
    # The other way round it knows fewer in some versions, and calls some blocks private that are
    # not, such as 192.0.0.9/32.
    if address.is_private and not special(str(address)):
        dressed = isinstance(address, ipaddress.IPv6Address) and (
            address.ipv4_mapped or address.sixtofour or int(address) >> 32 in (0, 0xFFFF)
        )
        assert dressed


@pytest.mark.parametrize(
    ("host", "port", "address", "written", "is_refused"),
    [
        # What the operator wrote, at the port that he wrote.
        ("10.0.0.1", 80, "10.0.0.1", "http://10.0.0.1/", False),
        ("10.0.0.1", 8080, "10.0.0.1", "http://10.0.0.1:8080/", False),
        ("::1", 80, "::1", "http://[::1]/", False),
        ("localhost", 80, "127.0.0.1", "http://localhost/", False),
        ("localhost", 80, "::1", "http://LOCALHOST/", False),
        # Another port, or another host.
        ("10.0.0.1", 22, "10.0.0.1", "http://10.0.0.1/", True),
        ("10.0.0.2", 80, "10.0.0.2", "http://10.0.0.1/", True),
        ("localhost", 22, "127.0.0.1", "http://localhost/", True),
        ("127.0.0.1", 80, "127.0.0.1", "http://localhost/", True),
        # What others decide on.
        ("localhost", 80, "10.0.0.1", "http://localhost/", True),
        ("a.test", 80, "127.0.0.1", "http://a.test/", True),
        ("a.test", 80, "169.254.169.254", "http://a.test/", True),
        ("a.localhost", 80, "127.0.0.1", "http://a.localhost/", True),
        ("127.1", 80, "127.0.0.1", "http://127.1/", True),
        ("2130706433", 80, "127.0.0.1", "http://2130706433/", True),
    ],
)
def test_only_what_an_operator_writes_literally_is_allowed(
    host, port, address, written, is_refused
):
    assert bool(refuse(host, port, address, written, ())) == is_refused


@pytest.mark.parametrize(
    ("private", "address", "is_refused"),
    [
        (("10.0.0.0/8",), "10.1.2.3", False),
        (("10.0.0.0/8",), "192.168.0.1", True),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", False),
        (("10.0.0.0/8",), "64:ff9b::10.1.2.3", False),
        (("10.0.0.0/8",), "2002:a01:203::1", False),
        (("10.1.2.3",), "10.1.2.3", False),
        (("fd00::/8",), "fd00::1", False),
        (("fd00::/8", "127.0.0.0/8"), "127.0.0.1", False),
        (("any",), "10.1.2.3", False),
        (("any",), "fe80::1%eth0", False),
        (("any",), "224.0.0.1", False),
    ],
)
def test_a_network_can_be_allowed(private, address, is_refused):
    assert bool(refuse("a.test", 80, address, "http://a.test/", networks(private))) == is_refused


def test_a_refusal_says_which_address_and_how_to_allow_it():
    assert refuse("a.test", 80, "10.1.2.3", "http://a.test/", ()) == (
        "a.test is 10.1.2.3, which is private; to allow that, write "
        'private = ["10.1.2.3/32"], or a wider network'
    )
    assert 'private = ["fe80::1/128"]' in refuse("a.test", 1, "fe80::1%lo", "http://a.test/", ())


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "all", "10.0.0.0/33", ""])
def test_what_is_no_network_is_refused(wrong):
    with pytest.raises(ValueError, match="is no network"):
        networks((wrong,))


def test_the_table_holds_no_blocks_within_blocks():
    nets = [ipaddress.ip_network(each) for each in guarding.SPECIAL_4]

    assert not [(a, b) for a in nets for b in nets if a is not b and a.overlaps(b)]
