"""What a hit and a miss of a cached function cost.

    python -m benchmarks.decorators.caches [--quick]

prints the ratios to `functools.lru_cache` for these alone, for who is working on them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import timeit
from collections.abc import Mapping
from itertools import count
from typing import Any

from benchmarks.decorators import tables
from benchmarks.decorators.candidates import ASYNC, BOUNDED, CACHES, COPYING, LRU, TYPED, Maker
from benchmarks.decorators.measuring import (
    APPLIED,
    LEFT_OUT,
    LOOP,
    Seconds,
    applied,
    awaited,
    decorated,
    lookup,
    lookup_async,
    ours_applied,
    there,
    timed,
)
from benchmarks.timing import ROUNDS, least

#: The calls that are timed; names are local variables, so that only the call is.
CALLS = {
    "2 positional": "g(host, port)",
    "4 positional": "g(host, port, 2, 1)",
    "keywords": "g(host, port, family=2, type=1)",
}
MAXSIZE = 1024


def lookup_list(host: str, port: int, family: int = 0, type: int = 0) -> Any:  # noqa: A002
    return [host, port]


def plain(rounds: int) -> dict[str, Seconds]:
    """Hits, by the call; each cache as a plain decorator, which is what a patch by hand comes to,
    and applied as a patch."""
    functions = both(CACHES)
    return {case: timed(functions, rounds, call) for case, call in CALLS.items()}


def variants(rounds: int) -> dict[str, Seconds]:
    """Hits where more is asked: typed keys, and results that callers may change."""
    lists = decorated({name: CACHES[name] for name in COPYING}, lookup_list, MAXSIZE)
    lists[LRU] = CACHES[LRU](MAXSIZE)(lookup)
    return {
        "typed": timed(decorated(TYPED, lookup, MAXSIZE), rounds),
        "a list": timed(lists, rounds),
    }


def misses(rounds: int) -> Seconds:
    """Misses of full caches, so that each new result drives out an old one."""
    # The counters are made once: samples that began anew would find what the last one had left.
    setup = "g, host, port = function, new_host, 443"
    functions = decorated(BOUNDED, lookup, 128)
    timers = {
        name: timeit.Timer(
            "g(host(), port)", setup, globals={"function": function, "new_host": count().__next__}
        )
        for name, function in functions.items()
    }
    loop = timeit.Timer("host()", setup, globals={"function": None, "new_host": count().__next__})
    return least(timers | {LOOP: loop}, rounds)


def decorating(rounds: int) -> Seconds:
    """To make a decorator and put it on a function."""
    timers = {
        name: timeit.Timer(lambda make=make: make(MAXSIZE)(lookup))  # type: ignore[misc]
        for name, make in CACHES.items()
        if name not in LEFT_OUT
    }
    return least(timers | {LOOP: timeit.Timer(lambda: None)}, rounds)


def both(makers: Mapping[str, Maker]) -> dict[str, Any]:
    """As plain decorators, and through `safepatch.apply`."""
    plain = decorated(makers, lookup, MAXSIZE)
    return plain | {name + APPLIED: applied(one) for name, one in there(makers, MAXSIZE).items()}


def in_coroutines(rounds: int) -> Seconds:
    """Hits of cached coroutine functions, in a running event loop."""
    return awaited(ours_applied(ASYNC, lookup_async, MAXSIZE), rounds)


def in_gevent(rounds: int) -> Seconds:
    """Hits in a process that gevent has patched before it did anything else."""
    source = (
        "from gevent import monkey; monkey.patch_all(); import json\n"
        "from benchmarks.decorators import caches, candidates, measuring\n"
        "made = measuring.ours_applied(candidates.CACHES, measuring.lookup, caches.MAXSIZE)\n"
        f"print(json.dumps(measuring.timed(made, {rounds})))"
    )
    found: Seconds = json.loads(subprocess.check_output([sys.executable, "-c", source], text=True))
    return found


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    rounds = 100 if quick else ROUNDS
    found: dict[str, Any] = {"hits": plain(rounds), "variants": variants(rounds)}
    found |= {"misses": misses(rounds), "async": in_coroutines(rounds // 5)}
    for title in found:
        print(f"\n{title}\n" + "\n".join(tables.text(tables.TABLES[title][1](found))))
    hit = found["hits"]["2 positional"]
    print(f"\nan lru_cache hit takes {(hit[LRU] - hit[LOOP]) * 1e9:.0f} ns")


if __name__ == "__main__":
    main()
