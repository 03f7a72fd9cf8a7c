"""Sleep where others may run meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from safepatch.decorators.wrapping import is_async, kind_of, name_of, need_function


async def sleep_async(sleep: Callable[[float], Any] | None, seconds: float) -> None:
    """Await `asyncio.sleep`, looked up late, or what `sleep` returns, if that is to be awaited."""
    import inspect

    if sleep is None:
        import asyncio

        sleep = asyncio.sleep
    slept = sleep(seconds)
    if inspect.isawaitable(slept):
        await slept


def need_sleep(sleep: Any, wrapped: Any) -> None:
    """Raise TypeError for a `sleep` that is no function, or that would not be awaited."""
    if sleep is None:
        return
    need_function("sleep", sleep)
    if is_async(sleep) and kind_of(wrapped) in ("plain", "generator"):
        raise TypeError(
            f"got sleep={sleep!r}, a coroutine function; give a plain one, since "
            f"{name_of(wrapped)!r} is called and not awaited"
        )
