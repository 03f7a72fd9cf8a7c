"""What an entry takes: a process for each cache, filled with 100,000 results.

The memory of caches written in Rust is not seen by tracemalloc, so it is that of the process, as
Linux tells it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

from benchmarks.decorators.candidates import ASYNC, AWAIT, BOUNDED, CACHES
from benchmarks.decorators.measuring import LEFT_OUT, decorated

ENTRIES = 100_000
STATM = pathlib.Path("/proc/self/statm")
MAKERS = CACHES | BOUNDED
ASYNC_ONLY = {name: make for name, make in ASYNC.items() if name not in CACHES and name != AWAIT}
RESULT = ("the same for all",)


def bytes_an_entry(entries: int = ENTRIES) -> dict[str, float]:
    """Bytes of memory for each result, without the result itself and the host in its key."""
    if not STATM.exists():
        LEFT_OUT["bytes an entry"] = f"there is no {STATM}"
        return {}
    found = {}
    for name in (*MAKERS, *ASYNC_ONLY):
        command = [sys.executable, "-m", __name__, name, str(entries)]
        told = json.loads(subprocess.check_output(command, text=True))
        if isinstance(told, str):
            LEFT_OUT[name] = told
        else:
            found[name] = told
    return found


def _function(host: str, port: int, family: int) -> Any:
    return RESULT


async def _coroutine(host: str, port: int, family: int) -> Any:
    return RESULT


def _grown(name: str, entries: int) -> float | str:
    hosts = [f"host-{i}.example.org" for i in range(entries)]
    is_async = name in ASYNC_ONLY
    makers: dict[str, Any] = ASYNC_ONLY if is_async else MAKERS
    with asyncio.Runner() as runner:
        made = decorated({name: makers[name]}, _coroutine if is_async else _function, entries + 1)
        if not made:
            return LEFT_OUT[name]

        def fill(hosts: list[str]) -> None:
            if is_async:
                runner.run(_await_all(made[name], hosts))
            else:
                _call_all(made[name], hosts)

        fill(["what is made at the first call"])
        before = _resident()
        fill(hosts)
        return (_resident() - before) / entries


def _call_all(function: Any, hosts: list[str]) -> None:
    for host in hosts:
        function(host, 443, 0)


async def _await_all(function: Any, hosts: list[str]) -> None:
    for host in hosts:
        await function(host, 443, 0)


def _resident() -> int:
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(_grown(sys.argv[1], int(sys.argv[2]))))
