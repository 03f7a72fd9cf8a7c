"""A monitor of ours in a process of its own, from the schedule to the store.

    python -m benchmarks.monitor.ours '{"endpoints": 2000, "url": ..., "interval": 0.5, ...}'

Prints what it did in JSON. Sites are named, and the names are looked up through the patch, at a DNS
server that takes 50 ms.
"""

from __future__ import annotations

import json
import pathlib
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
    with tempfile.TemporaryDirectory() as directory:
        monitor = Monitor(
            _source(asked, pathlib.Path(directory)),
            state=pathlib.Path(directory, "state"),
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


def _source(asked: dict[str, Any], directory: pathlib.Path) -> pathlib.Path:
    """A list of sites, and what holds for all of them."""
    sites = (f"site{n} = {asked['url'].format(n=n)}\n" for n in range(asked["endpoints"]))
    (directory / "sites.txt").write_text("".join(sites))
    said = ["[monitor]", 'lists = ["sites.txt"]', "[defaults]", 'private = ["any"]']
    said += [f"interval = {asked['interval']}", f"timeout = {asked['timeout']}"]
    if "ca" in asked:
        said.append(f"ca = {json.dumps(asked['ca'])}")
    (directory / "monitor.toml").write_text("\n".join(said))
    return directory / "monitor.toml"


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
