"""Sleep where others may run meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


async def sleep_async(sleep: Callable[[float], Any] | None, seconds: float) -> None:
    """Await `asyncio.sleep`, looked up late, or what `sleep` returns, if that is to be awaited."""
    import inspect

    if sleep is None:
        import asyncio

        sleep = asyncio.sleep
    slept = sleep(seconds)
    if inspect.isawaitable(slept):
        await slept
