"""What is abstract stays abstract while it is patched, and what is not does not become it."""

import abc
import inspect
from functools import cached_property, lru_cache, partialmethod, singledispatchmethod

import pytest
from helpers import pass_through

import safepatch


def make_shelf():
    """A class with an abstract method of each kind, and one method that is not abstract."""

    class Shelf(abc.ABC):
        @abc.abstractmethod
        def method(self):
            return "abstract"

        @abc.abstractmethod
        async def coroutine(self):
            return "abstract"

        @abc.abstractmethod
        def generator(self):
            yield "abstract"

        @staticmethod
        @abc.abstractmethod
        def static():
            return "abstract"

        @classmethod
        @abc.abstractmethod
        def klass(cls):
            return "abstract"

        @property
        @abc.abstractmethod
        def prop(self):
            return "abstract"

        @cached_property
        @abc.abstractmethod
        def lazy(self):
            return "abstract"

        @lru_cache
        @abc.abstractmethod
        def cached(self):
            return "abstract"

        @singledispatchmethod
        @abc.abstractmethod
        def single(self, arg):
            return "abstract"

        partial = partialmethod(method)

        def concrete(self):
            return "concrete"

    return Shelf


NAMES = [name for name in vars(make_shelf()) if not name.startswith("_")]

#: Replaces any of them, in whatever way it is called.
GIVEN = staticmethod(lambda *args: "given")


def made_of(cls):
    """An instance, or the message of the refusal to make one."""
    try:
        return type(cls())
    except TypeError as error:
        return str(error)


def look(shelf, name):
    """All that says whether the class, and those that inherit it, are abstract."""
    bare = type("Sub", (shelf,), {})
    full = type("Sub", (shelf,), dict.fromkeys(NAMES, GIVEN))
    lacking = type("Sub", (shelf,), {other: GIVEN for other in NAMES if other != name})
    standing = inspect.getattr_static(shelf, name)
    facts = [getattr(standing, "__isabstractmethod__", False)]
    facts += [getattr(getattr(shelf, name), "__isabstractmethod__", False)]
    for cls in (shelf, bare, lacking, full):
        result = made_of(cls)
        facts += [result is cls or result, inspect.isabstract(cls), cls.__abstractmethods__]
    return facts


@pytest.mark.parametrize("name", NAMES)
def test_a_patched_class_is_as_abstract_as_before(name):
    shelf = make_shelf()
    before = look(shelf, name)

    with safepatch.patch((shelf, name), pass_through):
        during = look(shelf, name)

    assert before == during
    assert before == look(shelf, name)


@pytest.mark.parametrize("name", NAMES)
def test_an_inheriting_class_that_is_patched_is_as_abstract_as_before(name):
    shelf = make_shelf()
    heir = type("Heir", (shelf,), {})
    before = look(heir, name), look(shelf, name)

    with safepatch.patch((heir, name), pass_through):
        during = look(heir, name), look(shelf, name)

    assert before == during
    assert before == (look(heir, name), look(shelf, name))


@pytest.mark.parametrize("name", NAMES)
def test_an_implementation_stays_concrete_when_it_and_its_abstract_base_are_patched(name):
    shelf = make_shelf()
    full = type("Full", (shelf,), dict.fromkeys(NAMES, GIVEN))

    with (
        safepatch.patch((shelf, name), pass_through),
        safepatch.patch((full, name), pass_through),
    ):
        during = full(), getattr(full(), name)("x")

    assert isinstance(during[0], full)
    assert during[1] == "given"
    assert isinstance(full(), full)


@pytest.mark.parametrize("name", ["method", "coroutine", "generator", "static", "klass", "prop"])
def test_a_class_is_as_abstract_as_before_when_the_function_itself_is_patched(name):
    shelf = make_shelf()
    standing = vars(shelf)[name]
    function = getattr(standing, "fget", None) or getattr(standing, "__func__", standing)
    before = look(shelf, name)

    with safepatch.patch(function, pass_through):
        during = look(shelf, name)

    assert before == during
    assert before == look(shelf, name)
