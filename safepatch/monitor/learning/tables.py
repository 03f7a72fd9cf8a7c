"""The tables of a file with what was learned, one for each endpoint, in TOML.

A table ends with `ours`, a checksum of what was learned; where that is missing or another, a person
has edited it. What is written is a line a key, whose values are JSON as well, so that it is read a
hundred times as fast as by a reader of TOML, which reads what people have written otherwise.
"""

from __future__ import annotations

import calendar
import time
import tomllib
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from safepatch.monitor.learning.profiles import FACTS, LEARN_FROM, Profile, share
from safepatch.monitor.sources.addresses import nearest, shown

HEAD = """\
# What safepatch monitor has learned of each endpoint, and warns of when it changes.
# You may edit it: a table that you have edited is yours, and is not changed any more until it is
# learned anew. To learn anew, remove the table.
"""
_KEYS = {
    "address": str,
    "of": str,
    "status": int,
    "url": str,
    "title": str,
    "words": list[str],
    "size": tuple[int, int],
    "issuer": str,
    "expires": str,
    "latency": float,
    "spread": float,
    "varies": tuple[str, ...],
    "ours": str,
}
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class UnreadableError(ValueError):
    """The file as a whole cannot be read."""


def table(name: str, profile: Profile) -> str:
    """The table of an endpoint."""
    head = f"\n[{_text(name)}]\n"
    if profile.address:
        head += f"address = {_text(profile.address)}\n"
    if profile.of != name:
        head += f"of = {_text(profile.of)}\n"
    if not profile.is_whole:
        return head
    lines = "".join(_lines(profile))
    return head + lines + ("" if profile.edited else f'ours = "{zlib.crc32(lines.encode()):08x}"\n')


def _lines(profile: Profile) -> Iterator[str]:
    if profile.status:
        yield f"status = {profile.status}\n"
    for key in ("url", "title"):
        if value := getattr(profile, key):
            yield f"{key} = {_text(value)}\n"
    if profile.words:
        yield f"words = [{', '.join(map(_text, profile.words.split()))}]\n"
    if profile.high:
        yield f"size = [{profile.low}, {profile.high}]\n"
    if profile.issuer:
        yield f"issuer = {_text(profile.issuer)}\n"
    if profile.expires:
        yield f'expires = "{time.strftime(_TIME, time.gmtime(profile.expires))}"\n'
    if profile.latency:
        yield f"latency = {profile.latency:.6f}\nspread = {profile.spread:.6f}\n"
    if profile.varies:
        yield f"varies = [{', '.join(map(_text, profile.varies))}]\n"


def _text(text: str) -> str:
    """A text as both TOML and JSON have it."""
    try:
        written = _encode(text)
    except UnicodeEncodeError:  # halves of characters
        written = _encode(text.encode("utf-8", "replace").decode())
    return written.decode().replace("\x7f", "\\u007f")


def chunks(text: str) -> Iterator[tuple[int, str]]:
    """The tables of a file, each with its line, if it looks as it was written."""
    line = 1
    first, *parts = ("\n" + text).replace("\r\n", "\n").split("\n[")
    if any(not one.startswith("#") for one in map(str.strip, first.split("\n")) if one):
        yield line, first
    for part in parts:
        line += first.count("\n")
        yield line, f"[{part}"
        first = f"\n{part}"


def parse(chunk: str) -> tuple[str, dict[str, Any], bool]:
    """The name of a table, what it says, and whether it is as it was written.

    Raises UnreadableError, if it is no table by itself.
    """
    try:
        return _quickly(chunk)
    except (ValueError, msgspec.MsgspecError):
        pass
    try:
        [(name, said)] = tomllib.loads(chunk).items()
    except (ValueError, RecursionError) as error:
        raise UnreadableError(str(error)) from None
    return name, said, False


def _quickly(chunk: str) -> tuple[str, dict[str, Any], bool]:
    head, _, body = chunk.partition("\n")
    name = _decode(head.strip()[1:-1])
    said: dict[str, Any] = {}
    learned = []
    for line in body.split("\n"):
        key, is_key, value = line.partition(" = ")
        if is_key:
            if not key.isalpha() or key in said:
                raise ValueError(key)
            said[key] = _decode(value)
            if key not in ("address", "of", "ours"):
                learned.append(f"{line}\n")
        elif line and not line.startswith("#"):
            raise ValueError(line)
    is_ours = said.get("ours") == f"{zlib.crc32(''.join(learned).encode()):08x}"
    return name, said, is_ours


def profile_of(name: str, said: dict[str, Any], is_ours: bool) -> tuple[Profile, list[str]]:
    """What a table says, and what is wrong with it."""
    wrong: list[str] = []
    found: dict[str, Any] = {}
    for key, value in said.items():
        if key not in _KEYS:
            wrong.append(f"there is no key {key!r}{nearest(key, _KEYS)}")
            continue
        try:
            found[key] = msgspec.convert(value, _KEYS[key])
        except msgspec.ValidationError:
            wrong.append(f"{key} cannot be {shown(value)}")
    profile = Profile(of=name)
    for key in ("address", "of", "status", "url", "title", "issuer", "latency", "spread", "varies"):
        if key in found:
            setattr(profile, key, found[key])
    profile.words = " ".join(found.get("words", ()))
    profile.low, profile.high = found.get("size", (0, 0))
    if "expires" in found:
        try:
            profile.expires = calendar.timegm(time.strptime(found["expires"], _TIME))
        except ValueError:
            wrong.append("expires is not written as 2027-01-31T12:00:00Z")
    if not {*FACTS, "varies"}.isdisjoint(said):
        profile.checks, profile.edited = LEARN_FROM, not is_ours
    profile.is_saved = True
    share(profile)
    return profile, wrong
