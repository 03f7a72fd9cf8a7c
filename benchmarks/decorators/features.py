"""Runs the checks of all caches, each in a process of its own, with a deadline."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.decorators.async_checks import ASYNC_CHECKS
from benchmarks.decorators.candidates import ASYNC, AWAIT, CACHES, LOCKED, LRU, TTL
from benchmarks.decorators.checks import CHECKS

#: Seconds after which a process seems to hang; what it does takes less than one. On a machine that
#: is busy it may only be slow, so it gets another chance, of three times as long.
DEADLINE = 5.0


def _moka_waiting(maxsize: int) -> Any:
    import moka_py

    return moka_py.cached(maxsize, ttl=TTL, wait_concurrent=True)


CHECKED = CACHES | {"moka_py.cached, wait_concurrent": _moka_waiting}
ASYNC_CHECKED = {name: CACHES[name] for name in (LRU, LOCKED)} | {
    name: make for name, make in ASYNC.items() if name != AWAIT
}

#: By check and cache, what happened.
Answers = dict[str, dict[str, str]]


def features(deadline: float = DEADLINE) -> dict[str, Answers]:
    """For functions and for coroutine functions."""
    return {
        "function": _all("function", CHECKS, CHECKED, deadline),
        "coroutine function": _all("coroutine function", ASYNC_CHECKS, ASYNC_CHECKED, deadline),
    }


def _all(kind: str, checks: Iterable[str], caches: Iterable[str], deadline: float) -> Answers:
    # Several at a time, for most of the time they sleep or hang.
    with ThreadPoolExecutor(8) as pool:
        answers = {
            check: {name: pool.submit(_ask, deadline, kind, check, name) for name in caches}
            for check in checks
        }
        return {
            check: {name: answer.result() for name, answer in row.items()}
            for check, row in answers.items()
        }


def _ask(deadline: float, *question: str) -> str:
    command = [sys.executable, "-m", __name__, *question]
    for timeout in (deadline, 3 * deadline):
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            continue
        # An answer, or the last line of a traceback: of that, the class of the exception.
        told = (ran.stdout or ran.stderr).strip().splitlines() or [f"exit {ran.returncode}"]
        return told[-1].partition(":")[0]
    return "hangs"


def _answer(kind: str, check: str, name: str) -> str:
    if kind == "coroutine function":
        return str(asyncio.run(_answer_async(check, name)))
    return CHECKS[check](CHECKED[name](1024))


async def _answer_async(check: str, name: str) -> Any:
    return await ASYNC_CHECKS[check](ASYNC_CHECKED[name](1024))


if __name__ == "__main__":
    print(_answer(*sys.argv[1:]), flush=True)
    os._exit(0)  # some leave threads behind
