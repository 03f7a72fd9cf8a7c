"""Plots of what was measured, as SVG for the documentation."""

from __future__ import annotations

import pathlib
from typing import Any

import matplotlib

matplotlib.use("svg")
# The same figures give the same file.
matplotlib.rcParams["svg.hashsalt"] = "safepatch"
matplotlib.rcParams["font.size"] = 9

from matplotlib import pyplot  # noqa: E402

INTO = pathlib.Path(__file__).parents[2] / "docs" / "plots"


def plot(found: dict[str, Any]) -> None:
    INTO.mkdir(exist_ok=True)
    _calls(found)
    _cycles(found)
    _alias_scan(found)


def _save(figure: Any, name: str) -> None:
    figure.tight_layout()
    figure.savefig(INTO / f"{name}.svg", metadata={"Date": None}, transparent=False)
    pyplot.close(figure)


def _calls(found: dict[str, Any]) -> None:
    figure, halves = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True, sharex=True)
    for half, (what, seconds) in zip(halves, found["calls"].items(), strict=True):
        one = seconds["closure by hand x1"] - seconds["bare"]
        ways = [way for way in seconds if way != "bare"]
        multiples = [(seconds[way] - seconds["bare"]) / one for way in ways]
        _bars(half, ways, multiples, f"a patched {what}, Python {found['python']}")
        half.set_xscale("log")
        half.set_xlabel("closures by hand (log)")
    _save(figure, "calls")


def _cycles(found: dict[str, Any]) -> None:
    figure, halves = pyplot.subplots(1, 2, figsize=(9, 2.6), sharey=True, sharex=True)
    for half, (what, seconds) in zip(halves, found["cycles"].items(), strict=True):
        one = seconds["mock with patch.object(new)"]
        multiples = [spent / one for spent in seconds.values()]
        _bars(half, list(seconds), multiples, f"patch and undo a {what}")
        half.set_xlabel("mock.patch.object(new)")
    _save(figure, "cycles")


def _bars(axes: Any, names: list[str], multiples: list[float], title: str) -> None:
    colours = ["tab:blue" if "safepatch" in name else "tab:grey" for name in names]
    bars = axes.barh(names, multiples, color=colours)
    labels = [f"{one:.1f}" if one < 10 else f"{one:.0f}" for one in multiples]
    axes.bar_label(bars, labels, padding=2)
    axes.margins(x=0.15)
    if not axes.yaxis_inverted():  # once for those that share it
        axes.invert_yaxis()
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def _alias_scan(found: dict[str, Any]) -> None:
    figure, axes = pyplot.subplots(figsize=(5, 2.8))
    modules = [int(count) for count in found["alias scan"]]
    axes.plot(modules, [spent * 1000 for spent in found["alias scan"].values()], marker="o")
    axes.set(xlabel="imported modules", ylabel="milliseconds", xlim=0, ylim=0)
    axes.set_title("the search for aliases adds to an apply", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, "alias-scan")
