"""`no_switch`: code that must not let another greenlet run."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from safepatch.decorators.wrapping import kind_of, name_of, need_callable
from safepatch.store.errors import SwitchError

F = TypeVar("F", bound=Callable[..., Any])


def no_switch(wrapped: F) -> F:
    """Raise SwitchError where a function lets another greenlet run, as all I/O under gevent does.

    ::

        @no_switch
        def transfer(source, destination, amount): ...

    It is raised in the line that waited, when that comes back: what the function does from then on
    would rely on what it had read before, and others may have changed that. With `durable` around
    it, what it has done is brought back.

    A call costs about a microsecond, and nothing if the process has no greenlets. Threads are not
    its concern. Raises TypeError for generator and coroutine functions, which give way by nature.
    Source of the idea: greenlet's `settrace`, which gevent's own monitoring uses too.
    """
    need_callable("forbid switches in", wrapped)
    if (kind := kind_of(wrapped)) != "plain":
        raise TypeError(
            f"cannot forbid switches in {name_of(wrapped)!r}: it is a {kind} function, which gives "
            "way to others by nature; decorate a plain function"
        )

    @functools.wraps(wrapped)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        greenlet = sys.modules.get("greenlet")
        if greenlet is None:
            return wrapped(*args, **kwargs)
        here, switched = greenlet.getcurrent(), False
        running = True

        def trace(event: str, between: Any) -> None:
            nonlocal switched
            if before is not None:
                before(event, between)
            if running and between[1] is here:
                switched = True
                raise SwitchError(_message(wrapped))  # which also takes this function away

        before = greenlet.settrace(trace)
        try:
            result = wrapped(*args, **kwargs)
        finally:
            running = False
            # Another one, in a greenlet that ran meanwhile, may have put itself or nothing here.
            switched = switched or greenlet.gettrace() is not trace
            greenlet.settrace(before)
        if switched:  # and the function has caught the error
            raise SwitchError(_message(wrapped))
        return result

    return wrapper  # type: ignore[return-value]


def _message(wrapped: Any) -> str:
    return (
        f"{name_of(wrapped)!r} let another greenlet run, under @no_switch; do I/O before or after "
        "it, for what it has read may be out of date"
    )
