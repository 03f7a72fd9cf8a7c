"""Apply, undo and call in several threads, under each schedule up to a bound; see `schedules`."""

import _weakrefset
import builtins
import contextlib
import functools
import itertools
import pathlib
import types
import warnings
import weakref
from threading import get_ident
from typing import Any, NamedTuple

import helpers
import pytest
from helpers import noting, spaces
from schedules import GRAINS, explore, explore_as_asked, exploring, following, wait_until

import safepatch
from safepatch import aliases, kinds, patches, registry, sites, stacks

RESULT = ("result", 1)


def template(a):
    return ("result", a)


class Done(NamedTuple):
    """What a thread did to a patch, or `marks` that its call met, and when."""

    what: str
    mark: str
    begin: int
    end: int
    thread: int
    marks: Any = ()


class Sites:
    """A site of fresh owners, its patches a, b, c ..., and what threads do there, one word each.

    Every patch that a call meets notes its mark. Who did what when tells which marks a call must
    have and which it may have.
    """

    def __init__(self, kind):
        self.kind, self.registry = kind, safepatch.Registry()
        self.clock, self.done, self.seen, self.patches = itertools.count(), [], {}, {}
        module, other = types.ModuleType("victim"), types.ModuleType("victim_too")
        made = types.FunctionType(template.__code__, {"__builtins__": builtins}, "function")
        module.function, self.options = made, {"aliases": "ignore"}
        self.owner, self.name, self.target = module, "function", (module, "function")
        self.called = self.target
        if kind == "in place":
            self.target, self.options = made, {}
        elif kind == "inherited":
            base = type("Base", (), {"function": staticmethod(made)})
            self.owner = type("Derived", (base,), {})
            self.called = self.target = self.owner, "function"
        elif kind == "rebound":
            module.function = other.function = {1: RESULT}.get
            self.options, self.called = {"aliases": "rebind"}, (other, "function")
        elif kind == "context":
            self.options["scope"] = "context"
        self.owners = [module, other, self.owner, made]
        self.made, self.before = made, (spaces(*self.owners), made.__code__)
        Sites.latest = self
        registry._registries.clear()
        registry._registries.add(self.registry)
        for mark in "abc":
            declared = self.registry.patch(self.target, noting(self, mark), **self.options)
            self.patches[mark] = declared
        self.modules = [(m.__name__, m, vars(m)) for m in (module, other)]

    def __getitem__(self, mark):
        return self.patches[mark]

    def append(self, mark):
        self.seen[get_ident()].append(mark)

    def do(self, words):
        for word in filter(None, words.split(", ")):
            what, _, mark = word.partition(" ")
            begin = next(self.clock)
            marks = getattr(self, what)(mark)
            self.done.append(Done(what, mark, begin, next(self.clock), get_ident(), marks))

    # The words.

    def apply(self, mark):
        self[mark].apply()

    def undo(self, mark):
        self[mark].undo()

    def enter(self, mark):
        self[mark].__enter__()

    def leave(self, mark):
        self[mark].__exit__(None, None, None)

    def register(self, mark):
        self.registry.register(mark, self[mark])

    def named(self, mark):
        self.registry.apply(mark)

    def clear(self, _):
        self.registry.undo_all()

    def look(self, mark):
        assert not self[mark].superseded
        self[mark].target, str(self.registry.explain(self.target))

    def call(self, _):
        seen = self.seen[get_ident()] = []
        owner, name = self.called
        assert getattr(owner, name)(1) == RESULT
        return seen

    def wrap(self, _):
        """A third party's patch: it takes what stands there, and puts its own over it."""
        standing = self.standing = getattr(*self.target)
        setattr(*self.target, lambda a: standing(a))

    def unwrap(self, _):
        setattr(*self.target, self.standing)

    # What must hold.

    def check(self):
        foreign = any(done.what == "wrap" for done in self.done)
        calls = [done for done in self.done if done.what == "call"]
        for call in calls:
            assert len(call.marks) == len(set(call.marks)), call
            may = {mark for mark in self.patches if self._may_meet(mark, call)}
            must = {mark for mark in self.patches if self._must_meet(mark, call)}
            assert set(call.marks) <= may, self.done
            assert foreign or set(call.marks) >= must, self.done
        orders = {pair for call in calls for pair in itertools.combinations(call.marks, 2)}
        for outer, inner in orders:
            assert (inner, outer) not in orders or self._twice(outer, inner), self.done
            assert not self._surely_before(outer, inner), self.done
        applied = [handle for handle in self.patches.values() if handle.state == "applied"]
        assert sorted(map(id, applied)) == sorted(map(id, self.registry.live()))
        assert all(bool(p.live) == (p.state == "applied") for p in self.patches.values())
        if not foreign and self.kind != "context":
            met = self.call("")
            assert sorted(met) == sorted(m for m in self.patches if self[m].state == "applied")
        self.registry.undo_all()
        for patch in self.patches.values():
            patch.undo()
        self.registry.explain(self.target)
        assert self.registry.live() == []
        if not foreign:
            assert (spaces(*self.owners), self.made.__code__) == self.before
        assert self.call("") == []

    def _all(self, mark, *whats):
        return [done for done in self.done if done.what in whats and done.mark in (mark, "")]

    def _brought(self, mark, call):
        """What put a patch there, for that call."""
        found = self._all(mark, "apply", "enter", "named")
        if self.kind == "context":
            # An apply where it stands already, for another context, is none.
            found = [d for d in found if d.thread == call.thread and d.what == "enter"]
        return found

    def _must_meet(self, mark, call):
        """Whether a patch was there all the while, whatever the order of what overlapped."""
        return any(
            brought.end < call.begin
            and not any(
                gone.begin < call.end and gone.end > brought.begin
                for gone in self._all(mark, "undo", "clear", "leave")
                # Who is in it still keeps it, whoever leaves.
                if (brought.what, gone.what, brought.thread == gone.thread)
                != ("enter", "leave", False)
            )
            for brought in self._brought(mark, call)
        )

    def _may_meet(self, mark, call):
        """Whether a patch may have been there at some moment of the call."""
        return any(
            brought.begin < call.end
            and (self.kind != "context" or brought.thread == call.thread)
            and not any(
                gone.begin > brought.end and gone.end < call.begin
                for gone in self._all(mark, "undo", "clear")
            )
            for brought in self._all(mark, "apply", "enter", "named")
        )

    def _twice(self, *marks):
        return any(len(self._all(mark, "apply", "enter", "named")) > 1 for mark in marks)

    def _surely_before(self, outer, inner):
        if self._twice(outer, inner):
            return False
        (first,), (second,) = (self._all(m, "apply", "enter", "named") for m in (outer, inner))
        return first.end < second.begin


# What stands at the start, and what each thread does then.
PROGRAMS = [
    ("", "apply a, call", "apply b, call"),
    ("", "apply a, call, undo a, call", "apply b, call, undo b, call"),
    ("apply a", "apply b, call", "undo a, call"),
    ("apply a", "undo a, call", "undo a, call"),
    ("apply a", "undo a, apply a", "call, call"),
    ("", "apply a", "call, call"),
    ("", "apply a, apply b", "call"),
    ("apply a, apply b", "undo a", "call, call"),
    ("apply a, apply b", "undo b, undo a", "call"),
    ("apply a, apply b, apply c", "undo a, undo b", "call"),
    ("apply a, apply b, apply c", "undo a", "undo b", "call"),
    ("apply a, apply b", "undo a, apply c", "call"),
    ("apply a", "undo a, apply b", "call"),
    ("apply a", "undo a", "apply b", "call"),
    ("", "apply a, call", "apply a, call"),
    ("", "apply a, call, undo a, call", "apply a, call"),
    ("apply a", "apply a, call", "undo a, call"),
    ("register a", "named a, call", "named a, call"),
    ("register a", "named a, call", "undo a, call"),
    ("apply a, apply b", "clear, call", "apply c, call"),
    ("apply a", "clear, call", "undo a, call"),
    ("apply a", "clear", "apply a, call"),
    ("", "enter a, call, leave a, call", "enter a, call, leave a, call"),
    ("", "enter a, call, leave a", "undo a"),
    ("", "enter a, enter b, call, leave b, leave a", "enter a, call, leave a"),
    ("apply a", "undo a", "wrap", "call"),
    ("", "apply a", "wrap", "call"),
    ("apply a", "undo a, apply b", "wrap, unwrap"),
    ("apply a, wrap", "undo a", "apply a, call"),
    ("apply a, wrap", "undo a, apply b", "unwrap"),
    ("apply a", "look a", "undo a"),
    ("", "look a", "apply a"),
    ("apply a", "look a", "undo a, apply b"),
]
KINDS = ["by name", "in place", "inherited", "rebound", "context"]
# These are run at sites of each kind; the others where a function stands in a module.
OF_EACH_KIND = PROGRAMS[:9] + [words for words in PROGRAMS if "enter" in words[1]]


@pytest.fixture
def alone(monkeypatch):
    """Only what a program makes is looked at; all modules, and all of memory, would take long."""
    monkeypatch.setattr(aliases, "modules", lambda: Sites.latest.modules)
    nobody = types.SimpleNamespace(get_referrers=lambda thing: [])
    monkeypatch.setattr(aliases, "gc", nobody)
    # Those of earlier runs would be in it until they are collected.
    monkeypatch.setattr(registry, "_registries", weakref.WeakSet())
    Sites.latest = None
    yield
    if Sites.latest is not None:  # it failed, and there is something left
        Sites.latest.registry.undo_all()


def program(kind, first, *threads):
    """What stands at the start, and what each thread does then."""

    def run():
        sites = Sites(kind)
        sites.do(first)
        yield [functools.partial(sites.do, words) for words in threads]
        sites.check()

    return run


@pytest.mark.parametrize(
    ("kind", "words"),
    [("by name", words) for words in PROGRAMS]
    + [(kind, words) for kind in KINDS[1:] for words in OF_EACH_KIND],
    ids=lambda given: given if isinstance(given, str) else " || ".join(given),
)
def test_threads_may_do_it_in_any_order(kind, words, alone):
    name = f"{kind}: {' || '.join(words)}"
    explore_as_asked(name, program(kind, *words), files=[helpers.__file__])


# --- What this found.


@pytest.mark.parametrize("what", ["apply", "enter"])
def test_apply_returns_when_what_another_thread_applies_is_there(what, alone):
    both = f"{what} a, call"

    explore(program("by name", "", both, both), files=[helpers.__file__])


def test_a_group_applied_by_another_thread_is_there_when_apply_returns(alone):
    def run():
        sites = Sites("by name")
        group = sites.registry.register("group", [sites["a"], sites["b"]])

        def apply():
            group.apply()
            assert sites.call("") == ["b", "a"]

        yield [apply, apply]
        group.undo()

    explore(run, most=300)


def test_what_another_thread_applies_or_undoes_is_at_no_moment_superseded(alone):
    for first, other in (("", "apply a"), ("apply a", "undo a"), ("apply a", "undo a, apply a")):
        explore(program("by name", first, "look a", other))


def test_a_name_is_found_while_another_thread_undoes_another_one():
    def run():
        registry, owner = safepatch.Registry(), types.SimpleNamespace(a=template, b=template)
        first, second = (
            registry.apply((owner, name), helpers.pass_through, name=name, aliases="ignore")
            for name in "ab"
        )

        def apply():
            assert second is registry.apply("b")

        yield [first.undo, apply]
        registry.undo_all()

    explore(run)


def test_explain_tells_while_another_thread_makes_a_registry(alone):
    def run():
        registry._registries.clear()
        made = [safepatch.Registry() for _ in range(2)]
        yield [lambda: made.append(safepatch.Registry()), made[0].explain]

    explore(run, files=[_weakrefset.__file__])


def test_holders_that_another_patch_had_when_they_were_looked_for_are_reached(alone, monkeypatch):
    """It takes two preemptions to find: it began before that patch came, and looks as it goes."""
    sites, everywhere = Sites("rebound"), aliases.everywhere

    def while_another_comes_and_goes(original, site):
        monkeypatch.setattr(aliases, "everywhere", everywhere)
        sites.apply("a")
        found = everywhere(original, site)
        sites.undo("a")
        return found

    monkeypatch.setattr(aliases, "everywhere", while_another_comes_and_goes)

    sites.apply("b")

    assert sites.call("") == ["b"]


def test_a_patch_that_is_undone_as_it_is_put_on_top_again_is_so_or_not(alone):
    """Between the two looks that one line took, whether it was live."""
    run = program("by name", "apply a, wrap", "undo a", "apply a, call")
    with exploring(run, GRAINS[-1], ()) as explorer:
        for index, step in enumerate(explorer.run(following({0: 1})).steps):
            if step[3] and step[3][0] == "decorate":
                explorer.run(following({0: 1, index: 0}))


def test_a_patch_in_place_leaves_alone_the_filters_of_warnings_that_another_thread_sets():
    def run():
        async def function():
            pass

        def apply():
            patch.apply()
            applied.append(patch)

        def look_away():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wait_until(lambda: applied)

        kinds._trampoline_code.cache_clear()
        before, filters = warnings.filters, list(warnings.filters)
        patch, applied = safepatch.patch(function, helpers.pass_through), []
        yield [apply, look_away]
        patch.undo()
        assert warnings.filters is before
        assert warnings.filters == filters

    explore(run, files=[kinds.__file__])


# --- It would find others.


def _relink_from_the_top(stack):
    stack.top = stack.entries[-1].call if stack.entries else stack.original
    below = stack.original
    for entry in stack.entries:
        entry.link.__wrapped__ = below
        below = entry.shown


def _relink_with_a_gap(stack):
    stack.top = stack.original
    below = stack.original
    for entry in stack.entries:
        entry.link.__wrapped__ = below
        below = entry.shown
    stack.top = stack.entries[-1].call if stack.entries else stack.original


@pytest.mark.parametrize("broken", [_relink_from_the_top, _relink_with_a_gap])
def test_a_stack_that_is_linked_in_another_order_is_found_out(broken, alone, monkeypatch):
    monkeypatch.setattr(stacks.Stack, "_relink", broken)

    with pytest.raises(AssertionError) as raised:
        explore(program("by name", "apply a", "apply b", "call"), files=[__file__])
    assert f"{pathlib.Path(__file__).name}:" in raised.value.__notes__[0]


@pytest.mark.parametrize("words", [("", "apply a", "apply b"), ("apply a", "undo a", "apply b")])
def test_stacks_without_a_lock_are_found_out(words, alone):
    run = program("by name", *words)

    def without_lock():
        stacks.lock = contextlib.nullcontext()
        yield from run()

    explore(run)
    with pytest.raises((AssertionError, AttributeError)):
        explore(without_lock)


def test_a_site_given_back_without_looking_again_is_found_out(alone, monkeypatch):
    """As it was when whoever took the last patch away did not hold the lock to the end."""

    def remove(site, entry):
        with stacks.lock:
            site.stack.remove(entry)
        if not site.stack.entries and site.owner is not None:
            site.give_back(site.owner)

    monkeypatch.setattr(sites.Site, "remove", remove)
    monkeypatch.setattr(patches.Patch, "undo", patches.Patch._undo)

    with pytest.raises(AssertionError):
        explore(program("by name", "apply a", "undo a", "apply b, call"), files=[__file__])
