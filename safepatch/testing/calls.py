"""Probes for when, where and on what the function is called, and what is left of a call."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import threading
import weakref
from typing import Any

from safepatch.testing.victims import Decorate, Differences, Failure, Kind, Thing, caught, shown


def calls(kind: Kind, decorate: Decorate) -> Differences:
    made: list[Any] = []
    function = decorate(kind.make(made.append))
    if made:
        yield "no call before somebody calls", f"{len(made)} when decorating"
        made.clear()
    for wanted in (1, 2):
        kind.outcome(lambda: function(1))
        if len(made) != wanted:
            yield f"{wanted} calls of the function for {wanted} equal calls", f"{len(made)}"
            break

    def body(value: Any) -> Any:
        failed.append(value)
        raise Failure("something")

    failed: list[Any] = []
    failing = decorate(kind.make(body))
    caught(kind, lambda: failing(1))
    if len(failed) != 1:
        yield "one call of the function for a call that fails", f"{len(failed)}"


def equal_calls(kind: Kind, decorate: Decorate) -> Differences:
    function = decorate(kind.make(lambda value: [value]))
    first = kind.outcome(lambda: function(1))
    if isinstance(first, list):
        first.append("something of the caller's")
    found = kind.outcome(lambda: function(1))
    if found != [1]:
        yield "[1], the second time as the first", shown(found)
    decorated = decorate(kind.make(lambda value: type(value)))
    for value in ("1", 1):
        found = kind.outcome(functools.partial(decorated, value))
        if found is not type(value):
            yield f"a call with {value!r} to be another than with '1'", "that it is the same"


_variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="not set")


def caller(kind: Kind, decorate: Decorate) -> Differences:
    seen: dict[str, Any] = {}

    def here() -> tuple[Any, ...]:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        return threading.get_ident(), task

    def body(value: Any) -> Any:
        seen.update(inside=here(), there=_variable.get())
        _variable.set("function")

    def call() -> Any:
        _variable.set("caller")
        seen["outside"] = here()
        return decorated(1)

    decorated = decorate(kind.make(body))
    kind.outcome(call, lambda: seen.update(after=_variable.get()))
    for what, one, other in zip(("thread", "task"), seen["inside"], seen["outside"], strict=True):
        if one != other:
            yield f"to be called in the caller's {what}", f"another {what}"
    if (seen["there"], seen["after"]) != ("caller", "function"):
        yield "the caller's context variables, to read and to set", "other ones"


def release(kind: Kind, decorate: Decorate) -> Differences:
    def fail(value: Any) -> Any:
        raise Failure("something")

    bodies = {
        "an argument": lambda value: None,
        "a result": lambda value: value,
        "the argument of a call that failed": fail,
    }
    functions = {what: decorate(kind.make(body)) for what, body in bodies.items()}
    was_enabled = gc.isenabled()
    gc.disable()  # it would free what is kept by a reference cycle
    try:
        left = {what: _left(kind, function) for what, function in functions.items()}
        kept = [what for what, reference in left.items() if reference() is not None]
    finally:
        if was_enabled:
            gc.enable()
    if kept:
        gc.collect()
    for what in kept:
        how = "until garbage is collected" if left[what]() is None else "for longer"
        yield f"{what} to be let go after the call", f"that it is kept {how}"


def _left(kind: Kind, function: Any) -> weakref.ref[Thing]:
    """A reference to an argument, after the call."""
    thing = Thing()
    caught(kind, functools.partial(function, thing))
    return weakref.ref(thing)


def methods(kind: Kind, decorate: Decorate) -> Differences:
    """Whether what stands in a class binds; on a class made before as well."""

    class Base:
        __slots__ = ()  # no place to keep anything in
        method = decorate(kind.make(lambda *args: args))
        of_class: Any = classmethod(decorate(kind.make(lambda *args: args)))
        static = staticmethod(decorate(kind.make(lambda *args: args)))

    class Derived(Base):
        __slots__ = ()

        def inherited(self) -> Any:
            return super().method(6)

    late: Any = Derived
    late.late = decorate(kind.make(lambda *args: args))
    one, two, base = Derived(), Derived(), Base()
    for text, call, wanted in (
        ("method", lambda: base.method(2), (base, 2)),
        ("method of an object of a subclass", lambda: one.method(2), (one, 2)),
        ("method of another object", lambda: two.method(2), (two, 2)),
        ("method called by the class", lambda: Derived.method(two, 3), (two, 3)),
        ("method called by super()", one.inherited, (one, 6)),
        ("method put on the class later", lambda: late.late(one, 4), (one, 4)),
        ("method put on the class later", lambda: late.late.__get__(two)(5), (two, 5)),
        ("class method", lambda: Base.of_class(2), (Base, 2)),
        ("class method of a subclass", lambda: one.of_class(2), (Derived, 2)),
        ("static method", lambda: one.static(2), (2,)),
    ):
        try:
            found = kind.outcome(call)
        except Exception as error:
            yield f"a {text} to be called", shown(error)
            continue
        if [*map(id, found)] != [*map(id, wanted)]:
            yield f"a {text} to be given {shown(wanted)}", shown(found)
    if getattr(one.method, "__self__", None) is not one:
        yield "a method to have its object as __self__", shown(one.method)


def callable_objects(kind: Kind, decorate: Decorate) -> Differences:
    class Callable:
        def __call__(self, text: str, base: int = 10) -> int:
            return int(text, base)

    for called in (int, functools.partial(int, base=16), Callable(), "7".join, Callable().__call__):
        name = shown(called)
        try:
            wanted, found = called("5"), decorate(called)("5")
        except Exception as error:
            yield f"to decorate {name}", shown(error)
            continue
        if found != wanted:
            yield f"{name} to return {wanted!r}", shown(found)
