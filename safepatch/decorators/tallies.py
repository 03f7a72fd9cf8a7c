"""Numbers that many threads add to, without a lock."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from safepatch.decorators.threads import Local


class _Alive:
    """Lives as long as the thread, or its part of a `Local`, does."""

    __slots__ = ("__weakref__",)


def tally(size: int) -> tuple[Any, Callable[[], list[Any]], Callable[[], list[Any]]]:
    """Make a place for `size` numbers that each thread adds to for itself.

    Give three things: `local`, which has `local.numbers` once a thread has begun; `begin()`, which
    begins it and returns these numbers; and `total()`, the sums over all threads, those that ended
    included::

        local, begin, total = tally(2)
        try:
            numbers = local.numbers
        except AttributeError:
            numbers = begin()
        numbers[0] += 1

    Only its own thread ever adds to a list, so there is nothing to lock. The lists of threads that
    ended are added up whenever another one begins, so there are never many more than threads.

    **Assumes** that greenlets of one thread do not switch while one is adding.
    """
    local = Local()
    # The first holds what threads that ended have counted. Others append, so only what was seen
    # before may be exchanged, and in one step, for others read.
    entries: list[tuple[list[Any], Any]] = [([0] * size, None)]
    turn = [True]

    def begin() -> list[Any]:
        # Not a second one if this runs inside of itself, called by a finalizer.
        alive = vars(local).setdefault("alive", _Alive())
        numbers = [0] * size
        entries.append((numbers, weakref.ref(alive)))
        local.numbers = numbers
        fold()
        return numbers

    def fold() -> None:
        try:
            turn.pop()
        except IndexError:
            return  # another thread does it, or this one further up
        try:
            seen = entries[:]
            live = [entry for entry in seen if entry[1] is not None and entry[1]() is not None]
            kept = set(map(id, live))
            ended = [entry[0] for entry in seen if id(entry) not in kept]
            entries[: len(seen)] = [(_sums(ended), None), *live]
        finally:
            turn.append(True)

    def total() -> list[Any]:
        return _sums([numbers[:] for numbers, _ in entries[:]])

    return local, begin, total


def _sums(lists: list[list[Any]]) -> list[Any]:
    return [sum(numbers) for numbers in zip(*lists, strict=True)]
