"""The kinds of function there are, and functions of each kind that call whatever tops a stack.

A naive `functools.wraps` closure around a coroutine function is a plain function, and code that
asks `inspect.iscoroutinefunction` takes another path. So what stands at a patched site is always
a function of the original's kind, made here from one template a kind.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from types import (
    CellType,
    CodeType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MethodType,
    SimpleNamespace,
)
from typing import Any

#: What the frames made here give as their file.
FILE = "<safepatch>"

# The values are flags of code objects (`inspect.CO_*`, which is slow to import).
PLAIN, GENERATOR, COROUTINE, ITERABLE_COROUTINE, ASYNC_GENERATOR = 0, 0x20, 0x80, 0x120, 0x200
_MASK = GENERATOR | COROUTINE | ITERABLE_COROUTINE | ASYNC_GENERATOR
NAMES = {
    PLAIN: "a plain function",
    GENERATOR: "a generator function",
    COROUTINE: "a coroutine function",
    ITERABLE_COROUTINE: "a generator-based coroutine function",
    ASYNC_GENERATOR: "an async generator function",
}


def kind(function: Any) -> int:
    """Say which of the kinds above a callable is, seeing through partials and bound methods."""
    while type(function) is not FunctionType:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        else:
            flags = getattr(getattr(function, "__code__", None), "co_flags", PLAIN)
            return flags & _MASK if isinstance(flags, int) else PLAIN
    return function.__code__.co_flags & _MASK


def marked_coroutine(function: Any) -> bool:
    """Whether a function says it is a coroutine function, by its kind or by a mark on it."""
    import inspect

    return inspect.iscoroutinefunction(function)


class Top:
    """The least stack there is: one call, for a dispatcher that stands at no site."""

    __slots__ = ("top",)

    def __init__(self, top: Callable[..., Any]) -> None:
        self.top = top


def first_step(inner: Any) -> Any:
    """Begin an async generator of which the event loop is not told.

    A loop that ends closes those it was told of, all at once; the one around this one closes it.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return inner.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)


def awaitable(result: Any) -> bool:
    """Say whether `await result` would work."""
    if isinstance(result, GeneratorType):
        return bool(result.gi_code.co_flags & (ITERABLE_COROUTINE & ~GENERATOR))
    return type(result) is CoroutineType or hasattr(type(result), "__await__")


def steps(result: Any) -> Any:
    """What `yield from` gets the result of an awaitable by, or of anything else at once."""
    if isinstance(result, (GeneratorType, CoroutineType)):
        return result
    return result.__await__() if awaitable(result) else _at_once(result)


def _at_once(result: Any) -> Any:
    return result
    yield  # never reached: it makes this a generator, which ends at once with the result


def async_generator(result: Any) -> Any:
    """Give `result` the methods of an async generator, whatever asynchronous iterable it is."""
    return result if hasattr(result, "athrow") else _iterate(result)


async def _iterate(iterable: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for item in iterable:
        yield item


# `stack.top` is read on every call, so re-pointing a stack takes effect at the next call and no
# lock is needed. `yield from` hands send(), throw() and return values through by itself; for
# async generators Python has no such statement. What a coroutine function returns is most often
# a coroutine, which is told without a call.
#
# Python copies the keywords of `f(*args, **kwargs)` even where there are none, which costs a tenth
# to a quarter of what a closure does.
_CALL = "(stack.top(*args, **kwargs) if kwargs else stack.top(*args))"
_TEMPLATES = {
    PLAIN: """
        def dispatch(*args, **kwargs):
            {free}
            return {call}
    """,
    GENERATOR: """
        def dispatch(*args, **kwargs):
            {free}
            return (yield from {call})
    """,
    ITERABLE_COROUTINE: """
        def dispatch(*args, **kwargs):
            {free}
            return (yield from steps({call}))
    """,
    COROUTINE: """
        async def dispatch(*args, **kwargs):
            {free}
            result = {call}
            if kind_of(result) is Coroutine or awaitable(result):
                return await result
            return result
    """,
    ASYNC_GENERATOR: """
        async def dispatch(*args, **kwargs):
            {free}
            inner = async_generator({call})
            step, thrown = first_step(inner), None
            try:
                while True:
                    value = await step
                    try:
                        sent = yield value
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        thrown = error
                    # Not in `except`: what is raised inside gets no context that it had not.
                    if thrown is None:
                        step = inner.asend(sent)
                    else:
                        step, thrown = inner.athrow(thrown), None
            except StopAsyncIteration:
                return
            finally:
                await inner.aclose()
    """,
}
_NAMES_USED = {
    "kind_of": type,
    "Coroutine": CoroutineType,
    "awaitable": awaitable,
    "async_generator": async_generator,
    "steps": steps,
    "first_step": first_step,
    "GeneratorExit": GeneratorExit,
    "BaseException": BaseException,
    "StopAsyncIteration": StopAsyncIteration,
}
_NAMES = SimpleNamespace(**_NAMES_USED)


def _compile(kind: int, free: tuple[str, ...], rename: dict[str, str]) -> CodeType:
    """Compile a template as a closure over the variables `free`."""
    closed_over = f"nonlocal {', '.join(free)}" if free else "pass"
    source = _TEMPLATES[kind].format(free=closed_over, call=_CALL)
    for name, other in rename.items():
        source = source.replace(name, other)
    maker: Any = compile(f"def make({', '.join(free)}):\n{source}    return dispatch", FILE, "exec")
    code = maker
    for _ in range(2):
        code = next(const for const in code.co_consts if isinstance(const, CodeType))
    flags: int = code.co_flags | kind
    compiled: CodeType = code.replace(co_flags=flags)
    return compiled


@functools.cache
def _dispatch_code(kind: int) -> CodeType:
    return _compile(kind, ("stack",), {})


def dispatcher(like: Any, stack: Any) -> FunctionType:
    """Make a function of the kind of `like`, and looking like it, that calls `stack.top`."""
    from safepatch.signatures import signature

    made = FunctionType(_dispatch_code(kind(like)), _GLOBALS, closure=(CellType(stack),))
    functools.update_wrapper(made, like)
    made.__defaults__ = getattr(like, "__defaults__", None)
    made.__kwdefaults__ = getattr(like, "__kwdefaults__", None)
    if "__signature__" not in made.__dict__:
        # For those who ask without following __wrapped__, such as inspect.getfullargspec.
        try:
            made.__signature__ = signature(like)  # type: ignore[attr-defined]
        except (ValueError, TypeError):
            pass
    return made


def dispatched(function: Any) -> Any:
    """Give the stack of the site that a dispatcher was made for, or None for any other object."""
    if type(function) is FunctionType and function.__globals__ is _GLOBALS:
        stack = function.__closure__[0].cell_contents  # type: ignore[index]
        return None if type(stack) is Top else stack
    return None


def has_foreign_code(function: Any) -> bool:
    """Whether somebody exchanged the code of a dispatcher that was made here, as ddtrace does with
    the functions that it finds: its wrapper is in there, around ours."""
    if type(function) is not FunctionType or function.__globals__ is not _GLOBALS:
        return False
    return function.__code__ is not _dispatch_code(function.__code__.co_flags & _MASK)


@functools.cache
def _trampoline_code(kind: int, free: int) -> CodeType:
    # The function that gets this code keeps its own globals, which may well shadow a builtin:
    # every name is a constant instead, or an attribute of one, put in as a string here and as the
    # object below. A call of the string itself would make the compiler warn, and to filter that
    # warning is to change a filter that other threads see.
    rename = {"stack": '"<stack>"'} | {name: f'"<names>".{name}' for name in _NAMES_USED}
    return _compile(kind, tuple(f"free{i:04}" for i in range(free)), rename)


def trampoline(function: FunctionType, stack: Any) -> CodeType:
    """Make code of the kind of `function`, fit to stand in its place, that calls `stack.top`."""
    code = function.__code__
    template = _trampoline_code(kind(function), len(code.co_freevars))
    values = {"<stack>": stack, "<names>": _NAMES}
    return template.replace(
        co_consts=tuple(
            values.get(const, const) if isinstance(const, str) else const
            for const in template.co_consts
        ),
        co_freevars=code.co_freevars,
        co_name=code.co_name,
        co_qualname=code.co_qualname,
    )


def trampolined(function: Any) -> Any:
    """Give the stack that a function whose code was swapped calls, or None."""
    if type(function) is FunctionType and function.__code__.co_filename == FILE:
        for const in function.__code__.co_consts:
            if hasattr(type(const), "top"):
                return const
    return None


_GLOBALS: dict[str, Any] = {"__name__": "safepatch.kinds", **_NAMES_USED}
