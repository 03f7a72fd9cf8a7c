"""What was measured, in lines, and beside what was promised."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.store.workers import quartiles

VERSIONS = ("safepatch-py", "gevent", "httptools", "aiohttp", "requests")
OURS, BLACKBOX, WRK = "safepatch monitor", "blackbox_exporter", "wrk"
WIDTH = 24


def tables(found: Any) -> Iterator[str]:
    for kind in ("plain", "TLS"):
        yield from _checks(f"Checks on one core, {kind}", found[kind])
    many = found["many"]
    yield f"\n{many['endpoints']} endpoints, plain, each once in {many['interval']:.0f} seconds"
    late = many["lateness"]
    rows = {
        "checks a second": f"{many['checks'] / many['seconds']:.0f}",
        "of a core": f"{many['cpu'] / many['seconds']:.0%}",
        "up": f"{many['up']}",
        "memory, most, MB": f"{many['rss'] / 1e6:.0f}",
        "late, ms: median, 95 %, most": ", ".join(
            f"{late[what] * 1e3:.0f}" for what in ("median", "p95", "max")
        ),
        **{f"{page}, ms": f"{took * 1e3:.0f}" for page, took in many["pages"].items()},
    }
    yield from (f"  {what:{WIDTH + 8}} {value}" for what, value in rows.items())
    yield f"\nQuestions to a DNS server that takes 50 ms, {'':8} a check         seconds"
    for name, did in found["DNS"].items():
        share = did["queries"] / did["checks"]
        yield f"  {name:{WIDTH}} {did['queries']:>12} {share:>12.2f} {did['seconds']:>12.1f}"


def _checks(title: str, pairs: Any) -> Iterator[str]:
    yield f"\n{title:{WIDTH + 4}}   a second    us each    ours are     quartiles"
    ours = [one for measured in pairs.values() for one, _ in measured]
    yield f"  {OURS:{WIDTH}} {_middle(rate, ours):>12.0f} {_middle(cost, ours):>10.0f}"
    for name, measured in pairs.items():
        low, middle, high = quartiles([rate(ours) / rate(other) for ours, other in measured])
        theirs = [other for _, other in measured]
        yield (
            f"  {name:{WIDTH}} {_middle(rate, theirs):>12.0f} {_middle(cost, theirs):>10.0f} "
            f"{middle:>10.2f} x {low:>8.2f} {high:>8.2f}"
        )


def rate(did: Any) -> float:
    """Checks a second, of a process that has a core for itself."""
    return float(did["checks"] / did["seconds"])


def cost(did: Any) -> float:
    """Microseconds of the core that a check takes; what the kernel does in interrupts may be
    missing."""
    return float(did["cpu"] / did["checks"] * 1e6)


def _middle(figure: Callable[[Any], float], many: list[Any]) -> float:
    return statistics.median(map(figure, many))


def acceptance(found: Any) -> Iterator[str]:
    """Whether what the project promises itself was met, in this run."""
    yield f"{'':48} {'least':>10} {'most':>10} {'measured':>10}"
    for kind, least in (("plain", 2.0), ("TLS", 1.0)):
        if BLACKBOX in found[kind]:
            yield _line(f"{kind}, of {BLACKBOX}", _ratio(found[kind][BLACKBOX]), least=least)
    yield _line(f"plain, of {WRK}", _ratio(found["plain"][WRK]), least=1 / 6)
    for kind, least in (("plain", 2000), ("TLS", 500)):
        mine = [rate(ours) for measured in found[kind].values() for ours, _ in measured]
        yield _line(f"{kind}, a second on one core (aim)", statistics.median(mine), least=least)
    many = found["many"]
    yield _line("megabytes", many["rss"] / 1e6, most=250)
    wanted = many["endpoints"] / many["interval"] * many["seconds"]
    yield _line("checks of a cycle that were done", many["checks"] / wanted, least=0.98)
    yield _line("milliseconds late, median (aim)", many["lateness"]["median"] * 1e3, most=100)


def _ratio(measured: Any) -> float:
    return statistics.median(rate(ours) / rate(other) for ours, other in measured)


def _line(what: str, value: float, least: float | None = None, most: float | None = None) -> str:
    met = (least is None or value >= least) and (most is None or value <= most)
    low, high = ("" if one is None else f"{one:.2f}" for one in (least, most))
    return f"{what:48} {low:>10} {high:>10} {value:>10.2f}  {'met' if met else 'NOT MET'}"
