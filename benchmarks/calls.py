"""What a patched call costs: ours beside a hand-made closure, wrapt and mock, in one run.

    python benchmarks/calls.py

Each figure is the least of many interleaved runs, less what the bare function takes, as a multiple
of what one functools.wraps closure adds to it. Machines are noisy: trust the order, not the digits.
"""

from __future__ import annotations

import functools
import platform
import sys
import timeit
import types
from collections.abc import Callable
from importlib.metadata import version
from typing import Any
from unittest import mock

import wrapt

import safepatch

ROUNDS, CALLS = 60, 20_000


def pass_through(wrapped: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(wrapped)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    return wrapper


def wrapt_pass_through(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    return wrapped(*args, **kwargs)


def fresh() -> types.SimpleNamespace:
    """A function and a method nobody has patched."""

    def function(value: int) -> int:
        return value

    class Owner:
        def method(self, value: int) -> int:
            return value

    module = types.ModuleType("victim")
    module.__dict__["function"] = function
    return types.SimpleNamespace(module=module, owner=Owner, function=function)


def by_hand(times: int) -> Callable[[types.SimpleNamespace], None]:
    def install(victim: types.SimpleNamespace) -> None:
        for _ in range(times):
            victim.module.function = pass_through(victim.module.function)
            victim.owner.method = pass_through(victim.owner.method)

    return install


def by_safepatch(times: int, in_place: bool = False) -> Callable[[types.SimpleNamespace], None]:
    def install(victim: types.SimpleNamespace) -> None:
        targets: list[Any] = [(victim.module, "function"), (victim.owner, "method")]
        if in_place:
            targets = [victim.function, victim.owner.method]
        for target in targets:
            for _ in range(times):
                safepatch.apply(target, pass_through, aliases=None if in_place else "ignore")

    return install


def by_wrapt(victim: types.SimpleNamespace) -> None:
    wrapt.wrap_function_wrapper(victim.module, "function", wrapt_pass_through)
    wrapt.wrap_function_wrapper(victim.owner, "method", wrapt_pass_through)


def by_mock(victim: types.SimpleNamespace) -> None:
    victim.module.function = mock.Mock(wraps=victim.module.function)
    mocked = mock.Mock(wraps=victim.owner.method)
    victim.owner.method = lambda self, *args: mocked(self, *args)


VARIANTS: dict[str, Callable[[types.SimpleNamespace], None]] = {
    "bare": by_hand(0),
    "1 closure by hand": by_hand(1),
    "3 closures by hand": by_hand(3),
    "safepatch, 1 closure": by_safepatch(1),
    "safepatch, 3 closures": by_safepatch(3),
    "safepatch in place, 1 closure": by_safepatch(1, in_place=True),
    "wrapt.FunctionWrapper": by_wrapt,
    "mock.Mock(wraps=...)": by_mock,
}


def measure(what: str) -> dict[str, float]:
    """Seconds a call, for each variant, interleaved."""
    timers = {}
    for name, install in VARIANTS.items():
        victim = fresh()
        install(victim)
        space = {"function": victim.module.function, "owner": victim.owner()}
        statement = "function(1)" if what == "function" else "owner.method(1)"
        timers[name] = timeit.Timer(statement, globals=space)
    least = dict.fromkeys(timers, float("inf"))
    for _ in range(ROUNDS):
        for name, timer in timers.items():
            calls = CALLS // 20 if "mock" in name else CALLS
            least[name] = min(least[name], timer.timeit(calls) / calls)
    return least


def main() -> None:
    print(f"Python {platform.python_version()}, wrapt {version('wrapt')}, {sys.platform}")
    for what in ("function", "method"):
        least = measure(what)
        bare = least["bare"]
        one = least["1 closure by hand"] - bare
        print(f"\n{what}: bare {bare * 1e9:.0f} ns, one closure adds {one * 1e9:.0f} ns = 1.00")
        for name, seconds in least.items():
            print(f"  {name:32}{(seconds - bare) / one:8.2f}")
        three = least["safepatch, 3 closures"] - least["3 closures by hand"]
        own = least["safepatch, 1 closure"] - bare - one
        print(f"  our share: {own / one:.2f}; each further link: {(three - own) / 2 / one:.2f}")
    safepatch.undo_all()


if __name__ == "__main__":
    main()
