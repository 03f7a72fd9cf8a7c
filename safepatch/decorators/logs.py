"""Log the calls of a function."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from safepatch.decorators.observing import observed
from safepatch.decorators.redacting import Teller
from safepatch.decorators.wrapping import (
    configured,
    is_async,
    is_generator,
    name_of,
    need_callable,
    need_function,
)

if TYPE_CHECKING:
    import logging

F = TypeVar("F", bound=Callable[..., Any])


class LogDecorator(Protocol):
    def __call__(self, wrapped: F, /) -> F: ...


@overload
def log_calls(wrapped: F, /) -> F: ...
@overload
def log_calls(
    *,
    logger: logging.Logger | logging.LoggerAdapter[Any] | str | None = None,
    level: int | str = "DEBUG",
    hide: Iterable[str] = (),
    clock: Callable[[], float] = time.perf_counter,
) -> LogDecorator: ...
def log_calls(
    wrapped: Any = None,
    /,
    *,
    logger: logging.Logger | logging.LoggerAdapter[Any] | str | None = None,
    level: int | str = "DEBUG",
    hide: Iterable[str] = (),
    clock: Callable[[], float] = time.perf_counter,
) -> Any:
    """Log each call of a function, when it is over, with arguments, outcome and seconds.

    ::

        @log_calls(hide=["pin"])
        def pay(account, amount, pin): ...

        # DEBUG:shop.bank:shop.bank.pay(account='A-1', amount=5, pin=***) returned None in ...

    `logger` is one of the standard library's, or its name; by default that of the function's
    module. The record has the same facts as attributes: call_function, call_arguments (a dict of
    texts), call_outcome ("returned", "raised" or "closed"), call_result (a text) and call_seconds;
    of generators also call_values, the number of values given. Its file and line are those of the
    nearest caller outside of safepatch.

    Shown as ``***`` is what has a name that looks like a secret's (with password, token, key,
    cookie, auth and the like anywhere in it) or that has one of `hide` in it as a word of its own
    ("pin" is in "user_pin2", not in "spinning"): arguments, items of dicts, what follows in a list,
    tuple or set, or after an argument or item of a dict that is such a name, and the result if the
    function has one or an argument is one. A text with such a name is shown up to the next `=`,
    `:`, `,` or `>`, or to the space after an option such as `--password`, and so is the repr of any
    object but those collections. Of a text that is one URL only the values are hidden, and what
    follows such a name in the path. In any text the password of a URL is hidden. Rather too much is
    hidden than too little. Of bytes at most the length is shown, of arguments without a known name
    (of C functions without a signature) only the type, and of long texts and collections the
    beginning. Arguments are shown as they are after the call.

    **Not hidden** is a secret that comes before its name, or after it without such a sign ("the
    password is hunter2"), or without a name at all.

    Off, it costs a look at the logger's level. On, nothing it does changes what the call returns
    or raises: an argument whose repr raises is shown as such, and a logging filter or handler that
    raises loses its record. Calls made while a record is being written are not logged, so that a
    function which logging itself needs can be logged.

    Coroutine functions are logged when awaited. Generators, async ones too, are logged when they
    are over: used up, failed or closed, with the seconds since the first value was asked for, those
    that the caller took between values included. As safe with threads, greenlets and asyncio as
    logging is. Raises TypeError, when decorating, for what cannot be called or is no logger, and
    ValueError for a level that does not exist.

    **Assumes** that the repr of an argument or result may be taken, and has no effects; and that
    what is secret is named so.
    """
    number = _level(level)
    hidden = (hide,) if isinstance(hide, str) else tuple(hide)
    if not all(isinstance(name, str) for name in hidden):
        raise TypeError(f"got hide={hide!r}; give names")
    need_function("clock", clock)
    if wrapped is None:
        return configured(log_calls, logger=logger, level=level, hide=hidden, clock=clock)
    need_callable("log calls of", wrapped)
    log = _logger(logger, wrapped)
    begin = _beginner(log, number, name_of(wrapped), Teller(wrapped, hidden), clock)
    if is_generator(wrapped):
        return observed(wrapped, begin)
    is_on = log.isEnabledFor

    # Python copies the keywords of a call even where there are none, which costs more than the
    # question for them.
    if is_async(wrapped):

        @functools.wraps(wrapped)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not is_on(number) or (end := begin(args, kwargs)) is None:
                return await (wrapped(*args, **kwargs) if kwargs else wrapped(*args))
            try:
                result = await wrapped(*args, **kwargs)
            except BaseException as error:
                end(error, None, None)
                raise
            end(None, result, None)
            return result

    else:

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not is_on(number) or (end := begin(args, kwargs)) is None:
                return wrapped(*args, **kwargs) if kwargs else wrapped(*args)
            try:
                result = wrapped(*args, **kwargs)
            except BaseException as error:
                end(error, None, None)
                raise
            end(None, result, None)
            return result

    return wrapper


def _level(level: int | str) -> int:
    import logging

    if isinstance(level, int):
        return level
    known = logging.getLevelNamesMapping()
    if level not in known:
        raise ValueError(f"got level={level!r}; give a number or one of {', '.join(known)}")
    return known[level]


def _logger(logger: Any, wrapped: Any) -> Any:
    import logging

    if logger is None:
        logger = getattr(wrapped, "__module__", None) or type(wrapped).__module__
    if isinstance(logger, str):
        return logging.getLogger(logger)
    if not isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
        raise TypeError(f"got logger={logger!r}; give one of the logging module's, or its name")
    return logger


#: Not empty while a record is being written, in this thread, greenlet or task. Emptied after that,
#: because a task that a handler makes has a copy of the context for ever.
_reporting: ContextVar[Sequence[str]] = ContextVar("reporting", default=())


def _beginner(
    log: Any, level: int, name: str, tell: Teller, clock: Callable[[], float]
) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    """Make the function that begins to time a call, and gives what is to be told of its end."""
    is_on = log.isEnabledFor

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not is_on(level) or _reporting.get():
            return None
        started = clock()

        def end(error: BaseException | None, result: Any, given: int | None) -> None:
            reported: list[str] = []
            mark = _reporting.set(reported)
            try:
                # Here, so that an interrupt just before leaves no mark for ever.
                reported.append(name)
                facts: dict[str, Any] = {"call_function": name, "call_seconds": clock() - started}
                facts |= _outcome(tell, (args, kwargs), error, result, given)
                facts["call_arguments"] = tell.arguments(args, kwargs)
                _write(log, level, facts)
            except Exception:  # noqa: S110
                pass  # a filter or handler; the caller of the function has no part in that
            finally:
                reported.clear()
                _reporting.reset(mark)

        return end

    return begin


def _outcome(
    tell: Teller, call: tuple[Any, Any], error: BaseException | None, result: Any, given: int | None
) -> dict[str, Any]:
    """What is to be said of the outcome."""
    values = {} if given is None else {"call_values": given}
    if error is None:
        return {
            "call_outcome": "returned",
            "call_result": tell.result(result, *call),
            **values,
        }
    if given is not None and isinstance(error, GeneratorExit):
        return {"call_outcome": "closed", "call_result": "None", **values}
    return {"call_outcome": "raised", "call_result": tell.value(error), **values}


def _write(log: Any, level: int, facts: dict[str, Any]) -> None:
    import logging

    message, args = _message(facts)
    options: Any = {"extra": facts, "stacklevel": _distance()}
    while isinstance(log, logging.LoggerAdapter):
        # By itself, an adapter puts its own extra in place of ours.
        ours = options["extra"]
        message, options = log.process(message, options)
        options["extra"] = {**(options.get("extra") or {}), **ours}
        log = log.logger
    log.log(level, message, *args, **options)


def _message(facts: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    listed = ", ".join(f"{name}={text}" for name, text in facts["call_arguments"].items())
    outcome = facts["call_outcome"]
    if outcome != "closed":
        outcome = f"{outcome} {facts['call_result']}"
    if "call_values" in facts:
        outcome = f"{outcome} after {facts['call_values']} values"
    return "%s(%s) %s in %.6f seconds", (
        facts["call_function"],
        listed,
        outcome,
        facts["call_seconds"],
    )


def _distance() -> int:
    """How many frames above the caller of this one the code of somebody else begins.

    Between the wrapper and who called it there may be other wrappers of ours, and a patch.
    """
    distance, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        distance, frame = distance + 1, frame.f_back
    return distance


#: Where our own frames come from: this package, and what a patch makes. Of `__file__` the code may
#: know nothing, if it was compiled elsewhere.
_OURS = (os.path.dirname(os.path.dirname(_distance.__code__.co_filename)) + os.sep, "<safepatch>")
