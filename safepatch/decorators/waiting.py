"""Waiting for another thread, greenlet or task, and work in the background.

All is made at the last moment, so that it fits a process patched by gevent early, late or never.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import Context, copy_context
from typing import Any

from safepatch.decorators.threads import get_ident


def may_wait(thread: int | None) -> bool:
    """Say whether one may block here until work in a thread is done; None: it has yet to begin."""
    here = hub()
    if here is None:
        # Two bare greenlets in a thread: the other one runs only if this one goes on.
        return thread != get_ident()
    return here is not sys.modules["greenlet"].getcurrent()  # the hub must never block


def event() -> tuple[Callable[[float], object], Callable[[], object]]:
    """Functions to wait, some seconds at most, and to wake that one waiter from any thread."""
    here = hub()
    if here is None:
        import threading

        made = threading.Event()
        return made.wait, made.set
    # Such an event is for one thread only; the loop is where other threads may come in.
    in_hub = importlib.import_module("gevent.event").Event()
    return in_hub.wait, functools.partial(here.loop.run_callback_threadsafe, in_hub.set)


def event_async(loop: Any) -> tuple[Callable[[float], Awaitable[None]], Callable[[], object]]:
    """The same for the running task of an event loop."""
    woken = loop.create_future()

    def set_it() -> None:
        if not woken.done():
            woken.set_result(None)

    async def wait(seconds: float) -> None:
        timer = loop.call_later(seconds, set_it)
        try:
            await woken
        finally:
            timer.cancel()

    return wait, functools.partial(loop.call_soon_threadsafe, set_it)


def running_loop() -> Any:
    """The event loop of asyncio that runs here, or None."""
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()


def is_over(loop: Any) -> bool:
    """Say whether nothing goes on in an event loop."""
    return loop is not None and not loop.is_running()


def spawners() -> Iterator[Context]:
    """The contexts of the greenlets that spawned this one, and may be waiting for it.

    gevent gives a greenlet a new context, not a copy.
    """
    if "gevent" not in sys.modules:
        return
    greenlet = sys.modules["greenlet"].getcurrent()
    while (spawner := getattr(greenlet, "spawning_greenlet", None)) is not None:
        greenlet = spawner()  # a weak reference
        context = getattr(greenlet, "gr_context", None)
        if context is not None:
            yield context


def in_background(work: Callable[[], object], give_up: Callable[[], object]) -> None:
    """Run something beside its caller, in its context: in a greenlet under gevent, or a thread.

    `give_up` is called if it cannot begin.
    """
    try:
        if hub() is not None:
            # A greenlet that is killed before it begins runs nothing, no `finally` either.
            importlib.import_module("gevent").spawn(work).rawlink(lambda greenlet: give_up())
            return
        import threading

        run = functools.partial(copy_context().run, work)
        threading.Thread(target=run, name="safepatch-refresh", daemon=True).start()
    except BaseException as error:
        give_up()
        if not isinstance(error, Exception):
            raise


_tasks: set[Any] = set()  # loops hold them weakly


def in_background_async(work: Coroutine[Any, Any, object], give_up: Callable[[], object]) -> None:
    """Run a coroutine as a task of the running event loop of asyncio."""

    def ended(task: Any) -> None:
        _tasks.discard(task)
        give_up()  # if it was cancelled before it began

    try:
        task = running_loop().create_task(work)
        _tasks.add(task)
        task.add_done_callback(ended)
    except BaseException as error:
        work.close()
        give_up()
        if not isinstance(error, Exception):
            raise


def _no_hub() -> Any:
    local = sys.modules.get("gevent._hub_local")
    found = getattr(local, "get_hub_if_exists", None)  # there is none while it is being imported
    if found is None:
        return None
    global hub
    hub = found
    return found()


#: gevent's hub of this thread, or None; never makes one. Where it is named as `waiting.hub`, it is
#: gevent's own function once there is one, which takes half as long.
hub: Callable[[], Any] = _no_hub
