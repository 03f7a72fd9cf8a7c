"""What every decorator here asks of the function it is given."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any, Literal


def configured(decorator: Callable[..., Any], **options: Any) -> functools.partial[Any]:
    """Bind options to a decorator, leaving out those that are its defaults.

    A partial, because `safepatch.explain()` prints one as the line it stands for:
    `@ttl_cache(ttl=300)`.
    """
    defaults = getattr(decorator, "__kwdefaults__", None) or {}
    given = {
        name: value
        for name, value in options.items()
        if name not in defaults or value is not defaults[name]
    }
    return functools.partial(decorator, **given)


def is_positive(number: Any) -> bool:
    """Say whether it is a number above 0, and finite as a float; of what is no number, no."""
    try:
        return bool(0 < number < math.inf and float(number))
    except (TypeError, OverflowError):
        return False


def need_callable(verb: str, wrapped: Any) -> None:
    """Raise TypeError for what cannot be called."""
    if not callable(wrapped):
        raise TypeError(
            f"cannot {verb} {wrapped!r}: it is a {type(wrapped).__name__}, which cannot be called; "
            "decorate a function, below any @classmethod or @property, and give options by name"
        )


def need_function(option: str, value: Any) -> None:
    """Raise TypeError for an option that cannot be called."""
    if not callable(value):
        raise TypeError(f"got {option}={value!r}; give a function")


def need_results(verb: str, wrapped: Any) -> None:
    """Raise TypeError for what cannot be called, and for generator functions."""
    need_callable(verb, wrapped)
    if is_generator(wrapped):
        raise TypeError(
            f"cannot {verb} {name_of(wrapped)!r}: it is a generator function, whose work is "
            "done only after the call; decorate a function that returns a list"
        )


def is_async(wrapped: Any) -> bool:
    """Say whether calls are to be awaited: coroutine functions, and objects called like one."""
    return kind_of(wrapped) == "coroutine"


def is_generator(wrapped: Any) -> bool:
    """Say whether calls give an iterator, of either kind, that does the work: see `observed`."""
    return kind_of(wrapped) in ("generator", "async generator")


def kind_of(wrapped: Any) -> Literal["plain", "coroutine", "generator", "async generator"]:
    """Say of which kind a function is; an object is of the kind of its `__call__`."""
    import inspect

    if isinstance(wrapped, staticmethod):
        wrapped = wrapped.__func__
    # `__class__`, not type(): a proxy, such as a patch's link, tells the truth there.
    for function in (wrapped, wrapped.__class__.__call__):
        if inspect.iscoroutinefunction(function) or _is_marked(function):
            return "coroutine"
        if inspect.isgeneratorfunction(function):
            return "generator"
        if inspect.isasyncgenfunction(function):
            return "async generator"
    return "plain"


def _is_marked(function: Any) -> bool:
    # What asyncio.iscoroutinefunction() looks at, which is deprecated since Python 3.14. Before
    # 3.12 there was no other mark for objects; asgiref and unittest.mock set this one.
    mark = getattr(sys.modules.get("asyncio.coroutines"), "_is_coroutine", None)
    return mark is not None and getattr(function, "_is_coroutine", None) is mark


def name_of(wrapped: Any) -> str:
    """The name of a function with its module, or, for what has none, that of its class."""
    named = wrapped if hasattr(wrapped, "__qualname__") else type(wrapped)
    return f"{getattr(named, '__module__', None) or '?'}.{named.__qualname__}"
