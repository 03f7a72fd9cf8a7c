"""Lets safepatch put the functions where pytest's own tests set some with `monkeypatch.setattr`.

A pytest plugin. A function set over another one is put there by a decorator that returns it,
whatever it decorates. Values, classes and new names are no business of safepatch's and stay
pytest's own; so does the rest of MonkeyPatch. A test in which safepatch patched something says so
in its report, by a property.
"""

import inspect

import _pytest.monkeypatch
import pytest
from _pytest.monkeypatch import derive_importpath

import safepatch

PROPERTY = "patched by safepatch"
_applied = []


class MonkeyPatch(_pytest.monkeypatch.MonkeyPatch):
    def __init__(self):
        super().__init__()
        self.patches = safepatch.Registry()

    def setattr(self, *given, **raising):
        if not _is_function_over_function(*given):
            super().setattr(*given, **raising)
            return
        *target, value = given
        where = target[0] if len(target) == 1 else tuple(target)
        owner, name = _place(*target)
        if isinstance(inspect.getattr_static(owner, name, None), classmethod):
            # It stays one under safepatch, and a function that is set with pytest is none.
            value = _without_class(value)
        _applied.append(self.patches.apply(where, lambda wrapped: value, aliases="ignore"))

    def undo(self):
        self.patches.undo_all()
        super().undo()


def _place(target, *name):
    return (target, *name) if name else derive_importpath(target, True)[::-1]


def _is_function_over_function(*given):
    *target, value = given
    try:
        found = getattr(*_place(*target))
    except (AttributeError, ImportError, TypeError):
        return False
    return all(callable(one) and not isinstance(one, type) for one in (found, value))


def _without_class(function):
    return lambda cls, /, *args, **kwargs: function(*args, **kwargs)


_pytest.monkeypatch.MonkeyPatch = pytest.MonkeyPatch = MonkeyPatch


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    before = len(_applied)
    try:
        return (yield)
    finally:
        if len(_applied) > before:
            item.user_properties.append((PROPERTY, len(_applied) - before))
