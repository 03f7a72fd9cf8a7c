"""Rollups: what the results of an hour or a day come to, in 19 bytes."""

from __future__ import annotations

import struct
import zlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from safepatch.monitor.history.packing import SECONDS, counts

_ROW = struct.Struct("<BIIIHHH")


class Rollup(NamedTuple):
    """What an hour or a day comes to.

    How many checks there were, how many failed, of how many nothing is known; and how long the good
    ones took, as codes of `packing`, 0 where there are none.
    """

    at: int  # its hour of the day, or its day of the month
    checks: int
    failed: int
    unknown: int
    p50: int
    p95: int
    max: int


def rolled(at: int, words: Sequence[int]) -> Rollup:
    """The rollup of some words."""
    took = sorted(value >> 12 & 0xFFF for value in words if not value >> 24)
    return Rollup(at, *counts(words), _rank(took, 0.5), _rank(took, 0.95), took[-1] if took else 0)


def _rank(took: Sequence[int], share: float) -> int:
    """The smallest that so many are not above."""
    return took[max(0, -int(-len(took) * share // 1) - 1)] if took else 0


def text(rollups: Iterable[Rollup]) -> str:
    """Rollups as text."""
    packed = b"".join(_ROW.pack(*rollup) for rollup in rollups)
    return b2a_base64(zlib.compress(packed, 6), newline=False).decode()


def rollups_of(packed: str) -> list[Rollup]:
    """What `text` has made text of."""
    rows = _ROW.iter_unpack(zlib.decompress(a2b_base64(packed)))
    return [Rollup(*row) for row in rows]


def shown(rollup: Rollup, at: int) -> dict[str, Any]:
    """A rollup for people and charts; `at` is when it began, in seconds since 1970.

    `p50`, `p95` and `max` are seconds, of good checks; None if there were none.
    """
    return {
        "at": float(at),
        "checks": rollup.checks,
        "failed": rollup.failed,
        "unknown": rollup.unknown,
        "p50": SECONDS[rollup.p50],
        "p95": SECONDS[rollup.p95],
        "max": SECONDS[rollup.max],
    }


def percent(checks: int, failed: int, unknown: int) -> float | None:
    """How many of those that are known were good; None if nothing is known."""
    known = checks - unknown
    return 100.0 * (known - failed) / known if known else None
