"""Keys for calls: equal for calls that mean the same, and unequal for all others."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from safepatch.decorators.instances import Instances

if TYPE_CHECKING:
    import inspect

KeyFunction = Callable[..., Hashable]
#: In place of the key of a call that has none, and is not to be kept.
NO_KEY: Any = object()


def key_function(
    wrapped: Callable[..., Any], typed: bool, instances: Instances | None = None
) -> KeyFunction:
    """Make a function that takes the calls of `wrapped` and returns a tuple to know them by.

    With a signature, `f(1)`, `f(a=1)` and `f(1, b=<its default>)` have one key; without one, how
    a call is spelled matters, but not the order of its keyword arguments. A default is what it is
    only for who has the parameters, not for a wrapper around that, which may give another. With
    `typed`, the types of the arguments are part of the key, so that 1, 1.0 and True differ. The
    first of a method is what stands for it among its `instances`.

    The function raises TypeError for a call that the signature does not allow; the key may turn
    out to be unhashable when it is used.
    """
    import inspect

    try:
        signature = inspect.signature(wrapped)
    except (ValueError, TypeError):
        return _with_rest(lambda *args, **kwargs: (*args, kwargs), typed)
    arguments = _arguments(signature, shows_another(wrapped))
    if instances is not None:
        first = next(iter(signature.parameters.values()), None)
        is_any = first is not None and first.kind is first.VAR_POSITIONAL
        arguments = (_before_rest if is_any else _with_stand_in)(arguments, instances)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
        return _with_rest(arguments, typed)
    return _with_types(arguments) if typed else arguments


def with_instance(key: KeyFunction, instances: Instances) -> KeyFunction:
    """Make somebody's key for calls of a method one for each instance."""

    def key_of(*args: Any, **kwargs: Any) -> Hashable:
        first = args[0] if args else None
        return instances.find(id(first), None), key(*args, **kwargs)

    return key_of


def shows_another(wrapped: Any) -> bool:
    """Say whether the parameters to be seen are those of a function that this one calls in its own
    way, as functools.wraps and the FunctionWrapper of wrapt have it."""
    while isinstance(wrapped, functools.partial):
        wrapped = wrapped.func
    return "__wrapped__" in getattr(wrapped, "__dict__", ()) or hasattr(wrapped, "_self_wrapper")


class NotGiven:
    """In a key, in the place of an argument that was left out; the class, which can be pickled."""


class _Text:
    """Its repr is a given text: in a signature, the source of a default."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _arguments(
    signature: inspect.Signature, hides_defaults: bool
) -> Callable[..., tuple[Any, ...]]:
    """Compile `lambda a, b=defaults[1], *c, d, **e: (a, b, d, *c, e)`.

    Python itself then sorts out positions, names and defaults, many times faster than
    `Signature.bind`. The body uses no name but the parameters, so that one called `type` or
    `tuple` shadows nothing; defaults are evaluated outside of it. What varies in number comes
    last, so that no two calls look alike.
    """
    defaults, bare = [], []
    fixed, variadic = "", ""
    for position, parameter in enumerate(signature.parameters.values()):
        has_default = parameter.default is not parameter.empty
        default = _Text(f"defaults[{position}]") if has_default else parameter.empty
        bare.append(parameter.replace(annotation=parameter.empty, default=default))
        # What cannot be hashed is no part of a key, though nobody gave it.
        is_part = not hides_defaults and is_hashable(parameter.default)
        defaults.append(parameter.default if is_part else NotGiven)
        if parameter.kind is parameter.VAR_POSITIONAL:
            variadic += f"*{parameter.name}, "
        elif parameter.kind is parameter.VAR_KEYWORD:
            variadic += f"{parameter.name}, "
        else:
            fixed += f"{parameter.name}, "
    head = str(signature.replace(parameters=bare, return_annotation=signature.empty))[1:-1]
    # No text but the names goes in, and inspect.Parameter wants those to be identifiers.
    made: Callable[..., tuple[Any, ...]] = eval(  # noqa: S307
        f"lambda {head}: ({fixed}{variadic})", {"defaults": defaults}
    )
    return made


def _with_stand_in(
    arguments: Callable[..., tuple[Any, ...]], instances: Instances
) -> Callable[..., tuple[Any, ...]]:
    def stand_in(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        values = arguments(*args, **kwargs)
        return (instances.find(id(values[0]), values[0]), *values[1:]) if values else values

    return stand_in


def _before_rest(
    arguments: Callable[..., tuple[Any, ...]], instances: Instances
) -> Callable[..., tuple[Any, ...]]:
    """For `*args`, of which the first may come after keyword arguments in a key."""

    def stand_in(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        if not args:
            return arguments(**kwargs)
        return instances.find(id(args[0]), args[0]), *arguments(*args[1:], **kwargs)

    return stand_in


def _with_types(arguments: Callable[..., tuple[Any, ...]]) -> KeyFunction:
    def key(*args: Any, **kwargs: Any) -> Hashable:
        values = arguments(*args, **kwargs)
        return (*values, *map(type, values))

    return key


def _with_rest(arguments: Callable[..., tuple[Any, ...]], typed: bool) -> KeyFunction:
    """Take the last value, a dict of further keyword arguments, as a set of pairs."""

    def key(*args: Any, **kwargs: Any) -> Hashable:
        *values, rest = arguments(*args, **kwargs)
        if not typed:
            return (*values, frozenset(rest.items()))
        types = {(name, type(value)) for name, value in rest.items()}
        return (*values, *map(type, values), frozenset(rest.items()), frozenset(types))

    return key


def is_hashable(thing: Any) -> bool:
    try:
        hash(thing)
    except Exception:
        return False
    return True
