"""What stands in at a patched name, taken into a class body, binds `self` only if the original did.

`class Shop: price = module.price` is common, and what it gives depends on the kind of `price`: a
function is a method then, a builtin or a callable object is not.
"""

import asyncio
import functools
import math
import operator
import types

import pytest
from helpers import noting
from victims import CallableObject

import safepatch

# 3.13 says of each partial in a class that 3.14 will bind it.
pytestmark = pytest.mark.filterwarnings("ignore:functools.partial will be:FutureWarning")


def told(*args):
    """The types of the arguments that came."""
    return [type(argument).__name__ for argument in args]


async def told_later(*args):
    return told(*args)


class Text:
    def join(self, *args):
        return ["Text", *told(*args)]


# What stands at the name; and how an attribute made of it is called.
HELD = {
    "builtin": (math.gcd, lambda held: held(4, 6)),
    "builtin method": ("a".join, lambda held: held("xyz")),
    "method-wrapper": ((5).__add__, lambda held: held(1)),
    "method of a C type": (str.upper, lambda held: held()),
    "class method of a C type": (dict.fromkeys, lambda held: held("a")),
    "functools.partial": (functools.partial(told, 1), lambda held: held("a")),
    "operator.methodcaller": (operator.methodcaller("upper"), lambda held: held("a")),
    "staticmethod": (staticmethod(told), lambda held: held(1)),
    "callable object": (CallableObject(), lambda held: held(1, 2)),
    "bound method": (Text().join, lambda held: held(1)),
    "bound class method": (types.MethodType(told, Text), lambda held: held(1)),
    "function": (told, lambda held: held(1)),
    "coroutine function": (told_later, lambda held: asyncio.run(held(1))),
    "functools.lru_cache": (functools.lru_cache(told), lambda held: held(1)),
    "functools.singledispatch": (functools.singledispatch(told), lambda held: held(1)),
}

OPTIONS = {
    "no options": ({}, True),
    "scope='context'": ({"scope": "context"}, True),
    "only_if, which holds": ({"only_if": lambda: True}, True),
    "only_if, which never holds": ({"only_if": lambda: False}, False),
}


@pytest.fixture
def module():
    return types.ModuleType("shop")


def class_with(module):
    """A class whose body takes what stands at the module's name, as do its subclasses."""

    class Taker(str):
        held = module.held

    return Taker


def uses(cls, call):
    """What the attribute does on the class, on an instance, and on those of a subclass."""
    sub = type("Sub", (cls,), {})
    results = []
    for subject in (cls, cls("x"), sub, sub("y")):
        try:
            results.append(call(subject.held))
        except Exception as error:
            results.append(type(error))
    return results


@pytest.mark.parametrize(("options", "ran"), OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize(("held", "call"), HELD.values(), ids=HELD.keys())
def test_what_a_class_body_takes_binds_as_the_original_would(module, held, call, options, ran):
    module.held = held
    expected = uses(class_with(module), call)
    log = []

    with safepatch.patch((module, "held"), noting(log, "ran"), **options):
        taker = class_with(module)
        found = uses(taker, call)

    assert expected == found
    assert bool(log) is ran
    log.clear()
    assert expected == uses(taker, call)
    assert log == []


# A search for all holders takes its time, so there is one of each way to bind here.
@pytest.mark.filterwarnings("ignore::safepatch.AliasWarning")
@pytest.mark.parametrize(
    "kind", ["builtin", "functools.partial", "callable object", "bound method"]
)
def test_what_is_rebound_in_a_class_binds_as_the_original_would(module, kind):
    module.held, call = HELD[kind]
    early = class_with(module)
    expected = uses(early, call)
    log = []

    with safepatch.patch((module, "held"), noting(log, "ran"), aliases="rebind"):
        found = [uses(cls, call) for cls in (early, class_with(module))]

    assert [expected, expected] == found
    assert log
    log.clear()
    assert expected == uses(early, call)
    assert log == []
