"""History as lines that other programs read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from safepatch.monitor.history.history import History

_RAW = ("name", "at", "seconds", "error")
_ROLLUPS = ("name", "at", "checks", "failed", "unknown", "p50", "p95", "max")
Row = dict[str, Any]


def lines(history: History, name: str | None, format_: str, what: str) -> Iterator[str]:
    """Lines of one endpoint, or of all; nothing is kept in memory but those of one."""
    rows = {"raw": _raw, "hour": _hours, "day": _days}.get(what)
    write = {"jsonl": _jsonl, "csv": _csv}.get(format_)
    if write is None:
        raise ValueError(f"got format={format_!r}; give 'jsonl' or 'csv'")
    if rows is None:
        raise ValueError(f"got what={what!r}; give 'raw', 'hour' or 'day'")
    names = history.names() if name is None else [name]
    if name is not None and name not in history.names():
        raise KeyError(f"there is no history of {name!r}")
    all_ = (row for one in names for row in rows(history, one))
    return write(all_, _RAW if what == "raw" else _ROLLUPS)


def _raw(history: History, name: str) -> Iterator[Row]:
    for at, seconds, error in history.raw(name, 0, float("inf")):
        yield {"name": name, "at": at, "seconds": seconds, "error": error}


def _hours(history: History, name: str) -> Iterator[Row]:
    return ({"name": name, **row} for row in history.rollups(name, 0, history.clock() + 1))


def _days(history: History, name: str) -> Iterator[Row]:
    return ({"name": name, **row} for row in history.rollups(name, 0, history.clock() + 1, "day"))


def _jsonl(rows: Iterable[Row], _: tuple[str, ...]) -> Iterator[str]:
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _csv(rows: Iterable[Row], head: tuple[str, ...]) -> Iterator[str]:
    file = io.StringIO()
    writer = csv.DictWriter(file, head, lineterminator="\n")
    writer.writeheader()
    yield _taken(file)
    for row in rows:
        writer.writerow(row)
        yield _taken(file)


def _taken(file: io.StringIO) -> str:
    text = file.getvalue()
    file.seek(0)
    file.truncate()
    return text
