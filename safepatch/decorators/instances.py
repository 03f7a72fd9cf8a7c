"""Stand-ins for instances in the keys of methods: each instance has results of its own, and none is
kept alive by them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any


class Instance:
    """Stands for one object, by identity, while that lives."""

    __slots__ = ("__weakref__", "keys", "ref")

    ref: weakref.ref[Any]

    def __init__(self) -> None:
        #: Of the results that it has.
        self.keys: set[Hashable] = set()


class Instances:
    """The instances that one method was called on."""

    def __init__(self, defined_in: str, module: str, name: str, by_value: bool) -> None:
        self._defined_in, self._module, self._name = defined_in, module, name
        self._by_value = by_value
        self._by_id: dict[int, Instance] = {}
        #: `find(id(thing), thing)` is what stands for a thing in a key: the thing itself, unless
        #: it was admitted. Such an `id` is not used again before `_died` has run.
        self.find: Callable[[int, Any], Any] = self._by_id.get

    def admit(self, thing: Any, drop: Callable[[Hashable], None]) -> bool:
        """Let something stand for the first argument of a call, if that is an instance.

        `drop` forgets a result. False says that the call must not be cached: what cannot be
        referred to weakly, and has no value to be known by, would be kept alive.
        """
        if id(thing) in self._by_id or not self._is_instance(thing):
            return True
        instance = Instance()
        try:
            instance.ref = weakref.ref(thing, partial(self._died, id(thing), drop))
        except TypeError:
            hashes: Any = type(thing).__hash__
            return self._by_value and hashes is not object.__hash__
        self._by_id.setdefault(id(thing), instance)
        return True

    def _is_instance(self, thing: Any) -> bool:
        """Say whether the method is bound to this: of a static method the first is any argument."""
        kinds = type(thing).__mro__
        if isinstance(thing, type):
            kinds += thing.__mro__  # a class method is bound to a class
        for kind in kinds:
            if kind.__qualname__ == self._defined_in and kind.__module__ == self._module:
                return not isinstance(vars(kind).get(self._name), staticmethod)
        # Its class may have another name by now, or it may be in yet another class.
        return any(
            self._is_it(held)
            for kind in kinds
            if kind.__module__ != "builtins"
            for held in list(vars(kind).values())
        )

    def _is_it(self, held: Any) -> bool:
        function = getattr(held, "__func__", held)  # of a class method
        return (
            getattr(function, "__qualname__", None) == f"{self._defined_in}.{self._name}"
            and getattr(function, "__module__", None) == self._module
            and not isinstance(held, staticmethod)
        )

    def _died(self, name: int, drop: Callable[[Hashable], None], ref: weakref.ref[Any]) -> None:
        instance = self._by_id.get(name)
        if instance is None or instance.ref is not ref:
            return  # one that another thread had put in first
        del self._by_id[name]
        for key in list(instance.keys):  # not by pop(): other threads may be dropping some as well
            drop(key)


def instances_of(wrapped: Any, *, by_value: bool) -> Instances | None:
    """For a function that is defined in a class, by its name, what its instances are known by.

    What cannot be referred to weakly may be known by its value, if `by_value`.
    """
    qualname, module = getattr(wrapped, "__qualname__", None), getattr(wrapped, "__module__", None)
    if not isinstance(qualname, str) or not isinstance(module, str):
        return None
    defined_in, _, name = qualname.rpartition(".")
    if not defined_in or defined_in.endswith("<locals>") or hasattr(wrapped, "__self__"):
        return None
    return Instances(defined_in, module, name, by_value)
