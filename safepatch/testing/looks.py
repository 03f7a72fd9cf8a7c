"""Probes for what a decorated function looks like to those who do not call it."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

from safepatch.testing.victims import KINDS, Decorate, Differences, Kind, shown

QUESTIONS: list[Callable[[object], bool]] = [
    inspect.isfunction,
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
]


def keeps_or_hides_kind(kind: Kind, function: Any) -> bool:
    """Say whether a decorated function can be called as one of its kind: it is one, or looks like
    a plain one, which may return what one of that kind does."""
    found = [
        one for question, one in zip(QUESTIONS[1:], KINDS[1:], strict=True) if question(function)
    ]
    return found in ([], [kind])


def kinds(kind: Kind, decorate: Decorate) -> Differences:
    function = kind.make(lambda value: None)
    wrapper = decorate(function)
    for question in QUESTIONS:
        if question(function) is not question(wrapper):
            yield (
                f"inspect.{getattr(question, '__name__', '')}() to be {question(function)}",
                f"{question(wrapper)}, for a {type(wrapper).__name__}",
            )
    seen: list[Any] = []

    def call(function: Any) -> Any:
        seen.append(function(1))
        return seen[-1]

    try:
        for called in (function, wrapper):
            kind.outcome(lambda called=called: call(called))
    finally:
        for value in seen:
            if inspect.iscoroutine(value):
                value.close()  # which is no matter for those that were awaited
    wanted, found = (type(value).__name__ for value in seen)
    if wanted != found:
        yield f"a call to give a {wanted}", f"a {found}"


def signature(kind: Kind, decorate: Decorate) -> Differences:
    function = kind.named(lambda *args: None)
    wanted, found = inspect.signature(function), inspect.signature(decorate(function))
    if wanted != found:
        yield str(wanted), str(found)


def names(kind: Kind, decorate: Decorate) -> Differences:
    function = kind.named(lambda *args: None)
    function.mark = mark = object()
    wrapper = decorate(function)
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        wanted, found = getattr(function, name), getattr(wrapper, name, "nothing")
        if wanted != found:
            yield f"{name} to be {shown(wanted)}", shown(found)
    if getattr(wrapper, "mark", None) is not mark:
        yield "attributes of the function to be there", "that they are not"
    if wrapper is not function and inspect.unwrap(wrapper) is not function:
        yield "__wrapped__ to lead to the function", f"{shown(inspect.unwrap(wrapper))}"


def pickling(kind: Kind, decorate: Decorate) -> Differences:
    module = types.ModuleType(f"{__name__}_{id(decorate)}")
    function = kind.make(lambda: None)
    function.__module__, function.__qualname__ = module.__name__, function.__name__
    wrapper = decorate(function)
    vars(module)[function.__name__] = wrapper
    sys.modules[module.__name__] = module
    try:
        loaded = pickle.loads(pickle.dumps(wrapper))  # noqa: S301
    finally:
        del sys.modules[module.__name__]
    if loaded is not wrapper:
        yield "to be the same function again after pickling", f"another {type(loaded).__name__}"


def copying(kind: Kind, decorate: Decorate) -> Differences:
    wrapper = decorate(kind.make(lambda: None))
    for copier in (copy.copy, copy.deepcopy):
        copied = copier(wrapper)
        if copied is not wrapper:
            yield (
                f"copy.{copier.__name__}() to give the function",
                f"another {type(copied).__name__}",
            )


def weak_references(kind: Kind, decorate: Decorate) -> Differences:
    function = kind.make(lambda: None)
    wrapper = decorate(function)
    if weakref.ref(wrapper)() is not wrapper or {wrapper: 1}.get(wrapper) != 1:
        yield "to be found as a key and by a weak reference", "that it is not"
    reference = weakref.ref(function)
    del function, wrapper
    if reference() is not None:
        gc.collect()
    if reference() is not None:
        yield "the function to be gone when nobody has its wrapper any more", "that it stays"
