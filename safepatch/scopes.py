"""Patches that only some calls see: one context's, one package's, or those a callable picks.

Their price is paid by these patches alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

# One variable for all patches: contexts keep every variable they have seen alive.
_seen: ContextVar[frozenset[object]] = ContextVar("safepatch", default=frozenset())


def show(token: object) -> None:
    """Make the patches of that token visible in this context and the copies made from it."""
    _seen.set(_seen.get() | {token})


def hide(token: object) -> None:
    """Forget the token here; other contexts never see it again, since nobody asks for it."""
    if token in _seen.get():
        _seen.set(_seen.get() - {token})


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
