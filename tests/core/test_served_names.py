"""Names that a `__getattr__` serves, of which some appear where they are looked for."""

import importlib
import sys
import textwrap
import types

import pytest
from helpers import noting, pass_through

import safepatch

SOURCES = {
    "caches what it serves": """
        def __getattr__(name):
            if name == "function":
                globals()[name] = function = _make()
                return function
            raise AttributeError(name)

        def _make():
            def function(a=1):
                return ("served", a)
            return function
        """,
    "caches all it has at the first question": """
        def __getattr__(name):
            if "function" not in globals():
                globals().update(function=lambda a=1: ("served", a), other=lambda: "other")
            try:
                return globals()[name]
            except KeyError:
                raise AttributeError(name) from None
        """,
    "caches an object of another kind than it serves first": """
        import functools

        def __getattr__(name):
            if name == "function":
                globals()[name] = functools.partial(_function)
                return _function
            raise AttributeError(name)

        def _function(a=1):
            return ("served", a)
        """,
    "has it set by a module that it imports": """
        import sys

        def __getattr__(name):
            if name == "function":
                sys.modules[__name__].function = _function
                return _function
            raise AttributeError(name)

        def _function(a=1):
            return ("served", a)
        """,
    "serves one object and never caches it": """
        def __getattr__(name):
            if name == "function":
                return _function
            raise AttributeError(name)

        def _function(a=1):
            return ("served", a)
        """,
    "serves another object each time": """
        def __getattr__(name):
            if name == "function":
                return lambda a=1: ("served", a)
            raise AttributeError(name)
        """,
}
CACHING = {name: source for name, source in SOURCES.items() if not name.startswith("serves")}


@pytest.fixture
def make():
    """Make a module of a source text."""
    names = []

    def make(source):
        name = f"served_{len(names)}"
        module = sys.modules[name] = types.ModuleType(name)
        names.append(name)
        exec(textwrap.dedent(source), vars(module))
        return module

    yield make
    for name in names:
        del sys.modules[name]


EACH = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())


@EACH
def test_a_name_that_is_served_is_patched_and_undone(source, make):
    module, log = make(source), []

    with safepatch.patch((module, "function"), noting(log, "ran")) as patch:
        during = module.function(2)
        state = patch.state

    assert (during, state, log) == (("served", 2), "applied", ["ran"])
    assert module.function(3) == ("served", 3)
    assert log == ["ran"]


@EACH
def test_undo_leaves_what_looking_at_the_name_leaves(source, make):
    """What `__getattr__` put there stays, since it is the module's own doing."""
    looked_at, patched = make(source), make(source)
    looked_at.function(1)

    safepatch.apply((patched, "function"), pass_through, aliases="ignore").undo()
    patched.function(1)

    assert set(vars(looked_at)) == set(vars(patched))
    left = vars(patched).get("function")
    assert type(left) is type(vars(looked_at).get("function"))
    assert safepatch.explain((patched, "function")).to_dict()["sites"][0]["lines"] == []


@pytest.mark.parametrize("source", CACHING.values(), ids=CACHING.keys())
def test_what_a_module_cached_while_it_was_looked_at_is_what_undo_leaves(source, make):
    module = make(source)

    patch = safepatch.apply((module, "function"), pass_through, aliases="ignore")
    patch.undo()

    assert vars(module)["function"](2) == ("served", 2)


@EACH
def test_patches_of_a_served_name_go_in_any_order(source, make):
    module, log = make(source), []
    one, other = (
        safepatch.apply((module, "function"), noting(log, mark), aliases="ignore")
        for mark in ("one", "other")
    )
    one.undo()

    result = module.function()

    assert (result, log) == (("served", 1), ["other"])
    other.undo()
    assert module.function() == ("served", 1)
    assert log == ["other"]


@EACH
def test_the_original_is_called_past_the_patch_of_a_served_name(source, make):
    module, log = make(source), []

    with safepatch.patch((module, "function"), noting(log, "ran")) as patch:
        assert patch.original(5) == ("served", 5)

    assert log == []


@pytest.mark.parametrize("source", CACHING.values(), ids=CACHING.keys())
def test_a_served_name_that_is_cached_can_be_patched_for_all_who_hold_it(source, make):
    module, log = make(source), []
    held = module.function

    with safepatch.patch((module, "function"), noting(log, "ran"), aliases="rebind"):
        during = held(2), module.function(3)

    assert during == (("served", 2), ("served", 3))
    assert "ran" in log


@EACH
def test_a_string_target_finds_a_served_name(source, make):
    module, log = make(source), []

    with safepatch.patch(f"{module.__name__}:function", noting(log, "ran")):
        during = module.function()

    assert (during, log) == (("served", 1), ["ran"])


@EACH
def test_a_served_name_of_a_module_that_is_imported_later_is_patched(
    source, tmp_path, monkeypatch, patches
):
    log = []
    (tmp_path / "served_later.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "served_later", raising=False)
    patch = patches.apply("served_later:function", noting(log, "ran"), when="import")

    module = importlib.import_module("served_later")

    assert (patch.state, module.function(2), log) == ("applied", ("served", 2), ["ran"])
    patch.undo()
    assert module.function(2) == ("served", 2)
    assert log == ["ran"]
    del sys.modules["served_later"]


def test_a_name_that_an_object_caches_in_itself_is_patched_and_undone():
    """As lazy objects do, by `__getattr__` of their class."""

    class Lazy:
        def __getattr__(self, name):
            if name != "function":
                raise AttributeError(name)
            self.function = lambda a=1: ("served", a)
            return self.function

    lazy, log = Lazy(), []

    with safepatch.patch((lazy, "function"), noting(log, "ran")):
        during = lazy.function(2)

    assert (during, log) == (("served", 2), ["ran"])
    assert lazy.function(3) == ("served", 3)
    assert log == ["ran"]


@pytest.mark.parametrize("aliases", ["ignore", "rebind"])
def test_a_function_that_is_made_anew_each_time_is_patched_by_its_name(aliases, patches):
    """Nobody has the one that a patch in place would change."""

    def serve(name):
        if name != "function":
            raise AttributeError(name)
        return lambda: "served"

    module, log = types.ModuleType("served_anew"), []
    module.__getattr__ = serve
    before = dict(vars(module))

    patch = patches.apply((module, "function"), noting(log, "ran"), aliases=aliases)

    assert module.function() == "served"
    assert log == ["ran"]
    patch.undo()
    assert before == vars(module)
