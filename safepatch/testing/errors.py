"""Probes for exceptions: they come out as they are."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from safepatch.testing.victims import PLAIN, Decorate, Differences, Failure, Kind, caught, shown


def errors(kind: Kind, decorate: Decorate) -> Differences:
    yield from _passes(kind, decorate, Failure("something"))
    yield from _passes(kind, decorate, Failure(2, "something"))
    if kind is PLAIN:
        yield from _passes(kind, decorate, StopIteration(1))
    caused = Failure("something")
    caused.__cause__ = KeyError("cause")
    yield from _passes(kind, decorate, caused)
    yield from _own_errors(kind, decorate)


def exits(kind: Kind, decorate: Decorate) -> Differences:
    made = [KeyboardInterrupt(), SystemExit(1), GeneratorExit(), asyncio.CancelledError()]

    def body(number: int) -> int:
        if number < len(made):
            raise made[number]
        return number

    function = decorate(kind.make(body))
    for number, error in enumerate(made):
        raised = caught(kind, functools.partial(function, number))
        if raised is not error:
            which = "another one" if type(raised) is type(error) else shown(raised)
            yield f"the {type(error).__name__} that was raised", which
    found = kind.outcome(lambda: function(len(made)))
    if found != len(made):
        yield f"{len(made)} from a call after those", shown(found)


def _raised(kind: Kind, decorate: Decorate, error: BaseException) -> BaseException | None:
    """What comes out of a function that raises an error."""
    return caught(kind, lambda: decorate(kind.make(_raising(error)))(1))


def _raising(error: BaseException) -> Callable[..., Any]:
    def body(*args: Any) -> Any:
        raise error

    return body


def _passes(kind: Kind, decorate: Decorate, error: BaseException) -> Differences:
    name, cause, args, facts = type(error).__name__, error.__cause__, error.args, dict(vars(error))
    raised = _raised(kind, decorate, error)
    if raised is not error:
        yield f"the {name} that was raised", shown(raised)
        return
    if cause is not None and error.__cause__ is None:
        yield f"the {name} to keep the cause that it had", "none"
    elif error.__cause__ is not cause or error.__context__ is not None:
        added = error.__context__ if error.__cause__ is cause else error.__cause__
        yield f"no other error in the {name} as its context or cause", shown(added)
    if vars(error) != facts or error.args != args:
        # Notes are among the facts, as `__notes__`.
        yield f"nothing added to the {name}", shown(vars(error) or error.args)
    if _frames(error)[-1:] != ["body"]:
        yield f"a traceback of the {name} that ends in the function", shown(_frames(error))


def _frames(error: BaseException) -> list[str]:
    names, traceback = [], error.__traceback__
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    return names


def _own_errors(kind: Kind, decorate: Decorate) -> Differences:
    def body(*args: Any) -> Any:
        raise Failure("something")

    function = decorate(kind.make(body))
    raised = [error for _ in range(4) if (error := caught(kind, lambda: function(1))) is not None]
    lengths = [len(_frames(error)) for error in raised]
    if len({*map(id, raised)}) < len(raised):
        yield "an error of its own for each call", "one error, raised again"
    elif len({*lengths[1:]}) > 1:
        yield "tracebacks that do not grow from call to call", f"{lengths} frames"
