"""Functions and methods to patch, and the ways of patching them that are compared."""

from __future__ import annotations

import functools
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest import mock

import wrapt

import safepatch


def pass_through(wrapped: Callable[..., Any]) -> Callable[..., Any]:
    """The decorator that everybody writes, and the measure of all things here."""

    @functools.wraps(wrapped)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    return wrapper


def wrapt_pass_through(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    return wrapped(*args, **kwargs)


def fresh() -> types.ModuleType:
    """A module that nobody has patched, with a function and a method of each kind."""

    def function(value: int) -> int:
        return value

    async def coroutine(value: int) -> int:
        return value

    def generator(value: int) -> Iterator[int]:
        yield value

    async def async_generator(value: int) -> AsyncIterator[int]:
        yield value

    class Base:
        def inherited(self, value: int) -> int:
            return value

    class Owner(Base):
        def method(self, value: int) -> int:
            return value

        @classmethod
        def class_method(cls, value: int) -> int:
            return value

        @staticmethod
        def static_method(value: int) -> int:
            return value

        @property
        def property(self) -> int:
            return 1

    module = types.ModuleType("victim")
    for made in (function, coroutine, generator, async_generator):
        made.__module__, made.__qualname__ = "victim", made.__name__  # as in a module of their own
        vars(module)[made.__name__] = made
    vars(module).update(Owner=Owner, builtin={1: 1}.get)
    return module


Install = Callable[[Any, str], None]


def by_hand(owner: Any, name: str) -> None:
    raw = vars(owner).get(name)
    if isinstance(raw, (classmethod, staticmethod)):
        setattr(owner, name, type(raw)(pass_through(raw.__func__)))
    elif isinstance(raw, property):
        setattr(owner, name, property(pass_through(raw.fget)))  # type: ignore[arg-type]
    else:
        setattr(owner, name, pass_through(getattr(owner, name)))


def by_safepatch(owner: Any, name: str) -> None:
    safepatch.apply((owner, name), pass_through, aliases="ignore")


def in_place(owner: Any, name: str) -> None:
    safepatch.apply((owner, name), pass_through, aliases="rebind")


def by_wrapt(owner: Any, name: str) -> None:
    wrapt.wrap_function_wrapper(owner, name, wrapt_pass_through)


def by_mock(owner: Any, name: str) -> None:
    mocked = mock.Mock(wraps=getattr(owner, name))
    # A Mock in a class does not bind: the function that people write around it does.
    setattr(owner, name, (lambda *args: mocked(*args)) if isinstance(owner, type) else mocked)


WAYS: dict[str, Install] = {
    "closure by hand": by_hand,
    "safepatch": by_safepatch,
    "safepatch in place": in_place,
    "wrapt.FunctionWrapper": by_wrapt,
    "mock.Mock(wraps=...)": by_mock,
}
