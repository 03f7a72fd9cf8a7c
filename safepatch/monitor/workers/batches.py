"""Endpoints in batches, and what goes to workers and comes back from them, as bytes and JSON.

A batch is a *hash slot*: which endpoints it has depends on their names alone, so an endpoint that
is added changes one batch, and hosts stay with those who know their addresses.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.results import Result

#: Endpoints in a batch, on average. Few enough batches have less than 100.
SIZE = 200

_DEFAULTS = Options()
_FIELDS = Options.__struct_fields__


class Slot(NamedTuple):
    """A batch that is sent every `interval` seconds, `phase` seconds after their beginning."""

    interval: float
    phase: float
    names: tuple[str, ...]


class Packet(msgspec.Struct, array_like=True):
    """Results of a vantage, for the round that began at `sent` and is over at `until`."""

    vantage: str
    sent: float
    until: float
    results: list[Result]


def slots(endpoints: Iterable[Endpoint], size: int = SIZE) -> list[Slot]:
    """All that can be checked from elsewhere, by interval and hash slot, spread over the interval.

    Heartbeats are not among them: jobs report to the monitor itself.
    """
    by_interval: dict[float, list[str]] = {}
    for endpoint in endpoints:
        if endpoint.kind != "beat":
            by_interval.setdefault(endpoint.options.interval, []).append(endpoint.name)
    return [
        Slot(interval, interval * place / count, tuple(names))
        for interval, all_names in by_interval.items()
        for count in (max(1, len(all_names) // size),)
        for place, names in enumerate(_divided(all_names, count))
        if names
    ]


def _divided(names: list[str], count: int) -> list[list[str]]:
    divided: list[list[str]] = [[] for _ in range(count)]
    for name in names:
        divided[zlib.crc32(name.encode()) % count].append(name)
    return divided


def packed(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Endpoints as JSON values; of options, which many share, only what is not the default."""
    numbers: dict[int, int] = {}
    options: list[str] = []
    rows = []
    for endpoint in endpoints:
        number = numbers.get(id(endpoint.options))
        if number is None:
            number = numbers[id(endpoint.options)] = len(options)
            options.append(_said(endpoint.options))
        rows.append([endpoint.name, endpoint.address, number])
    return {"options": options, "endpoints": rows}


def unpacked(batch: dict[str, Any]) -> list[Endpoint]:
    """The endpoints of a batch. Raises msgspec.ValidationError for options that are unknown."""
    options = [_options(text) for text in batch["options"]]
    return [Endpoint(name, address, options[at]) for name, address, at in batch["endpoints"]]


def _said(options: Options) -> str:
    values = ((field, getattr(options, field)) for field in _FIELDS)
    said = {field: value for field, value in values if value != getattr(_DEFAULTS, field)}
    return msgspec.json.encode(said).decode()


@functools.lru_cache(maxsize=4096)
def _options(text: str) -> Options:
    return msgspec.json.decode(text, type=Options)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Packet).decode


def sealed(packet: Packet) -> bytes:
    """A packet as bytes; results are much alike, so compressing takes less time than sending."""
    return zlib.compress(_encode(packet), 1)


def opened(data: bytes, most: int = 64 * 2**20) -> Packet:
    """The packet of such bytes. Raises ValueError for others, and for more than `most` bytes."""
    inflating = zlib.decompressobj()
    try:
        plain = inflating.decompress(data, most)
    except zlib.error as error:
        raise ValueError(f"these are no results: {error}") from error
    if not inflating.eof:
        raise ValueError(f"results of more than {most} bytes, or cut off")
    return _decode(plain)
