"""What a logging decorator costs where its level is off."""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Callable
from typing import Any

from benchmarks.decorators.measuring import (
    BY_HAND,
    Makers,
    Seconds,
    by_kind,
    pass_through,
    pass_through_async,
)
from safepatch.decorators import log_calls

LOGGER = logging.getLogger("benchmarks.decorators")  # at WARNING, that of the root


def _guarded(wrapped: Any) -> Any:
    @functools.wraps(wrapped)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if LOGGER.isEnabledFor(logging.DEBUG):
            LOGGER.debug("called with %r, %r", args, kwargs)
        return wrapped(*args, **kwargs)

    return wrapper


def _logging_with(debug: Callable[..., Any], template: str) -> Any:
    """A decorator that says before and after a call what is going on."""

    def decorator(wrapped: Any) -> Any:
        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            debug(f"called with {template}", args)
            result = wrapped(*args, **kwargs)
            debug(f"returned {template}", result)
            return result

        return wrapper

    return decorator


def _structlog() -> Any:
    import structlog

    only_info = structlog.make_filtering_bound_logger(logging.INFO)
    logger = structlog.wrap_logger(structlog.PrintLogger(io.StringIO()), wrapper_class=only_info)
    return _logging_with(logger.bind().debug, "%r")


def _loguru() -> Any:
    from loguru import logger

    logger.remove()
    logger.add(io.StringIO(), level="INFO")
    return _logging_with(logger.debug, "{!r}")


def _logdecorator() -> Any:
    import logdecorator

    return logdecorator.log_on_start(logging.DEBUG, "called with {host}", logger=LOGGER)


def _logdecorator_async() -> Any:
    from logdecorator.asyncio import async_log_on_start

    return async_log_on_start(logging.DEBUG, "called with {host}", logger=LOGGER)


def _logdecorator_both() -> Any:
    import logdecorator

    start = logdecorator.log_on_start(logging.DEBUG, "called with {host}", logger=LOGGER)
    end = logdecorator.log_on_end(logging.DEBUG, "returned {result}", logger=LOGGER)
    return lambda wrapped: start(end(wrapped))


LOGS: Makers = {
    BY_HAND: lambda: pass_through,
    "safepatch log_calls": lambda: log_calls(logger=LOGGER),
    "by hand, isEnabledFor and debug": lambda: _guarded,
    "by hand, debug twice": lambda: _logging_with(LOGGER.debug, "%r"),
    "structlog debug twice": _structlog,
    "loguru debug twice": _loguru,
    "logdecorator.log_on_start": _logdecorator,
    "logdecorator.log_on_start and _end": _logdecorator_both,
}
ASYNC_LOGS: Makers = {
    BY_HAND: lambda: pass_through_async,
    "safepatch log_calls": LOGS["safepatch log_calls"],
    "logdecorator.log_on_start": _logdecorator_async,
}


def logs(rounds: int) -> dict[str, Seconds]:
    return by_kind(LOGS, ASYNC_LOGS, rounds)
