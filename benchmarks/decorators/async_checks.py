"""What caches of coroutine functions do where it is easy to go wrong."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable
from typing import Any

from benchmarks.decorators.checks import times


def _counting(decorator: Any, result: Any = None) -> tuple[Any, Any]:
    calls: list[Any] = []

    async def function(a: Any) -> Any:
        calls.append(a)
        await asyncio.sleep(0.1)
        return copy.copy(result)

    return decorator(function), calls


async def again(decorator: Any) -> str:
    cached, calls = _counting(decorator, "result")
    same = await cached(1) == await cached(1) == "result"
    return "works" if same and len(calls) == 1 else "wrong"


async def kind(decorator: Any) -> str:
    return "yes" if inspect.iscoroutinefunction(_counting(decorator)[0]) else "no"


async def changed_list(decorator: Any) -> str:
    cached, _ = _counting(decorator, [])
    (await cached(1)).append("spoilt")
    return "safe" if await cached(1) == [] else "spoilt"


async def none(decorator: Any) -> str:
    cached, calls = _counting(decorator)
    await cached(1), await cached(1)
    return "kept" if len(calls) == 1 else "not kept"


async def text_and_number(decorator: Any) -> str:
    cached, calls = _counting(decorator, "result")
    await cached(1), await cached("1")
    return "apart" if len(calls) == 2 else "mixed up"


async def at_once(decorator: Any) -> str:
    cached, calls = _counting(decorator, "result")

    async def call() -> Any:
        return await cached(1)

    await asyncio.gather(*(call() for _ in range(8)))
    return times(calls)


async def first_cancelled(decorator: Any) -> str:
    cached, _ = _counting(decorator, "result")

    async def call() -> Any:
        return await cached(1)

    first, second = asyncio.create_task(call()), asyncio.create_task(call())
    await asyncio.sleep(0.05)
    first.cancel()
    try:
        return "works" if await second == "result" else "wrong"
    except asyncio.CancelledError:
        return "cancelled as well"


ASYNC_CHECKS: dict[str, Callable[[Any], Any]] = {
    "awaited twice": again,
    "still a coroutine function": kind,
    "f(1) and f('1')": text_and_number,
    "a caller changes the list it got": changed_list,
    "a result that is None": none,
    "8 awaits at once": at_once,
    "2 awaits at once, the first is cancelled": first_cancelled,
}
