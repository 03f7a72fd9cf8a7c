"""What may block, and what must let others run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from safepatch.decorators.waiting import hub

R = TypeVar("R")


def pause() -> None:
    """Let other greenlets run, if there are any."""
    here = hub()
    if here is not None:
        here.wait(here.loop.timer(0))


def off_loop(function: Callable[..., R], *arguments: Any) -> R:
    """Call what blocks in a thread, if there is a loop of gevent that must go on."""
    here = hub()
    return function(*arguments) if here is None else here.threadpool.apply(function, arguments)


def native(module: str, name: str) -> Any:
    """A function of Python itself, whether or not gevent has put another in its place."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return getattr(sys.modules[module], name)
    return monkey.get_original(module, name)
