"""Log the calls of a function."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from safepatch.decorators.wrapping import configured, is_async, name_of, need_callable

if TYPE_CHECKING:
    import logging
    import re

F = TypeVar("F", bound=Callable[..., Any])

#: What is nowhere in a name whose value is shown; case does not count.
HIDDEN = (
    r"passw|passphrase|pwd|secret|token|credential|cookie|signature|"
    r"key(?!word|board|error)|auth(?!or(?!i))"
)
#: The most that is shown: characters of a text, items of a collection, collections in each other.
LONGEST, MOST, DEEPEST = 100, 10, 4


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
    texts), call_outcome ("returned" or "raised"), call_result (a text) and call_seconds.

    Shown as ``***`` is what has a name that looks like a secret's (with password, token, key,
    cookie, auth and the like anywhere in it) or that has one of `hide` in it as a word of its own:
    arguments, items of dicts, what follows in a list, tuple or set, and the result if the function
    has such a name. A text with such a name is shown up to the next `=`, `:`, `,` or `>`, and so
    is the repr of any object but those collections. Rather too much is hidden than too little. Of
    bytes only the length is shown, of arguments without a known name (of C functions without a
    signature) only the type, and of long texts and collections the beginning. Arguments are shown
    as they are after the call.

    **Not hidden** is a secret that comes before its name, or after it without such a sign
    (`--password hunter2` in one text, `https://user:hunter2@host`), or without a name at all; and
    bytes in the repr of an object that is not one of those collections.

    Off, it costs a look at the logger's level. On, nothing it does changes what the call returns
    or raises: an argument whose repr raises is shown as such, and a logging filter or handler that
    raises loses its record. Calls made while a record is being written are not logged, so that a
    function which logging itself needs can be logged.

    Coroutine functions are logged when awaited; of a generator function, the making of the
    generator. As safe with threads, greenlets and asyncio as logging is. Raises TypeError, when
    decorating, for what cannot be called, and ValueError for a level that does not exist.

    **Assumes** that the repr of an argument or result may be taken, and has no effects; and that
    what is secret is named so.
    """
    number = _level(level)
    hidden = (hide,) if isinstance(hide, str) else tuple(hide)
    if wrapped is None:
        return configured(log_calls, logger=logger, level=level, hide=hidden, clock=clock)
    need_callable("log calls of", wrapped)
    log = _logger(logger, wrapped)
    report = functools.partial(_report, log, number, name_of(wrapped), _Teller(wrapped, hidden))

    if is_async(wrapped):

        @functools.wraps(wrapped)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not log.isEnabledFor(number) or _reporting.get():
                return await wrapped(*args, **kwargs)
            started = clock()
            try:
                result = await wrapped(*args, **kwargs)
            except BaseException as error:
                report(args, kwargs, "raised", error, clock() - started)
                raise
            report(args, kwargs, "returned", result, clock() - started)
            return result

    else:

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not log.isEnabledFor(number) or _reporting.get():
                return wrapped(*args, **kwargs)
            started = clock()
            try:
                result = wrapped(*args, **kwargs)
            except BaseException as error:
                report(args, kwargs, "raised", error, clock() - started)
                raise
            report(args, kwargs, "returned", result, clock() - started)
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
    return logging.getLogger(logger) if isinstance(logger, str) else logger


#: Not empty while a record is being written, in this thread, greenlet or task. Emptied after that,
#: because a task that a handler makes has a copy of the context for ever.
_reporting: ContextVar[Sequence[str]] = ContextVar("reporting", default=())


def _report(
    log: Any,
    level: int,
    name: str,
    tell: _Teller,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    outcome: str,
    value: Any,
    seconds: float,
) -> None:
    reported = [name]
    mark = _reporting.set(reported)
    try:
        arguments = tell.arguments(args, kwargs)
        listed = ", ".join(f"{parameter}={text}" for parameter, text in arguments.items())
        result = tell.value(value) if outcome == "raised" else tell.result(value)
        message = "%s(%s) %s %s in %.6f seconds"
        facts = {
            "call_function": name,
            "call_arguments": arguments,
            "call_outcome": outcome,
            "call_result": result,
            "call_seconds": seconds,
        }
        _write(log, level, message, (name, listed, outcome, result, seconds), facts)
    except Exception:  # noqa: S110
        pass  # a filter or handler; the caller of the function has no part in that
    finally:
        reported.clear()
        _reporting.reset(mark)


def _write(
    log: Any, level: int, message: str, args: tuple[Any, ...], facts: dict[str, Any]
) -> None:
    import logging

    # Past this function, its caller and the wrapper, to who called.
    options: Any = {"extra": facts, "stacklevel": 4}
    while isinstance(log, logging.LoggerAdapter):
        # By itself, an adapter puts its own extra in place of ours.
        ours = options["extra"]
        message, options = log.process(message, options)
        options["extra"] = {**(options.get("extra") or {}), **ours}
        log = log.logger
    log.log(level, message, *args, **options)


class _Teller:
    """Turns the arguments and results of one function into texts that can be shown to anybody."""

    def __init__(self, wrapped: Any, hidden: tuple[str, ...]) -> None:
        import inspect
        import re

        try:
            self._signature: inspect.Signature | None = inspect.signature(wrapped)
        except (ValueError, TypeError):
            self._signature = None
        secret = "|".join([HIDDEN, *(rf"(?<!\w){re.escape(name)}(?!\w)" for name in hidden)])
        self._secret: re.Pattern[str] = re.compile(secret, re.IGNORECASE)
        # A name, the next sign, and all the rest: where the value begins and ends in a text depends
        # on how it is quoted and escaped, maybe several times.
        self._in_text: re.Pattern[str] = re.compile(
            rf"((?:{secret})[^=:,>]*+.).+", re.IGNORECASE | re.DOTALL
        )
        # A partial has no name of its own.
        self._name: str = name_of(getattr(wrapped, "func", wrapped)).rpartition(".")[2]

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, str]:
        """Parameter names and texts, as far as the call fits the signature."""
        try:
            if self._signature is None:
                raise TypeError
            bound: Mapping[str, Any] = self._signature.bind(*args, **kwargs).arguments
        except TypeError:
            unnamed = {str(place): f"<{type(arg).__name__}>" for place, arg in enumerate(args)}
            return unnamed | {name: self.named(name, value) for name, value in kwargs.items()}
        return {name: self.named(name, value) for name, value in bound.items()}

    def named(self, name: Any, value: Any) -> str:
        return "***" if self._is_secret(name) else self.value(value)

    def result(self, value: Any) -> str:
        return self.named(self._name, value)

    def _is_secret(self, name: Any) -> bool:
        if isinstance(name, bytes):
            name = name.decode("latin-1")
        return self._secret.search(name if isinstance(name, str) else repr(name)) is not None

    def value(self, value: Any, depth: int = 0) -> str:
        try:
            return self._value(value, depth)
        except Exception as error:
            return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"

    def _value(self, value: Any, depth: int) -> str:
        kind = type(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return f"<{memoryview(value).nbytes} bytes>"
        if kind in _BRACKETS:
            return self._collection(value, depth)
        text = repr(self._hide(value)) if kind is str else self._hide(repr(value))
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."

    def _hide(self, text: str) -> str:
        return self._in_text.sub(r"\1***", text[: LONGEST + 1])

    def _collection(self, value: Any, depth: int) -> str:
        opening, closing = _BRACKETS[type(value)]
        if depth == DEEPEST:
            return f"{opening}...{closing}"
        if isinstance(value, dict):
            texts = [
                f"{self.value(key, depth + 1)}: "
                + ("***" if self._is_secret(key) else self.value(item, depth + 1))
                for key, item in islice(value.items(), MOST)
            ]
        else:
            texts, follows = [], False  # a name, such as that of a header in a list of pairs
            for item in islice(value, MOST):
                texts.append("***" if follows else self.value(item, depth + 1))
                follows = follows or (isinstance(item, (str, bytes)) and self._is_secret(item))
        if len(value) > MOST:
            texts.append(f"... {len(value)} in all")
        return f"{opening}{', '.join(texts)}{closing}"


_BRACKETS: dict[type, tuple[str, str]] = {
    dict: ("{", "}"),
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
