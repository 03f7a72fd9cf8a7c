"""Calling the decorators of a patch, and fitting what they return into a stack."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from safepatch import fail_open, kinds, scopes
from safepatch.errors import OptionError, UnsupportedTargetError
from safepatch.examine import binding
from safepatch.in_place import InPlace
from safepatch.sites import Site
from safepatch.stacks import Entry

Decorator = Callable[[Any], Any]
Question = Callable[..., bool]


def decorate(
    patch: Any, site: Site | InPlace, decorators: Sequence[Decorator], questions: list[Question]
) -> tuple[Entry, tuple[Any, ...]]:
    """Call the decorators, innermost first, on a link to the original.

    Gives the entry for the site's stack and what each decorator returned. Raises
    UnsupportedTargetError for a wrapper that cannot stand there, and whatever a decorator raises.
    """
    from safepatch.proxies import Link

    original = site.stack.original
    failures = None
    link: Any = Link(original)
    if patch.fail_open:
        fail_open.check(original, patch.text, patch.target)
        failures = fail_open.Failures(patch, patch.fail_open)
        link = fail_open.link(original, failures)
    wrappers = []
    call: Any = link
    below: Any = link
    for decorator in decorators:
        wrapper = _wrapper(patch, decorator, below)
        _check(patch, decorator, wrapper, original)
        wrappers.append(wrapper)
        call = _bound_like_a_method(site, wrapper)
        below = _shown(original, call)
    if failures is not None:
        call = fail_open.failing_open(call, link, failures)
        below = _shown(original, call)
    if questions:
        call = scopes.gate(call, link, questions)
        below = _shown(original, call)
    return Entry(patch, link, call, below, failures), tuple(wrappers)


def check_decorators(text: str, target: Any, decorators: Sequence[Any]) -> None:
    """Refuse what is no decorator before anything else is looked at."""
    if not decorators:
        raise TypeError(f"no decorator given for {text!r}; write apply({text!r}, decorator)")
    for decorator in decorators:
        if _is_mock(decorator) or not callable(decorator):
            raise UnsupportedTargetError(
                f"cannot patch {text!r} with {decorator!r}: a decorator takes a function and "
                "returns one; to call something else in its place use replace(func)",
                target=target,
                found=decorator,
            )


#: Decorators of ours that do.
_RAISE_ON_PURPOSE = ("circuit_breaker", "fault", "rate_limit", "timeout")


def check_observers(text: str, decorators: Sequence[Any]) -> None:
    """Refuse those of ours that raise on purpose: their refusals would be taken for failures.

    They are known by their names; this imports none of them.
    """
    for decorator in decorators:
        function = getattr(decorator, "func", decorator)  # of a partial, which options make
        name, module = getattr(function, "__name__", None), str(getattr(function, "__module__", ""))
        if name in _RAISE_ON_PURPOSE and module.startswith("safepatch.decorators."):
            raise OptionError(
                f"cannot patch {text!r} with {name} and fail_open: what it raises on purpose would "
                "be taken for a failure, and calls go through; leave it out",
                option="fail_open",
            )


def _is_mock(decorator: Any) -> bool:
    # A function made by create_autospec is known by its attribute.
    behind = getattr(decorator, "__dict__", {}).get("mock", decorator)
    if type(behind) is FunctionType:
        return False
    bases = [*type(decorator).__mro__, *type(behind).__mro__]
    return any(base.__name__ == "NonCallableMock" for base in bases)


# What a wrapper that visibly is of a kind may stand over. A plain one may over anything, since
# what it returns is looked at; a generator may over what returns any iterable.
_OVER = {
    kinds.COROUTINE: (kinds.COROUTINE, kinds.ITERABLE_COROUTINE),
    kinds.ASYNC_GENERATOR: (kinds.ASYNC_GENERATOR,),
    kinds.GENERATOR: (kinds.PLAIN, kinds.GENERATOR, kinds.ITERABLE_COROUTINE),
}


def _wrapper(patch: Any, decorator: Decorator, below: Any) -> Any:
    try:
        wrapper = decorator(below)
        if callable(wrapper):
            return wrapper
        raise UnsupportedTargetError(
            f"cannot patch {patch.text!r}: the decorator {decorator!r} returned {wrapper!r}, "
            "which cannot be called; a decorator takes a function and returns one",
            target=patch.target,
            found=wrapper,
        )
    except Exception as error:
        if patch.blame is None:
            raise
        raise patch.blame(decorator, error) from error


def _check(patch: Any, decorator: Decorator, wrapper: Any, original: Any) -> None:
    was, becomes = kinds.kind(original), kinds.kind(wrapper)
    if becomes == kinds.PLAIN and type(wrapper) is not FunctionType:
        becomes = kinds.kind(type(wrapper).__call__)
    if becomes == kinds.PLAIN and kinds.marked_coroutine(wrapper):
        becomes = kinds.COROUTINE
    fits = was in _OVER.get(becomes, (was,))
    if becomes == kinds.COROUTINE and was == kinds.PLAIN:
        fits = kinds.marked_coroutine(original)
    if not fits:
        raise UnsupportedTargetError(
            f"cannot patch {patch.text!r}, {kinds.NAMES[was]}: the decorator {decorator!r} "
            f"returned one that is {kinds.NAMES[becomes]}, which its callers neither expect "
            "nor await",
            target=patch.target,
            found=wrapper,
        )


def _bound_like_a_method(site: Site | InPlace, wrapper: Any) -> Any:
    """Call a wrapper that is a descriptor as a class body would: bound to its first argument."""
    if site.binds in ("", "static") or type(wrapper) is FunctionType or not binding(wrapper):
        return wrapper

    def bound(*args: Any, **kwargs: Any) -> Any:
        if args:
            return wrapper.__get__(args[0], type(args[0]))(*args[1:], **kwargs)
        return wrapper(**kwargs)  # given by name, or missing: the function itself may tell

    return functools.update_wrapper(bound, wrapper)


def _shown(original: Any, call: Any) -> Any:
    """What a decorator above sees of a wrapper: a function of the kind of the original."""
    if kinds.kind(call) == kinds.kind(original):
        return call
    return kinds.dispatcher(original, kinds.Top(call))
