"""Arguments reach the wrapper, and the original, spelled as the caller spelled them.

Keywords may have any name, also one that the code in between gives to something of its own.
"""

import asyncio
import collections
import contextvars
import functools
import inspect
import keyword
import operator
import re
import types
from pathlib import Path

import pytest
import wrapt
from helpers import pass_through, spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import safepatch

# 3.13 says of each partial in a class that 3.14 will bind it.
pytestmark = pytest.mark.filterwarnings("ignore:functools.partial will be:FutureWarning")


def names_in_our_code():
    """Every name that a parameter, a variable or an attribute has in safepatch itself."""
    sources = Path(safepatch.__file__).parent.glob("*.py")
    # Templates of functions are strings; so every word counts, and keywords of Python do not.
    words = {word for path in sources for word in re.findall(r"[a-z_]\w*", path.read_text())}
    return {word for word in words if not keyword.iskeyword(word)}


ALL = {name: f"{name} given" for name in {"self", "cls", "args", "kwargs"} | names_in_our_code()}


def spying(seen):
    """A closure that records how it was called, whatever that was."""

    def decorate(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            seen.append((args, kwargs))
            return wrapped(*args, **kwargs)

        return wrapper

    return decorate


def echo(*args, **kwargs):
    return args, kwargs


async def echo_later(*args, **kwargs):
    return args, kwargs


def echo_once(*args, **kwargs):
    yield args, kwargs


async def echo_once_later(*args, **kwargs):
    yield args, kwargs


@types.coroutine
def echo_by_generator(*args, **kwargs):
    yield from ()
    return args, kwargs


async def wait_for(awaitable):
    return await awaitable


class Meta(type):
    def meta(cls, /, *args, **kwargs):
        return args, kwargs


class Echo(metaclass=Meta):
    """Each way to be called, giving back the arguments after the first where that is bound."""

    def method(self, /, *args, **kwargs):
        return args, kwargs

    @classmethod
    def klass(cls, /, *args, **kwargs):
        return args, kwargs

    @staticmethod
    def static(*args, **kwargs):
        return args, kwargs

    async def later(self, /, *args, **kwargs):
        return args, kwargs

    def __call__(self, /, *args, **kwargs):
        return args, kwargs

    cached = functools.lru_cache(method)
    partial_method = functools.partialmethod(method)
    single = functools.singledispatchmethod(method)
    partial = functools.partial(echo)
    builtin = operator.call


class Mapping(dict):
    """A class with methods in C that take any keyword."""


# Where it stands: the owner, and what has the attribute that is called.


def in_module(function):
    module = types.ModuleType("shop")
    module.name = function
    return module, module


def in_class(cls=Echo):
    """The class that defines it."""
    made = type(cls)(cls.__name__, cls.__bases__, dict(vars(cls)))
    return made, made()


def in_heir(base=Echo):
    heir = type(base)("Heir", (base,), {})
    return heir, heir()


def in_instance():
    instance = in_heir()[1]
    instance.own = echo
    return instance, instance


def in_class_of_metaclass():
    heir, _ = in_heir()
    return heir, heir


# How it is called with arguments, once it was looked up.


def plainly(attribute, args, kwargs):
    return attribute(*args, **kwargs)


def awaited(attribute, args, kwargs):
    return asyncio.run(wait_for(attribute(*args, **kwargs)))


def generated(attribute, args, kwargs):
    return next(attribute(*args, **kwargs))


def streamed(attribute, args, kwargs):
    return asyncio.run(wait_for(anext(attribute(*args, **kwargs))))


def with_callable(attribute, args, kwargs):
    return attribute(echo, *args, **kwargs)


def with_text(attribute, args, kwargs):
    return attribute("some text", *args, **kwargs)


# Owner and holder, the attribute, and the way to call it.
TARGETS = {
    "function": (lambda: in_module(echo), "name", plainly),
    "coroutine function": (lambda: in_module(echo_later), "name", awaited),
    "generator function": (lambda: in_module(echo_once), "name", generated),
    "async generator function": (lambda: in_module(echo_once_later), "name", streamed),
    "types.coroutine": (lambda: in_module(echo_by_generator), "name", awaited),
    "builtin": (lambda: in_module(operator.call), "name", with_callable),
    "partial": (lambda: in_module(functools.partial(echo)), "name", plainly),
    "partial of a class": (lambda: in_module(functools.partial(dict)), "name", plainly),
    "callable object": (lambda: in_module(Echo()), "name", plainly),
    "bound method": (lambda: in_module(Echo().method), "name", plainly),
    "bound class method": (lambda: in_module(Echo.klass), "name", plainly),
    "lru_cache": (lambda: in_module(functools.lru_cache(echo)), "name", plainly),
    "singledispatch": (lambda: in_module(functools.singledispatch(echo)), "name", with_text),
    "context.run": (lambda: in_module(contextvars.Context().run), "name", with_callable),
    "method": (in_class, "method", plainly),
    "class method": (in_class, "klass", plainly),
    "static method": (in_class, "static", plainly),
    "coroutine method": (in_class, "later", awaited),
    "lru_cache method": (in_class, "cached", plainly),
    "partialmethod": (in_class, "partial_method", plainly),
    "singledispatchmethod": (in_class, "single", with_text),
    "partial in a class": (in_class, "partial", plainly),
    "builtin in a class": (in_class, "builtin", with_callable),
    "__call__": (in_class, "__call__", plainly),
    "inherited method": (in_heir, "method", plainly),
    "inherited class method": (in_heir, "klass", plainly),
    "inherited static method": (in_heir, "static", plainly),
    "inherited coroutine method": (in_heir, "later", awaited),
    "inherited lru_cache method": (in_heir, "cached", plainly),
    "inherited partialmethod": (in_heir, "partial_method", plainly),
    "inherited __call__": (in_heir, "__call__", plainly),
    "inherited method in C": (lambda: in_heir(Mapping), "update", plainly),
    "inherited method of an ABC": (lambda: in_heir(collections.UserDict), "update", plainly),
    "instance attribute": (in_instance, "own", plainly),
    "method of an instance": (in_instance, "method", plainly),
    "class method of an instance": (in_instance, "klass", plainly),
    "metaclass method": (in_class_of_metaclass, "meta", plainly),
}

EACH = pytest.mark.parametrize(("make", "name", "call"), TARGETS.values(), ids=TARGETS.keys())


@EACH
def test_keywords_of_every_name_reach_the_wrapper_and_the_original(make, name, call):
    owner, holder = make()
    before, expected, seen = spaces(owner), call(getattr(holder, name), (), ALL), []

    with safepatch.patch((owner, name), spying(seen), spying(seen)):
        found = call(getattr(holder, name), (), ALL)

    assert expected == found
    assert [kwargs for _, kwargs in seen] == [ALL, ALL]
    assert before == spaces(owner)
    assert expected == call(getattr(holder, name), (), ALL)


OPTIONS = {
    "only_if": {"only_if": lambda *args, **kwargs: True},
    "only_if with the arguments": {"only_if": lambda first, /, *args, **kwargs: kwargs == ALL},
    "only_from": {"only_from": __name__},
    "scope='context'": {"scope": "context"},
    "all of them": {
        "only_if": lambda *args, **kwargs: True,
        "only_from": __name__,
        "scope": "context",
    },
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("kind", ["function", "builtin", "method", "inherited method"])
def test_keywords_of_every_name_pass_by_the_conditions_of_a_patch(kind, options):
    make, name, call = TARGETS[kind]
    owner, holder = make()
    expected, seen = call(getattr(holder, name), (1, 2), ALL), []

    with safepatch.patch((owner, name), spying(seen), **options):
        found = call(getattr(holder, name), (1, 2), ALL)

    assert expected == found
    ((args, kwargs),) = seen
    assert kwargs == ALL
    assert args[-2:] == (1, 2)


def test_keywords_of_every_name_reach_a_function_that_is_patched_in_place():
    module, _ = in_module(types.FunctionType(echo.__code__, globals()))
    seen = []

    with safepatch.patch((module, "name"), spying(seen), spying(seen), aliases="rebind"):
        found = module.name(1, **ALL)

    assert found == ((1,), ALL)
    assert seen == [((1,), ALL)] * 2


@pytest.mark.parametrize("kind", ["function", "coroutine function", "generator function"])
def test_keywords_of_every_name_reach_a_function_that_a_patch_decorates(kind):
    make, name, call = TARGETS[kind]
    _, holder = make()
    elsewhere, _ = in_module(lambda: None)

    decorated = safepatch.patch((elsewhere, "name"), pass_through)(getattr(holder, name))

    assert call(decorated, (1,), ALL) == ((1,), ALL)


# Any text can be a keyword, by way of `**`.
TEXTS = st.text("selfargs_ é1")


@pytest.mark.parametrize("kind", ["function", "builtin", "partial", "method", "inherited method"])
@given(args=st.lists(st.integers()), kwargs=st.dictionaries(TEXTS, st.integers()))
@settings(max_examples=25)
def test_arguments_arrive_in_the_order_and_number_they_were_given(kind, args, kwargs):
    make, name, call = TARGETS[kind]
    owner, holder = make()
    expected, seen = call(getattr(holder, name), args, kwargs), []

    with safepatch.patch((owner, name), spying(seen)):
        found = call(getattr(holder, name), args, kwargs)

    assert expected == found
    ((args_seen, kwargs_seen),) = seen
    assert list(args_seen[len(args_seen) - len(args) :]) == args
    assert list(kwargs_seen.items()) == list(kwargs.items())


class Base:
    def method(self, a=1):
        return ("method", a)

    @functools.lru_cache
    def cached(self, a=1):
        return ("cached", a)


class Heir(Base):
    pass


@pytest.mark.parametrize(
    ("owner", "name"), [(Base, "method"), (Heir, "method"), (Base, "cached"), (Heir, "cached")]
)
def test_self_may_be_given_by_its_name(owner, name, patches):
    patches.apply((owner, name), pass_through)

    assert getattr(owner, name)(self=owner(), a=2) == (name, 2)
    with pytest.raises(TypeError, match=r"(Base\.)?(method|cached)\(\) missing"):
        getattr(owner, name)()


def in_wrapts_form(wrapped):
    return wrapt.FunctionWrapper(
        wrapped, lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs)
    )


def test_self_given_by_name_reaches_a_method_under_a_wrapper_that_is_a_descriptor():
    class Owner:
        def method(self, a):
            return (type(self), a)

    with safepatch.patch((Owner, "method"), in_wrapts_form):
        assert Owner.method(self=Owner(), a=1) == (Owner, 1)
        with pytest.raises(TypeError, match=r"Owner\.method\(\) missing .* 'self' and 'a'"):
            Owner.method()


@pytest.mark.parametrize("aliases", ["ignore", "rebind"])
@pytest.mark.parametrize(
    ("name", "instance", "args"),
    [("method", "it", (1,)), ("of_class", "Owner", (1,)), ("static", None, (1,))],
)
def test_a_wrapper_that_is_a_descriptor_is_bound_as_the_function_is(name, instance, args, aliases):
    class Owner:
        def method(self, a):
            pass

        @classmethod
        def of_class(cls, a):
            pass

        @staticmethod
        def static(a):
            pass

    def wrapper(wrapped, instance, args, kwargs):
        return instance, args

    it = Owner()
    with safepatch.patch(
        (Owner, name), lambda wrapped: wrapt.FunctionWrapper(wrapped, wrapper), aliases=aliases
    ):
        found = getattr(it, name)(1)

    assert found == ({"it": it, "Owner": Owner, None: None}[instance], args)


class Unbound:
    """Callable, and found by itself where others are bound, as a staticmethod's function is."""

    def __call__(self, *args):
        return args

    def __get__(self, instance, owner=None):
        return self


class Unbinding:
    method = Unbound()


class HeirOfUnbinding(Unbinding):
    pass


@pytest.mark.parametrize("decorate", [pass_through, in_wrapts_form])
@pytest.mark.parametrize("owner", [Unbinding, HeirOfUnbinding])
def test_what_does_not_bind_is_called_with_all_arguments(owner, decorate, patches):
    """The first one was taken for self, and lost."""
    patches.apply((owner, "method"), decorate)

    instance = owner()

    assert (instance.method(), instance.method(1, 2)) == ((), (1, 2))
    assert (owner.method(1), owner.method(instance)) == ((1,), (instance,))


def test_a_decorator_over_one_that_makes_a_descriptor_sees_what_that_is_called():
    seen = []

    def looking(wrapped):
        seen.append((wrapped.__module__, wrapped.__qualname__, str(inspect.signature(wrapped))))
        return wrapped

    class Owner:
        def method(self, a):
            return a

    with safepatch.patch((Owner, "method"), in_wrapts_form, looking):
        pass

    assert seen == [(Owner.__module__, Owner.method.__qualname__, "(self, a)")]
