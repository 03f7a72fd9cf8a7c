"""How numbers and times are told to people."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

_UNITS = ((86400 * 365, "y"), (86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_KEY = re.compile(r"(?<=/beat/)[^/\s]+")
_USERINFO = re.compile(r"(?<=://)[^\s/?#]*@")


def duration(seconds: float) -> str:
    """Two units at most: "3 d 4 h", "12 min", "40 s"."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for size, unit in _UNITS:
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
        if len(parts) == 2 or (parts and unit in ("min", "s")):
            break
    return " ".join(parts)


def ago(at: float, now: float | None = None) -> str:
    """How long that was ago, "never" for 0, which stands for nothing."""
    if not at:
        return "never"
    seconds = (time.time() if now is None else now) - at
    return "just now" if seconds < 2 else f"{duration(seconds)} ago"


def iso(at: float) -> str:
    """2026-11-26T11:53:11Z, "" where that is no time at all."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return ""


def when(at: float) -> str:
    """26 Nov 2026 11:53:11 UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%d %b %Y %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return ""


def day(at: float) -> str:
    """26 Nov 2026, in UTC."""
    return when(at)[:11]


def took(seconds: float | None) -> str:
    """How long something quick took: "0.4 ms", "38 ms", "1.25 s"; "-" for nothing."""
    if seconds is None:
        return "-"
    if seconds >= 0.9995:
        return f"{seconds:.2f} s"
    if seconds >= 0.00095 or not seconds:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds * 1e3:.1f} ms" if seconds >= 0.00005 else "<0.1 ms"


def percent(share: float | None) -> str:
    """Of 1; never rounded up to 100 %, since that is a promise."""
    if share is None:
        return "-"
    if share >= 1:
        return "100 %"
    if share > 0.99:
        return f"{int(share * 1e5) / 1e3:.3f} %"
    return f"{int(share * 1e3) / 10:.1f} %"


def number(value: float) -> str:
    """49,900."""
    return f"{value:,.0f}"


def clip(text: str, length: int = 200) -> str:
    """The beginning of a text, which may be of any length and anybody's."""
    return text if len(text) <= length else text[: length - 1] + "…"


def sentence(text: str) -> str:
    """A text with a large first letter; the others stay, so that TLS does."""
    return text[:1].upper() + text[1:]


def discreet(text: str) -> str:
    """A text without the user and password of the URLs in it."""
    return _USERINFO.sub("***@", text)


def keyless(text: str) -> str:
    """A text, as for a log, without the keys of heartbeats in the paths in it."""
    return _KEY.sub("***", text)


def many(count: int, one: str, more: str = "") -> str:
    """1 endpoint, 2 endpoints."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def fact(value: Any, key: str = "") -> str:
    """What was learned or seen, which may be any JSON value; some keys have units."""
    if key == "latency" and isinstance(value, dict) and set(value) == {"median", "mad"}:
        return f"{took(value['median'])}, mostly within {took(3 * value['mad'])} of it"
    if key == "size" and isinstance(value, list) and len(value) == 2:
        return f"{number(value[0])} to {number(value[1])} bytes"
    if isinstance(value, dict):
        return ", ".join(f"{each.replace('_', ' ')} {fact(value[each])}" for each in value)
    if isinstance(value, list | tuple):
        return ", ".join(map(fact, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
