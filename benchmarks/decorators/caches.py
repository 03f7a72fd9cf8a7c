"""What a hit and a miss of a cached function cost.

    python -m benchmarks.decorators.caches [--quick]

prints the ratios to `functools.lru_cache` for these alone, for who is working on them.
"""

from __future__ import annotations

import sys
import timeit
import types
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import safepatch
from benchmarks.decorators.candidates import BOUNDED, CACHES, LRU, TYPED, Maker, there
from benchmarks.timing import ROUNDS, least

#: Seconds a call, by what was done to the function; "loop" is the timing itself.
Seconds = dict[str, float]

#: The calls that are timed; names are local variables, so that only the call is.
CALLS = {
    "2 positional": "g(host, port)",
    "4 positional": "g(host, port, 2, 1)",
    "keywords": "g(host, port, family=2, type=1)",
}
SETUP = "g, host, port = function, 'www.example.org', 443"
#: Put after the name of a cache: as a patch, through `safepatch.apply` on a module's function.
APPLIED = ", applied"


def lookup(host: str, port: int, family: int = 0, type: int = 0) -> Any:  # noqa: A002
    """What is cached, with parameters as `socket.getaddrinfo` has them."""
    return host, port


def lookup_list(host: str, port: int, family: int = 0, type: int = 0) -> Any:  # noqa: A002
    return [host, port]


def plain(rounds: int) -> dict[str, Seconds]:
    """Hits, by the call; each cache as a plain decorator, which is what a patch by hand comes to,
    and applied as a patch."""
    functions = both(CACHES)
    return {case: timed(call, functions, rounds) for case, call in CALLS.items()}


def variants(rounds: int) -> dict[str, Seconds]:
    """Hits where more is asked: typed keys, and results that callers may change."""
    copying = {name: CACHES[name] for name in CACHES if name.startswith(("safepatch", "cachebox"))}
    lists = decorated(copying, lookup_list)
    lists[LRU] = decorated({LRU: CACHES[LRU]}, lookup)[LRU]
    return {
        "typed": timed("g(host, port)", decorated(TYPED, lookup), rounds),
        "a list, copied": timed("g(host, port)", lists, rounds),
    }


def misses(rounds: int, maxsize: int = 128) -> Seconds:
    """Misses of full caches, so that each new result drives out an old one."""
    # The counters are made once: samples that began anew would find what the last one had left.
    setup = "g, host, port = function, new_host, 443"
    functions = decorated(BOUNDED, lookup, maxsize)
    timers = {
        name: timeit.Timer(
            "g(host(), port)", setup, globals={"function": function, "new_host": count().__next__}
        )
        for name, function in functions.items()
    }
    loop = timeit.Timer("host()", setup, globals={"function": None, "new_host": count().__next__})
    return least(timers | {"loop": loop}, rounds)


def decorated(makers: Mapping[str, Maker], function: Any, maxsize: int = 1024) -> dict[str, Any]:
    return {name: decorator(function) for name, decorator in there(makers, maxsize).items()}


def both(makers: Mapping[str, Maker]) -> dict[str, Any]:
    """As plain decorators, and through `safepatch.apply`."""
    applied = {name + APPLIED: _apply(decorator) for name, decorator in there(makers, 1024).items()}
    return decorated(makers, lookup) | applied


def _apply(decorator: Any) -> Any:
    module = types.ModuleType("victim")
    made = types.FunctionType(lookup.__code__, {}, "lookup", lookup.__defaults__)
    made.__module__ = "victim"
    module.lookup = made  # type: ignore[attr-defined]
    safepatch.apply((module, "lookup"), decorator, aliases="ignore")
    return module.lookup


def timed(call: str, functions: Mapping[str, Any], rounds: int) -> Seconds:
    timers = {
        name: timeit.Timer(call, SETUP, globals={"function": function})
        for name, function in functions.items()
    }
    return least(timers | {"loop": timeit.Timer("pass")}, rounds)


def ratios(seconds: Seconds, base: str = LRU) -> dict[str, float]:
    """In multiples of one of them, the loop apart."""
    one = seconds[base] - seconds["loop"]
    return {
        name: (spent - seconds["loop"]) / one for name, spent in seconds.items() if name != "loop"
    }


def report(found: Mapping[str, Seconds], base: str = LRU) -> Iterator[str]:
    """A table: what was compared downwards, the cases rightwards."""
    columns = {case: ratios(seconds, base) for case, seconds in found.items()}
    names = dict.fromkeys(name for column in columns.values() for name in column)
    yield " " * 40 + "".join(f"{case:>16}" for case in columns)
    for name in names:
        cells = (f"{one[name]:16.2f}" if name in one else " " * 16 for one in columns.values())
        yield f"{name:40}" + "".join(cells)


def main() -> None:
    rounds = 100 if "--quick" in sys.argv[1:] else ROUNDS
    found = plain(rounds) | variants(rounds) | {"miss": misses(rounds)}
    print("\n".join(report(found)))
    hit = found["2 positional"]
    print(f"an lru_cache hit takes {(hit[LRU] - hit['loop']) * 1e9:.0f} ns")


if __name__ == "__main__":
    main()
