"""Probes for calls inside of calls, beside each other, and of functions beside each other."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

from safepatch.testing.deadlines import Hung, at_once
from safepatch.testing.victims import (
    ASYNC_GENERATOR,
    COROUTINE,
    Decorate,
    Differences,
    Inner,
    Kind,
    caught,
    loops_share_a_thread,
    run,
    shown,
)


def recursion(kind: Kind, decorate: Decorate) -> Differences:
    depth = 0

    def body(other: Callable[[], Any], value: int) -> Any:
        nonlocal depth
        depth += 1
        return Inner(lambda: other()(value)) if depth < 4 else value

    itself = decorate(kind.make(lambda value: body(lambda: itself, value)))
    found = kind.outcome(lambda: itself(1))
    if found != 1:
        yield "1 from a function that calls itself with the same arguments", shown(found)
    depth = 0
    ping = decorate(kind.make(lambda value: body(lambda: pong, value)))
    pong = decorate(kind.make(lambda value: body(lambda: ping, value)))
    found = kind.outcome(lambda: ping(1))
    if found != 1:
        yield "1 from two functions that call each other", shown(found)


def threads(kind: Kind, decorate: Decorate, patience: float) -> Differences:
    if _is_alone(kind):
        return

    def body(value: int) -> Any:
        meeting.wait(patience)
        return value

    meeting = threading.Barrier(3)
    function = decorate(kind.make(body))

    def call(number: int) -> Any:
        return kind.outcome(lambda: function(number))

    found = at_once(2 * patience, *(functools.partial(call, number) for number in (1, 2, 3)))
    if any(isinstance(one, (threading.BrokenBarrierError, Hung)) for one in found):
        yield "three threads to be in the function at once", "that they wait for each other"
    elif found != [1, 2, 3]:
        yield "each of three threads to get its own result", shown(found)


def equal_calls_at_once(kind: Kind, decorate: Decorate, patience: float) -> Differences:
    meeting = threading.Barrier(2)
    made: list[Any] = []

    def body(value: Any, are_two: bool = False) -> None:
        made.append(value)
        if are_two:
            try:
                meeting.wait(patience)
            except threading.BrokenBarrierError:
                pass  # `threads` tells of those who come one after the other

    function = decorate(kind.make(body))
    caught(kind, lambda: function(1))
    caught(kind, lambda: function(1))
    if len(made) != 2 or _is_alone(kind):
        return  # `calls` tells of a cache
    made.clear()
    at_once(2 * patience, *[lambda: kind.outcome(lambda: function(1, True))] * 2)
    if len(made) != 2:
        yield "two calls of the function for two equal calls at once", f"{len(made)}"


def _is_alone(kind: Kind) -> bool:
    return loops_share_a_thread() and kind in (COROUTINE, ASYNC_GENERATOR)


def tasks(kind: Kind, decorate: Decorate, patience: float) -> Differences:
    function = decorate(COROUTINE.make(lambda value, work: Inner(lambda: work(value))))
    for times in ("", " in a second event loop"):
        found = _caught(lambda: run(lambda: _meet(function, patience)))
        if found != [0, 1, 2]:
            yield f"three tasks to be in the function at once{times}", shown(found)

    difference = _caught(lambda: run(lambda: _cancel(decorate, patience)))
    if difference is not None:
        yield difference if isinstance(difference, tuple) else (_TO_CANCEL, shown(difference))

    if loops_share_a_thread():
        return
    waiting = decorate(COROUTINE.make(lambda value: Inner(lambda: asyncio.sleep(0.05, value))))
    found = at_once(patience, *[lambda: run(lambda: waiting(1))] * 2)
    if found != [1, 1]:
        yield "equal calls in two event loops at once", shown(found)


def _caught(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        return error


_TO_CANCEL = "a task in the function to be cancelled"


async def _meet(function: Any, patience: float) -> Any:
    meeting = asyncio.Barrier(3)

    async def work(value: int) -> int:
        await meeting.wait()
        return value

    async with asyncio.timeout(patience):
        return [*await asyncio.gather(*(function(number, work) for number in range(3)))]


async def _cancel(decorate: Decorate, patience: float) -> tuple[str, str] | None:
    """Cancel the first of two equal calls, and see what either comes to."""
    begun = asyncio.Event()
    go_on = asyncio.Event()
    seen: list[BaseException] = []

    async def work() -> str:
        begun.set()
        try:
            await go_on.wait()
        except BaseException as error:
            seen.append(error)
            raise
        return "done"

    function = decorate(COROUTINE.make(lambda value: Inner(work)))
    first, second = (asyncio.create_task(_awaited(function)) for _ in range(2))
    async with asyncio.timeout(patience):
        await begun.wait()
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        go_on.set()
        await asyncio.wait([second])
    if not first.cancelled():
        return _TO_CANCEL, "that it goes on"
    if [type(error) for error in seen] != [asyncio.CancelledError]:
        return "the function to be cancelled with the task that called it", "that it goes on"
    if second.cancelled() or second.exception() or second.result() != "done":
        return "an equal call in another task to go on", "that it is cancelled, too"
    return None


async def _awaited(function: Any) -> Any:
    # create_task wants a coroutine, which `kinds` asks for; here any awaitable will do.
    return await function(1)


def stacking(kind: Kind, decorate: Decorate) -> Differences:
    function = kind.make(lambda value: (value, "one"))
    before = dict(vars(function))
    one, two = decorate(function), decorate(kind.make(lambda value: (value, "two")))
    other, twice = decorate(function), decorate(decorate(decorate(function)))
    for text, called, wanted in (
        ("the first of two functions", one, (1, "one")),
        ("the second of two functions", two, (1, "two")),
        ("a function decorated once more", other, (1, "one")),
        ("a function decorated three times over", twice, (1, "one")),
        ("the function itself", function, (1, "one")),
    ):
        found = kind.outcome(lambda called=called: called(1))
        if found != wanted:
            yield f"{text} to return {wanted}", shown(found)
    if dict(vars(function)) != before:
        yield "the function itself to have no other attributes than before", shown(vars(function))
