"""Probes for what one can do with a generator beside looping over it."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Generator
from typing import Any

from safepatch.testing.victims import Decorate, Differences, Failure, Kind, run, shown


def generators(kind: Kind, decorate: Decorate) -> Differences:
    log: list[Any] = []

    def function() -> Generator[str, str, str]:
        log.append("begun")
        try:
            got = yield "first"
            try:
                yield f"sent {got}"
            except Failure as error:
                yield f"thrown {error}"
            return "returned"
        finally:
            log.append("ended")

    wrapper = decorate(function)
    one, two = wrapper(), wrapper()
    if log:
        yield "nothing to be done before the first value is asked for", "that the function runs"
    found: list[Any] = [next(one), next(two), one.send("1"), one.throw(Failure("2"))]
    try:
        next(one)
    except StopIteration as stop:
        found.append(stop.value)
    wanted = ["first", "first", "sent 1", "thrown 2", "returned"]
    if found != wanted:
        yield f"{wanted}, by next, send and throw, and at the end", shown(found)
    del log[:]
    two.close()
    if log != ["ended"]:
        yield "close() to end the function", "that it does not"


def async_generators(kind: Kind, decorate: Decorate) -> Differences:
    log: list[Any] = []

    async def function() -> AsyncGenerator[str, str]:
        log.append("begun")
        try:
            got = yield "first"
            try:
                yield f"sent {got}"
            except Failure as error:
                yield f"thrown {error}"
        finally:
            log.append("ended")

    yield from run(functools.partial(_async_differences, decorate(function), log))


async def _async_differences(wrapper: Any, log: list[Any]) -> list[tuple[str, str]]:
    differences = []
    one, two = wrapper(), wrapper()
    if log:
        text = "nothing to be done before the first value is asked for"
        differences.append((text, "that the function runs"))
    found: list[Any] = [await anext(one), await anext(two), await one.asend("1")]
    found.append(await one.athrow(Failure("2")))
    wanted = ["first", "first", "sent 1", "thrown 2"]
    if found != wanted or await anext(one, "ended") != "ended":
        differences.append((f"{wanted}, by anext, asend and athrow", shown(found)))
    del log[:]
    await two.aclose()
    if log != ["ended"]:
        differences.append(("aclose() to end the function", "that it does not"))
    return differences
