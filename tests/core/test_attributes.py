"""What the original carries (`cache_info`, `register`, ...) is in reach at the patched name."""

import functools
import inspect
import types

import pytest
import wrapt
from helpers import noting, pass_through

import safepatch

NOTE = ["the very list"]


def make_module():
    module = types.ModuleType("shop")

    @functools.lru_cache(maxsize=8)
    def cached(a):
        return ("cached", a)

    @functools.cache
    def unbounded(a):
        return ("unbounded", a)

    @functools.singledispatch
    def single(a):
        return "default"

    @single.register
    def _(a: int):
        return "int"

    def bare(a):
        return ("bare", a)

    @functools.wraps(bare)
    def wrapped(a):
        return bare(a)

    def custom(a):
        return ("custom", a)

    custom.note = NOTE
    custom.helper = lambda: "helped"

    class CallableObject:
        note = "a note"

        def __call__(self, a):
            return ("object", a)

        def helper(self):
            return "helped"

    module.cached, module.unbounded, module.single = cached, unbounded, single
    module.wrapped, module.custom = wrapped, custom
    module.thing = CallableObject()
    module.partial = functools.partial(bare, 1)
    module.bound = module.thing.helper
    return module


def make_class():
    class Shop:
        @functools.lru_cache(maxsize=8)
        def cached(self):
            return "cached"

        @staticmethod
        @functools.lru_cache(maxsize=8)
        def static(a=1):
            return "static"

        @classmethod
        @functools.lru_cache(maxsize=8)
        def klass(cls, a=1):
            return "class"

        @functools.singledispatchmethod
        def single(self, a):
            return "default"

        @single.register
        def _(self, a: int):
            return "int"

        def custom(self):
            return "custom"

        custom.note = NOTE

        @functools.wraps(custom)
        def wrapped(self):
            return "wrapped"

    return Shop


# Owner, name, and the attributes that people ask for there.
CACHE = ("cache_info", "cache_clear", "cache_parameters")
CARRIED = {
    "lru_cache": (make_module, "cached", CACHE),
    "cache": (make_module, "unbounded", CACHE),
    "singledispatch": (make_module, "single", ("register", "dispatch", "registry", "_clear_cache")),
    "attributes of one's own": (make_module, "custom", ("note", "helper")),
    "callable object": (make_module, "thing", ("note", "helper")),
    "partial": (make_module, "partial", ("func", "args", "keywords")),
    "bound method": (make_module, "bound", ("__self__", "__func__")),
    "lru_cache on a method": (make_class, "cached", CACHE),
    "lru_cache on a static method": (make_class, "static", CACHE),
    "lru_cache on a class method": (make_class, "klass", CACHE),
    "singledispatchmethod": (make_class, "single", ("register",)),
    "attributes of a method": (make_class, "custom", ("note",)),
    "functools.wraps on a method": (make_class, "wrapped", ("note",)),
}
CASES = pytest.mark.parametrize(("make", "name", "names"), CARRIED.values(), ids=CARRIED.keys())


def heir(owner):
    return type("Heir", (owner,), {}) if isinstance(owner, type) else owner


def seen(owner, name, names):
    """The attributes as they are found at the name, and through an instance where there is one."""
    found = [getattr(owner, name)]
    if isinstance(owner, type):
        found.append(getattr(owner(), name))
    return [getattr(each, attribute) for each in found for attribute in names]


@pytest.mark.parametrize("inherited", [False, True], ids=["own", "inherited"])
@CASES
def test_what_the_original_carries_is_found_at_the_patched_name(make, name, names, inherited):
    owner = heir(make()) if inherited else make()
    expected = seen(owner, name, names)

    with safepatch.patch((owner, name), pass_through):
        found = seen(owner, name, names)

    assert expected == found
    assert expected == seen(owner, name, names)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (make_module, "wrapped"),
        (make_module, "cached"),
        (make_class, "wrapped"),
        (make_class, "cached"),
        (make_class, "static"),
    ],
)
def test_what_functools_wraps_wrapped_is_found_under_the_patched_name(make, name):
    owner = make()
    original = getattr(owner, name)
    innermost = original.__wrapped__

    with safepatch.patch((owner, name), pass_through):
        patched = getattr(owner, name)
        chain = [patched]
        while hasattr(chain[-1], "__wrapped__"):
            chain.append(chain[-1].__wrapped__)

    assert original in chain
    assert inspect.unwrap(patched) is innermost is chain[-1]
    assert getattr(owner, name).__wrapped__ is innermost


# Using them.


@pytest.mark.parametrize("name", ["cached", "static", "klass"])
@pytest.mark.parametrize("through", ["class", "instance", "heir"])
def test_a_cache_on_a_method_can_be_asked_and_cleared_while_it_is_patched(name, through):
    shop = make_class()
    subject = {"class": shop, "instance": shop(), "heir": heir(shop)()}[through]
    instance = subject if through != "class" else shop()
    for _ in range(3):
        getattr(instance, name)()

    with safepatch.patch((shop, name), pass_through):
        getattr(instance, name)()
        filled = getattr(subject, name).cache_info()
        getattr(subject, name).cache_clear()
        getattr(instance, name)()

    assert (filled.hits, filled.misses, filled.currsize, filled.maxsize) == (3, 1, 1, 8)
    after = getattr(shop, name).cache_info()
    assert (after.hits, after.misses, after.currsize) == (0, 1, 1)


def test_a_cache_keeps_what_it_had_and_what_it_got_while_it_was_patched():
    module = make_module()
    module.cached(1)

    with safepatch.patch((module, "cached"), pass_through):
        results = module.cached(1), module.cached(2)
        during = module.cached.cache_info()

    assert results == (("cached", 1), ("cached", 2))
    assert (during.hits, during.misses) == (1, 2)
    module.cached(2)
    assert module.cached.cache_info().hits == 2


def test_implementations_that_are_registered_while_patched_are_called_then_and_afterwards():
    log, module, shop = [], make_module(), make_class()

    with (
        safepatch.patch((module, "single"), noting(log, "function")),
        safepatch.patch((shop, "single"), noting(log, "method")),
    ):

        @module.single.register
        def _(a: str):
            return "str"

        @shop.single.register(str)
        def _(self, a):
            return "str"

        during = [module.single("a"), shop().single("a"), module.single(1), shop().single(1)]
        implementation = module.single.dispatch(str)

    assert during == ["str", "str", "int", "int"]
    assert log == ["function", "method", "function", "method"]
    assert implementation("a") == "str"
    assert [module.single("a"), shop().single("a")] == ["str", "str"]
    assert [module.single(b""), shop().single(b"")] == ["default", "default"]


def test_an_implementation_that_is_registered_by_a_class_body_while_patched_is_called():
    """As `singledispatchmethod` is used on a base class: `@Base.single.register`."""
    shop = make_class()

    with safepatch.patch((shop, "single"), pass_through):

        class Heir(shop):
            @shop.single.register
            def _(self, a: list):
                return "list"

        during = Heir().single([])

    assert during == "list"
    assert Heir().single([]) == "list"


def test_the_decorator_finds_what_the_original_carries():
    found = {}

    def looking(wrapped):
        found[wrapped.__name__] = wrapped
        return pass_through(wrapped)

    module = make_module()
    with (
        safepatch.patch((module, "cached"), looking),
        safepatch.patch((module, "custom"), looking),
    ):
        parameters = found["cached"].cache_parameters()
        notes = found["custom"].note, module.custom.note

    assert parameters == {"maxsize": 8, "typed": False}
    assert notes == (module.custom.note, module.custom.note)


def test_an_attribute_of_a_callable_object_that_is_set_while_patched_stays():
    """What stands in is a proxy, so that there is one object with one state."""
    module = make_module()

    with safepatch.patch((module, "thing"), pass_through):
        module.thing.note = "another"
        during = module.thing.note

    assert during == "another"
    assert module.thing.note == "another"


def test_what_the_original_does_not_carry_is_asked_for_once_through_many_patches():
    """With proxies as wrappers, each patch of a site doubled it, and twenty took seconds."""
    asked = []

    class Thing:
        """A thing."""

        def __call__(self):
            return 1

        def __getattr__(self, name):
            asked.append(name)
            raise AttributeError(name)

    module = types.ModuleType("shop")
    module.thing = Thing()
    found = []

    def proxied(wrapped):
        found.append(wrapped)
        return wrapt.CallableObjectProxy(wrapped)

    with safepatch.patch((module, "thing"), *[proxied] * 10):
        asked.clear()
        absent = hasattr(found[-1], "absent")

    assert not absent
    assert asked == ["absent"]


def test_a_decorator_sees_and_sets_the_docstring_and_module_of_what_it_decorates():
    def describing(wrapped):
        wrapped.__doc__ = f"{wrapped.__module__}: {wrapped.__doc__}"
        wrapped.__module__ = "elsewhere"
        return wrapped

    module = make_module()
    module.custom.__doc__ = "Custom."
    was = module.custom.__module__
    with safepatch.patch((module, "custom"), describing):
        pass

    assert module.custom.__doc__ == f"{was}: Custom."
    assert module.custom.__module__ == "elsewhere"
