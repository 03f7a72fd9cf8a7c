"""Forgetting, one call or all, while it is being computed or refreshed."""

import asyncio
import threading

import hand_made
from rows import (
    CACHEBOX,
    EARLY,
    FOR_COROUTINES,
    HAND_MADE,
    LATE,
    NEVER,
    PLAIN,
    TTL_CACHE,
    Clock,
    expect,
    in_threads,
    late,
    pause,
    raise_first,
    row,
    wait_until,
)
from subjects import forget, forget_all

await_row = row(peers=FOR_COROUTINES, control=hand_made.cached_when_awaited)


def forgotten_during_a_call(cache, how):
    """What was asked for before it was forgotten must not be found after."""
    state, reading, forgotten = {"value": "old"}, threading.Event(), threading.Event()

    @cache
    def read(x):
        value = state["value"]
        reading.set()
        forgotten.wait()
        return value

    def change():
        reading.wait()
        state["value"] = "new"
        try:
            how(read)
        finally:
            forgotten.set()

    raise_first(in_threads(lambda: read(1), change))

    expect(read(1) == "new", "old result is kept")


@row()
def cleared_during_a_call(cache):
    """All is forgotten while a thread calls: its result is not kept."""
    forgotten_during_a_call(cache, forget_all)


@row()
def invalidated_during_a_call(cache):
    """One call is forgotten while a thread makes it: its result is not kept."""
    forgotten_during_a_call(cache, lambda read: forget(read, 1))


def asked_after_forgetting(cache, how):
    """Who asks after it was forgotten does not wait for what was under way."""
    state, reading, release = {"value": "old"}, threading.Event(), threading.Event()

    @cache
    def read(x):
        value = state["value"]
        if value == "old":
            reading.set()
            release.wait()
        return value

    def change():
        reading.wait()
        state["value"] = "new"
        try:
            how(read)
            return read(1)
        finally:
            release.set()

    found = raise_first(in_threads(lambda: read(1), change))

    expect(found[1] == "new", "wrong")
    expect(read(1) == "new", "old result is kept")


@row()
def asked_after_clearing(cache):
    """A thread clears, and asks, while another still calls: it calls as well."""
    asked_after_forgetting(cache, forget_all)


@row()
def asked_after_invalidating(cache):
    """A thread forgets one call, and asks, while another still makes it: it calls as well."""
    asked_after_forgetting(cache, lambda read: forget(read, 1))


@row()
def cleared_while_others_wait(cache):
    """All is forgotten while threads wait for one that calls: all get a result, none is kept."""
    state, reading, together = {"value": "old"}, threading.Event(), threading.Barrier(4)
    forgotten = threading.Event()

    @cache
    def read(x):
        value = state["value"]
        if value == "old":
            reading.set()
            forgotten.wait()
        return value

    def ask():
        together.wait()
        return read(1)

    def change():
        together.wait()
        reading.wait()
        threading.Event().wait(0.2)  # for the others to wait
        state["value"] = "new"
        try:
            forget_all(read)
        finally:
            forgotten.set()
        return "new"

    found = raise_first(in_threads(ask, ask, ask, change))

    expect(set(found) <= {"old", "new"}, "wrong")
    expect(read(1) == "new", "old result is kept")


def forgotten_during_an_await(cache, how):
    state = {"value": "old"}

    @cache
    async def read(x):
        value = state["value"]
        await asyncio.sleep(0.05 if value == "old" else 0)
        return value

    async def main():
        tasks = [asyncio.ensure_future(read(1)) for _ in range(3)]
        await asyncio.sleep(0)
        state["value"] = "new"
        how(read)
        after = await read(1)
        return set(await asyncio.gather(*tasks)), after, await read(1)

    before, after, at_last = asyncio.run(main())

    expect(before <= {"old", "new"}, "wrong")
    expect(after == "new", "waits for the old result")
    expect(at_last == "new", "old result is kept")


@await_row
def cleared_during_an_await(cache):
    """All is forgotten while tasks await a call: its result is not kept, nor given to new ones."""
    forgotten_during_an_await(cache, forget_all)


@await_row
def invalidated_during_an_await(cache):
    """One call is forgotten while tasks await it: its result is not kept, nor given to new ones."""
    forgotten_during_an_await(cache, lambda read: forget(read, 1))


def forgotten_during_a_refresh(cache, how):
    state, clock = {"value": "old", "calls": 0, "ended": 0, "may end": False}, Clock()

    @cache(ttl=10, clock=clock, stale_while_revalidate=100)
    def read(x):
        value = state["value"]
        state["calls"] += 1
        if state["calls"] == 2:
            wait_until(lambda: state["may end"])
        state["ended"] += 1
        return value

    late()
    read(1)
    clock.now += 11
    expect(read(1) == "old", "wrong")
    wait_until(lambda: state["calls"] == 2)
    state["value"] = "new"
    how(read)
    found = read(1)
    state["may end"] = True
    wait_until(lambda: state["ended"] == 3)
    for _ in range(20):
        pause()

    expect(found == "new", "waits for the old result")
    expect(read(1) == "new", "old result is kept")


refresh_row = row(
    around=(PLAIN, EARLY, LATE, NEVER), ours=(TTL_CACHE,), peers=(CACHEBOX, HAND_MADE)
)


@refresh_row
def cleared_during_a_refresh(cache):
    """All is forgotten while a stale result is refreshed: the refreshed one is not kept."""
    forgotten_during_a_refresh(cache, forget_all)


@refresh_row
def invalidated_during_a_refresh(cache):
    """One call is forgotten while its stale result is refreshed: the refreshed one is not kept."""
    forgotten_during_a_refresh(cache, lambda read: forget(read, 1))
