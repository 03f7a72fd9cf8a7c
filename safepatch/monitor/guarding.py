"""Which addresses may be asked: a monitor that can be sent anywhere must not be a way in.

What an operator writes as a literal address, or as "localhost", may be asked at exactly that host
and port. Everything else that is not an address of the public Internet needs permission: it may
come from DNS, from a redirect or from an MX record, which others write.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from safepatch.monitor.courses import CheckError
from safepatch.monitor.urls import Url, split


class Network(NamedTuple):
    """A block of addresses, as numbers: each check asks, and objects take ten times as long."""

    is_6: bool
    first: int
    last: int

    @classmethod
    def of(cls, block: str) -> Network:
        """Raises ValueError for what is no network."""
        net = ipaddress.ip_network(block)
        return cls(net.version == 6, int(net.network_address), int(net.broadcast_address))


# From IANA's registries of special-purpose addresses. Our own, because what `is_global` of
# `ipaddress` says differs between the Pythons that we run on. Blocks within blocks are not listed.
SPECIAL_4 = {
    "0.0.0.0/8": "of this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by a carrier",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "reserved",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
# Outside of 2000::/3 nothing is public; see `_special_6`.
SPECIAL_6 = {
    "2001::/23": "reserved",
    "2001:db8::/32": "for documentation",
    "3fff::/20": "for documentation",
}
NAMED_6 = {
    "::/128": "unspecified",
    "::1/128": "loopback",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
# Prefixes before an IPv4 address, and how many bits come after that.
EMBEDDING = {"::/96": 0, "::ffff:0:0/96": 0, "64:ff9b::/96": 0, "2002::/16": 80}


def special(address: str) -> str:
    """Why an address is not one of the public Internet, "loopback" or "private"; "" if it is.

    An IPv6 address that stands for an IPv4 address (mapped, compatible, NAT64, 6to4) is what that
    is. Scope ids count for nothing.
    """
    number = _number(address)
    return _special_6(number) if ":" in address else _special_4(number)


def _number(address: str) -> int:
    if ":" in address:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    else:
        packed = socket.inet_pton(socket.AF_INET, address)
    return int.from_bytes(packed, "big")


def _table(blocks: dict[str, str]) -> tuple[list[int], list[tuple[int, str]]]:
    nets = sorted((Network.of(block), why) for block, why in blocks.items())
    return [net.first for net, _ in nets], [(net.last, why) for net, why in nets]


_STARTS_4, _ENDS_4 = _table(SPECIAL_4)
_BLOCKS_6 = [(Network.of(block), why) for block, why in (SPECIAL_6 | NAMED_6).items()]
_EMBEDDING = [(Network.of(block), shift) for block, shift in EMBEDDING.items()]


def _special_4(number: int) -> str:
    # Found by halves, because each check asks.
    place = bisect_right(_STARTS_4, number) - 1
    end, why = _ENDS_4[place]
    return why if number <= end else ""


def _special_6(number: int) -> str:
    for block, why in _BLOCKS_6:
        if block.first <= number <= block.last:
            return why
    inner = _embedded(number)
    if inner is not None:
        return _special_4(inner)
    return "" if number >> 125 == 1 else "reserved"


def _embedded(number: int) -> int | None:
    """The IPv4 address that one of IPv6 stands for."""
    for block, shift in _EMBEDDING:
        if block.first <= number <= block.last:
            return number >> shift & 0xFFFFFFFF
    return None


@functools.lru_cache(maxsize=1024)
def networks(private: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of `private=`, of which "any" is all. Raises ValueError for what is none."""
    found: list[Network] = []
    for text in private:
        for block in ("0.0.0.0/0", "::/0") if text == "any" else (text,):
            try:
                found.append(Network.of(block))
            except ValueError as error:
                raise ValueError(
                    f'private has {text!r}, which is no network: {error}; write "10.0.0.0/8", or '
                    '"any"'
                ) from None
    return tuple(found)


def allowed(address: str, private: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks; one in IPv6 also as what it stands for."""
    number, is_6 = _number(address), ":" in address
    inner = _embedded(number) if is_6 else None
    for of_6, first, last in private:
        if first <= number <= last and of_6 == is_6:
            return True
        if inner is not None and first <= inner <= last and not of_6:
            return True
    return False


def refuse(host: str, port: int, address: str, written: str, private: Sequence[Network]) -> str:
    """Why `address`, which was found for a host, is not to be asked at a port; "" if it may be.

    `written` is the endpoint's address, as an operator wrote it.
    """
    why = special(address)
    if not why or (private and allowed(address, private)) or _literal(host, port, why, written):
        return ""
    of = "" if host == address else f"{host} is "
    return (
        f"{of}{address}, which is {why}; to allow that, write "
        f'private = ["{address.partition("%")[0]}/{128 if ":" in address else 32}"], or a wider '
        "network"
    )


def _literal(host: str, port: int, why: str, written: str) -> bool:
    """Whether the operator wrote just this host and port, and not a name that others decide on."""
    try:
        url: Url = split(written)
    except CheckError:
        return False
    if (url.host, url.port) != (host, port):
        return False
    return why == "loopback" if host == "localhost" else is_literal(host)


def is_literal(host: str) -> bool:
    """Whether a host is an address, in the plain form."""
    if ":" not in host and not host[-1:].isdigit():
        return False  # a name, as most are; found out faster
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
