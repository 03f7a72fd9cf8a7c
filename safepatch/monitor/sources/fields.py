"""What values the fields of Options, Channel, Window, Restart and Settings may have.

Each check gives what is wrong with a value, and what to do, or "".
"""

from __future__ import annotations

import math
import re
from typing import Any

from safepatch.monitor.sources import forms
from safepatch.monitor.sources.forms import Check

#: Fields that are seconds, or texts such as "30s".
DURATIONS = frozenset(
    [
        "interval",
        "timeout",
        "retry_after",
        "expires_within",
        "grace",
        "seconds",
        "wait",
        "verify",
        "gather",
        "keep_raw",
        "keep_rollups",
    ]
)
DURATION = r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w)\s*)+"
EVENTS = ("down", "up", "warning", "flapping", "steady", "blind", "seeing", "restart", "test")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds(text: str) -> float | None:
    """How long "1h 30m" is, or None if it is no such text."""
    if not re.fullmatch(DURATION, text.strip()):
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", text)
    return math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)


def _above_0(value: float) -> str:
    return "" if 0 < value < math.inf else f"{value!r} is not above 0"


def _not_below_0(value: float) -> str:
    return "" if 0 <= value < math.inf else f"{value!r} is below 0, or no number"


def _between(low: int, high: int) -> Check:
    return lambda value: "" if low <= value <= high else f"{value!r} is not in {low}..{high}"


def _share(value: float) -> str:
    return "" if 0 < value <= 1 else f"{value!r} is no share, such as 0.2"


CHECKS: dict[str, Check] = {
    **dict.fromkeys(DURATIONS | {"per_minute"}, _above_0),
    **dict.fromkeys(("grace", "gather", "expires_within"), _not_below_0),
    **dict.fromkeys(("confirm_down", "confirm_up"), _between(1, 100)),
    "redirects": _between(0, 50),
    "per_hour": _between(1, 1000),
    "concurrency": _between(1, 100_000),
    "restarts_per_hour": _between(0, 100_000),
    "restarts_stop_at": _share,
    "broker": forms.broker,
    "vantages": forms.each(forms.vantage),
    "quorum": _between(0, 100),
    "method": forms.method,
    "headers": forms.headers,
    "headers_env": forms.variables,
    **dict.fromkeys(
        (
            "password_env",
            "bearer_env",
            "password_hash_env",
            "tokens_env",
            "smtp_password_env",
            "broker_password_env",
        ),
        forms.variable,
    ),
    "status": forms.each(forms.status),
    "matches": forms.regex,
    "json": forms.paths,
    "server_name": forms.host,
    **dict.fromkeys(("contains", "lacks", "answers", "command"), forms.each(forms.not_blank)),
    "resolver": forms.resolver,
    "mail_from": forms.mail,
    "rcpt_to": forms.mail,
    "mail": forms.mail,
    "private": forms.each(forms.in_network),
    "tags": forms.each(forms.tag),
    "events": forms.each(forms.one_of(EVENTS, "event")),
    "days": forms.each(forms.day),
    "at": forms.time_of_day,
    "zone": forms.zone,
    "start": forms.moment,
    "end": forms.moment,
    "listen": forms.listen,
    "smtp": forms.server,
    "canaries": forms.each(forms.address),
    "Settings.url": forms.url,
    "Restart.url": forms.url,
    "Channel.url": forms.hook,
    "title": forms.not_blank,
}


def wrong(struct: type, field: str, value: Any) -> str:
    """What is wrong with the value of a field, or ""."""
    check = CHECKS.get(f"{struct.__name__}.{field}") or CHECKS.get(field)
    return check(value) if check and not isinstance(value, bool) else ""
