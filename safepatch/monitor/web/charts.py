"""Charts as SVG, drawn by the server; colours come from the style sheet, by classes.

No text of anybody's is in them, only numbers and dates.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from safepatch.monitor.web import words

WIDTH, HEIGHT, FOOT = 720, 180, 16

#: Errors of the monitor itself, which say nothing of the endpoint.
UNKNOWN = ("blind", "internal")

#: A point of a chart: when, the least, middle and greatest seconds (None for none), and how many
#: checks failed.
Point = tuple[float, float | None, float | None, float | None, int]


def points_of_raw(
    raw: Sequence[tuple[float, float, str]], since: float, until: float, count: int = 240
) -> list[Point]:
    """Results (at, seconds, error), gathered into `count` equal parts of the time.

    Those that say nothing of the endpoint are left out.
    """
    size = (until - since) / count
    parts: dict[int, list[tuple[float, float, str]]] = {}
    for each in raw:
        if since <= each[0] <= until and each[2] not in UNKNOWN:
            parts.setdefault(min(count - 1, int((each[0] - since) / size)), []).append(each)
    return [_point(since + (part + 0.5) * size, parts[part]) for part in sorted(parts)]


def _point(at: float, results: Sequence[tuple[float, float, str]]) -> Point:
    good = [seconds for _, seconds, error in results if not error]
    failed = len(results) - len(good)
    if not good:
        return at, None, None, None, failed
    return at, min(good), statistics.median(good), max(good), failed


def points_of_rollups(rollups: Sequence[Mapping[str, Any]], step: float) -> list[Point]:
    """Hours or days, with p50 in the middle and p95 above."""
    return [
        (each["at"] + step / 2, each["p50"], each["p50"], each["p95"], each["failed"])
        for each in rollups
    ]


def latency(points: Sequence[Point], since: float, until: float, gap: float) -> Markup:
    """A line of the middle in a band, and a mark below for each point with failures.

    The line is broken where nothing was measured for `gap` seconds. The labels are outside of the
    picture, which is stretched to the width there is.
    """
    top = _round_up(max((p[3] or 0.0 for p in points), default=0.0))

    def x(at: float) -> float:
        return (at - since) / (until - since) * WIDTH

    def y(seconds: float) -> float:
        return 2 + (1 - seconds / top) * (HEIGHT - FOOT)

    parts = [_grid(y, top)]
    for run in _runs(points, gap):
        parts += _run(run, x, y)
    parts += [_MARK.format(x(p[0]) - 1.5, HEIGHT - 8) for p in points if p[4]]
    return _CHART.format(
        seconds=_labels([_seconds(top * part) for part in _PARTS[::-1]]),
        width=WIDTH,
        height=HEIGHT,
        told=_told(points),
        parts=Markup("").join(parts),
        times=_labels([_time(since + (until - since) * part, until - since) for part in _PARTS]),
    )


_CHART = Markup(
    '<div class="chart"><div class="seconds" aria-hidden="true">{seconds}</div>'
    '<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
    'aria-label="{told}">{parts}</svg>'
    '<div class="times" aria-hidden="true">{times}</div></div>'
)
_MARK = Markup('<rect class="mark" x="{:.1f}" y="{}" width="3" height="8"/>')
_PARTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def _labels(texts: Sequence[str]) -> Markup:
    return Markup("").join(Markup("<span>{}</span>").format(text) for text in texts)


def _grid(y: Any, top: float) -> Markup:
    shape = Markup('<path class="grid" d="M0 {:.1f}H{}"/>')
    return Markup("").join(shape.format(y(top * part), WIDTH) for part in _PARTS)


def _run(run: Sequence[Point], x: Any, y: Any) -> list[Markup]:
    good = [(x(p[0]), y(p[1] or 0), y(p[2] or 0), y(p[3] or 0)) for p in run]
    if len(good) == 1:
        at, _, middle, _ = good[0]
        return [Markup('<path class="dot" d="M{:.1f} {:.1f}h.1"/>').format(at, middle)]
    band = " ".join(f"{p[0]:.1f},{p[3]:.1f}" for p in good)
    band += " " + " ".join(f"{p[0]:.1f},{p[1]:.1f}" for p in reversed(good))
    line = " ".join(f"{p[0]:.1f},{p[2]:.1f}" for p in good)
    return [
        Markup('<polygon class="band" points="{}"/>').format(band),
        Markup('<polyline class="line" points="{}"/>').format(line),
    ]


def _runs(points: Sequence[Point], gap: float) -> list[list[Point]]:
    """Those with a middle, in stretches without a gap."""
    runs: list[list[Point]] = []
    last = None
    for point in points:
        if point[2] is None:
            last = None
            continue
        if last is None or point[0] - last > gap:
            runs.append([])
        runs[-1].append(point)
        last = point[0]
    return runs


def _seconds(seconds: float) -> str:
    """A number on the scale, which is exact: "7.5 ms", "2 s"."""
    if not seconds:
        return "0"
    return f"{seconds:.4g} s" if seconds >= 1 else f"{seconds * 1e3:.4g} ms"


def _time(at: float, span: float) -> str:
    return words.iso(at)[11:16] if span < 3 * 86400 else words.day(at)[:6]


def _round_up(seconds: float) -> float:
    """What a scale ends with, so that its quarters are readable."""
    size = 0.001
    while size * 10 < seconds:
        size *= 10
    steps = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)
    return next((step * size for step in steps if step * size >= seconds), 10 * size)


def _told(points: Sequence[Point]) -> str:
    """What the chart shows, for those who do not see it."""
    middles = [p[2] for p in points if p[2] is not None]
    failed = sum(p[4] for p in points)
    if not middles:
        return f"no good check, {failed} failed"
    middle, most = statistics.median(middles), max(p[3] or 0 for p in points)
    return (
        f"typically {words.took(middle)}, at most {words.took(most)}; "
        f"{words.many(failed, 'check')} failed"
    )


def days(rollups: Sequence[Mapping[str, Any]], now: float, count: int = 90) -> Markup:
    """A bar a day, today's last: whole where all was well, with a notch where checks failed."""
    first = now // 86400 - count + 1
    known = {each["at"] // 86400 - first: each for each in rollups if _known(each)}
    known = {index: each for index, each in known.items() if 0 <= index < count}
    bars = [_bars("none", [n for n in range(count) if n not in known])]
    bars += [_bars("good", [n for n, each in known.items() if not each["failed"]])]
    bars += [_failed(n, first + n, each) for n, each in known.items() if each["failed"]]
    return _DAYS.format(count * 8 - 2, _days_told([*known.values()]), Markup("").join(bars))


_DAYS = Markup(
    '<svg class="days" viewBox="0 0 {} 34" preserveAspectRatio="none" role="img" '
    'aria-label="{}">{}</svg>'
)
_FAILED = Markup(
    '<path class="{}" d="M{} {}h6v{}h-6z"><title>{}: {} of checks were good</title></path>'
)


def _known(each: Mapping[str, Any]) -> int:
    """How many checks of a day say something of the endpoint."""
    return int(each["checks"] - each["unknown"])


def _bars(kind: str, indices: Sequence[float]) -> Markup:
    path = "".join(f"M{index * 8:.0f} 0h6v34h-6z" for index in indices)
    return Markup('<path class="{}" d="{}"/>').format(kind, path)


def _failed(index: float, day: float, each: Mapping[str, Any]) -> Markup:
    share = each["failed"] / _known(each)
    kind, cut = ("some", 5) if share < 0.05 else ("bad", 12)
    when, good = words.day(day * 86400), words.percent(1 - share)
    return _FAILED.format(kind, f"{index * 8:.0f}", cut, 34 - cut, when, good)


def _titled(shape: Markup, title: str) -> Markup:
    return Markup("<g>{}<title>{}</title></g>").format(shape, title)


def _days_told(known: Sequence[Mapping[str, Any]]) -> str:
    bad = sum(1 for each in known if each.get("failed"))
    if not known:
        return "no history yet"
    return f"{words.many(len(known), 'day')}, {bad} of them with failed checks"


def phases(seconds: Mapping[str, float]) -> Markup:
    """One bar of the phases of a check, one after the other."""
    parts = [(name, value) for name, value in seconds.items() if name != "total" and value > 0]
    whole = seconds.get("total") or sum(value for _, value in parts)
    if not parts or whole <= 0:
        return Markup("")
    at, bars = 0.0, []
    shape = Markup('<rect class="phase phase-{}" x="{:.2f}" y="0" width="{:.2f}" height="12"/>')
    for number, (name, value) in enumerate(parts):
        width = min(value / whole, 1) * 100
        shown = shape.format(number % 5, at, max(width - 0.3, 0.1))
        bars.append(_titled(shown, f"{name.replace('_', ' ')}: {words.took(value)}"))
        at += width
    return Markup(
        '<svg class="phases" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        "{}</svg>"
    ).format(Markup("").join(bars))
