"""Where endpoints are: who shares an address, or a network, with whom."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Collection, Iterable

from safepatch.monitor.courses import CheckError
from safepatch.monitor.urls import split


def network_of(address: str) -> str:
    """The network of an address that is likely to fail as one: its /24, or /48; "" for none."""
    if ":" not in address:
        head, dot, last = address.rpartition(".")
        return f"{head}.0/24" if dot and last.isdigit() and head.count(".") == 2 else ""
    return _network_of_ipv6(address)


@functools.lru_cache(4096)
def _network_of_ipv6(address: str) -> str:
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 48), strict=False))
    except ValueError:
        return ""


_PRIVATE = (
    "10.", "127.", "192.168.", "169.254.", "::1", "fe80:", "fc", "fd", "::ffff:",
    *(f"172.{second}." for second in range(16, 32)),
    *(f"100.{second}." for second in range(64, 128)),
)  # fmt: skip


def is_private(address: str) -> bool:
    """Whether an address is not reached by the line to the outside; roughly, and quickly."""
    return address.startswith(_PRIVATE)


def domain_of(address: str) -> str:
    """The last two labels of the name in an endpoint's address: "example.com"; "" for none."""
    rest = address.partition("://")[2] or address
    host = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    host = host.partition(":")[0].rstrip(".").lower()
    labels = host.rsplit(".", 2)[-2:]
    return ".".join(labels) if len(labels) == 2 and not labels[1].isdigit() else ""


class Places:
    """The address at which each endpoint was seen last, and who is in the same network.

    `url` tells what an endpoint asks for, by its name, as far as that is known. Some 350 bytes an
    endpoint, where each has a network of its own.
    """

    def __init__(self, url: Callable[[str], str] = lambda name: "") -> None:
        self._url = url
        self._ports: dict[str, int] = {}
        self._numbers: dict[int, int] = {}  # each port once, for most are the same few
        self.addresses: dict[str, str] = {}
        # A name, or names: most networks have one, and a set takes 200 bytes.
        self.networks: dict[str, str | set[str]] = {}

    def seen(self, name: str, address: str) -> None:
        """Note the address of an endpoint; 0.1 us if it is the same as before."""
        before = self.addresses.get(name)
        if before == address or not address:
            return
        self.addresses[name] = address
        port = self._port(name)
        self._ports[name] = self._numbers.setdefault(port, port)
        network = network_of(address)
        if before is not None:
            if (old := network_of(before)) == network:
                return
            self._leave(name, old)
        if network:
            self._join(name, network)

    def _join(self, name: str, network: str) -> None:
        there = self.networks.get(network)
        if there is None:
            self.networks[network] = name
        elif isinstance(there, set):
            there.add(name)
        elif there != name:
            self.networks[network] = {there, name}

    def _leave(self, name: str, network: str) -> None:
        there = self.networks.get(network)
        if isinstance(there, set):
            there.discard(name)
            if not there:
                del self.networks[network]
        elif there == name:
            del self.networks[network]

    def service(self, name: str) -> str:
        """The address and port that an endpoint asks, "192.0.2.7:443"; "" for none."""
        address, port = self.addresses.get(name, ""), self._ports.get(name, 0)
        where = f"[{address}]" if ":" in address else address
        return f"{where}:{port}" if port else ""

    def _port(self, name: str) -> int:
        try:
            return split(self._url(name)).port
        except (CheckError, KeyError):  # it was not found out of which kind it is, or it has gone
            return 0

    def near(self, network: str) -> Collection[str]:
        """The names of those in a network."""
        there = self.networks.get(network, ())
        return (there,) if isinstance(there, str) else there

    def forget(self, names: Iterable[str]) -> None:
        """Drop what is not watched any more."""
        for name in names:
            self._ports.pop(name, None)
            address = self.addresses.pop(name, None)
            if address is not None:
                self._leave(name, network_of(address))
