"""Decorators compose: in any order and number, on one another and with other people's."""

import asyncio
import contextlib
import functools
import importlib.util
import inspect
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cachetools
import pytest
import wrapt
from hypothesis import given, settings
from hypothesis import strategies as st

import safepatch
from safepatch import decorators
from safepatch.decorators import count_calls, log_calls, memoize, replace, retry, ttl_cache
from safepatch.testing.victims import KINDS

NAMES = ["plain", "coroutine", "generator", "async generator"]
BY_NAME = dict(zip(NAMES, KINDS, strict=True))
GENERATORS = ["generator", "async generator"]


class Composable(NamedTuple):
    """A decorator, the kinds of functions it is not for, those of which it makes plain ones, the
    attributes it sets, and how to forget results that it keeps."""

    make: Callable[[], Callable[[Any], Any]]
    not_for: Sequence[str] = ()
    makes_plain: Sequence[str] = ()
    attributes: Sequence[str] = ()
    clear: Callable[[Any], object] | None = None


class Nothing(contextlib.ContextDecorator):
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


def closure(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        return wrapped(*args, **kwargs)

    return wrapper


@wrapt.decorator
def by_wrapt(wrapped, instance, args, kwargs):
    return wrapped(*args, **kwargs)


def by_cachetools():
    kept = {}

    def decorate(function):
        wrapper = cachetools.cached(kept)(function)
        wrapper.cache = kept  # cachetools 6.0 shows that of a cache below
        return wrapper

    return decorate


def by_tenacity():
    import tenacity

    return tenacity.retry(retry=tenacity.retry_if_exception_type(OSError), reraise=True)


def clear(wrapper):
    wrapper.cache_clear()


CONTROLS = ["cache_info", "cache_clear", "cache_invalidate"]

#: Add new decorators here; those that are not there yet are left out.
EVERY = {
    "memoize": Composable(lambda: memoize, GENERATORS, (), CONTROLS, clear),
    "ttl_cache": Composable(lambda: ttl_cache(ttl=60), GENERATORS, (), CONTROLS, clear),
    "single_flight": Composable(lambda: decorators.single_flight, GENERATORS, (), CONTROLS, clear),
    "retry": Composable(lambda: retry(on=OSError)),
    "log_calls": Composable(lambda: log_calls),
    "count_calls": Composable(lambda: count_calls, attributes=["stats"]),
    "replace": Composable(lambda: lambda wrapped: replace(wrapped)(wrapped)),
    # Of plain functions they end nothing without gevent, and say so at the call.
    "timeout": Composable(lambda: decorators.timeout(seconds=60), ["plain", *GENERATORS]),
    "rate_limit": Composable(lambda: decorators.rate_limit(rate=1e9, burst=1000), GENERATORS),
    "circuit_breaker": Composable(lambda: decorators.circuit_breaker(failures=1000)),
    "fault": Composable(
        lambda: decorators.fault(error=OSError, share=0), attributes=["fault_info"]
    ),
}
OURS = {name: one for name, one in EVERY.items() if name in decorators.__all__}
THEIRS = {
    "closure": Composable(lambda: closure, makes_plain=NAMES[1:]),
    "wrapt": Composable(lambda: by_wrapt),
    "ContextDecorator": Composable(Nothing, makes_plain=NAMES[1:]),
    # Its own attributes give way to those of what it decorates, if that has some of the same name,
    # and are not handed on by functools.wraps.
    "lru_cache": Composable(
        lambda: functools.lru_cache,
        NAMES[1:],
        clear=lambda it: type(it).cache_clear(it),
    ),
    "cachetools": Composable(by_cachetools, NAMES[1:], clear=lambda it: it.cache.clear()),
}
if importlib.util.find_spec("tenacity") is not None:
    THEIRS["tenacity"] = Composable(by_tenacity, GENERATORS, attributes=["retry"])
ALL = OURS | THEIRS

FORMS = ["function", "method", "class method", "static method"]


@st.composite
def stacks(draw, kinds=tuple(NAMES)):
    """A kind of functions, and names of decorators that are for it, innermost first."""
    kind = seems = draw(st.sampled_from(kinds))
    names = []
    for name in draw(st.lists(st.sampled_from([*ALL]), max_size=6)):
        # Not for what it is, nor for what those below make it look like.
        if not {kind, seems} & {*ALL[name].not_for}:
            names.append(name)
            seems = "plain" if kind in ALL[name].makes_plain else seems
    return kind, names


class Victim:
    """A function of a kind that returns or raises always the same, and notes its arguments."""

    def __init__(self, kind):
        self.kind = BY_NAME[kind]
        self.result, self.error = object(), ValueError("something")
        self.seen = []
        self.function = self.kind.named(self.body)
        self.function.mark = object()

    def body(self, first, second, rest, third, more):
        self.seen.append((first, second))
        if third == "fail":
            raise self.error
        return self.result

    def check(self, call, *args):
        """Call it with either outcome, twice each."""
        for _ in range(2):
            assert self.kind.outcome(lambda: call(*args, "second")) is self.result
            assert self.kind.outcome(lambda: call(*args, second="second")) is self.result
            raised = None
            try:
                self.kind.outcome(lambda: call(*args, "second", third="fail"))
            except ValueError as error:
                raised = error
            assert raised is self.error
            assert (raised.__context__, raised.__cause__) == (None, None)
            assert not hasattr(raised, "__notes__")


def kind_of(function):
    asked = [inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction]
    found = [name for name, ask in zip(NAMES[1:], asked, strict=True) if ask(function)]
    return found[0] if found else "plain"


def expected_kind(kind, names):
    return "plain" if any(kind in ALL[name].makes_plain for name in names) else kind


def layers_of(function, names):
    """Each wrapper with the name of its decorator, innermost first; the last one is the whole."""
    layers = []
    for name in names:
        function = ALL[name].make()(function)
        layers.append((name, function))
    return layers


def controls_of(layers):
    """What each attribute is to be: that of the outermost decorator which sets one so named."""
    return {
        attribute: getattr(wrapper, attribute)
        for name, wrapper in layers
        for attribute in ALL[name].attributes
    }


def under(function):
    """A function, what it wraps, what that wraps, and so on."""
    chain = [function]
    while (function := getattr(function, "__wrapped__", None)) is not None:
        chain.append(function)
    return chain


def put_into_a_class(form, function):
    """A callable, and what the function is to get as its first argument, as given by the caller."""
    binding = {"class method": classmethod, "static method": staticmethod}.get(form)
    owner = type("Owner", (), {"name": function if binding is None else binding(function)})
    instance = owner()
    called = {"function": function, "method": instance.name}.get(form, owner.name)
    first = {"method": instance, "class method": owner}.get(form, 1)
    return called, first, [1] if first == 1 else []


@given(stacks(), st.sampled_from(FORMS))
def test_a_stack_returns_and_raises_what_the_function_does(stack, form):
    kind, names = stack
    victim = Victim(kind)
    _, whole = [("", victim.function), *layers_of(victim.function, names)][-1]
    call, first, args = put_into_a_class(form, whole)

    victim.check(call, *args)

    assert {one for one, _ in victim.seen} == {first}
    assert {one for _, one in victim.seen} == {"second"}


@given(stacks())
def test_a_stack_looks_like_the_function(stack):
    kind, names = stack
    victim = Victim(kind)
    _, whole = [("", victim.function), *layers_of(victim.function, names)][-1]

    assert inspect.signature(whole) == inspect.signature(victim.function)
    assert kind_of(whole) == expected_kind(kind, names)
    assert inspect.unwrap(whole) is victim.function
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "mark"):
        assert getattr(whole, name) == getattr(victim.function, name)


@given(stacks())
def test_controls_of_inner_decorators_stay_in_reach(stack):
    kind, names = stack
    layers = layers_of(Victim(kind).function, names)
    whole = layers[-1][1] if layers else None

    for attribute, control in controls_of(layers).items():
        assert getattr(whole, attribute) == control
    chain = under(whole)
    assert all(any(one is wrapper for one in chain) for _, wrapper in layers)


@given(stacks())
def test_caches_in_a_stack_can_all_be_cleared(stack):
    kind, names = stack
    victim = Victim(kind)
    layers = layers_of(victim.function, names)
    whole = layers[-1][1] if layers else victim.function
    victim.kind.outcome(lambda: whole(1))

    for name, wrapper in layers:
        if ALL[name].clear is not None:
            ALL[name].clear(wrapper)
    victim.kind.outcome(lambda: whole(1))

    assert len(victim.seen) == 2


@given(stacks(), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_patches_compose_as_decorators_do_and_undo_leaves_the_same_function(stack, random):
    kind, names = stack[0], [*stack[1]]
    victim = Victim(kind)
    module = types.ModuleType("module_of_a_victim")
    module.function = victim.function
    sys.modules[module.__name__] = module
    try:
        with safepatch.Registry() as registry:
            target = f"{module.__name__}:function"
            applied = []
            while names:
                some = [names.pop(0) for _ in range(random.randint(1, len(names)))]
                patch = registry.apply(target, *(ALL[name].make() for name in some), name=some[0])
                applied.append(patch)
                layers = [*zip(some, patch.wrappers, strict=True)]
                controls = controls_of(layers)
                assert kind != "plain" or all(
                    getattr(patch.wrapper, name) == control for name, control in controls.items()
                )
            victim.check(module.function, 1)
            assert inspect.signature(module.function) == inspect.signature(victim.function)
            assert kind_of(module.function) == kind

            while applied:
                applied.pop(random.randrange(len(applied))).undo()
                victim.check(module.function, 1)

            assert module.function is victim.function
    finally:
        del sys.modules[module.__name__]


@given(stacks(kinds=["coroutine"]))
@settings(max_examples=30)
def test_stacks_of_coroutine_functions_serve_several_event_loops(stack):
    _, names = stack
    victim = Victim("coroutine")
    _, whole = [("", victim.function), *layers_of(victim.function, names)][-1]

    async def several():
        return await asyncio.gather(*(whole(number % 2) for number in range(4)))

    for _ in range(2):
        assert asyncio.run(several()) == [victim.result] * 4


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, one in OURS.items() for kind in one.not_for]
)
def test_ours_refuse_what_they_are_not_for(name, kind):
    victim = Victim(kind)

    with pytest.raises((TypeError, RuntimeError), match="cannot"):
        victim.kind.outcome(lambda: OURS[name].make()(victim.function)(1))
