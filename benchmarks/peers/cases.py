"""What is asked of each tool: every case raises an AssertionError that says what was found."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import types
from collections.abc import Callable
from typing import Any

from benchmarks.peers.tools import EVERYWHERE, Tool, closure

# `v` is a copy of the module `victims`.
Case = Callable[[Tool, Any], None]


def put_back(put: Tool, v: Any) -> None:
    """Undo puts the very same function back."""
    before = v.function
    undo = put(v, "function", v.LOG, "a")
    assert v.function(1) == 1
    assert v.LOG == ["a"], f"calls: {v.LOG}"
    undo()
    v.LOG.clear()
    assert v.function(1) == 1
    assert v.LOG == [], "it is still called"
    assert v.function is before, "another object is there"


def put_back_descriptors(put: Tool, v: Any) -> None:
    """So it does with static and class methods."""
    for name in ("static", "of_class"):
        before = vars(v.Base)[name]
        undo = put(v.Base, name, v.LOG, name)
        try:
            getattr(v.Base(), name)(1)
        except TypeError as error:
            raise AssertionError(f"patched, a call fails: {error}") from error
        assert [name] == v.LOG, f"calls: {v.LOG}"
        v.LOG.clear()
        undo()
        assert getattr(v.Base, name)(1) == 1
        assert v.LOG == [], "it is still called"
        assert vars(v.Base)[name] is before, f"{name}: another object is there"


def put_back_inherited(put: Tool, v: Any) -> None:
    """A class that inherits a method has none of its own after undo."""
    undo = put(v.Inheriting, "method", v.LOG, "a")
    assert v.Inheriting().method(1) == 1
    assert v.LOG == ["a"], f"calls: {v.LOG}"
    undo()
    assert "method" not in vars(v.Inheriting), "a copy stays in the subclass"
    v.Inheriting().method(1)
    assert v.LOG == ["a"], "it is still called"


def base_left_alone(put: Tool, v: Any) -> None:
    """Where a method is patched on a class that inherits it, the base class is left alone."""
    put(v.Inheriting, "method", v.LOG, "a")
    v.Inheriting().method(1)
    assert v.LOG == ["a"], f"calls: {v.LOG}"
    v.Base().method(1)
    assert v.LOG == ["a"], "the base class is patched"


def _in_any_order(put: Tool, v: Any, owner: Any, name: str) -> None:
    before = owner.__dict__.get(name)
    undo_a = put(owner, name, v.LOG, "a")
    undo_b = put(owner, name, v.LOG, "b")
    call = getattr(owner() if isinstance(owner, type) else owner, name)
    call(1)
    assert v.LOG == ["b", "a"], f"calls: {v.LOG}"
    v.LOG.clear()
    undo_a()
    getattr(owner() if isinstance(owner, type) else owner, name)(1)
    assert v.LOG == ["b"], f"calls after the lower one went: {v.LOG}"
    v.LOG.clear()
    undo_b()
    getattr(owner() if isinstance(owner, type) else owner, name)(1)
    assert v.LOG == [], f"calls after both went: {v.LOG}"
    assert owner.__dict__.get(name) is before, "another object is there"


def any_order(put: Tool, v: Any) -> None:
    """Of two layers the lower one can go first."""
    _in_any_order(put, v, v, "function")


def any_order_inherited(put: Tool, v: Any) -> None:
    """So it can on a method that is inherited."""
    _in_any_order(put, v, v.Inheriting, "method")


def under_a_closure(put: Tool, v: Any) -> None:
    """Undo under somebody's closure: theirs is called on, ours not."""
    undo = put(v, "function", v.LOG, "a")
    v.function = closure(v.function, v.LOG, "theirs")
    undo()
    assert v.function(1) == 1
    assert v.LOG == ["theirs"], f"calls: {v.LOG}"


def replaced(put: Tool, v: Any) -> None:
    """What somebody put there meanwhile is left alone."""
    undo = put(v, "function", v.LOG, "a")
    theirs = v.function = lambda x: x
    try:
        undo()
    except NotImplementedError:
        raise
    except Exception:
        pass  # it may say so
    assert v.function is theirs, "theirs is gone"


def kept_reference(put: Tool, v: Any) -> None:
    """What somebody took while it was patched calls the original after undo."""
    undo = put(v, "function", v.LOG, "a")
    kept = v.function
    undo()
    kept(1)
    assert v.LOG == [], "it is still called"


def earlier_reference(put: Tool, v: Any) -> None:
    """Who took the function before, in whatever way, is reached."""
    put(v, "function", v.LOG, EVERYWHERE)
    v.alias(1)
    v.table["function"](1)
    assert v.LOG == [EVERYWHERE] * 2, "they are not reached"


def property_getter(put: Tool, v: Any) -> None:
    """A property can be patched, and gives its value."""
    put(v.Base, "value", v.LOG, "a")
    assert v.Base().value == 7, f"the value is {v.Base().value!r}"
    assert "a" in v.LOG, "it is not called"


def c_function(put: Tool, v: Any) -> None:
    """A function written in C can be patched."""
    put(v, "c_function", v.LOG, "a")
    assert v.c_function("abc") == 3
    assert v.LOG == ["a"], "it is not called"


def coroutine_kind(put: Tool, v: Any) -> None:
    """A coroutine function stays one to inspect."""
    put(v, "coroutine", v.LOG, "a")
    assert asyncio.run(v.coroutine(1)) == 1
    assert inspect.iscoroutinefunction(v.coroutine), "it is a plain function"


def pickled(put: Tool, v: Any) -> None:
    """A patched function is pickled as before."""
    put(v, "function", v.LOG, "a")
    assert pickle.loads(pickle.dumps(v.function)) is v.function


def a_class(put: Tool, v: Any) -> None:
    """Where a class is patched, what stands there serves `isinstance` and subclasses."""
    put(v, "Base", v.LOG, "a")
    made = v.Base()
    assert v.LOG == ["a"], f"calls: {v.LOG}"
    try:
        assert isinstance(made, v.Base), "what it makes is no instance of it"
        assert types.new_class("Derived", (v.Base,))
    except TypeError as error:
        raise AssertionError(str(error)) from error


#: In the order of the page.
CASES: list[Case] = [
    put_back,
    put_back_descriptors,
    put_back_inherited,
    base_left_alone,
    any_order,
    any_order_inherited,
    under_a_closure,
    replaced,
    kept_reference,
    earlier_reference,
    property_getter,
    c_function,
    coroutine_kind,
    pickled,
    a_class,
]
