"""Plots of what was measured, as SVG for the documentation."""

from __future__ import annotations

from typing import Any

from benchmarks.charts import bars, pyplot, save


def plot(found: dict[str, Any]) -> None:
    _calls(found)
    _cycles(found)
    _alias_scan(found)


def _calls(found: dict[str, Any]) -> None:
    figure, halves = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True, sharex=True)
    for half, (what, seconds) in zip(halves, found["calls"].items(), strict=True):
        one = seconds["closure by hand x1"] - seconds["bare"]
        ways = [way for way in seconds if way != "bare"]
        multiples = [(seconds[way] - seconds["bare"]) / one for way in ways]
        bars(half, ways, multiples, f"a patched {what}, Python {found['python']}")
        half.set_xscale("log")
        half.set_xlabel("closures by hand (log)")
    save(figure, "calls")


def _cycles(found: dict[str, Any]) -> None:
    figure, halves = pyplot.subplots(1, 2, figsize=(9, 2.6), sharey=True, sharex=True)
    for half, (what, seconds) in zip(halves, found["cycles"].items(), strict=True):
        one = seconds["mock with patch.object(new)"]
        multiples = [spent / one for spent in seconds.values()]
        bars(half, list(seconds), multiples, f"patch and undo a {what}")
        half.set_xlabel("mock.patch.object(new)")
    save(figure, "cycles")


def _alias_scan(found: dict[str, Any]) -> None:
    figure, axes = pyplot.subplots(figsize=(5, 2.8))
    modules = [int(count) for count in found["alias scan"]]
    axes.plot(modules, [spent * 1000 for spent in found["alias scan"].values()], marker="o")
    axes.set(xlabel="imported modules", ylabel="milliseconds", xlim=0, ylim=0)
    axes.set_title("the search for aliases adds to an apply", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, "alias-scan")
