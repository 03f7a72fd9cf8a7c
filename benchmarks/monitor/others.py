"""What people write themselves, in a process of its own: a loop over addresses, and no more.

python -m benchmarks.monitor.others aiohttp|requests '{"url": ..., "seconds": 5, "ca": ...}'
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import Any

AT_ONCE = 100


async def with_aiohttp(asked: dict[str, Any]) -> int:
    import aiohttp

    context = ssl.create_default_context(cafile=asked["ca"]) if asked.get("ca") else True
    deadline, done = time.monotonic() + asked["seconds"], 0
    connector = aiohttp.TCPConnector(limit=0, force_close=True, ssl=context)
    async with aiohttp.ClientSession(connector=connector) as client:

        async def loop() -> None:
            nonlocal done
            while time.monotonic() < deadline:
                async with client.get(asked["url"]) as answer:
                    await answer.read()
                    assert answer.status == 200
                done += 1

        await asyncio.gather(*(loop() for _ in range(AT_ONCE)))
    return done


def with_requests(asked: dict[str, Any]) -> int:
    import requests

    deadline, done = time.monotonic() + asked["seconds"], 0
    while time.monotonic() < deadline:
        answer = requests.get(asked["url"], verify=asked.get("ca") or True, timeout=10)
        assert answer.status_code == 200
        done += 1
    return done


def main() -> None:
    name, asked = sys.argv[1], json.loads(sys.argv[2])
    cpu, start = time.process_time(), time.monotonic()
    done = asyncio.run(with_aiohttp(asked)) if name == "aiohttp" else with_requests(asked)
    spent, took = time.process_time() - cpu, time.monotonic() - start
    print(json.dumps({"checks": done, "seconds": took, "cpu": spent}))


if __name__ == "__main__":
    main()
