"""Files of lines: an address a line, "name = address" where it is to be called otherwise.

What begins with "#" is for people, at the beginning of a line or after a blank. A line `allow
10.0.0.0/8` permits that the endpoints of this file are in that network.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

from safepatch.monitor.sources.addresses import SCHEMES, nearest, normal, shown

Tell = Callable[[str, str], None]  # where, and what is wrong there

_COMMENT = re.compile(r"(?:^|\s)#.*")
_NAMED = re.compile(r"(\S.*?)\s+=\s+(\S.*)")
_TABLE = re.compile(r"\[{1,2}[A-Za-z_][\w.\"-]*\]{1,2}")
_ALLOW = re.compile(r"allow\s+(.+)", re.IGNORECASE)


class Line(NamedTuple):
    """An address, the name that it goes by, and whether that was given or is the address."""

    name: str
    address: str
    number: int
    is_named: bool = False


class Lines(NamedTuple):
    """What a file of lines says: its addresses, and the networks that it allows."""

    entries: list[Line]
    allowed: tuple[str, ...]


def decode(data: bytes, where: str, tell: Tell) -> str:
    """Text that was written in UTF-8, with or without a mark at its beginning.

    Where it is something else, that is told; what cannot be read is left out.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4096]:
        kind = "UTF-16" if data[:1] in (b"\xff", b"\xfe") else "no text"
        tell(where, f"this is {kind}; save it as UTF-8")
        return ""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "\n".join(_decoded(data, where, tell))


def _decoded(data: bytes, where: str, tell: Tell) -> Iterator[str]:
    """Line by line, an empty one instead of each that is no UTF-8."""
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            read = line.decode("latin-1").strip()
            sign = line[error.start : error.start + 1].decode("latin-1")
            tell(
                f"{where}:{number}",
                f"this is no UTF-8: in Latin-1 it has {sign!r}, in {shown(read)}; "
                "save the file as UTF-8",
            )
            yield ""


def read(text: str, where: str, tell: Tell, pause: Callable[[], None]) -> Lines:
    """What the lines say; what is wrong is told, each time with its line."""
    entries: list[Line] = []
    allowed: list[str] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, raw in enumerate(lines, 1):
        if number % 500 == 0:
            pause()
        line = _COMMENT.sub("", raw).strip() if "#" in raw else raw.strip()
        if not line:
            continue
        try:
            if line.lower() == "allow":
                raise ValueError("it allows nothing; write a network, 'allow 10.0.0.0/8'")
            if " " not in line and "\t" not in line and line != "=":
                entries.append(_alone(line, number))
            elif (allow := _ALLOW.fullmatch(line)) and "=" not in line:
                allowed += map(network, re.split(r"[\s,]+", allow[1]))
            else:
                entries.append(_named(line, number))
        except ValueError as error:
            tell(f"{where}:{number}", f"{error}{_meant(line, str(error))}")
    return Lines(entries, tuple(dict.fromkeys(allowed)))


def _alone(line: str, number: int) -> Line:
    try:
        return unnamed(line, number)
    except ValueError:
        name, equals, address = line.partition("=")
        if not (name and equals and address) or "/" in name:
            raise
        meant = f"{name} = {normal(address)}"
    raise ValueError(f"{shown(line)} has no blanks around the '='; did you mean {meant!r}?")


def unnamed(text: str, number: int = 0) -> Line:
    """An address that is its own name. Raises ValueError for what is none."""
    address = normal(text)
    name = address if text.isascii() else text  # as people read it
    return Line(name.removeprefix("beat://"), address, number)


def argument(text: str) -> Line:
    """An address, or "name = address". Raises ValueError for what is neither."""
    named = _NAMED.fullmatch(text)
    return Line(named[1], normal(named[2]), 0, True) if named else unnamed(text)


def _meant(line: str, error: str) -> str:
    """The question whether an address was meant that is somewhere in the line, or ""."""
    if line.startswith(("//", ";", "--", "!", "%")):
        return "; what is for people begins with '#'"
    if _TABLE.fullmatch(line):
        return "; tables are read from a file only, whose name ends in '.toml'"
    if "did you mean" in error or "@" in line:
        return ""
    for word in re.split(r"[\s,;()\[\]]+", line):
        word = word.strip("\"'<>`")
        if word != line and ("://" in word or "." in word[:-1]):
            try:
                return f"; did you mean {normal(word)!r}?"
            except ValueError:
                continue
    return ""


def _named(line: str, number: int) -> Line:
    named = _NAMED.fullmatch(line)
    if named:
        return Line(named[1], normal(named[2]), number, True)
    if line.startswith("=") or line.endswith("="):
        what, side = ("name", "before") if line.startswith("=") else ("address", "after")
        raise ValueError(f"{shown(line)} has no {what} {side} the '='; write 'name = address'")
    word, rest = line.split(None, 1)
    if word.lower() in ("alow", "allows", "allowed", "permit"):
        raise ValueError(f"{shown(line)} is no address; did you mean 'allow {rest}'?")
    if word.rstrip(":").lower() in SCHEMES:
        raise ValueError(f"{shown(line)} has a blank; did you mean '{word.rstrip(':')}://{rest}'?")
    raise ValueError(f"{shown(line)} has a blank; write one address a line, or 'name = address'")


def network(text: str) -> str:
    """A network, an address, or "any". Raises ValueError, with the one that was meant."""
    if text.lower() == "any":
        return "any"
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        hint = nearest(text, ["any"]) if text.isalpha() else "; write it as '10.0.0.0/8'"
        raise ValueError(f"{shown(text)} is no network{hint}") from None
    if "/" in text and str(ipaddress.ip_interface(text).ip) != str(found.network_address):
        raise ValueError(f"{shown(text)} is no network; did you mean '{found}'?")
    return str(found)


def wrong_name(name: str) -> str:
    """Why an endpoint cannot be called so, or ""."""
    if not name.strip():
        return "a name is not to be blank"
    if name != name.strip() or not name.isprintable():
        return f"the name {shown(name)} has blanks around it, or signs that do not print"
    if name.startswith("#"):
        return f"the name {shown(name)} begins with '#', as tags do"
    if not unicodedata.is_normalized("NFC", name):
        return f"the name {shown(name)} has accents of their own; type it anew (it is not in NFC)"
    if len(name) > 200:
        return f"the name {shown(name)} is longer than 200"
    return ""
