"""A monitor of ours in a process of its own, from the schedule to the store.

    python -m benchmarks.monitor.ours '{"endpoints": 2000, "url": ..., "interval": 0.5, ...}'

Prints what it did in JSON. Sites are named, and the names are looked up through the patch, at a DNS
server that takes 50 ms.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
import urllib.request
from typing import Any

import gevent

from safepatch.monitor import Monitor


def main() -> None:
    asked = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory() as state:
        monitor = Monitor(
            _source(asked),
            state=state,
            listen=asked.get("listen", ""),
            concurrency=asked.get("concurrency", 500),
        )
        with monitor:
            _warm(monitor, asked)
            found = _measure(monitor, asked["seconds"])
            found["up"] = sum(status.state == "up" for status in monitor.statuses.values())
            if asked.get("listen"):
                found["pages"] = _pages(f"http://{asked['listen']}", next(iter(monitor.statuses)))
        print(json.dumps(found))


def _source(asked: dict[str, Any]) -> dict[str, Any]:
    defaults = {"interval": asked["interval"], "timeout": asked["timeout"], "private": ["any"]}
    if "ca" in asked:
        defaults["ca"] = asked["ca"]
    return {
        "defaults": defaults,
        "endpoints": {
            f"site{n}": {"address": asked["url"].format(n=n)} for n in range(asked["endpoints"])
        },
    }


def _warm(monitor: Monitor, asked: dict[str, Any]) -> None:
    """Until everything was learned that is learned, and all has a verdict."""
    wanted = asked["endpoints"] * asked.get("warm", 6)
    deadline = time.monotonic() + asked.get("patience", 60)
    while monitor.pace.done < wanted and time.monotonic() < deadline:
        gevent.sleep(0.1)


def _measure(monitor: Monitor, seconds: float) -> dict[str, Any]:
    done, cpu, start = monitor.pace.done, time.process_time(), time.monotonic()
    gevent.sleep(seconds)
    took, spent = time.monotonic() - start, time.process_time() - cpu
    done = monitor.pace.done - done
    return {
        "checks": done,
        "seconds": took,
        "cpu": spent,
        "lateness": monitor.pace.lateness,
        "overloaded": monitor.pace.overloaded,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _pages(base: str, name: str) -> dict[str, float]:
    """How many seconds a page takes, as its median, while checks go on."""
    paths = {
        "overview": "/",
        "search": "/?q=site99",
        "an endpoint": f"/endpoint?name={name}",
        "public page": "/status",
        "API, 100 of them": "/api/v1/endpoints?limit=100",
        "metrics": "/metrics",
    }
    pool = gevent.get_hub().threadpool
    return {what: pool.apply(_timed, (base + path,)) for what, path in paths.items()}


def _timed(url: str) -> float:
    took = []
    for _ in range(5):
        start = time.perf_counter()
        with urllib.request.urlopen(url, timeout=60) as answer:
            answer.read()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


if __name__ == "__main__":
    main()
