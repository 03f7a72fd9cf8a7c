"""Signatures that are worked out when somebody asks: few do, and it takes long.

Imported at the first patch, because `inspect` takes longer to import than the rest.
"""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any


def signature(function: Any) -> inspect.Signature:
    """The signature of a callable; raises ValueError or TypeError where it has none."""
    if type(function) is FunctionType and "__wrapped__" not in function.__dict__:
        return _Later(function)  # it certainly has one
    return inspect.signature(function)


class _Later(inspect.Signature):
    __slots__ = ("_function",)

    def __init__(self, function: Any) -> None:
        self._function = function

    def __getattr__(self, name: str) -> Any:
        # One of the slots in which inspect keeps the parts, and in which there is nothing yet.
        if name not in inspect.Signature.__slots__:
            raise AttributeError(name)
        now = inspect.signature(self._function)
        super().__init__(list(now.parameters.values()), return_annotation=now.return_annotation)
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        return f"<Signature {self}>"

    # Copies are ordinary ones; inspect would make them by calling this class with the parts.
    def replace(self, **changes: Any) -> Any:
        return inspect.signature(self._function).replace(**changes)

    __replace__: Any = replace

    def __reduce__(self) -> Any:
        return inspect.signature(self._function).__reduce__()
