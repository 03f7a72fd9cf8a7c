"""Import, reload, wait and cancel in several threads, under each schedule up to a bound."""

import functools
import importlib
import importlib.util
import itertools
import sys
import types
import weakref
from importlib.machinery import ModuleSpec
from threading import get_ident

import helpers
import pytest
from helpers import noting
from schedules import explore, explore_as_asked, wait_until

import safepatch
from safepatch import imports, registry

FILE = "<victims>"
SOURCES = {
    "victim": "def function():\n    return 'original'\nend = True",
    "victim_other": "def function():\n    return 'original'",
    # It joins a thread that imports a part of it.
    "victim_package": "begin()\ndef function():\n    return 'original'",
    "victim_package.sub": "def function():\n    return 'original'",
}
CODE = {name: compile(source, FILE, "exec") for name, source in SOURCES.items()}


class Finder:
    """Finds the victims; stands right behind the one that waits for modules."""

    def __init__(self, world):
        self.world = world

    def find_spec(self, name, path=None, target=None):
        if name not in CODE:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=name == "victim_package")

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.begin = self.world.begin
        exec(CODE[module.__name__], module.__dict__)


class Modules:
    """Modules that threads import, and patches a, b ... that wait for them, one word each."""

    def __init__(self, target="victim"):
        self.finder, self.begun, self.part_imported = Finder(self), False, False
        for name in CODE:
            sys.modules.pop(name, None)
        sys.meta_path = [self.finder, *(f for f in sys.meta_path if type(f) is not Finder)]
        Modules.latest = self
        registry._registries.clear()
        imports._waiting.clear()
        self.registry, self.clock = safepatch.Registry(), itertools.count()
        self.done, self.seen, self.target = [], {}, target
        self.patches = {
            mark: self.registry.patch(
                f"{target}:function", noting(self, mark), when="import", aliases="ignore"
            )
            for mark in "ab"
        }

    def append(self, mark):
        self.seen[get_ident()].append(mark)

    def do(self, words):
        for word in filter(None, words.split(", ")):
            what, _, mark = word.partition(" ")
            begin = next(self.clock)
            marks = getattr(self, what)(mark)
            self.done.append((what, mark, begin, next(self.clock), get_ident(), marks))

    # The words.

    def wait(self, mark):
        self.patches[mark].apply()

    def undo(self, mark):
        self.patches[mark].undo()

    def get(self, name):
        """Import; what it serves must be there then."""
        module = importlib.import_module(name or self.target)
        return self._call(module)

    def statement(self, _):
        __import__(self.target)
        return self._call(sys.modules[self.target])

    def reload(self, _):
        module = sys.modules.get(self.target)
        if module is not None:
            importlib.reload(module)

    def call(self, _):
        module = sys.modules.get(self.target)
        function = getattr(module, "function", None)
        return self._call(module) if function else []

    def _call(self, module):
        seen = self.seen[get_ident()] = []
        assert module.function() == "original"
        return seen

    def begin(self):
        self.begun = True
        wait_until(lambda: self.part_imported)

    def part(self, name):
        wait_until(lambda: self.begun)
        seen = self.get(name)
        self.part_imported = True
        return seen

    # What must hold.

    def check(self):
        imported = self.target in sys.modules
        for what, name, begin, end, _, marks in self.done:
            if what in ("get", "statement", "part") and (name or self.target) == self.target:
                for mark in self.patches:
                    assert mark in marks or not self._surely(mark, begin, end), (mark, self.done)
        met = self.call("")
        for mark, patch in self.patches.items():
            waits = [done for done in self.done if done[:2] == ("wait", mark)]
            undos = [done for done in self.done if done[:2] == ("undo", mark)]
            state = patch.state
            if waits and not any(u[3] > w[2] for u in undos for w in waits):
                assert state == ("applied" if imported else "pending"), (mark, state, self.done)
            if undos and all(u[2] > w[3] for u in undos for w in waits):
                assert state in ("undone", "declared"), (mark, state, self.done)
            # A reload that began before somebody waited for its end is not seen.
            missed = any(
                d[0] == "reload" and d[2] < w[3] and d[3] > w[2] for d in self.done for w in waits
            )
            if missed and state == "applied" and not met.count(mark):
                assert patch.superseded
            else:
                assert met.count(mark) == (state == "applied"), (mark, state, self.done)
            assert bool(patch.live) == (state == "applied")
            waiting = imports.watched(self.target, patch._imported)
            assert waiting == (state in ("pending", "applied")), (mark, state, self.done)
        assert sum(finder is imports._finder for finder in sys.meta_path) == bool(imports._waiting)
        self.registry.undo_all()
        assert self.registry.live() == self.call("") == []
        assert imports._waiting == {}
        assert imports._finder not in sys.meta_path
        for name in CODE:
            if name in sys.modules:
                module = sys.modules[name]
                assert module.function.__code__.co_filename == FILE
                assert module.__loader__ is self.finder is module.__spec__.loader
                assert type(module.__spec__) is ModuleSpec

    def _surely(self, mark, begin, end):
        return any(
            done[:2] == ("wait", mark)
            and done[3] < begin
            and not any(
                gone[:2] == ("undo", mark) and gone[2] < end and gone[3] > done[2]
                for gone in self.done
            )
            for done in self.done
        ) and not any(done[0] == "reload" for done in self.done)


PROGRAMS = [
    ("", "wait a", "get"),
    ("", "wait a", "statement"),
    ("", "wait a", "get", "get"),
    ("", "wait a", "wait b", "get"),
    ("", "wait a, undo a", "get"),
    ("wait a", "undo a", "get"),
    ("wait a", "undo a", "get", "statement"),
    ("wait a", "get", "statement"),
    ("wait a, wait b", "undo a", "get"),
    ("wait a", "wait b", "get"),
    ("wait a", "undo a", "wait b, get"),
    ("wait a", "undo a", "wait b", "get"),
    ("wait a", "undo a", "get victim_other"),
    ("wait a", "undo a, wait b", "get victim_other"),
    ("wait a", "wait a", "undo a"),
    ("", "wait a", "wait a", "get"),
    ("get", "wait a", "reload"),
    ("get", "wait a", "undo a", "reload"),
    ("wait a, get", "undo a", "reload"),
    ("wait a, get", "undo a, wait a", "reload"),
    ("wait a, get", "wait b", "reload"),
    ("wait a, get", "reload", "reload"),
    ("wait a, get", "reload", "wait a"),
    ("wait a, get", "reload", "call, call"),
    ("wait a, wait b, get", "undo a", "reload"),
]


def program(target, first, *threads):
    def run():
        modules = Modules(target)
        modules.do(first)
        yield [functools.partial(modules.do, words) for words in threads]
        modules.check()

    return run


@pytest.fixture
def alone(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(registry, "_registries", weakref.WeakSet())
    owner = types.SimpleNamespace(function=lambda: None)
    safepatch.apply((owner, "function"), helpers.pass_through).undo()  # imports what comes late
    yield
    Modules.latest.registry.undo_all()
    imports._waiting.clear()
    for name in CODE:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("words", PROGRAMS, ids=" || ".join)
def test_threads_may_do_it_in_any_order(words, alone):
    explore_as_asked(" || ".join(words), program("victim", *words), files=[helpers.__file__, FILE])


@pytest.mark.parametrize("first", ["", "wait a"])
@pytest.mark.parametrize("third", ["wait b", "undo a"])
@pytest.mark.parametrize("target", ["victim_package", "victim_package.sub"])
def test_a_package_may_join_a_thread_that_imports_a_part_of_it(target, first, third, alone):
    words = first, "get victim_package", "part victim_package.sub", third
    name = f"{target}: {' || '.join(words)}"
    explore_as_asked(name, program(target, *words), files=[helpers.__file__, FILE])


# --- What this found.


@pytest.mark.parametrize("imports", ["get", "statement"])
def test_a_patch_begins_to_wait_between_the_search_for_its_module_and_the_making(imports, alone):
    """The finder came too late for that import, and there is no module yet to mark."""
    explore(program("victim", "", "wait a", imports), files=[FILE])


def test_a_spec_whose_import_ends_as_a_patch_begins_to_wait_is_left_as_it_is(alone):
    words = "", "get victim_package", "part victim_package.sub", "wait b"
    explore(program("victim_package", *words), most=200)


# --- It would find others.


def test_a_finder_taken_out_of_the_list_that_is_walked_along_is_found_out(alone, monkeypatch):
    cancel = imports.cancel

    def cancel_in_place(name, callback):
        path = sys.meta_path
        cancel(name, callback)
        if sys.meta_path is not path:
            path.remove(imports._finder)
            sys.meta_path = path

    words = "wait a", "undo a", "get victim_other"
    explore(program("victim", *words))
    monkeypatch.setattr(imports, "cancel", cancel_in_place)

    with pytest.raises(ModuleNotFoundError):
        explore(program("victim", *words))


def test_a_finder_that_only_waits_for_imports_to_come_is_found_out(alone, monkeypatch):
    monkeypatch.setattr(imports, "_ReportingSpec", ModuleSpec)

    with pytest.raises(AssertionError):
        explore(program("victim", "", "wait a", "get"), files=[FILE])
