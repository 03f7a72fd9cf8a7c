"""Results as bytes: four for each in memory, and about three on disk.

A *word* has the seconds since an hour began in 12 bits, how long the check took in 12, and what
came of it in 8.
"""

from __future__ import annotations

import itertools
import math
import sys
import zlib
from array import array
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable

# By their place they are on disk, so that new ones are added at the end.
ERRORS = (
    "", "dns", "refused", "timeout", "reset", "unreachable", "tls", "certificate", "protocol",
    "status", "content", "private", "silent", "internal", "blind",
)  # fmt: skip
CODES = {error: code for code, error in enumerate(ERRORS)}
#: What says nothing of the endpoint: the monitor was blind, or failed itself.
UNKNOWN = frozenset({CODES["internal"], CODES["blind"]})
_OTHER = CODES["internal"]

HOUR = 3600
LATEST = 4095  # seconds since the beginning of an hour that a word can have
_FASTEST = 1e-5  # seconds
_STEP = 0.005  # each code is so much longer than the one before
_CODES = 4096
#: Seconds by their code; None for code 0, which is for what has taken no time.
SECONDS: list[float | None] = [
    None, *(float(f"{_FASTEST * math.exp(_STEP * code):.5g}") for code in range(_CODES - 1))
]  # fmt: skip


def time_code(seconds: float) -> int:
    """A length of time in 12 bits, within a quarter of a percent; 2 hours at most."""
    if seconds <= 0:
        return 0
    if seconds <= _FASTEST:
        return 1
    return min(_CODES - 1, 1 + round(math.log(seconds / _FASTEST) / _STEP))


def word(offset: int, seconds: float, error: str) -> int:
    """A result as a word; an error that is not known is "internal"."""
    return CODES.get(error, _OTHER) << 24 | time_code(seconds) << 12 | min(max(offset, 0), LATEST)


def result(value: int, hour: int) -> tuple[float, float, str]:
    """When the check began, how long it took, and the error, of a word."""
    code = value >> 24
    error = ERRORS[code] if code < len(ERRORS) else "internal"
    return float(hour + (value & 0xFFF)), SECONDS[value >> 12 & 0xFFF] or 0.0, error


def counts(words: Iterable[int]) -> tuple[int, int, int]:
    """How many there are, how many failed, and of how many nothing is known."""
    checks = failed = unknown = 0
    for value in words:
        checks += 1
        if code := value >> 24:
            if code in UNKNOWN:
                unknown += 1
            else:
                failed += 1
    return checks, failed, unknown


def text(words: array[int]) -> str:
    """Words in some order, as text."""
    return b2a_base64(zlib.compress(_bytes(words), 1), newline=False).decode()


def words_of(packed: str) -> array[int]:
    """What `text` has made text of."""
    return _array("I", zlib.decompress(a2b_base64(packed)))


def hour_text(words: array[int]) -> str:
    """Words of an hour, sorted, as text: differences of times, and bytes of a kind together."""
    offsets = array("H", (value & 0xFFF for value in words))
    steps = array("H", (b - a for a, b in zip((0, *offsets), offsets, strict=False)))
    took = array("H", (value >> 12 & 0xFFF for value in words))
    planes = b"".join((*_planes(steps), *_planes(took), bytes(value >> 24 for value in words)))
    return b2a_base64(zlib.compress(planes, 6), newline=False).decode()


def hour_words(packed: str) -> list[int]:
    """What `hour_text` has made text of."""
    planes = zlib.decompress(a2b_base64(packed))
    size = len(planes) // 5
    steps, took = _whole(planes[: 2 * size]), _whole(planes[2 * size : 4 * size])
    rows = zip(itertools.accumulate(steps), took, planes[4 * size :], strict=True)
    return [code << 24 | lasted << 12 | offset for offset, lasted, code in rows]


def _whole(planes: bytes) -> array[int]:
    """Numbers of which all lower bytes come first."""
    size, packed = len(planes) // 2, bytearray(len(planes))
    packed[::2], packed[1::2] = planes[:size], planes[size:]
    return _array("H", packed)


def _planes(values: array[int]) -> tuple[bytes, bytes]:
    packed = _bytes(values)
    return packed[::2], packed[1::2]


def _bytes(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()


def _array(typecode: str, packed: bytes | bytearray) -> array[int]:
    values = array(typecode, packed)
    if sys.byteorder == "big":
        values.byteswap()
    return values
