"""Functions of each kind, for a decorator to be put on, and what their calls come to."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

from safepatch.testing.deadlines import stop_if_late

Body = Callable[..., Any]
Decorate = Callable[[Any], Any]
#: Pairs of what was expected and what was found instead.
Differences = Iterator[tuple[str, str]]


class Inner(NamedTuple):
    """What a body returns to have another function of its kind called, and give what that gives."""

    call: Callable[[], Any]


class Failure(Exception):  # noqa: N818
    """What victims raise; a class that no decorator knows."""


class Thing:
    """An object like any other: with a hash, and weakly referable."""


class Kind(NamedTuple):
    """A kind of function.

    `make` gives one with `*args, **kwargs`, `named` one with the parameters of all sorts; both call
    a body. `outcome(call, then)` returns or raises what a call comes to: the returned or awaited
    value, or the only one that is generated. In the same task `then` is called after that.
    """

    name: str
    make: Callable[[Body], Any]
    named: Callable[[Body], Any]
    outcome: Callable[..., Any]


def _nothing() -> None:
    pass


def _called(body: Body, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    stop_if_late()
    return body(*args, **kwargs)


def _make_plain(body: Body) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        made = _called(body, args, kwargs)
        return made.call() if isinstance(made, Inner) else made

    return function


def _named_plain(body: Body) -> Any:
    def function(first: int, second: str = "two", *rest: Any, third: Any = 3, **more: Any) -> Any:
        """Do something."""
        return _called(body, (first, second, rest, third, more), {})

    return function


def _outcome_plain(call: Callable[[], Any], then: Callable[[], object] = _nothing) -> Any:
    value = call()
    then()
    return value


def _make_coroutine(body: Body) -> Any:
    async def function(*args: Any, **kwargs: Any) -> Any:
        made = _called(body, args, kwargs)
        return await made.call() if isinstance(made, Inner) else made

    return function


def _named_coroutine(body: Body) -> Any:
    async def function(
        first: int, second: str = "two", *rest: Any, third: Any = 3, **more: Any
    ) -> Any:
        """Do something."""
        return _called(body, (first, second, rest, third, more), {})

    return function


def _outcome_coroutine(call: Callable[[], Any], then: Callable[[], object] = _nothing) -> Any:
    async def main() -> Any:
        value = await call()
        then()
        return value

    return run(main)


def _make_generator(body: Body) -> Any:
    def function(*args: Any, **kwargs: Any) -> Iterator[Any]:
        made = _called(body, args, kwargs)
        if isinstance(made, Inner):
            yield from made.call()
        else:
            yield made

    return function


def _named_generator(body: Body) -> Any:
    def function(
        first: int, second: str = "two", *rest: Any, third: Any = 3, **more: Any
    ) -> Iterator[Any]:
        """Do something."""
        yield _called(body, (first, second, rest, third, more), {})

    return function


def _outcome_generator(call: Callable[[], Any], then: Callable[[], object] = _nothing) -> Any:
    values = list(call())
    then()
    return _only(values)


def _make_async_generator(body: Body) -> Any:
    async def function(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        made = _called(body, args, kwargs)
        if isinstance(made, Inner):
            async for value in made.call():
                yield value
        else:
            yield made

    return function


def _named_async_generator(body: Body) -> Any:
    async def function(
        first: int, second: str = "two", *rest: Any, third: Any = 3, **more: Any
    ) -> AsyncIterator[Any]:
        """Do something."""
        yield _called(body, (first, second, rest, third, more), {})

    return function


def _outcome_async_generator(call: Callable[[], Any], then: Callable[[], object] = _nothing) -> Any:
    async def main() -> Any:
        values = [value async for value in call()]
        then()
        return _only(values)

    return run(main)


def _only(values: list[Any]) -> Any:
    if len(values) != 1:
        raise ValueError(f"{len(values)} values were generated, instead of one")
    return values[0]


def run(main: Callable[[], Any]) -> Any:
    """Await what `main()` gives in an event loop of its own; return or raise what it does.

    It is any exception, since `asyncio.run` itself makes a new CancelledError of one.
    """

    outcome: list[tuple[Any, BaseException | None]] = []

    # It returns nothing, because asyncio's frames keep what a task returned, and the frames of an
    # error keep those.
    async def caught() -> None:
        try:
            outcome.append((await main(), None))
        except BaseException as error:
            outcome.append((None, error))

    asyncio.run(caught())
    value, error = outcome.pop()
    try:
        if error is not None:
            raise error
        return value
    finally:
        del error  # whose traceback has this frame


PLAIN = Kind("plain functions", _make_plain, _named_plain, _outcome_plain)
COROUTINE = Kind("coroutine functions", _make_coroutine, _named_coroutine, _outcome_coroutine)
GENERATOR = Kind("generator functions", _make_generator, _named_generator, _outcome_generator)
ASYNC_GENERATOR = Kind(
    "async generator functions",
    _make_async_generator,
    _named_async_generator,
    _outcome_async_generator,
)
KINDS = [PLAIN, COROUTINE, GENERATOR, ASYNC_GENERATOR]


def loops_share_a_thread() -> bool:
    """Say whether threads are greenlets, of which only one can have an event loop at a time."""
    patched = getattr(sys.modules.get("gevent.monkey"), "is_module_patched", None)
    return patched is not None and bool(patched("threading"))


def shown(value: Any) -> str:
    """A short text for any object, be it one that has no repr."""
    try:
        text = (
            f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)
        )
    except Exception:
        text = f"<a {type(value).__name__}>"
    return text if len(text) <= 200 else f"{text[:200]}..."


def caught(kind: Kind, call: Callable[[], Any]) -> BaseException | None:
    """What a call raises."""
    try:
        kind.outcome(call)
    except BaseException as error:
        return error
    return None
