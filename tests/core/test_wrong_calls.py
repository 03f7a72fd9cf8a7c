"""Defaults stay the original's business, and so does what a wrong call is told."""

import functools
import types

import pytest
from helpers import pass_through

import safepatch


class Shop:
    def method(self, a, /, b, c=3, *, d, e=5):
        return self, a, b, c, d, e

    @classmethod
    def klass(cls, a, /, b, c=3, *, d, e=5):
        return cls, a, b, c, d, e

    @staticmethod
    def static(a, /, b, c=3, *, d, e=5):
        return a, b, c, d, e

    partial_method = functools.partialmethod(method, e=6)
    cached = functools.lru_cache(method)


def in_module():
    module = types.ModuleType("shop")
    module.static = types.FunctionType(Shop.static.__code__, globals(), "static", (3,))
    module.static.__kwdefaults__ = {"e": 5}
    return module, module


def in_class():
    cls = type("Shop", (), dict(vars(Shop)))
    return cls, cls()


def in_heir():
    heir = type("Heir", (Shop,), {})
    return heir, heir()


def in_instance():
    _, instance = in_heir()
    return instance, instance


PLACES = [
    (in_module, "static"),
    *[
        (place, name)
        for place in (in_class, in_heir)
        for name in ("method", "klass", "static", "partial_method", "cached")
    ],
    *[(in_instance, name) for name in ("method", "klass", "partial_method", "cached")],
]

CALLS = [
    ((1, 2), {"d": 4}),
    ((1,), {"b": 2, "d": 4}),
    ((1, 2, 30), {"d": 4, "e": 50}),
    ((1,), {"b": 2, "c": 30, "d": 4}),
    ((), {}),
    ((1,), {"d": 4}),
    ((1, 2), {}),
    ((1, 2, 3, 4), {"d": 4}),
    ((1, 2), {"d": 4, "unknown": 5}),
    ((1, 2), {"b": 2, "d": 4}),
    ((), {"a": 1, "b": 2, "d": 4}),
    ((1, 2), {"d": 4, "self": 1}),
    ((1, 2), {"d": 4, "cls": 1}),
]


def answers(holder, name):
    """What each call gives, or is told."""
    results = []
    for args, kwargs in CALLS:
        try:
            results.append(getattr(holder, name)(*args, **kwargs))
        except TypeError as error:
            results.append(str(error))
    return results


@pytest.mark.parametrize(("place", "name"), PLACES)
def test_a_call_gives_and_is_told_what_it_was(place, name):
    owner, holder = place()
    expected = answers(holder, name)

    with safepatch.patch((owner, name), pass_through, pass_through):
        found = answers(holder, name)

    assert expected == found
    assert expected == answers(holder, name)


def test_self_can_be_given_by_its_name():
    class Named:
        def method(self, a):
            return self, a

    named = Named()

    with safepatch.patch((Named, "method"), pass_through):
        found = Named.method(self=named, a=1)

    assert found == (named, 1)
