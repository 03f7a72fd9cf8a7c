"""What texts must look like, and other values of more than one part.

Each check gives what is wrong with a value, and what to do, or "".
"""

from __future__ import annotations

import datetime
import difflib
import ipaddress
import json
import logging
import re
import warnings
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from safepatch.monitor.sources import addresses
from safepatch.monitor.sources.addresses import nearest, shown
from safepatch.monitor.sources.lines import network

Check = Callable[[Any], str]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def each(check: Check) -> Check:
    return lambda values: next(filter(None, map(check, values)), "")


def not_blank(value: str) -> str:
    return "" if value.strip() else "the text is blank"


def method(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z-]*", value):
        return f"{shown(value)} is no method{nearest(value, METHODS)}"
    near = difflib.get_close_matches(value.upper(), METHODS, 1, 0.7)
    is_meant = value in METHODS or (value.isupper() and not near)
    return "" if is_meant else f"there is no method {value!r}{nearest(value.upper(), METHODS)}"


def headers(value: Mapping[str, str]) -> str:
    seen: dict[str, str] = {}
    for name, text in value.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            return f"{shown(name)} is no name of a header"
        if name.lower() in ("content-length", "transfer-encoding", "connection"):
            return f"the header {name!r} is set by the monitor; remove it"
        if name.lower() in seen:
            return f"the header {name!r} is there already as {seen[name.lower()]!r}"
        if re.search(r"[\0\r\n]", text):
            return f"the header {name!r} has a value of more than one line"
        seen[name.lower()] = name
    return ""


def variable(value: str) -> str:
    """Whether an environment variable can be called so."""
    if not value or _VARIABLE.fullmatch(value):
        return ""
    hint = f"; did you mean {value.strip('${}')!r}?" if value.startswith("$") else ""
    return f"{shown(value)} is no name of an environment variable{hint}"


def variables(value: Mapping[str, str]) -> str:
    return headers(dict.fromkeys(value, "")) or each(variable)(value.values())


def status(value: str) -> str:
    found = re.fullmatch(r"([1-5])(\d\d|xx)|([1-5]\d\d)-([1-5]\d\d)", value)
    if not found and value.lower() != value:
        return f"{shown(value)} is no status; did you mean {value.lower()!r}?"
    if not found:
        return f"{shown(value)} is no status, such as 200, '2xx' or '200-299'"
    if found[3] and found[3] > found[4]:
        return f"{value!r} ends before it begins; did you mean '{found[4]}-{found[3]}'?"
    return ""


def day(value: str) -> str:
    if value in DAYS:
        return ""
    short = value.lower()[:3]
    hint = f"; did you mean {short!r}?" if short in DAYS else nearest(value, DAYS)
    return f"there is no day {value!r}{hint}"


def regex(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        return f"{shown(value)} is no regular expression: {error}"
    return ""


def paths(value: Mapping[str, Any]) -> str:
    from safepatch.monitor.checks.bodies import steps  # late: it has gevent with it
    from safepatch.monitor.courses import CheckError

    for path, wanted in value.items():
        try:
            steps(path)
        except (CheckError, ValueError):
            return f"{shown(path)} is no path, such as 'data.items[0].name' or 'data[\"a.b\"]'"
        try:
            json.dumps(wanted, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            return f"{shown(wanted)} at {path!r} is nothing that JSON can have"
    return ""


def host(value: str) -> str:
    return _tried(addresses.host, value) if value else ""


def address(value: str) -> str:
    """Whether it is an address of an endpoint."""
    return _tried(addresses.normal, value)


def in_network(value: str) -> str:
    return _tried(network, value)


def _tried(read: Callable[[str], object], value: str) -> str:
    try:
        read(value)
    except ValueError as error:
        return str(error)
    return ""


def resolver(value: str) -> str:
    found = re.fullmatch(r"(?:\[([^]]+)\]|([^:]+))(?::(\d{1,5}))?", value)
    ours = value if _is_ip(value) else (found[1] or found[2]) if found else ""
    if not value or _is_ip(ours):
        return ""
    return f"{shown(value)} is no address of a resolver, such as '192.0.2.1:53'"


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def mail(value: str) -> str:
    if not value or re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", value):
        return ""
    return f"{shown(value)} is no address of mail, such as 'ops@example.com'"


def tag(value: str) -> str:
    if re.fullmatch(r"[^\s#,][^\s,]*", value):
        return ""
    hint = f"; did you mean {value[1:]!r}?" if re.fullmatch(r"#[^\s#,]+", value) else ""
    return f"{shown(value)} is no tag{hint or '; write one word'}"


def one_of(words: Iterable[str], what: str) -> Check:
    """A check that a value is among those."""
    words = tuple(words)
    return lambda value: (
        "" if value in words else f"there is no {what} {value!r}{nearest(value, words)}"
    )


def url(value: str) -> str:
    if not value:
        return ""
    if not re.match(r"https?://", value):
        return f"{shown(value)} is no URL with http:// or https://"
    return address(value)


def hook(value: str) -> str:
    """Whether alerts can be sent there: a webhook, or what Apprise knows."""
    scheme, found, _ = value.partition("://")
    if not value or scheme in ("http", "https"):
        return url(value)
    if not found:
        return f"{shown(value)} is no URL; write it with its scheme, 'https://...'"
    if scheme in ("mailto", "mailtos"):
        return "mail is sent by mail = 'ops@example.com', and smtp in [monitor]"
    return _apprise(scheme, value)


def _apprise(scheme: str, value: str) -> str:
    try:
        from apprise import Apprise  # late: it takes a while
        from apprise.manager_plugins import NotificationManager
    except ModuleNotFoundError as error:
        needed = f"needs {error.name!r}; install it with pip install 'safepatch-py[monitor]'"
        return f"a channel of the kind {scheme!r} {needed}"
    logger = logging.getLogger("apprise")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # it logs what is wrong, with the address
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of modules that some of its plugins import
            if Apprise.instantiate(value) is not None:
                return ""
        manager: Any = NotificationManager
        known = manager().schemas()
    finally:
        logger.setLevel(level)
    if scheme in known:
        return f"Apprise does not understand that address of {scheme}; see its documents"
    return f"Apprise knows no {scheme!r}{nearest(scheme, known)}"


def listen(value: str) -> str:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\s]*):(\d{1,5})", value)
    if not value or (found and int(found[2]) < 65536):
        return host(found[1]) if found else ""
    hint = f"; did you mean '127.0.0.1:{value}'?" if value.strip(":").isdigit() else ""
    return f"{shown(value)} is no host and port, such as '127.0.0.1:8787'{hint}"


def server(value: str) -> str:
    if not value:
        return ""
    found = re.fullmatch(r"smtps?://(?:([^@/]*)@)?([^@/]+)/?", value)
    if not found:
        return f"{shown(value)} is no server, such as 'smtp://user@mail.example.com:587'"
    if ":" in (found[1] or ""):
        return "the password does not belong there; name its variable in smtp_password_env"
    return address(f"smtp://{found[2]}")


def broker(value: str) -> str:
    if not value:
        return ""
    found = re.fullmatch(r"rediss?://(?:([^@/]*)@)?([^@/]+)(?:/\d*)?", value)
    if not found:
        return f"{shown(value)} is no Redis, such as 'redis://redis.example.com:6379/0'"
    if ":" in (found[1] or ""):
        return "the password does not belong there; name its variable in broker_password_env"
    return address(f"tcp://{found[2]}")


def vantage(value: str) -> str:
    if re.fullmatch(r"[\w-]{1,40}", value):
        return ""
    return f"{shown(value)} is no name of a vantage; use letters, digits, _ and -"


def zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return f"there is no time zone {value!r}{nearest(value, zoneinfo.available_timezones())}"
    return ""


def time_of_day(value: str) -> str:
    if not value or re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return ""
    return f"{shown(value)} is no time of the day, such as '02:00'"


def moment(value: str) -> str:
    """Whether it is a date and time in ISO 8601."""
    try:
        if value:
            datetime.datetime.fromisoformat(value)
    except ValueError:
        return f"{shown(value)} is no date and time, such as '2026-11-26T02:00:00+01:00'"
    return ""
