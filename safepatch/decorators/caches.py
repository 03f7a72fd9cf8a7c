"""Caches for functions: `memoize` keeps results, `ttl_cache` keeps them for some time."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Awaitable, Callable, Hashable, MutableMapping
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Concatenate, Literal, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from safepatch.decorators.flights import Flight, Flights
from safepatch.decorators.keys import KeyFunction, key_function
from safepatch.decorators.stores import COPYING, DictStore, Entry, MappingStore
from safepatch.decorators.wrapping import configured, is_async, need_results

P = ParamSpec("P")
P2 = ParamSpec("P2")
S = TypeVar("S")
R2 = TypeVar("R2")
R_co = TypeVar("R_co", covariant=True)
Copy = Literal["auto", "deep", "no"]


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


@overload
def memoize(wrapped: Callable[P, R_co], /) -> Cached[P, R_co]: ...
@overload
def memoize(
    *,
    maxsize: int | None = None,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
    cache: MutableMapping[Any, Any] | None = None,
) -> CacheDecorator: ...
def memoize(
    wrapped: Any = None,
    /,
    *,
    maxsize: int | None = None,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
    cache: MutableMapping[Any, Any] | None = None,
) -> Any:
    """Keep the results of a function, and answer equal calls with them.

    ::

        @memoize
        def country(code):
            return slow_lookup(code)

    Equal calls may be spelled differently: `f(1)`, `f(a=1)` and `f(1, b=<its default>)` share one
    result. With `typed`, 1, 1.0 and True are different. `key` is called as the function is, and
    what it returns is the key instead. A call whose arguments cannot be hashed or compared, or for
    which `key` raises an Exception, goes straight to the function.

    Beyond `maxsize` results (None: no limit) the oldest are dropped, up to a sixteenth at a time.
    `cache` is a mapping to keep them in instead, for other policies: `cachetools.LFUCache(100)`.
    Give each function its own. Every look at it then takes a lock, since such caches change when
    they are read. What it does not take, by raising an Exception, is not kept.

    Callers cannot spoil a result for each other: with `copy="auto"` a list, dict, set or bytearray
    (not what is inside, and no subclass) is copied when it is kept and whenever it is given out;
    "deep" copies everything through and through, "no" nothing. What cannot be copied is not kept,
    nor is what can be used once only: iterators, coroutines and other awaitables. Errors are not
    kept.

    Of a coroutine function the results are kept, not the coroutines, so they serve any event loop;
    awaited at the same time, equal calls all run, and the one begun last is kept.

    A hit takes no lock. Of equal calls made at the same time, by threads or greenlets (gevent's
    too, patched or not), one runs and the others wait for its result. They make their own calls if
    it fails, if waiting would close a circle (as in recursion), if it takes more than 10 seconds,
    or in the child after a fork. A clear during a call wins: its result is not kept.

    Raises TypeError, when decorating, for generator functions, and ValueError for options out of
    range. Calls raise what the function raises.

    **Assumes** that equal arguments have equal results, that arguments do not change after the
    call, and that the signature tells the truth. On a method the instance is part of the key: it
    needs a hash, and it is kept alive until its results are dropped.
    """
    _check(maxsize=maxsize, typed=typed, copy=copy, key=key)
    if cache is not None and maxsize is not None:
        raise ValueError(f"got maxsize={maxsize!r} and a cache; give the cache its own maxsize")
    if wrapped is None:
        return configured(memoize, maxsize=maxsize, typed=typed, copy=copy, key=key, cache=cache)
    need_results("memoize", wrapped)
    store = DictStore(maxsize) if cache is None else MappingStore(cache, COPYING[copy])
    engine = _Engine(store, copy, time.monotonic, lambda: math.inf, 0)
    return _wrap(wrapped, engine, key or key_function(wrapped, typed))


@overload
def ttl_cache(
    wrapped: Callable[P, R_co],
    /,
    *,
    ttl: float,
    maxsize: int | None = 1024,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
    jitter: float = 0,
    negative_ttl: float = 0,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> Cached[P, R_co]: ...
@overload
def ttl_cache(
    *,
    ttl: float,
    maxsize: int | None = 1024,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
    jitter: float = 0,
    negative_ttl: float = 0,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> CacheDecorator: ...
def ttl_cache(
    wrapped: Any = None,
    /,
    *,
    ttl: float,
    maxsize: int | None = 1024,
    typed: bool = False,
    copy: Copy = "auto",
    key: KeyFunction | None = None,
    jitter: float = 0,
    negative_ttl: float = 0,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> Any:
    """Keep the results of a function for `ttl` seconds each, and answer equal calls with them.

    ::

        @ttl_cache(ttl=300)
        def addresses(host, port=443):
            return socket.getaddrinfo(host, port)

    Everything else is as in `memoize`, which see. The time starts when the function returns, and
    is told by `clock`, in seconds, which must never go back. `jitter` is the share of its life, 0
    to 1, that a result may lose by chance, so that results that came together do not all expire
    together; `random` gives a float from 0 to 1 (by default `random.random`).

    With a `negative_ttl` above 0, an Exception is kept as well, for that many seconds. Each caller
    gets a new one that is equal, without the `__cause__` and traceback of the first. One that
    cannot be copied faithfully is not kept.

    Thread, greenlet and async safety are those of `memoize`. Raises TypeError, when decorating,
    for generator functions, and ValueError for options out of range.

    **Assumes** what `memoize` assumes, and that a result may be up to `ttl` seconds old.
    """
    _check(maxsize=maxsize, typed=typed, copy=copy, key=key)
    if not ttl > 0:
        raise ValueError(f"got ttl={ttl!r}; give a number of seconds above 0")
    if not negative_ttl >= 0:
        raise ValueError(f"got negative_ttl={negative_ttl!r}; give seconds, or 0 to keep no errors")
    if not 0 <= jitter <= 1:
        raise ValueError(f"got jitter={jitter!r}; give a share of the ttl, from 0 to 1")
    if wrapped is None:
        return configured(
            ttl_cache,
            ttl=ttl,
            maxsize=maxsize,
            typed=typed,
            copy=copy,
            key=key,
            jitter=jitter,
            negative_ttl=negative_ttl,
            clock=clock,
            random=random,
        )
    need_results("cache", wrapped)
    life = functools.partial(_life, ttl, jitter, random) if jitter else lambda: ttl
    engine = _Engine(DictStore(maxsize), copy, clock, life, negative_ttl)
    return _wrap(wrapped, engine, key or key_function(wrapped, typed))


def _check(*, maxsize: int | None, typed: bool, copy: str, key: KeyFunction | None) -> None:
    is_whole = isinstance(maxsize, int) and not isinstance(maxsize, bool)
    if maxsize is not None and not (is_whole and maxsize > 0):
        raise ValueError(
            f"got maxsize={maxsize!r}; give a whole number, 1 or more, or None for no limit"
        )
    if copy not in COPYING:
        raise ValueError(f"got copy={copy!r}; give one of {', '.join(map(repr, COPYING))}")
    if typed and key is not None:
        raise ValueError("got typed=True and a key; let the key function put the types in")


def _life(ttl: float, jitter: float, random: Callable[[], float] | None) -> float:
    if random is None:
        import random as standard

        random = standard.random
    return ttl * (1 - jitter * random())


class _Engine:
    """What one cached function has: its store, the calls under way, and counts."""

    def __init__(
        self,
        store: DictStore | MappingStore,
        copy: Copy,
        clock: Callable[[], float],
        life: Callable[[], float],
        negative_life: float,
    ) -> None:
        self.store, self.clock, self.life, self.negative_life = store, clock, life, negative_life
        self.flights = Flights()
        self.copying = COPYING[copy]
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
        kept = _again(error) if self.negative_life else None
        if kept is None:
            return None
        return Entry(kept, _raise_again, self.clock() + self.negative_life)

    def invalidate(self, key: Hashable) -> None:
        # In this order; see DictStore.keep.
        self.flights.disown(key)
        self.store.drop(key)

    def clear(self) -> None:
        self.flights.disown_all()
        self.store.clear()
        self.hits = self.misses = 0


def _again(error: Exception) -> Exception | None:
    """Make an exception equal to another but with a life of its own, or None if that fails."""
    from copy import copy

    try:
        made = copy(error)
        # An __init__ that computes its message computes it anew, from the message.
        if type(made) is not type(error) or made is error or str(made) != str(error):
            return None
        known, copied = _facts(error), _facts(made)
        if known.keys() != copied.keys() or not all(
            fact is copied[name] or repr(fact) == repr(copied[name]) for name, fact in known.items()
        ):
            return None
    except Exception:
        return None
    if hasattr(made, "__notes__"):
        made.__notes__ = list(made.__notes__)
    return made


#: What each exception has of its own, mostly from where it was raised.
_ITS_OWN = {"__traceback__", "__context__", "__cause__", "__suppress_context__", "__dict__"}


def _facts(error: Exception) -> dict[str, Any]:
    """What an exception knows, in its `__dict__`, in slots or in C, where copying loses some:
    AttributeError.obj, before Python 3.12."""
    outside = {
        name: getattr(error, name, None)
        for kind in type(error).__mro__
        for name, descriptor in vars(kind).items()
        if isinstance(descriptor, (MemberDescriptorType, GetSetDescriptorType))
        and name not in _ITS_OWN
    }
    return outside | vars(error)


def _raise_again(error: Exception) -> Any:
    raise _again(error) or error


_NO_KEY = object()


def _wrap(wrapped: Any, engine: _Engine, key_of: KeyFunction) -> Any:
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


def _with_controls(wrapper: Any, engine: _Engine, key_of: KeyFunction) -> Any:
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
