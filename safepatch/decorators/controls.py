"""Putting an engine in front of a function, and what the wrapper carries."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from safepatch.decorators.engine import CacheInfo, Engine
from safepatch.decorators.hits import front, own_parameters
from safepatch.decorators.instances import Instance, Instances, instances_of
from safepatch.decorators.keys import NO_KEY, KeyFunction, key_function, with_instance

P = ParamSpec("P")
P2 = ParamSpec("P2")
S = TypeVar("S")
R2 = TypeVar("R2")
R_co = TypeVar("R_co", covariant=True)


class Cached(Protocol[P, R_co]):
    """A function with a cache before it.

    The four functions are safe to call from any thread or greenlet, at any time.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    # The first is for what is below @classmethod, where mypy sees an access like any other: if the
    # class itself fits the first parameter, it is bound. (mypy solves S by a Callable only, not
    # by a protocol with this very __get__.)
    @overload
    def __get__(
        self: Callable[Concatenate[S, P2], R2], instance: object, owner: S, /
    ) -> Cached[P2, R2]: ...
    @overload
    def __get__(self, instance: None, owner: Any = None, /) -> Cached[P, R_co]: ...
    @overload
    def __get__(
        self: Cached[Concatenate[S, P2], R2], instance: S, owner: Any = None, /
    ) -> Cached[P2, R2]: ...

    def cache_info(self) -> CacheInfo:
        """Count. Approximate where several threads call: a hit takes no lock to be counted."""

    def cache_clear(self) -> None:
        """Forget all results, also those being computed right now, and start counting anew."""

    def cache_invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Forget the result of this call, however it is spelled, also if it is being computed.

        Does nothing for calls that cannot be cached. On a method, give the instance as well.
        """

    def cache_items(self) -> list[tuple[Hashable, Any]]:
        """List (key, result) of what is fresh, oldest first; results are given as to a caller.

        Without a key function, a key is a tuple of the arguments in the order of the parameters,
        defaults included, then their types if `typed`. Errors that are kept are not listed.
        """


class CacheDecorator(Protocol):
    def __call__(self, wrapped: Callable[P, R_co], /) -> Cached[P, R_co]: ...


def wrap(
    wrapped: Any,
    engine: Engine,
    *,
    typed: bool = False,
    key: KeyFunction | None = None,
    verify: float = 0,
    random: Callable[[], float] | None = None,
) -> Any:
    """Put an engine before a function; the wrapper carries the engine's controls."""
    own = own_parameters(wrapped) if key is None else None
    instances = instances_of(wrapped, by_value=key is None)
    called: dict[str, Any] = {"get": engine.store.get}
    if engine.expires:
        called["clock"] = engine.clock
    if instances is not None:
        called["find"] = instances.find
        engine.store.is_for_instances = True
    if own is None:
        called["key_of"] = _key_of(wrapped, typed, key, instances)

    def prepare(known: Any, values: Any) -> tuple[Any, functools.partial[Any]]:
        args, kwargs = values if own is None else own.spell(values)
        call = functools.partial(wrapped, *args, **kwargs)
        if instances is not None:
            known = _settled(known, call, engine, instances, key_of)
        return known, call

    called["prepare"] = prepare
    called["miss"] = engine.miss_async if engine.awaits else engine.miss
    if verify:
        called |= {
            "verify": engine.verify_async if engine.awaits else engine.verify,
            "random": random or standard_random(),
            "share": verify,
        }
    wrapper, key_of = front(wrapped, own, called, is_async=engine.awaits, typed=typed)
    return _with_controls(wrapper, engine, key_of)


def _key_of(
    wrapped: Any, typed: bool, key: KeyFunction | None, instances: Instances | None
) -> KeyFunction:
    if key is None:
        return key_function(wrapped, typed, instances)
    return key if instances is None else with_instance(key, instances)


def standard_random() -> Callable[[], float]:
    from random import random

    return random


def _settled(
    key: Any,
    call: functools.partial[Any],
    engine: Engine,
    instances: Instances,
    key_of: KeyFunction,
) -> Any:
    """The key of a call whose first argument may be an instance that is not known yet."""
    if (type(key) is tuple and key and type(key[0]) is Instance) or not call.args:
        return key
    first = call.args[0]
    if not instances.admit(first, engine.store.drop):
        return NO_KEY
    if instances.find(id(first), None) is None:
        return key
    try:
        key = key_of(*call.args, **call.keywords)
        hash(key)
    except Exception:
        return NO_KEY
    return key


def _with_controls(wrapper: Any, engine: Engine, key_of: KeyFunction) -> Any:
    def cache_invalidate(*args: Any, **kwargs: Any) -> None:
        try:
            key = key_of(*args, **kwargs)
            hash(key)
        except Exception:
            return  # no call like this is ever kept
        engine.invalidate(key)

    def cache_items() -> list[tuple[Hashable, Any]]:
        return [(_shown(key), result) for key, result in engine.items()]

    wrapper.cache_info = engine.info
    wrapper.cache_clear = engine.clear
    wrapper.cache_invalidate = cache_invalidate
    wrapper.cache_items = cache_items
    return wrapper


def _shown(key: Any) -> Any:
    """A key with the instance in the place of what stands for it."""
    if type(key) is tuple and key and type(key[0]) is Instance:
        return (key[0].ref(), *key[1:])
    return key
