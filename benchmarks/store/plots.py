"""Plots of what was measured, for the documentation."""

from __future__ import annotations

from typing import Any

from benchmarks.charts import bars, pyplot, save
from benchmarks.store import tables


def plot(found: dict[str, Any]) -> None:
    requests = {
        load: {name: [100 * float(row[0])] for name, row in tables.served(pairs).items()}
        for load, pairs in found["requests"].items()
    }
    _columns("store-requests", requests, "% of the requests with no durability")
    commits = {load: tables.committed(pairs) for load, pairs in found["commits"].items()}
    _columns("store-commits", commits, "times fdatasync inline (log)")
    _columns(
        "store-stalls",
        {"1,000,000 documents": tables.stalled(found["stalls"])},
        "the loop stands still for, milliseconds (log)",
    )


def _columns(file: str, columns: Any, unit: str) -> None:
    """The first figure of each row, as bars."""
    most = max(map(len, columns.values()))
    size = (4 + 2 * len(columns), 0.9 + 0.25 * most)
    figure, axes = pyplot.subplots(1, len(columns), figsize=size, sharey=True, squeeze=False)
    for half, (title, rows) in zip(axes[0], columns.items(), strict=True):
        bars(half, list(rows), [float(row[0]) for row in rows.values()], title)
        if "(log)" in unit:
            half.set_xscale("log")
        half.set_xlabel(unit)
    save(figure, file)
