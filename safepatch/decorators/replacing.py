"""Call another function instead."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from safepatch.decorators.wrapping import name_of, need_callable

if TYPE_CHECKING:
    from inspect import Signature

F = TypeVar("F", bound=Callable[..., Any])


@overload
def replace(func: F, /) -> Callable[[Callable[..., Any]], F]: ...
@overload
def replace(func: F, wrapped: Callable[..., Any], /) -> F: ...
def replace(func: Callable[..., Any], wrapped: Any = None, /) -> Any:
    """Make a decorator that gives `func` for whatever it decorates, after a check.

        safepatch.apply("time:sleep", replace(lambda seconds: None))

    Raises TypeError, when decorating, if `func` cannot take every call that the function can:
    from the fewest to the most positional arguments, whatever their names, and the keyword-only
    ones by name. There is no check where a signature cannot be read, as with some C functions.

    Adds nothing to a call: what stands there is `func` itself, as safe with threads, greenlets
    and asyncio as it is.

    **Assumes** that callers give by position what can be given so: the names of those parameters
    may differ, unless the function takes any keyword. Then one named as a parameter of `func` is
    cannot be told from it, so that parameter must be named alike or be positional-only.
    """
    need_callable("replace anything by", func)
    if wrapped is None:
        return functools.partial(replace, func)
    need_callable("replace", wrapped)
    wanted, found = _signature(wrapped), _signature(func)
    if wanted is not None and found is not None and not _takes(wanted, found):
        raise TypeError(
            f"cannot replace {name_of(wrapped)!r} by {name_of(func)!r}: {wanted} allows "
            f"calls that {found} does not; let it take what the other takes, or *args "
            "and **kwargs"
        )
    return func


def _signature(function: Any) -> Signature | None:
    import inspect

    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def _takes(wanted: Signature, found: Signature) -> bool:
    """Say whether one signature allows the shortest and the longest call of another.

    What it allows for these two it allows for all between.
    """
    fewest, most = 0, 0
    required: dict[str, None] = {}
    known: dict[str, None] = {}
    for parameter in wanted.parameters.values():
        is_required = parameter.default is parameter.empty
        if parameter.kind is parameter.VAR_POSITIONAL:
            most += len(found.parameters) + 1
        elif parameter.kind is parameter.VAR_KEYWORD:
            # Also what the other calls a parameter that it is given by position.
            known |= dict.fromkeys(["any other keyword", *(_names(found) - _names(wanted))])
        elif parameter.kind is parameter.KEYWORD_ONLY:
            known[parameter.name] = None
            if is_required:
                required[parameter.name] = None
        else:
            most += 1
            fewest += is_required
    try:
        found.bind(*[None] * fewest, **required)
        found.bind(*[None] * most, **known)
    except TypeError:
        return False
    return True


def _names(signature: Signature) -> set[str]:
    """The names of parameters that may be given by name."""
    return {
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
