"""Which share of calls is answered by caches of several sizes, by what they drop when full."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from benchmarks.decorators.candidates import CACHEBOX, CACHES, OURS
from benchmarks.decorators.measuring import there
from safepatch.decorators import memoize

KEYS, CALLS = 20_000, 200_000
SIZES = (100, 500, 2000)


def zipf(calls: int) -> list[int]:
    """Calls for names of which the n-th is asked for 1/n as often as the first."""
    weights = list(accumulate(1 / n for n in range(1, KEYS + 1)))
    return random.Random(4).choices(range(KEYS), cum_weights=weights, k=calls)


def zipf_with_scans(calls: int) -> list[int]:
    """The same, and now and then 1,000 names in a row that nobody asks for again."""
    trace = zipf(calls // 2)
    every = 1000
    return [
        key
        for start in range(0, len(trace), every)
        for key in (*trace[start : start + every], *range(KEYS + start, KEYS + start + every))
    ]


def _cachetools(policy: str, maxsize: int) -> Any:
    import cachetools

    return cachetools.cached(getattr(cachetools, policy)(maxsize))


def _cachebox(policy: str, maxsize: int) -> Any:
    import cachebox

    return cachebox.cached(getattr(cachebox, policy)(maxsize))


def _memoize_lfu(maxsize: int) -> Any:
    import cachetools

    return memoize(cache=cachetools.LFUCache(maxsize))


POLICIES: dict[str, Callable[[int], Any]] = {
    OURS: CACHES[OURS],
    "safepatch memoize(cache=LFUCache())": _memoize_lfu,
    "functools.lru_cache": lambda maxsize: functools.lru_cache(maxsize),
    **{
        f"cachetools {policy}": functools.partial(_cachetools, policy)
        for policy in ("FIFOCache", "LRUCache", "LFUCache")
    },
    CACHEBOX: CACHES[CACHEBOX],
    **{
        f"cachebox {policy}": functools.partial(_cachebox, policy)
        for policy in ("LRUCache", "LFUCache")
    },
    "moka_py.cached": CACHES["moka_py.cached"],
    "theine.Memoize": CACHES["theine.Memoize"],
}


def shares(calls: int = CALLS) -> dict[str, dict[str, dict[str, float]]]:
    """By the trace, the size and the cache: hits of 100 calls."""
    return {
        title: {
            str(size): {
                name: _hits(decorator, trace) for name, decorator in there(POLICIES, size).items()
            }
            for size in SIZES
        }
        for title, trace in (("Zipf", zipf(calls)), ("Zipf, scans", zipf_with_scans(calls)))
    }


def _hits(decorator: Any, trace: list[int]) -> float:
    misses = 0

    def function(key: int) -> int:
        nonlocal misses
        misses += 1
        return key

    cached = decorator(function)
    for key in trace:
        cached(key)
    return 100 * (1 - misses / len(trace))
