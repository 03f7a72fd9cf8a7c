"""What a call costs: patched functions and methods, the other kinds, and patches not all see."""

from __future__ import annotations

import contextvars
import timeit
from typing import Any

import safepatch
from benchmarks.core.victims import WAYS, Install, by_hand, by_safepatch, fresh, pass_through
from benchmarks.timing import least

#: Seconds a call, by what was done to the victim.
Seconds = dict[str, float]

# What is patched: the owner in the victim's module ("" for the module itself), the name, the call.
PLAIN = {
    "function": ("", "function", "function(1)"),
    "method": ("Owner", "method", "owner.method(1)"),
}
KINDS = {
    "function, by keyword": ("", "function", "function(value=1)"),
    "coroutine function": ("", "coroutine", "run(coroutine(1))"),
    "generator function": ("", "generator", "list(generator(1))"),
    "async generator function": ("", "async_generator", "run(exhaust(async_generator(1)))"),
    "builtin function": ("", "builtin", "builtin(1)"),
    "inherited method": ("Owner", "inherited", "owner.inherited(1)"),
    "class method": ("Owner", "class_method", "owner.class_method(1)"),
    "static method": ("Owner", "static_method", "owner.static_method(1)"),
    "property": ("Owner", "property", "owner.property"),
}


def plain(rounds: int) -> dict[str, Seconds]:
    """Functions and methods under one and three decorators, each way; "bare" under none."""
    return {
        what: least(
            {"bare": _timer(what)}
            | {f"{way} x{n}": _timer(what, *[WAYS[way]] * n) for way in WAYS for n in (1, 3)},
            rounds,
        )
        for what in PLAIN
    }


def kinds(rounds: int) -> dict[str, Seconds]:
    """The other kinds of target under one decorator."""
    ways: dict[str, tuple[Install, ...]] = {
        "bare": (),
        "closure by hand": (by_hand,),
        "safepatch": (by_safepatch,),
    }
    return {
        what: least({way: _timer(what, *installs) for way, installs in ways.items()}, rounds)
        for what in KINDS
    }


def scopes(rounds: int) -> Seconds:
    """One function under a patch that not all calls see, by callers that do and that do not."""

    def timer(caller: str = "shop.cart", **options: Any) -> timeit.Timer:
        module = fresh()
        safepatch.apply((module, "function"), pass_through, aliases="ignore", **options)
        return timeit.Timer("function(1)", globals={**vars(module), "__name__": caller})

    return least(
        {
            "bare": _timer("function"),
            "seen by all": timer(),
            "scope='context', seen": timer(scope="context"),
            "scope='context', not seen": contextvars.Context().run(timer, scope="context"),
            "only_from, from there": timer(only_from="shop"),
            "only_from, from elsewhere": timer("store.cart", only_from="shop"),
            "only_if, yes": timer(only_if=lambda: True),
            "only_if, no": timer(only_if=lambda: False),
        },
        rounds,
    )


def _timer(what: str, *installs: Install) -> timeit.Timer:
    owner, name, call = (PLAIN | KINDS)[what]
    module = fresh()
    for install in installs:
        install(getattr(module, owner) if owner else module, name)
    # The names are those of the module, to time the call and not the look-up in a module.
    space = {**vars(module), "owner": module.Owner(), "run": _run, "exhaust": _exhaust}
    return timeit.Timer(call, globals=space)


def _run(coroutine: Any) -> None:
    """Run a coroutine that never waits; an event loop would cost more than all that is timed."""
    try:
        coroutine.send(None)
    except StopIteration:
        pass


async def _exhaust(items: Any) -> None:
    async for _ in items:
        pass


def shares(seconds: Seconds) -> dict[str, float]:
    """Our own share of a call, without the decorator, and what each further link adds; in
    multiples of what one closure by hand adds to the bare call."""
    one = seconds["closure by hand x1"] - seconds["bare"]
    found = {}
    for way in ("safepatch", "safepatch in place"):
        first = seconds[f"{way} x1"] - seconds["closure by hand x1"]
        third = seconds[f"{way} x3"] - seconds["closure by hand x3"]
        found[way] = first / one
        found[f"{way}, each further link"] = (third - first) / 2 / one
    return found
