"""What the core costs, beside a hand-made closure, wrapt and mock, all in one run.

    python -m benchmarks.core [--quick]

Prints ratios, writes all seconds to benchmarks/results/, and plots them for the documentation;
--quick takes few samples, to see that it runs, and writes nothing. Machines are noisy: trust the
ratios, not the seconds, and no ratio to its second digit.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from benchmarks import reports, timing
from benchmarks.core import applying, calls, importing


def measure(quick: bool) -> dict[str, Any]:
    rounds = 10 if quick else timing.ROUNDS
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("safepatch-py", "wrapt")},
        "calls": calls.plain(rounds),
        "kinds": calls.kinds(rounds // 2),
        "scopes": calls.scopes(rounds // 2),
        "cycles": applying.cycles(rounds // 2),
        "alias scan": applying.alias_scan(rounds),
        "sites": applying.many_sites(applying.SITES // (20 if quick else 1)),
        "imports": importing.imports(2 if quick else 20),
    }


def report(found: dict[str, Any]) -> Iterator[str]:
    """What was found, in lines, as ratios where there is something to compare with."""
    yield f"Python {found['python']} on {found['machine']}, wrapt {found['versions']['wrapt']}"
    for what, seconds in found["calls"].items():
        bare, one = seconds["bare"], seconds["closure by hand x1"] - seconds["bare"]
        yield f"\nA call of a patched {what}, in closures by hand (the bare call apart)"
        yield from _lines({way: (spent - bare) / one for way, spent in seconds.items()})
        yield "Our own share of it, without the decorators"
        yield from _lines(calls.shares(seconds))
    yield "\nA call of other kinds under safepatch, in closures by hand"
    yield from _lines({what: _closures(seconds) for what, seconds in found["kinds"].items()})
    yield "\nA call under patches that not all see, in calls under one that all see"
    all_see = found["scopes"]["seen by all"]
    yield from _lines({who: spent / all_see for who, spent in found["scopes"].items()})
    for what, seconds in found["cycles"].items():
        one = seconds["mock with patch.object(new)"]
        yield f"\nTo patch a {what} and undo it, in mock.patch.object(new) with a closure"
        yield from _lines({way: spent / one for way, spent in seconds.items()})
    yield "\nTo search so many modules for aliases, in milliseconds"
    yield from _lines({str(many): spent * 1000 for many, spent in found["alias scan"].items()})
    for way, figures in found["sites"].items():
        yield f"\n{applying.SITES} functions patched: {way}"
        yield from _lines(figures)
    yield "\nTo import in a fresh interpreter, in milliseconds"
    yield from _lines({name: spent * 1000 for name, spent in found["imports"].items()})


def _closures(seconds: dict[str, float]) -> float:
    bare = seconds["bare"]
    return (seconds["safepatch"] - bare) / (seconds["closure by hand"] - bare)


def _lines(figures: dict[str, float]) -> Iterator[str]:
    return (f"  {name:40}{figure:10.2f}" for name, figure in figures.items())


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    found = measure(quick)
    text = "\n".join(report(found))
    print(text)
    if not quick:
        from benchmarks.core import plots

        reports.keep("core", found, text)
        plots.plot(found)


if __name__ == "__main__":
    main()
