"""What the decorators cost, beside the libraries that people use today, all in one run.

    python -m benchmarks.decorators [--quick]

Prints ratios, and what was promised beside what was measured; writes all seconds to
benchmarks/results/, plots them, and puts the tables into docs/comparison.md. --quick takes few
samples, to see that it runs, and writes nothing. Trust the ratios, not the seconds, and no ratio
to its second digit.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks import reports, timing
from benchmarks.decorators import (
    acceptance,
    caches,
    counts,
    features,
    hit_ratios,
    limits,
    logs,
    memory,
    retries,
    tables,
    threads,
)
from benchmarks.decorators.measuring import LEFT_OUT
from benchmarks.decorators.page import write

PEERS = (
    *("aiocache", "aiolimiter", "async-lru", "backoff", "cachebox", "cachetools", "cashews"),
    *("gevent", "limits", "logdecorator", "loguru", "moka-py", "opentelemetry-sdk"),
    *("prometheus_client", "purgatory", "pybreaker", "pyrate-limiter", "stamina", "structlog"),
    *("tenacity", "theine", "throttled-py", "wrapt"),
)


def measure(quick: bool) -> dict[str, Any]:
    rounds = 10 if quick else timing.ROUNDS
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": dict(_versions()),
        "hits": caches.plain(rounds),
        "variants": caches.variants(rounds),
        "misses": caches.misses(rounds),
        "decorating": caches.decorating(max(3, rounds // 20)),
        "threads": threads.in_threads(1 if quick else rounds // 100),
        "gevent": caches.in_gevent(rounds),
        "async": caches.in_coroutines(rounds // 2),
        "hit shares": hit_ratios.shares(hit_ratios.CALLS // (10 if quick else 1)),
        "bytes an entry": memory.bytes_an_entry(memory.ENTRIES // (10 if quick else 1)),
        "features": features.features(2.0 if quick else features.DEADLINE),
        "retries": retries.retries(rounds // 2),
        "logs": logs.logs(rounds // 2),
        "counts": counts.counts(rounds // 2),
        "rate limits": limits.rates(rounds // 2),
        "breakers": limits.breakers(rounds // 2),
        "left out": LEFT_OUT,
    }


def _versions() -> Iterator[tuple[str, str]]:
    for name in ("safepatch-py", *PEERS):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _tables(found: dict[str, Any]) -> Iterator[str]:
    for title, columns in tables.TABLES.values():
        yield f"\n{title}"
        yield from tables.text(columns(found))


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    found = measure(quick)
    text = reports.report(found, _tables(found), acceptance.report(found))
    print(text)
    if not quick:
        from benchmarks.decorators import plots

        reports.keep("decorators", found, text)
        plots.plot(found)
        write()


if __name__ == "__main__":
    main()
