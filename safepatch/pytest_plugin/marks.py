"""`@pytest.mark.safepatch`: the patches of one test, live before its other fixtures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

import safepatch
from safepatch.pytest_plugin import runs


def request_fixture(item: Any, name: str) -> None:
    """Have a test use a fixture, before its other fixtures of function scope."""
    names = getattr(item, "fixturenames", None)
    if names is not None and name not in names:  # several items of one function share the list
        names.insert(_after_wider_scopes(item, names), name)


def _after_wider_scopes(item: Any, names: list[str]) -> int:
    # pytest tells the scopes of a test's fixtures nowhere else before they are set up.
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for position, name in enumerate(names):
        if name not in known or known[name][-1].scope == "function":
            return position
    return len(names)


def apply(item: pytest.Item, undo: contextlib.ExitStack) -> None:
    """Apply the patches of a test's marks: those of its module first, its own last, outermost."""
    registry = undo.enter_context(safepatch.Registry())
    for mark in _marks(item):
        try:
            _apply(mark, registry, undo)
        except (safepatch.PatchError, TypeError) as error:
            message = f"{type(error).__name__} in the mark {_written(mark)}: {error}"
            # pytest shows no traceback of a cause, and its text is in the message already.
            raise pytest.fail.Exception(message, pytrace=False) from None


def _apply(mark: pytest.Mark, registry: safepatch.Registry, undo: contextlib.ExitStack) -> None:
    if not mark.args:
        raise TypeError(
            "it says nothing to patch; write safepatch('name') "
            "or safepatch('module:function', decorator)"
        )
    if runs.is_name(mark.args[0]):
        _by_name(mark, undo)
    else:
        undo.enter_context(registry.patch(*mark.args, **mark.kwargs))


def _marks(item: pytest.Item) -> Iterator[pytest.Mark]:
    for node in item.listchain():
        yield from [mark for mark in node.own_markers if mark.name == "safepatch"]


def _by_name(mark: pytest.Mark, undo: contextlib.ExitStack) -> None:
    name, *rest = mark.args
    if rest or mark.kwargs:
        raise TypeError(
            f"{name!r} is the name of a patch, which has its decorators and options already; "
            "give each patch a mark of its own"
        )
    handle = runs.switch_on(name)
    if handle is not None:
        undo.callback(handle.undo)


def _written(mark: pytest.Mark) -> str:
    given = [*map(repr, mark.args)] + [f"{name}={value!r}" for name, value in mark.kwargs.items()]
    return f"safepatch({', '.join(given)})"
