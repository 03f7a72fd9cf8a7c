"""Which exceptions are meant: `on=` of retry."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from safepatch.decorators.notes import note

On = type[BaseException] | str | tuple[type[BaseException] | str, ...] | Callable[[Exception], bool]


def matcher(on: On) -> Callable[[Exception], bool]:
    """Make the function that says whether an exception is meant.

    Raises TypeError and ValueError for what cannot say that.
    """
    if callable(on) and not isinstance(on, type):
        meant = on
        return lambda error: bool(meant(error))
    kinds = on if isinstance(on, tuple) else (on,)
    for kind in kinds:
        _check(kind)
    return lambda error: any(isinstance(error, _class(kind, error)) for kind in kinds)


def _check(kind: Any) -> None:
    if isinstance(kind, str):
        module, _, name = kind.partition(":")
        if not module or not name:
            raise ValueError(f"got on={kind!r}; write it 'package.module:Name'")
    elif not (isinstance(kind, type) and issubclass(kind, BaseException)):
        raise TypeError(
            f"got on={kind!r}; give exception classes, 'module:Name', or a function of the "
            "exception"
        )


def _class(kind: Any, error: BaseException) -> Any:
    """The exception class that "module:Name" names; () if its module is not imported, since then
    nothing can be of that class."""
    if not isinstance(kind, str):
        return kind
    module, _, name = kind.partition(":")
    found: Any = sys.modules.get(module)
    if found is None:
        return ()
    # An error of ours must not take the place of the one that is under way: a module may import
    # what is asked of it, and fail.
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except Exception:
        found = None
    if isinstance(found, type):
        return found
    note(error, f"on={kind!r}", "names no class, so this was not retried")
    return ()
