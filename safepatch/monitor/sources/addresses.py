"""What an address is, as people write them: a URL whose scheme is the kind of check, or a host."""

from __future__ import annotations

import difflib
import functools
import ipaddress
import re
import urllib.parse
from collections.abc import Iterable

SCHEMES = ("http", "https", "tcp", "tls", "icmp", "smtp", "smtps", "mx", "dns", "beat")
RECORDS = (
    *("A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA"),
    *("SRV", "SSHFP", "SVCB", "TLSA", "TXT"),
)
_HTTP = ("http", "https")
_PORTS = {"http": "80", "https": "443", "smtp": "25", "smtps": "465"}  # what goes without saying
_PORTLESS = ("icmp", "mx", "dns")
_HAS_USER = (
    "the address has a user's name in it; say username and password_env of an endpoint in a .toml "
    "file"
)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"  # underscores: names that there are
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_USUAL = re.compile(rf"(?:(https?)://)?({_LABEL}(?:\.{_LABEL})*)(/[A-Za-z0-9/_.~=&?-]*)?")
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_AUTHORITY = re.compile(r"(\[[^]]*\]|[^:]*)(?::(.*))?", re.DOTALL)


def nearest(word: str, words: Iterable[str]) -> str:
    """The question whether that one was meant, "; did you mean 'x'?", or what there is."""
    known = tuple(dict.fromkeys(words))
    if len(known) > 2000:  # of which comparing all takes too long
        known = tuple(one for one in known if one[:2] == word[:2])[:2000] or known[:20]
    return _nearest(word, known)


@functools.lru_cache(maxsize=256)  # the same mistake is often in each line
def _nearest(word: str, words: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, words, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    if not words:
        return "; there are none"
    more = ", ..." if len(words) > 12 else ""
    return f"; there {'is' if len(words) == 1 else 'are'} {', '.join(words[:12])}{more}"


def normal(text: str) -> str:
    """The address, with its scheme and host in lower case and in ASCII, without a usual port.

    Raises ValueError, which says what is wrong with it, and what to write instead.
    """
    usual = _USUAL.fullmatch(text)
    # Almost all there are, in a list of tens of thousands.
    if usual and (usual[1] or not usual[3]) and len(usual[2]) <= 253 and not usual[2][-1].isdigit():
        return text
    if not text.strip():
        raise ValueError("there is no address")
    if not text.isprintable() or " " in text:
        what = "the address" if "@" in text else shown(text)  # it may have a password
        raise ValueError(f"{what} has blanks or signs that do not print; remove them")
    scheme, found, rest = text.partition("://")
    if not found:
        return _to_be_found_out(text)
    if scheme.lower() not in SCHEMES:
        hint = nearest(scheme.lower(), SCHEMES)
        raise ValueError(f"there is no kind of check {scheme!r}{hint}")
    return _url(text, scheme.lower(), rest)


def likeness(one: str) -> str:
    """What two addresses have in common if they ask for the same."""
    is_bare = one.endswith("/") and one.count("/") == 3
    return one[:-1] if is_bare else one


def shown(value: object) -> str:
    """A value as it is shown in a message."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _to_be_found_out(text: str) -> str:
    _without_scheme(text)
    try:
        is_bracketed = text.startswith("[") and text.endswith("]")
        return str(ipaddress.IPv6Address(text[1:-1] if is_bracketed else text))
    except ValueError:
        pass
    name, port = _split(text, text)
    return f"{_in_brackets(host(name))}{_port(port, text)}"


def _without_scheme(text: str) -> None:
    """Refuse what only a scheme can make sense of."""
    split = re.fullmatch(r"([A-Za-z]+)(?::/?|//)(.+)", text)
    if split and not split[2].isdigit():
        hint = difflib.get_close_matches(split[1].lower(), SCHEMES, 1)
        if hint:
            raise ValueError(f"{shown(text)} is no address; did you mean '{hint[0]}://{split[2]}'?")
    if "@" in text:
        user, _, mail = text.rpartition("@")
        if ":" in user:
            raise ValueError(_HAS_USER)
        raise ValueError(f"{shown(text)} is no address of a server; did you mean 'mx://{mail}'?")
    if re.search(r"[/?#]", text):
        raise ValueError(
            f"{shown(text)} has a path, but no scheme; did you mean 'https://{text.lstrip('/')}'?"
        )


def _url(text: str, scheme: str, rest: str) -> str:
    if scheme == "beat":
        return f"beat://{_beat(text, rest)}"
    cut = re.search(r"[/?#\\]", rest)
    authority, tail = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    if "@" in authority:
        raise ValueError(_HAS_USER)
    name, port = _split(authority, text)
    if scheme in _PORTLESS and port is not None:
        raise ValueError(f"{scheme}:// takes no port; did you mean '{scheme}://{name}'?")
    if scheme == "tcp" and port is None:
        raise ValueError(f"{shown(text)} has no port; say it, '{text.rstrip('/')}:5432'")
    said = "" if port == _PORTS.get(scheme) else _port(port, text)
    return f"{scheme}://{_in_brackets(host(name))}{said}{_tail(scheme, name, tail)}"


def _beat(text: str, name: str) -> str:
    if not name or "/" in name or len(name) > 200:
        raise ValueError(f"{shown(text)} is no heartbeat; write 'beat://' and a name")
    return name


def _split(authority: str, text: str) -> tuple[str, str | None]:
    found = _AUTHORITY.fullmatch(authority)
    if authority.count(":") > 1 and not authority.startswith("["):
        if re.fullmatch("[0-9A-Fa-f:.]+", authority):
            raise ValueError(f"{shown(text)} is to have its host in brackets, as '[2001:db8::1]'")
        raise ValueError(f"{shown(text)} has more than one port")
    if not found or (authority.startswith("[") and "]" not in authority):
        raise ValueError(f"{shown(text)} has brackets that are not closed, or not before the port")
    if not found[1]:
        raise ValueError(f"{shown(text)} has no host")
    return found[1], found[2]


def _port(port: str | None, text: str) -> str:
    if port is None:
        return ""
    if not re.fullmatch("[0-9]{1,9}", port) or not 0 < int(port) < 65536:
        raise ValueError(f"{shown(text)} has the port {port!r}; ports are from 1 to 65535")
    return f":{int(port)}"


def _tail(scheme: str, name: str, tail: str) -> str:
    if scheme in _HTTP:
        if "\\" in tail:
            meant = f"{scheme}://{name}{tail}".replace("\\", "/")
            raise ValueError(f"the address has a backslash; did you mean {shown(meant)}?")
        return urllib.parse.quote(tail.partition("#")[0], safe="!\"#$%&'()*+,-./:;=?@[]_`{|}~<>^")
    if tail in ("", "/"):
        return ""
    if scheme == "dns" and tail.startswith(("?", "/?")):
        return _query(tail.lstrip("/?"))
    raise ValueError(f"{scheme}:// takes no path; did you mean '{scheme}://{name}'?")


def _query(query: str) -> str:
    said = urllib.parse.parse_qsl(query, keep_blank_values=True)
    for key, record in said:
        if key not in ("type", "resolver", "answer"):
            raise ValueError(f"dns:// takes no {key!r}; write '?type=MX'")
        if key == "type" and record.upper() not in RECORDS:
            hint = nearest(record.upper(), RECORDS)
            raise ValueError(f"there are no records of the type {record!r}{hint}")
    plain = [(key, value.upper() if key == "type" else value) for key, value in said]
    return f"?{urllib.parse.urlencode(plain, safe=':[]')}" if plain else ""


def _in_brackets(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def host(name: str) -> str:
    """A host's name or address, in lower case and in ASCII; IPv6 without brackets.

    Raises ValueError, if it is none.
    """
    if name.startswith("["):
        return _ipv6(name[1:-1])
    plain = name.lower() if name.isascii() else _ascii(name)
    if _NUMERIC.fullmatch(plain):
        return _ipv4(plain)
    if not _HOST.fullmatch(plain) or len(plain) > 253:
        raise ValueError(f"{shown(name)} is no name of a host{_why(plain)}")
    return plain


def _why(name: str) -> str:
    if not name:
        return ": it is empty"
    if "," in name or ";" in name:
        return "; write one address a line"
    if "*" in name:
        return "; write each address that is meant"
    signs = sorted({sign for sign in name if not re.match(r"[a-z0-9_.-]", sign)})
    if signs:
        return f": it has {', '.join(map(repr, signs[:3]))}"
    if ".." in name or name.startswith("."):
        return ": there is nothing between two dots"
    if len(name) > 253 or any(len(label) > 63 for label in name.split(".")):
        return ": it is too long"
    return ": no part of it begins or ends with '-'"


def _ascii(name: str) -> str:
    try:
        import idna  # late, for few names need it
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{shown(name)} needs 'idna'; install it with pip install 'safepatch-py[monitor]'"
        ) from error
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(f"{shown(name)} is no name of a host: {error}") from None


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text.rstrip(".")))
    except ValueError as error:
        raise ValueError(f"{shown(text)} is no IPv4 address: {error}") from None


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError as error:
        raise ValueError(f"{shown(text)} is no IPv6 address: {error}") from None
