"""What the store costs, beside what else makes a counter durable, all in one run.

    python -m benchmarks.store [--quick]

Prints medians and ratios, and what was promised beside what was measured; writes all samples to
benchmarks/results/ and plots them for the documentation. --quick takes few samples of little, to
see that it runs, and writes nothing. Machines are noisy, and disks more so: trust the ratios
of one run, not the seconds, and no ratio to its second digit.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks import reports
from benchmarks.store import acceptance, committing, large, serving, tables
from benchmarks.store.workers import LEFT_OUT

PEERS = ("bottle", "coopy", "gevent", "hiredis", "msgspec", "redis", "ZODB")


def measure(quick: bool) -> dict[str, Any]:
    rounds = 1 if quick else 7
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": dict(_versions()),
        "requests": serving.requests(rounds, 0.05 if quick else 1.0),
        "syncs": serving.syncs(50 if quick else 1000, 10),
        "commits": committing.commits(rounds, 0.05 if quick else 0.3),
        **large.large(1 if quick else 5, large.DOCUMENTS // (100 if quick else 1)),
        "left out": LEFT_OUT,
    }


def _versions() -> Iterator[tuple[str, str]]:
    import sqlite3

    for name in ("safepatch-py", *PEERS):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
    yield "SQLite", sqlite3.sqlite_version
    try:
        told = subprocess.run(["redis-server", "--version"], stdout=subprocess.PIPE, text=True)
        yield "redis-server", told.stdout.split("v=")[1].split()[0]
    except FileNotFoundError:
        return


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    found = measure(quick)
    text = reports.report(found, tables.text(found), acceptance.report(found))
    print(text)
    if not quick:
        from benchmarks.store import plots

        reports.keep("store", found, text)
        plots.plot(found)


if __name__ == "__main__":
    main()
