"""Figures of the monitor in documents are those of the run that the comparison shows."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
RUN = (ROOT / "benchmarks" / "results" / "monitor-3.11.txt").read_text()
DOCS = ROOT / "docs" / "monitor"
RUNNING, PAGES = (DOCS / "running.md").read_text(), (DOCS / "pages.md").read_text()


def figures(name):
    """The numbers of each row of that name."""
    rows = re.findall(rf"^  {re.escape(name)}  +(.*)$", RUN, re.M)
    assert rows, f"{name!r} is not in the run"
    return [[float(number) for number in re.findall(r"[\d.]+", row)] for row in rows]


def test_what_a_check_costs_is_what_was_measured():
    (_, plain), (_, tls) = figures("safepatch monitor")
    [[rate]], [[share]] = figures("checks a second"), figures("of a core")

    assert f"| {plain / 1000:.2f} ms where one follows the other; " in RUNNING
    assert f"; {share / 100 / rate * 1000:.2f} ms at {rate:.0f} a second" in RUNNING
    assert f"| {(tls - plain) / 1000:.2f} ms more for the handshake" in RUNNING


def test_what_very_many_endpoints_take_is_what_was_measured():
    [[share]], [[megabytes]] = figures("of a core"), figures("memory, most, MB")
    [[median, late, _]] = figures("late, ms: median, 95 %, most")

    assert median < 1
    assert (
        f"| {share:.0f} % of a core, {megabytes:.0f} MB; lateness below 1 ms in the median, "
        f"{late:.0f} ms at the 95th percentile |" in RUNNING
    )


def test_what_metrics_take_is_what_was_measured():
    [[milliseconds]] = figures("metrics, ms")

    assert f"and take {milliseconds / 1000:.1f} seconds" in PAGES
