"""Functions and test classes that run inside `with patch`."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from safepatch import kinds

F = TypeVar("F", bound=Callable[..., Any])


def patched_while_running(patch: Any, function: F) -> F:
    """Wrap a function, or each test* method of a class, to run inside `with patch`."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(patched_while_running(patch, function.__func__))
    if isinstance(function, type):
        for name in dir(function):
            if name.startswith("test"):
                _wrap_test(patch, function, name)
        return function
    wrapped: Any = function
    kind = kinds.kind(function)
    marked = kinds.marked_coroutine(wrapped) or kinds.marked_coroutine(type(wrapped).__call__)
    if kind == kinds.COROUTINE or (kind == kinds.PLAIN and marked):

        async def run_coroutine(*args: Any, **kwargs: Any) -> Any:
            with patch:
                return await wrapped(*args, **kwargs)

        run: Any = run_coroutine
    elif kind == kinds.ASYNC_GENERATOR:
        run = kinds.dispatcher(
            function, kinds.Top(lambda *args, **kwargs: _While(patch, wrapped(*args, **kwargs)))
        )
    elif kind in (kinds.GENERATOR, kinds.ITERABLE_COROUTINE):

        def run_generator(*args: Any, **kwargs: Any) -> Any:
            with patch:
                return (yield from wrapped(*args, **kwargs))

        run = run_generator if kind == kinds.GENERATOR else types.coroutine(run_generator)
    else:

        def run_plain(*args: Any, **kwargs: Any) -> Any:
            with patch:
                return wrapped(*args, **kwargs)

        run = run_plain
    return functools.update_wrapper(run, function)  # type: ignore[return-value]


class _While:
    """An async generator with a patch applied from its first value to its end."""

    def __init__(self, patch: Any, inner: Any) -> None:
        self.patch, self.inner, self.entered = patch, inner, False

    def __anext__(self) -> Any:
        return self._step(self.inner.__anext__)

    def asend(self, value: Any) -> Any:
        return self._step(self.inner.asend, value)

    def athrow(self, error: BaseException) -> Any:
        return self._step(self.inner.athrow, error)

    async def aclose(self) -> None:
        try:
            await self.inner.aclose()
        finally:
            self._leave()

    async def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        if not self.entered:
            self.patch.__enter__()
            self.entered = True
        return await step(*args)

    def _leave(self) -> None:
        if self.entered:
            self.entered = False
            self.patch.__exit__(None, None, None)


def _wrap_test(patch: Any, cls: type, name: str) -> None:
    for base in cls.__mro__:
        raw = vars(base).get(name)
        if isinstance(raw, functools.partialmethod):
            inner = patched_while_running(patch, raw.func)
            setattr(cls, name, functools.partialmethod(inner, *raw.args, **raw.keywords))
        elif isinstance(raw, (staticmethod, classmethod, FunctionType)):
            made: Any = raw
            setattr(cls, name, patched_while_running(patch, made))
        if raw is not None:
            return
