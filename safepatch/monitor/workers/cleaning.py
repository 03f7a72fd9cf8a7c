"""Results that came from elsewhere, with nothing in them that a check here would not have made.

Who can write to Redis can send anything: signs that move the cursor of a terminal, labels that end
a line of metrics, numbers that are none.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import Any, TypedDict

import msgspec

from safepatch.monitor.courses import LONGEST, printable
from safepatch.monitor.results import ERRORS, Result

PHASES = ("dns", "connect", "tls", "first_byte", "total")
#: The most parts of a fact, how deep they go, and how many letters a text has.
_PARTS, _DEPTH, _TEXT = 200, 5, 8192


class _Certificate(TypedDict, total=False):
    expires: float | None
    issuer: str | None
    fingerprint: str | None


#: What facts are that a monitor goes by; others are only shown.
_TYPES: dict[str, Any] = {
    "address": str, "certificate": _Certificate, "digest": str, "found": str, "size": int,
    "status": int, "title": str, "url": str, "words": list[str],
}  # fmt: skip


def cleaned(result: Result, now: float) -> Result:
    """A result for which a check here could be taken; one that began about now."""
    error = result.error if not result.error or result.error in ERRORS else "internal"
    return msgspec.structs.replace(
        result,
        at=result.at if abs(result.at - now) < 86400 else now,
        error=error,
        message=printable(result.message, LONGEST),
        phases={
            name: seconds
            for name in PHASES
            if 0 <= (seconds := result.phases.get(name, -1.0)) < math.inf
        },
        facts={name: fact for name, fact in _plain(result.facts).items() if _fits(name, fact)},
        warnings=tuple([printable(each, LONGEST) for each in _some(result.warnings)]),
    )


def _fits(name: str, fact: Any) -> bool:
    try:
        msgspec.convert(fact, _TYPES.get(name, Any))
    except msgspec.ValidationError:
        return False
    return True


def _plain(value: Any, deeper: int = _DEPTH) -> Any:
    """A JSON value of moderate size; None for what is none."""
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, int):  # or a bool
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if deeper and isinstance(value, list):
        return [_plain(each, deeper - 1) for each in _some(value)]
    if deeper and isinstance(value, dict):
        some = _some(value.items())
        return {_text(str(name)): _plain(each, deeper - 1) for name, each in some}
    return None


def _text(text: str) -> str:
    return text if text.isprintable() and len(text) <= _TEXT else printable(text, _TEXT)


def _some(values: Any) -> Any:
    return islice(values, _PARTS)
