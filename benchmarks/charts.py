"""Bars in SVG for the documentation; the same figures give the same file."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "safepatch"
matplotlib.rcParams["font.size"] = 9

from matplotlib import pyplot  # noqa: E402

__all__ = ["bars", "pyplot", "save"]

INTO = pathlib.Path(__file__).parents[1] / "docs" / "plots"


def save(figure: Any, name: str) -> None:
    INTO.mkdir(exist_ok=True)
    figure.tight_layout()
    path = INTO / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None}, transparent=False, bbox_inches="tight")
    pyplot.close(figure)


def bars(axes: Any, names: Sequence[str], figures: Sequence[float], title: str) -> None:
    """Bars across, ours in another colour."""
    colours = ["tab:blue" if "safepatch" in name else "tab:grey" for name in names]
    drawn = axes.barh(names, figures, color=colours)
    labels = [f"{one:.1f}" if one < 10 else f"{one:.0f}" for one in figures]
    axes.bar_label(drawn, labels, padding=2)
    axes.margins(x=0.15)
    if not axes.yaxis_inverted():  # once for those that share it
        axes.invert_yaxis()
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
