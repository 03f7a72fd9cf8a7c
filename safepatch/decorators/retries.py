"""Call again what failed."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, overload

from safepatch.decorators.wrapping import configured, is_async, need_results

F = TypeVar("F", bound=Callable[..., Any])
On = type[BaseException] | str | tuple[type[BaseException] | str, ...] | Callable[[Exception], bool]


class RetryDecorator(Protocol):
    def __call__(self, wrapped: F, /) -> F: ...


@overload
def retry(
    wrapped: F,
    /,
    *,
    on: On,
    attempts: int | None = 3,
    timeout: float | None = None,
    wait_initial: float = 0.1,
    wait_max: float = 5.0,
    wait_jitter: float = 1.0,
    stop: Callable[[int, float], bool] | None = None,
    wait: Callable[[int], float] | None = None,
    on_retry: Callable[[int, BaseException, float], object] | None = None,
    sleep: Callable[[float], Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> F: ...
@overload
def retry(
    *,
    on: On,
    attempts: int | None = 3,
    timeout: float | None = None,
    wait_initial: float = 0.1,
    wait_max: float = 5.0,
    wait_jitter: float = 1.0,
    stop: Callable[[int, float], bool] | None = None,
    wait: Callable[[int], float] | None = None,
    on_retry: Callable[[int, BaseException, float], object] | None = None,
    sleep: Callable[[float], Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> RetryDecorator: ...
def retry(
    wrapped: Any = None,
    /,
    *,
    on: On,
    attempts: int | None = 3,
    timeout: float | None = None,
    wait_initial: float = 0.1,
    wait_max: float = 5.0,
    wait_jitter: float = 1.0,
    stop: Callable[[int, float], bool] | None = None,
    wait: Callable[[int], float] | None = None,
    on_retry: Callable[[int, BaseException, float], object] | None = None,
    sleep: Callable[[float], Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] | None = None,
) -> Any:
    """Call a function again when it fails in a way that may pass, after a wait.

    ::

        @retry(on=ConnectionError, attempts=5)
        def fetch(url): ...

    `on` says which failures: an exception class or a tuple of them, a function that is given the
    exception and returns a bool, or "module:Name", for a class of a module that need not be
    imported yet. It has no default, because retrying what cannot pass only hides it. The function
    is asked for an Exception only, never for a KeyboardInterrupt, a cancellation or the like.

    There are `attempts` calls at most, the first included, and none begins more than `timeout`
    seconds after the first; None is no limit. A running call is never cut short. `stop(attempt,
    elapsed)`, with the number of calls made and the seconds they took, may return true to give up
    earlier. Nothing is waited for in vain: a wait that would end too late does not begin.

    The wait before the n-th retry is min(wait_max, wait_initial * 2**(n - 1) + random *
    wait_jitter) seconds, as in stamina (Hynek Schlawack, 2022), with random from 0 to 1; or
    `wait(n)`, if given, and 0 for what is negative. `on_retry(n, exception, seconds)` is called
    before each wait; what it raises ends the call. `sleep` is `time.sleep` by default, looked up
    when it is needed, so that gevent's patching is followed; for coroutine functions it is
    `asyncio.sleep`, and may be any other that is to be awaited. `stop` and `wait` are plain
    functions, not tenacity's strategies.

    The last exception is raised as it is, never wrapped, with a note that tells attempts and time,
    in place of such a note from before; one that takes no notes goes without. Neither note nor
    hook is told the arguments.

    Raises TypeError, when decorating, for generator functions and an `on` of the wrong type, and
    ValueError for options out of range. Calls share nothing, so they are as safe with threads,
    greenlets and asyncio as the function itself. Success costs one look at the clock.

    **Assumes** that calling twice does no harm, and that the arguments can be used twice: an
    iterator or an open file is not rewound.
    """
    matches = _matcher(on)
    for name, seconds in (
        ("timeout", timeout),
        ("wait_initial", wait_initial),
        ("wait_max", wait_max),
        ("wait_jitter", wait_jitter),
    ):
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"got {name}={seconds!r}; give seconds, 0 or more")
    if attempts is not None and not attempts >= 1:
        raise ValueError(f"got attempts={attempts!r}; give 1 or more, or None for no limit")
    if wrapped is None:
        return configured(
            retry,
            on=on,
            attempts=attempts,
            timeout=timeout,
            wait_initial=wait_initial,
            wait_max=wait_max,
            wait_jitter=wait_jitter,
            stop=stop,
            wait=wait,
            on_retry=on_retry,
            sleep=sleep,
            clock=clock,
            random=random,
        )
    need_results("retry", wrapped)
    if wait is None:
        wait = functools.partial(_backoff, wait_initial, wait_max, wait_jitter, random)

    def give_up(error: BaseException, attempt: int, elapsed: float) -> None:
        _tell(error, "gave up", f"after {attempt} attempt{'s'[: attempt > 1]}", elapsed)

    def wait_after(error: BaseException, attempt: int, started: float) -> float | None:
        """Seconds to wait before the next call; None, and a note, if there is to be none."""
        if not matches(error):
            if attempt > 1:
                _tell(error, "failed attempt", f"{attempt} in another way", clock() - started)
            return None
        elapsed = clock() - started
        if (attempts is None or attempt < attempts) and not (stop and stop(attempt, elapsed)):
            seconds = max(0, wait(attempt))
            if timeout is None or elapsed + seconds <= timeout:
                if on_retry is not None:
                    on_retry(attempt, error, seconds)
                return seconds
        give_up(error, attempt, elapsed)
        return None

    def is_late(error: BaseException, attempt: int, started: float) -> bool:
        """Say, and note, whether the wait took so long that there is to be no other call."""
        if timeout is None:
            return False
        elapsed = clock() - started
        if elapsed <= timeout:
            return False
        give_up(error, attempt, elapsed)
        return True

    # The calls are outside of `except`: the next error is not to have this one as its context.
    if is_async(wrapped):

        @functools.wraps(wrapped)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            attempt = 1
            while True:
                try:
                    return await wrapped(*args, **kwargs)
                except BaseException as error:
                    seconds = wait_after(error, attempt, started)
                    if seconds is None:
                        raise
                    await _sleep_async(sleep, seconds)
                    if is_late(error, attempt, started):
                        raise
                attempt += 1

    else:

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            attempt = 1
            while True:
                try:
                    return wrapped(*args, **kwargs)
                except BaseException as error:
                    seconds = wait_after(error, attempt, started)
                    if seconds is None:
                        raise
                    (sleep or time.sleep)(seconds)
                    if is_late(error, attempt, started):
                        raise
                attempt += 1

    return wrapper


def _backoff(
    initial: float,
    longest: float,
    jitter: float,
    random: Callable[[], float] | None,
    attempt: int,
) -> float:
    if random is None:
        import random as standard

        random = standard.random
    # The limit is for floats, which cannot hold 2**1024.
    return min(longest, initial * 2.0 ** min(attempt - 1, 1000) + random() * jitter)


async def _sleep_async(sleep: Callable[[float], Any] | None, seconds: float) -> None:
    import inspect

    if sleep is None:
        import asyncio

        sleep = asyncio.sleep
    slept = sleep(seconds)
    if inspect.isawaitable(slept):
        await slept


def _tell(error: BaseException, kind: str, what: str, elapsed: float) -> None:
    _note(error, kind, f"{what}, {elapsed:.3g} seconds after the first call")


def _note(error: BaseException, kind: str, rest: str) -> None:
    """Add a note, in place of the last of its kind: one error may be raised again and again."""
    # An error of ours must not take the place of one that takes no notes, such as a frozen
    # dataclass.
    with contextlib.suppress(Exception):
        notes = getattr(error, "__notes__", [])
        notes[:] = [note for note in notes if not note.startswith(f"retry: {kind}")]
        error.add_note(f"retry: {kind} {rest}")


def _matcher(on: Any) -> Callable[[BaseException], bool]:
    """Make the function that says whether to retry; raises TypeError and ValueError early."""
    if callable(on) and not isinstance(on, type):
        return lambda error: isinstance(error, Exception) and bool(on(error))
    kinds = on if isinstance(on, tuple) else (on,)
    for kind in kinds:
        if isinstance(kind, str):
            module, _, name = kind.partition(":")
            if not module or not name:
                raise ValueError(f"got on={kind!r}; write it 'package.module:Name'")
        elif not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(
                f"got on={kind!r}; give exception classes, 'module:Name', or a function of the "
                "exception"
            )
    return lambda error: any(isinstance(error, _class(kind, error)) for kind in kinds)


def _class(kind: Any, error: BaseException) -> Any:
    """The exception class that "module:Name" names; () if its module is not imported, since then
    nothing can be of that class."""
    if not isinstance(kind, str):
        return kind
    module, _, name = kind.partition(":")
    found: Any = sys.modules.get(module)
    if found is None:
        return ()
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type):
        return found
    # An error of ours must not take the place of the one that is under way.
    _note(error, f"on={kind!r}", "names no class, so this was not retried")
    return ()
