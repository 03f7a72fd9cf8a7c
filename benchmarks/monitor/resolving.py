"""How often a DNS server is asked, with the patch and without."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import gevent.pool


def main() -> None:
    """In a process of its own: `rounds` times all sites, each over a new connection."""
    from safepatch.monitor.checks import run
    from safepatch.monitor.plan import Endpoint, Options
    from safepatch.monitor.tools import Tools

    asked = json.loads(sys.argv[1])
    tools = Tools(dns_ttl=asked["ttl"])
    options = Options(private=("any",))
    sites = [
        Endpoint(name=f"site{n}", address=asked["url"].format(n=n), options=options)
        for n in range(asked["endpoints"])
    ]
    pool = gevent.pool.Pool(200)
    failed, start, cpu = 0, time.monotonic(), time.process_time()
    for _ in range(asked["rounds"]):
        results: list[Any] = [*pool.imap_unordered(lambda site: run(site, tools), sites)]
        failed += sum(not result.ok for result in results)
    took, spent = time.monotonic() - start, time.process_time() - cpu
    tools.close()
    checks = asked["rounds"] * len(sites)
    print(json.dumps({"checks": checks, "failed": failed, "seconds": took, "cpu": spent}))


if __name__ == "__main__":
    main()
