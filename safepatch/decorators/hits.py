"""The function in front of a cache: what is fresh is given by a few instructions of its own.

It is compiled for each function, with the parameters of that, so that Python itself sorts out
positions, names and defaults, which no code here could do as fast. Where the parameters cannot be
relied on it is one that takes everything, and asks a key function.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from operator import is_not
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from safepatch.decorators.entries import Entry
from safepatch.decorators.keys import NO_KEY, is_hashable, shows_another

# A hit is counted in its entry, which also tells the store that it is of use. `{_}` stands for as
# many underscores as no parameter begins with, since names of ours must not hide one.
_TEMPLATE = """
def key_of({parameters}):
    return {key}

{is_async}def wrapper({parameters}):
    try:
        {_}entry = {_}get({known})
    except {_}Exception:
        {_}entry = {_}unkeyed
    if {_}entry is not None and {is_fresh}:
        if {is_verified}:
            return {is_awaited}{_}verify({_}entry, {_}prepare({again}, {values})[1])
        {_}entry.hits += 1.0
        if {_}entry.copier is not None:
            return {_}entry.copier({_}entry.value)
        return {_}entry.value
    # Not inside of `except`: an error of the function would get that one as its context.
    return {is_awaited}{_}miss(
        *{_}prepare({_}no_key if {_}entry is {_}unkeyed else {again}, {values})
    )
"""

#: In the place of what is found, where there is no key to look for.
_UNKEYED = Entry(None, None, -math.inf)

_REQUIRED: Any = object()
_TAKES_ANY = 0x04 | 0x08  # inspect.CO_VARARGS | CO_VARKEYWORDS


class Parameters(NamedTuple):
    """Those of a function that has them by itself, without `*args` and `**kwargs`."""

    names: tuple[str, ...]
    positional_only: int
    positional: int  # with those
    defaults: tuple[Any, ...]  # _REQUIRED where there is none

    def __str__(self) -> str:
        """As in a `def`, with a None for each default."""
        texts = [
            name + "=None" * (default is not _REQUIRED)
            for name, default in zip(self.names, self.defaults, strict=True)
        ]
        if self.positional < len(texts):
            texts.insert(self.positional, "*")
        if self.positional_only:
            texts.insert(self.positional_only, "/")
        return ", ".join(texts)

    def spell(self, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments for a call with these values, without those that are the default: by position
        until one is left out, then by name."""
        given = [*map(is_not, values, self.defaults)]
        by_position = given.index(False) if False in given else len(values)
        by_position = min(by_position, self.positional)
        while any(given[by_position : self.positional_only]):
            by_position += 1
        if True not in given[by_position:]:
            return values[:by_position], {}
        by_name = range(by_position, len(values))
        return values[:by_position], {self.names[i]: values[i] for i in by_name if given[i]}


def own_parameters(wrapped: Any) -> Parameters | None:
    """The parameters of a plain function, or of a proxy for one; None for what only shows those of
    another function, as a wrapper does, or takes any number of them."""
    # `__class__`, not type(): a proxy, such as a patch's link, tells the truth there.
    if wrapped.__class__ is not FunctionType:
        return None
    code: CodeType = wrapped.__code__
    if code.co_flags & _TAKES_ANY or "__signature__" in wrapped.__dict__ or shows_another(wrapped):
        return None
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    last, by_name = wrapped.__defaults__ or (), wrapped.__kwdefaults__ or {}
    defaults = (
        *[_REQUIRED] * (code.co_argcount - len(last)),
        *last,
        *[by_name.get(name, _REQUIRED) for name in names[code.co_argcount :]],
    )
    if not all(map(is_hashable, defaults)):
        return None  # no key is to have one in it
    return Parameters(names, code.co_posonlyargcount, code.co_argcount, defaults)


def front(
    wrapped: Any,
    own: Parameters | None,
    called: dict[str, Any],
    *,
    is_async: bool,
    typed: bool = False,
) -> tuple[Any, Callable[..., Any]]:
    """Compile a wrapper, and the function that makes its keys.

    `called` are what it calls, by their names in the template: get; prepare, which makes of a key
    and values what miss takes; clock if entries expire, find if the first argument may be an
    instance, key_of if the parameters are not `own`, and random, share and verify if hits are to be
    verified.
    """
    _ = "_"
    while own is not None and any(name.startswith(_) for name in own.names):
        _ += "_"
    if own is None:
        parameters, key, values = "*args, **kwargs", f"{_}key_of(*args, **kwargs)", "(args, kwargs)"
    else:
        stand_in = [f"{_}find({_}id({name}), {name})" for name in own.names[: "find" in called]]
        types = [f"{_}type({name})" for name in own.names if typed]
        parameters, values = str(own), _tuple(own.names)
        key = _tuple([*stand_in, *own.names[len(stand_in) :], *types])
    # A tuple is made again for a miss, rather than kept for it by all hits.
    is_kept = own is None or "find" in called
    text = _TEMPLATE.format(
        _=_,
        parameters=parameters,
        key=key,
        known=f"{_}key := {key}" if is_kept else key,
        again=f"{_}key" if is_kept else key,
        values=values,
        is_fresh=f"{_}clock() < {_}entry.expires" if "clock" in called else f"{_}entry.expires > 0",
        is_verified=f"{_}random() < {_}share" if "verify" in called else "False",
        is_async="async " * is_async,
        is_awaited="await " * is_async,
    )
    known = called | {"Exception": Exception, "id": id, "type": type, "no_key": NO_KEY}
    known["unkeyed"] = _UNKEYED
    scope = {_ + name: value for name, value in known.items()}
    # `__name__`: some look at that of the module that calls them. No `__builtins__`, so that exec
    # puts the real ones there: what C code imports or warns of goes through those of the caller.
    scope["__name__"] = __name__
    exec(_code(text), scope)  # noqa: S102 - no text but names goes in, those of parameters
    made, key_of = scope["wrapper"], scope["key_of"]
    if own is not None:
        for function in (made, key_of):
            function.__defaults__ = wrapped.__defaults__
            function.__kwdefaults__ = wrapped.__kwdefaults__ and dict(wrapped.__kwdefaults__)
    return functools.update_wrapper(made, wrapped), key_of


@functools.lru_cache(maxsize=256)
def _code(text: str) -> CodeType:
    return compile(text, "<safepatch.decorators>", "exec")


def _tuple(texts: Iterable[str]) -> str:
    return "(" + "".join(f"{text}, " for text in texts) + ")"
