"""What works behind a cached function: hits, calls, and what is kept of them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from safepatch.decorators.flights import Flight, Flights
from safepatch.decorators.keys import KeyFunction
from safepatch.decorators.stores import Copying, DictStore, Entry, MappingStore, again, raise_again
from safepatch.decorators.wrapping import is_async

P = ParamSpec("P")
P2 = ParamSpec("P2")
S = TypeVar("S")
R2 = TypeVar("R2")
R_co = TypeVar("R_co", covariant=True)


class CacheInfo(NamedTuple):
    """What `cache_info()` gives: `hits` are calls answered without a call of the function,
    `misses` the calls it took. Expired results count in `currsize` until they are replaced."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class Cached(Protocol[P, R_co]):
    """A function with a cache before it.

    The three functions are safe to call from any thread or greenlet, at any time.
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


class CacheDecorator(Protocol):
    def __call__(self, wrapped: Callable[P, R_co], /) -> Cached[P, R_co]: ...


class Engine:
    """What one cached function has: its store, the calls under way, and counts."""

    def __init__(
        self,
        store: DictStore | MappingStore,
        copying: Copying,
        clock: Callable[[], float],
        life: Callable[[], float],
        negative_life: float,
    ) -> None:
        self.store, self.copying, self.clock = store, copying, clock
        self.life, self.negative_life = life, negative_life
        self.flights = Flights()
        self.hits = self.misses = 0

    def fill(self, key: Hashable, call: Callable[[], Any]) -> Any:
        """Call and keep the result, or get it from whoever is calling already."""
        lead = functools.partial(self._lead, key, call)
        return self.flights.join(key, lead, functools.partial(self._alone, call))

    def _lead(self, key: Hashable, call: Callable[[], Any], flight: Flight) -> Any:
        entry = self._fresh(key)
        if entry is not None:
            # It came after this caller had looked, and before it was elected.
            flight.share = functools.partial(self._share, entry)
            return flight.share()
        self.misses += 1
        try:
            value = call()
        except Exception as error:
            self._keep(key, flight, self._error_entry, error)
            raise
        self._keep(key, flight, self._entry, value)
        return value

    def _fresh(self, key: Hashable) -> Entry | None:
        try:
            entry = self.store.get(key)
        except Exception:
            return None
        return entry if entry is not None and self.clock() < entry.expires else None

    def _alone(self, call: Callable[[], Any]) -> Any:
        self.misses += 1
        return call()

    async def fill_async(self, key: Hashable, call: Callable[[], Awaitable[Any]]) -> Any:
        """Await and keep the result. Nobody waits: who would, may run in another event loop."""
        flight = self.flights.start(key)
        self.misses += 1
        try:
            try:
                value = await call()
            except Exception as error:
                self._keep(key, flight, self._error_entry, error)
                raise
            self._keep(key, flight, self._entry, value)
            return value
        finally:
            self.flights.end(key, flight)

    def _keep(
        self, key: Hashable, flight: Flight, entry_of: Callable[[Any], Entry | None], outcome: Any
    ) -> None:
        # The outcome is there, and no error in keeping it may take its place: values that cannot
        # be copied, keys that cannot be compared, mappings that are full.
        with contextlib.suppress(Exception):
            entry = entry_of(outcome)
            if entry is not None:
                flight.share = functools.partial(self._share, entry)
                self.store.keep(key, entry, lambda: self.flights.is_wanted(key, flight))

    def _share(self, entry: Entry) -> Any:
        self.hits += 1
        return entry.give()

    def _entry(self, value: Any) -> Entry | None:
        """An entry for a result, or None for one that must not be kept."""
        if any(hasattr(type(value), name) for name in ("__next__", "__anext__", "__await__")):
            return None
        kept, copier = self.copying(value)
        return Entry(kept, copier, self.clock() + self.life())

    def _error_entry(self, error: Exception) -> Entry | None:
        """An entry that raises, or None for an error that must not be kept."""
        kept = again(error) if self.negative_life else None
        if kept is None:
            return None
        return Entry(kept, raise_again, self.clock() + self.negative_life)

    def invalidate(self, key: Hashable) -> None:
        # In this order; see DictStore.keep.
        self.flights.disown(key)
        self.store.drop(key)

    def clear(self) -> None:
        self.flights.disown_all()
        self.store.clear()
        self.hits = self.misses = 0


_NO_KEY = object()


def wrap(wrapped: Any, engine: Engine, key_of: KeyFunction) -> Any:
    """Put an engine before a function; the wrapper carries the engine's controls."""
    get, clock = engine.store.get, engine.clock

    # The two differ by `await` only, and stay apart because a hit must cost little.
    if is_async(wrapped):

        @functools.wraps(wrapped)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                key = key_of(*args, **kwargs)
                entry = get(key)
            except Exception:
                key, entry = _NO_KEY, None
            if entry is not None and clock() < entry.expires:
                engine.hits += 1
                return entry.value if entry.copier is None else entry.copier(entry.value)
            if key is _NO_KEY:
                return await wrapped(*args, **kwargs)
            return await engine.fill_async(key, functools.partial(wrapped, *args, **kwargs))

    else:

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                key = key_of(*args, **kwargs)
                entry = get(key)
            except Exception:
                key, entry = _NO_KEY, None
            if entry is not None and clock() < entry.expires:
                engine.hits += 1
                return entry.value if entry.copier is None else entry.copier(entry.value)
            # Not inside of `except`: an error of the function would get ours as its context.
            if key is _NO_KEY:
                return wrapped(*args, **kwargs)
            return engine.fill(key, functools.partial(wrapped, *args, **kwargs))

    return _with_controls(wrapper, engine, key_of)


def _with_controls(wrapper: Any, engine: Engine, key_of: KeyFunction) -> Any:
    def cache_info() -> CacheInfo:
        return CacheInfo(engine.hits, engine.misses, engine.store.maxsize, len(engine.store))

    def cache_invalidate(*args: Any, **kwargs: Any) -> None:
        try:
            key = key_of(*args, **kwargs)
            hash(key)
        except Exception:
            return  # no call like this is ever kept
        engine.invalidate(key)

    wrapper.cache_info = cache_info
    wrapper.cache_clear = engine.clear
    wrapper.cache_invalidate = cache_invalidate
    return wrapper
