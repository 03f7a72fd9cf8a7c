"""The function that all decorators here are put on, and how its calls are timed."""

from __future__ import annotations

import asyncio
import functools
import timeit
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import safepatch
from benchmarks.timing import AwaitTimer, least

T = TypeVar("T")
#: Makes a decorator, or raises ImportError.
Makers = Mapping[str, Callable[..., Any]]

#: Seconds a call, by what was put on the function; LOOP is the timing itself, without a call.
Seconds = dict[str, float]
LOOP = "loop"

#: The measure of all that does not cache: the closure that everybody writes.
BY_HAND = "closure by hand"
#: Put after a name: as a patch, through `safepatch.apply` on a module's function.
APPLIED = ", applied"

#: Who is not here, and why: import errors are told, not hidden.
LEFT_OUT: dict[str, str] = {}


def lookup(host: str, port: int, family: int = 0, type: int = 0) -> Any:  # noqa: A002
    """What is decorated, with parameters as `socket.getaddrinfo` has them."""
    return host, port


async def lookup_async(host: str, port: int, family: int = 0, type: int = 0) -> Any:  # noqa: A002
    return host, port


ARGUMENTS = ("www.example.org", 443)
# Several in turn, as a cache is asked for more than one thing; with one alone everything that is
# looked at stays in the processor's own caches.
HOSTS = [f"host{number}.example.org" for number in range(64)]
# Names are local variables, so that the call is timed and not how it is found. The arguments are
# the same objects in all, or those that another kind of call had stored would be compared.
SETUP = "g, hosts, port = function, HOSTS, PORT"


def there(makers: Mapping[str, Callable[..., T]], *args: Any) -> dict[str, T]:
    """What the makers make; those whose library cannot be imported are noted and left out."""
    made = {}
    for name, make in makers.items():
        try:
            made[name] = make(*args)
        except ImportError as error:
            LEFT_OUT[name] = str(error)
    return made


def decorated(makers: Makers, function: Any, *args: Any) -> dict[str, Any]:
    """The function under each decorator that the makers, called with the rest, make."""
    return {name: decorator(function) for name, decorator in there(makers, *args).items()}


def applied(decorator: Any, function: Any = lookup) -> Any:
    """The function as a module has it, patched with the decorator."""
    module, name = types.ModuleType("victim"), function.__name__
    made = types.FunctionType(function.__code__, {}, name, function.__defaults__)
    made.__module__ = "victim"
    vars(module)[name] = made
    safepatch.apply((module, name), decorator, aliases="ignore")
    return vars(module)[name]


def timed(functions: dict[str, Any], rounds: int, call: str = "g(host, port)") -> Seconds:
    timers = {
        name: timeit.Timer(
            "for host in hosts: " + ("pass" if function is None else call),
            SETUP,
            globals={"function": function, "HOSTS": HOSTS, "PORT": ARGUMENTS[1]},
        )
        for name, function in (functions | {LOOP: None}).items()
    }
    found = least(timers, rounds)
    return {name: seconds / len(HOSTS) for name, seconds in found.items()}


def awaited(functions: Mapping[str, Any], rounds: int) -> Seconds:
    with asyncio.Runner() as runner:
        return least(
            {name: AwaitTimer(runner, function, *ARGUMENTS) for name, function in functions.items()}
            | {LOOP: AwaitTimer(runner, None)},
            rounds,
        )


def ratios(seconds: Seconds, base: str) -> dict[str, float]:
    """In multiples of one of them, the loop apart."""
    one = seconds[base] - seconds[LOOP]
    return {name: (spent - seconds[LOOP]) / one for name, spent in seconds.items() if name != LOOP}


def ours_applied(makers: Makers, function: Any, *args: Any) -> dict[str, Any]:
    """The function under each decorator, and under ours also as patches."""
    functions = {}
    for name, one in decorated(makers, function, *args).items():
        functions[name] = one
        if name.startswith("safepatch"):
            functions[name + APPLIED] = applied(makers[name](*args), function)
    return functions


def by_kind(plain: Makers, asynchronous: Makers, rounds: int) -> dict[str, Seconds]:
    return {
        "function": timed(ours_applied(plain, lookup), rounds),
        "coroutine function": awaited(ours_applied(asynchronous, lookup_async), rounds // 2),
    }


def pass_through(wrapped: Any) -> Any:
    @functools.wraps(wrapped)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    return wrapper


def pass_through_async(wrapped: Any) -> Any:
    @functools.wraps(wrapped)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await wrapped(*args, **kwargs)

    return wrapper


def try_except(wrapped: Any) -> Any:
    @functools.wraps(wrapped)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return wrapped(*args, **kwargs)
        except ConnectionError:
            return wrapped(*args, **kwargs)

    return wrapper


def try_except_async(wrapped: Any) -> Any:
    @functools.wraps(wrapped)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return await wrapped(*args, **kwargs)
        except ConnectionError:
            return await wrapped(*args, **kwargs)

    return wrapper
