"""What it costs to apply and undo: the time, the search for aliases, 10,000 sites, the memory."""

from __future__ import annotations

import gc
import sys
import timeit
import tracemalloc
import types
from collections.abc import Callable
from typing import Any
from unittest import mock

import wrapt

import safepatch
from benchmarks.core.victims import (
    by_hand,
    by_mock,
    by_safepatch,
    by_wrapt,
    fresh,
    pass_through,
    wrapt_pass_through,
)
from benchmarks.timing import least, once

SITES = 10_000


def cycles(rounds: int) -> dict[str, dict[str, float]]:
    """Seconds to put the decorator on a function, and on a method, and to take it off again."""
    module = fresh()
    return {
        "function": _cycles(module, "function", rounds),
        "method": _cycles(module.Owner, "method", rounds),
    }


def _cycles(owner: Any, name: str, rounds: int) -> dict[str, float]:
    original = getattr(owner, name)

    def ours() -> None:
        safepatch.apply((owner, name), pass_through, aliases="ignore").undo()

    def ours_in_a_block() -> None:
        with safepatch.patch((owner, name), pass_through):
            pass

    def mock_object() -> None:
        with mock.patch.object(owner, name, pass_through(original)):
            pass

    def mock_object_started() -> None:
        patcher = mock.patch.object(owner, name, pass_through(original))
        patcher.start()
        patcher.stop()

    def mock_magic() -> None:
        with mock.patch.object(owner, name):
            pass

    def wrapt_object() -> None:
        wrapt.wrap_function_wrapper(owner, name, wrapt_pass_through)
        setattr(owner, name, original)

    ways = {
        "safepatch apply, undo": ours,
        "safepatch with patch": ours_in_a_block,
        "mock with patch.object(new)": mock_object,
        "mock patch.object(new) start, stop": mock_object_started,
        "wrapt wrap_function_wrapper, setattr": wrapt_object,
    }
    # Each MagicMock makes a class, which empties the interpreter's caches for all who come next.
    apart = {"mock with patch.object()": mock_magic}
    return {
        way: seconds
        for works in (ways, apart)
        for way, seconds in least(
            {w: timeit.Timer(work) for w, work in works.items()}, rounds
        ).items()
    }


def alias_scan(rounds: int) -> dict[int, float]:
    """Seconds that `aliases="warn"` adds to an apply, by the number of imported modules."""
    module, found = fresh(), {}
    added: list[str] = []

    def apply(aliases: Any) -> Callable[[], None]:
        return lambda: safepatch.apply((module, "function"), pass_through, aliases=aliases).undo()

    for target in (500, 1000, 2000, 4000):
        while len(sys.modules) < target:
            added.append(f"benchmark_module_{len(added)}")
            sys.modules[added[-1]] = _module_of_size(added[-1], 40)
        timers = {aliases: timeit.Timer(apply(aliases)) for aliases in ("warn", "ignore")}
        seconds = least(timers, max(5, rounds // 20))
        found[target] = seconds["warn"] - seconds["ignore"]
    for name in added:
        del sys.modules[name]
    return found


def _module_of_size(name: str, size: int) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update({f"name_{i}": object() for i in range(size)})
    return module


def many_sites(sites: int) -> dict[str, dict[str, float]]:
    """So many functions of one module patched: seconds to apply all and, for ours, to undo all,
    and the bytes of memory that each takes."""
    found = {}
    for way, install in {
        "closure by hand": by_hand,
        "safepatch": by_safepatch,
        "wrapt.FunctionWrapper": by_wrapt,
        "mock.Mock(wraps=...)": by_mock,
    }.items():
        few = sites if "mock" not in way else sites // 10  # one takes as long as twenty of ours
        module, names = _many(few), [f"function_{i}" for i in range(few)]
        install(_many(1), "function_0")  # what is imported or compiled once is not counted
        seconds = once(lambda: [install(module, name) for name in names])  # noqa: B023
        found[way] = {"apply, seconds": seconds * sites / few}
        if install is by_safepatch:
            found[way]["undo_all, seconds"] = once(safepatch.undo_all)
        module = _many(few)
        gc.collect()
        tracemalloc.start()
        for name in names:
            install(module, name)
        gc.collect()
        found[way]["bytes a site"] = tracemalloc.get_traced_memory()[0] / few
        tracemalloc.stop()
        safepatch.undo_all()
    return found


def _many(count: int) -> types.ModuleType:
    module = types.ModuleType("victim")
    for i in range(count):
        function = fresh_function()
        function.__name__ = function.__qualname__ = f"function_{i}"
        vars(module)[function.__name__] = function
    return module


def fresh_function() -> Any:
    def function(value: int) -> int:
        return value

    return function
