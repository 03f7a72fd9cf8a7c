"""Patches that only some calls see: one context's, one package's, or those a callable picks.

Their price is paid by these patches alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from safepatch import kinds
from safepatch.errors import UnsupportedTargetError

# One variable for all patches: contexts keep every variable they have seen alive.
# A token stands in it once for each time it was shown, so that blocks can be nested.
_seen: ContextVar[tuple[object, ...]] = ContextVar("safepatch", default=())


def show(token: object) -> None:
    """Make the patches of that token visible in this context and the copies made from it."""
    _seen.set((*_seen.get(), token))


def hide(token: object) -> None:
    """Forget the token here; other contexts never see it again, since nobody asks for it."""
    seen = list(_seen.get())
    if token in seen:
        seen.remove(token)
        _seen.set(tuple(seen))


def in_context(token: object) -> Callable[..., bool]:
    return lambda *args, **kwargs: token in _seen.get()


def from_package(package: str) -> Callable[..., bool]:
    """Ask whether a frame of the calling Python stack belongs to a package or below."""
    below = package + "."

    def asked(*args: Any, **kwargs: Any) -> bool:
        frame = sys._getframe(1)
        while frame is not None:
            name = frame.f_globals.get("__name__")
            if name == package or (isinstance(name, str) and name.startswith(below)):
                return True
            frame = frame.f_back  # type: ignore[assignment]
        return False

    return asked


def picked_by(condition: Callable[..., object]) -> Callable[..., bool]:
    """Ask the user's callable: with the call's own arguments, or without, as its signature says."""
    import inspect

    try:
        parameters = inspect.signature(condition).parameters.values()
    except (ValueError, TypeError):
        parameters = ()  # type: ignore[assignment]
    # `*args` and `**kwargs` have no default either.
    if any(parameter.default is parameter.empty for parameter in parameters):
        return lambda *args, **kwargs: bool(condition(*args, **kwargs))
    return lambda *args, **kwargs: bool(condition())


def gate(
    call: Callable[..., Any], below: Callable[..., Any], questions: list[Callable[..., bool]]
) -> Callable[..., Any]:
    """Call `call` where every question is answered by yes, and else what lies below it."""

    def choose(*args: Any, **kwargs: Any) -> Any:
        for question in questions:
            if not question(*args, **kwargs):
                return below(*args, **kwargs)
        return call(*args, **kwargs)

    return choose


def questions(
    original: Any,
    text: str,
    target: Any,
    token: object,
    scope: str,
    only_from: str | None,
    only_if: Callable[..., object] | None,
) -> list[Callable[..., bool]]:
    """What is asked per call of a patch that not all calls see.

    Raises UnsupportedTargetError where that cannot be told, because the body runs after the call.
    """
    kind = kinds.kind(original)
    asked: list[Callable[..., bool]] = []
    if scope == "context":
        is_generator = kind in (kinds.GENERATOR, kinds.ASYNC_GENERATOR)
        _require(not is_generator, text, target, "scope='context'")
        asked.append(in_context(token))
    if only_from is not None:
        is_plain = kind == kinds.PLAIN and not kinds.marked_coroutine(original)
        _require(is_plain, text, target, f"only_from={only_from!r}")
        asked.append(from_package(only_from))
    if only_if is not None:
        asked.append(picked_by(only_if))
    return asked


def _require(possible: bool, text: str, target: Any, option: str) -> None:
    if not possible:
        raise UnsupportedTargetError(
            f"cannot patch {text!r} with {option}: its body runs after the call, piece "
            "by piece, and whose it is then cannot be told; leave the option out",
            target=target,
        )
