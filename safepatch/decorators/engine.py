"""What works behind a cached function: misses, and what is kept of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any, NamedTuple

from safepatch.decorators import waiting
from safepatch.decorators.entries import (
    LASTING,
    Copying,
    Entry,
    Prolonged,
    again,
    can_be_kept,
    ended,
    raise_again,
)
from safepatch.decorators.flights import Flight, Flights, take_off
from safepatch.decorators.keys import NO_KEY
from safepatch.decorators.stores import DictStore, MappingStore, NoStore


class _Counts(NamedTuple):
    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class CacheInfo(_Counts):
    """What `cache_info()` gives: `hits` are calls answered without a call of the function,
    `misses` the calls it took. Expired results count in `currsize` until they are replaced. Of
    hits, `verified` were compared with a call, and `wrong` turned out to differ.

    A tuple of the first four, as that of `functools.lru_cache`.
    """

    verified: int = 0
    wrong: int = 0


class Engine:
    """What one cached function has: its store, the calls under way, and counts.

    It `awaits` its calls if they are those of a coroutine function. `life(value)` is how many
    seconds a result is fresh (None: always). `is_kept(error)` says whether an error is kept (None:
    any), for `error_life` seconds. An old result is given for `while_refreshed` seconds more while
    another is fetched, and for `if_failing` seconds if there is none to be had.
    """

    def __init__(
        self,
        *,
        awaits: bool,
        store: DictStore | MappingStore | NoStore,
        copying: Copying,
        clock: Callable[[], float] = time.monotonic,
        life: Callable[[Any], float] | None = None,
        is_kept: Callable[[Exception], bool] | None = None,
        error_life: float = 0,
        while_refreshed: float = 0,
        if_failing: float = 0,
    ) -> None:
        self.awaits, self.store, self.copying, self.clock = awaits, store, copying, clock
        self.life, self.is_kept, self.error_life = life, is_kept, error_life
        self.while_refreshed, self.if_failing = while_refreshed, if_failing
        #: Whether what is kept may become old.
        self.expires = life is not None
        self.flights = Flights()
        self.shared = self.misses = self.verified = self.wrong = 0

    # What a call does that is no hit; the two differ by `await` only. They are long so that a
    # recursion finds few frames of ours on its way.

    def miss(self, key: Hashable, call: Callable[[], Any], mine: Flight | None = None) -> Any:
        """Call and keep the result, or get it from whoever is calling already.

        `mine` is a flight that has begun, for a refresh.
        """
        if key is NO_KEY:
            return call()
        if mine is None:
            mine = Flight()
            old = self._old(key)
            if old is not None:
                if self.flights.begin(key, mine):
                    give_up = partial(self.flights.give_up, key, mine)
                    # There may be no more threads to be had; then the next call is another try.
                    waiting.in_background(partial(self._refresh, key, call, mine), give_up)
                return old.give()
        try:
            flight = self.flights.join(key, mine)
            if isinstance(flight, Entry):
                return self._share(flight)
            if flight is None:
                self.misses += 1
                return call()
            mark = take_off(flight)
            try:
                entry = self._fresh(key, flight)
                if entry is None:
                    self.misses += 1
                    try:
                        value = call()
                    except Exception as error:
                        entry = self._failed(key, error, flight)
                        if entry is None:
                            raise
                    else:
                        self._keep(key, flight, self._entry, value)
                        return value
                return entry.give()
            except BaseException as error:
                flight.fail(error)
                raise
            finally:
                self.flights.land(key, flight, mark)
        except BaseException:
            self.flights.give_up(key, mine)
            raise

    async def miss_async(
        self, key: Hashable, call: Callable[[], Awaitable[Any]], mine: Flight | None = None
    ) -> Any:
        if key is NO_KEY:
            return await call()
        if mine is None:
            mine = Flight(waiting.running_loop())
            old = self._old(key) if mine.loop is not None else None
            if old is not None:
                if self.flights.begin(key, mine):
                    give_up = partial(self.flights.give_up, key, mine)
                    waiting.in_background_async(self._refresh_async(key, call, mine), give_up)
                return old.give()
        try:
            flight = await self.flights.join_async(key, mine)
            if isinstance(flight, Entry):
                return self._share(flight)
            if flight is None:
                self.misses += 1
                return await call()
            mark = take_off(flight)
            try:
                entry = self._fresh(key, flight)
                if entry is None:
                    self.misses += 1
                    try:
                        value = await call()
                    except Exception as error:
                        entry = self._failed(key, error, flight)
                        if entry is None:
                            raise
                    else:
                        self._keep(key, flight, self._entry, value)
                        return value
                return entry.give()
            except BaseException as error:
                flight.fail(error)
                raise
            finally:
                self.flights.land(key, flight, mark)
        except BaseException:
            self.flights.give_up(key, mine)
            raise

    def _refresh(self, key: Hashable, call: Callable[[], Any], flight: Flight) -> None:
        with contextlib.suppress(Exception):  # who calls after the old result is gone, gets its own
            self.miss(key, call, flight)

    async def _refresh_async(
        self, key: Hashable, call: Callable[[], Awaitable[Any]], flight: Flight
    ) -> None:
        with contextlib.suppress(Exception):
            await self.miss_async(key, call, flight)

    # What there is already.

    def _usable(self, key: Hashable, seconds: float) -> Entry | None:
        """What is fresh, or a result that became old less than so many seconds ago."""
        try:
            entry = self.store.get(key)
        except Exception:
            return None
        if entry is None:
            return None
        now = self.clock()
        return entry if now < entry.expires or now < ended(entry) + seconds else None

    def _old(self, key: Hashable) -> Entry | None:
        """A result to be given while another is fetched."""
        return self._usable(key, self.while_refreshed) if self.while_refreshed else None

    def _fresh(self, key: Hashable, flight: Flight) -> Entry | None:
        """What came after this caller had looked, and before it was elected."""
        try:
            entry = self.store.get(key)
        except Exception:
            return None
        if entry is None or self.clock() >= entry.expires:
            return None
        flight.entry = entry
        return entry

    # What is kept. The outcome of the call is there, and no error in keeping it may take its place:
    # values that cannot be copied, keys that cannot be compared, mappings that are full.

    def _keep(
        self, key: Hashable, flight: Flight, entry_of: Callable[[Any], Entry | None], outcome: Any
    ) -> None:
        try:
            entry = entry_of(outcome)
            if entry is not None:
                flight.entry = entry
                self.store.keep(key, entry, flight)
        except Exception:  # noqa: S110
            pass

    def _share(self, entry: Entry) -> Any:
        self.shared += 1
        return entry.show()

    def _entry(self, value: Any) -> Entry | None:
        """An entry for a result, or None for one that must not be kept."""
        if type(value) not in LASTING and not can_be_kept(value):
            return None
        kept, copier = self.copying(value)
        if self.life is None:
            return Entry(kept, copier)
        life = self.life(value)
        return Entry(kept, copier, self.clock() + life) if life > 0 else None

    def _failed(self, key: Hashable, error: Exception, flight: Flight) -> Entry | None:
        """The old result to give for an error, if that is wanted."""
        old = self._usable(key, self.if_failing) if self.if_failing else None
        if old is None:
            self._keep(key, flight, self._error_entry, error)
            return None
        flight.entry = old
        self._keep(key, flight, partial(self._prolonged, error=error), old)
        return old

    def _prolonged(self, old: Entry, error: Exception) -> Entry | None:
        """The old result once more, so that a while passes before the next try."""
        if not self._is_kept(error):
            return None
        return Prolonged(old, min(self.clock() + self.error_life, ended(old) + self.if_failing))

    def _is_kept(self, error: Exception) -> bool:
        return self.error_life > 0 and (self.is_kept is None or self.is_kept(error))

    def _error_entry(self, error: Exception) -> Entry | None:
        """An entry that raises, or None for an error that must not be kept."""
        kept = again(error) if self._is_kept(error) else None
        if kept is None:
            return None
        return Entry(kept, raise_again, self.clock() + self.error_life)

    # How wrong the cache is.

    def verify(self, entry: Entry, call: Callable[[], Any]) -> Any:
        """Give what is kept, and count whether a call now comes to the same."""
        try:
            outcome = call()
        except Exception as error:
            outcome = error
        self._count(entry, outcome)
        return entry.give()

    async def verify_async(self, entry: Entry, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            outcome = await call()
        except Exception as error:
            outcome = error
        self._count(entry, outcome)
        return entry.give()

    def _count(self, entry: Entry, outcome: Any) -> None:
        self.verified += 1
        try:
            if entry.copier is raise_again:
                is_same = type(outcome) is type(entry.value) and str(outcome) == str(entry.value)
            else:
                is_same = bool(outcome == entry.value)
        except Exception:
            is_same = False
        self.wrong += not is_same

    # What users ask for.

    def info(self) -> CacheInfo:
        store = self.store
        info = CacheInfo(store.hits + self.shared, self.misses, store.maxsize, len(store))
        info.verified, info.wrong = self.verified, self.wrong
        return info

    def invalidate(self, key: Hashable) -> None:
        # In this order; see DictStore.keep. What cannot be compared is not there.
        with contextlib.suppress(Exception):
            self.flights.disown(key)
            self.store.drop(key)

    def clear(self) -> None:
        self.flights.disown_all()
        self.store.clear()
        self.shared = self.misses = self.verified = self.wrong = 0

    def items(self) -> list[tuple[Hashable, Any]]:
        now = self.clock()
        return [
            (key, entry.show())
            for key, entry in self.store.items()
            if now < entry.expires and entry.copier is not raise_again
        ]
