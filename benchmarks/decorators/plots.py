"""Plots of what was measured, for the documentation."""

from __future__ import annotations

from typing import Any

from benchmarks.charts import bars, pyplot, save
from benchmarks.decorators.tables import TABLES, Columns

#: Files, with the table and the columns that they show, and what the bars are.
PLOTS = {
    "cache-hits": ("hits", ("2 positional", "2 positional, applied"), "lru_cache hits (log)"),
    "cache-awaits": ("async", ("hit",), "plain awaits (log)"),
    "cache-memory": ("memory", ("bytes",), "bytes an entry"),
    "cache-shares": ("hit shares", ("Zipf, 500", "Zipf, scans, 500"), "hits of 100 calls"),
    "retries": ("retries", ("function", "coroutine function"), "closures by hand (log)"),
    "logs": ("logs", ("function",), "closures by hand (log)"),
    "limits": ("rate limits", ("function", "coroutine function"), "closures by hand (log)"),
}


def plot(found: dict[str, Any]) -> None:
    for file, (table, chosen, unit) in PLOTS.items():
        columns = TABLES[table][1](found)
        _draw(file, {f"{one}, Python {found['python']}": columns[one] for one in chosen}, unit)


def _draw(file: str, columns: Columns, unit: str) -> None:
    most = max(map(len, columns.values()))
    size = (5 + 2.5 * len(columns), 0.8 + 0.25 * most)
    figure, halves = pyplot.subplots(1, len(columns), figsize=size, sharex=True, squeeze=False)
    for half, (title, column) in zip(halves[0], columns.items(), strict=True):
        bars(half, list(column), [float(one) for one in column.values()], title)
        if "(log)" in unit:
            half.set_xscale("log")
            half.xaxis.set_minor_formatter("")
        half.set_xlabel(unit)
    save(figure, file)
