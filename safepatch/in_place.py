"""Patching a Python function in place: its code is swapped, so all who hold it see the patch.

That reaches what no attribute can: default arguments, dicts, class attributes, bound methods,
`from module import name` made long before.
"""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from safepatch import kinds, stacks
from safepatch.stacks import Entry, Stack, weakly

_ABSENT = object()


class InPlace:
    """A function whose code is a trampoline into a stack, as long as the stack has entries.

    `binds` says what it is bound to where it lives, as that of a site does.
    """

    def __init__(self, function: FunctionType, binds: str) -> None:
        from safepatch.signatures import signature

        self.function: FunctionType | None = function
        self.binds = binds
        with stacks.lock:  # another thread may be patching it
            self.code = function.__code__
            original = _clone(function)
        found = weakly(function)
        # After undo a link calls the function itself, which has its code back, or what is under
        # the patches that it has got meanwhile: the call that is still running is none of theirs.
        self.stack = Stack(
            original, lambda *args, **kwargs: untouched(found())(*args, **kwargs), self
        )
        # What the trampoline's code cannot tell: the parameters, and where the source is.
        self.shown: dict[str, Any] = {"__wrapped__": original}
        if "__signature__" not in original.__dict__:
            self.shown["__signature__"] = signature(original)
        self.hidden: dict[str, Any] = {}

    def installed(self) -> bool:
        function = self.function  # read once: another thread may be undoing
        return function is not None and kinds.trampolined(function) is self.stack

    def push(self, entry: Entry) -> bool:
        with stacks.lock:
            if self.function is None:
                return False
            if not self.stack.entries:
                patched = kinds.trampolined(self.stack.original)
                another = patched is not None and patched.site.function is self.function
                if another or self.function.__code__ is not self.code:
                    return False
                namespace = self.function.__dict__
                self.hidden = {name: namespace.get(name, _ABSENT) for name in self.shown}
                namespace.update(self.shown)
                self.stack.push(entry)
                # Not kept here: code that refers to what refers to it is never collected.
                self.function.__code__ = kinds.trampoline(self.function, self.stack)
            else:
                self.stack.push(entry)
            return True

    def remove(self, entry: Entry) -> None:
        with stacks.lock:
            # In an order in which an interruption loses nothing: a second call does the rest.
            self.stack.remove(entry)
            if not self.stack.entries and self.function is not None:
                self.give_back(self.function)
                self.function = None

    def give_back(self, function: FunctionType) -> None:
        """Give the function its code back, unless somebody else swapped it meanwhile."""
        if kinds.trampolined(function) is self.stack:
            function.__code__ = self.code
        for name, value in self.shown.items():
            if function.__dict__.get(name) is value:
                if self.hidden.get(name, _ABSENT) is _ABSENT:
                    del function.__dict__[name]
                else:
                    function.__dict__[name] = self.hidden[name]


def in_place(function: FunctionType) -> InPlace | None:
    """The live in-place stack of a function, if it has one; a dead one is removed on sight."""
    with stacks.lock:
        stack = kinds.trampolined(function)
        if stack is None:
            return None
        place: InPlace = stack.site
        if not stack.entries:
            place.give_back(function)
            return None
        # A copy of a patched function shares its code, but is not the function.
        return place if place.function is function else None


def untouched(function: Any) -> Any:
    """The function below every in-place patch."""
    stack = kinds.trampolined(function)
    return function if stack is None else stack.original


def _clone(function: FunctionType) -> FunctionType:
    """A function that runs the same code with the same closure, globals and defaults."""
    made = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    functools.update_wrapper(made, function)
    made.__kwdefaults__ = function.__kwdefaults__
    del made.__wrapped__  # type: ignore[attr-defined]
    made.__dict__.update(function.__dict__)
    return made
