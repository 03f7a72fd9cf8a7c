"""Addresses of endpoints and redirects, taken apart."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urljoin

from safepatch.monitor.courses import CheckError

PORTS = {"http": 80, "https": 443, "tls": 443, "smtp": 25, "smtps": 465, "mx": 25, "dns": 53}

_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://"  # scheme
    r"(?:([^/?#@]*(?:@[^/?#@]*)*)@)?"  # user and password, up to the last @
    r"(\[[^\]/?#@]*\]|[^\[\]/?#@:]*)"  # host
    r"(?::([0-9]*))?"  # port
    r"([/?][^#]*)?(?:#.*)?",  # path and query
    re.DOTALL,
)
#: Characters of an address, and of a host in it.
LONGEST, LONGEST_HOST = 8192, 254
_PLAIN_HOST = re.compile(r"[a-z0-9_.-]+\Z").match
_PLAIN_PATH = re.compile(r"[!-~]+\Z").match


class Url(NamedTuple):
    """An address: `host` is in small ASCII letters and without brackets, `path` has the query.

    `port` is 0 where none was written and the scheme has none. `user` and `password` are "" where
    there are none.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    user: str = ""
    password: str = ""

    @property
    def netloc(self) -> str:
        """Host and port as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            host if self.port == PORTS.get(self.scheme) or not self.port else f"{host}:{self.port}"
        )

    @property
    def shown(self) -> str:
        """The address for people: without user and password, and without a query, which may hold
        a secret as well, or be another one each time."""
        return f"{self.scheme}://{self.netloc}{self.path.partition('?')[0]}"

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port


def split(address: str) -> Url:
    """Take an address apart. Raises CheckError("protocol") with what is wrong in it."""
    if len(address) > LONGEST:
        raise CheckError("protocol", f"{_shown(address)}... is longer than {LONGEST} characters")
    found = _URL.fullmatch(address)
    if found is None:
        raise CheckError(
            "protocol", f"{_shown(address)} is no address; write scheme://host:port/path"
        )
    scheme, login, host, port, path = found.groups()
    scheme = scheme.lower()
    number = int(port) if port else PORTS.get(scheme, 0)
    if number > 65535 or (port and not number):
        raise CheckError("protocol", f"{_shown(address)} has port {port}; ports are 1 to 65535")
    user, _, password = (login or "").partition(":")
    return Url(scheme, _host(host, address), number, _path(path), unquote(user), unquote(password))


def join(base: Url, location: str) -> Url:
    """Where a redirect leads to. Raises CheckError("protocol") for no http or https."""
    # A login is not inherited from `base`, and one in `location` is somebody else's idea.
    try:
        joined = urljoin(f"{base.scheme}://{base.netloc}{base.path}", location.strip())
    except ValueError:  # as for brackets that are no address
        message = f"{base.shown} redirects to {_shown(location)}, which is no address"
        raise CheckError("protocol", message) from None
    target = split(joined)
    if target.scheme not in ("http", "https"):
        raise CheckError("protocol", f"{base.shown} redirects to {target.shown}, which is not HTTP")
    return target._replace(user="", password="")


def _host(host: str, address: str) -> str:
    if host[:1] == "[":
        try:
            return ipaddress.IPv6Address(host[1:-1]).compressed
        except ValueError:
            raise CheckError(
                "protocol", f"{_shown(address)} has no IPv6 address in brackets"
            ) from None
    name = host.lower()
    if not name.isascii():
        name = _ascii(name, address)
    if len(name) > LONGEST_HOST or not _PLAIN_HOST(name):
        raise CheckError(
            "protocol", f"{_shown(address)} has {host[:80]!r} for a host, which is no name"
        )
    return name


def _ascii(name: str, address: str) -> str:
    import idna  # browsers' rules (UTS 46), where Python's own codec knows those of 2003

    try:
        return idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise CheckError(
            "protocol", f"{_shown(address)} has {name!r} for a host, which is no name: {error}"
        ) from None


def _path(path: str | None) -> str:
    if not path:
        return "/"
    if path[0] == "?":
        path = "/" + path
    # What is not to be in a request is written as browsers do; what is written so already stays.
    return path if _PLAIN_PATH(path) else quote(path, safe="!#$%&'()*+,/:;=?@[]~")


def _shown(address: str) -> str:
    """An address for messages: short, and with nobody's password in it."""
    start, login, rest = address.rpartition("@")
    scheme = start.partition("://")[0] + "://" if login and "://" in start else ""
    return repr((scheme + rest if login else address)[:200])
