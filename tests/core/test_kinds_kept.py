"""A patched thing stays what it was, where Python or a caller looks closely."""

import asyncio
import collections.abc
import copy
import enum
import fractions
import functools
import inspect
import pathlib
import sys
import types
import typing

import pytest
import wrapt
from helpers import noting, pass_through, spaces

import safepatch
from safepatch.decorators import replace

# --- What CPython asks who overrides.


class Made:
    def __new__(cls, *args):
        return object.__new__(cls)


class MadeToo(Made):
    pass


class MadeAndInitialised(Made):
    def __init__(self, *args):
        super().__init__(*args)


class Plain:
    pass


class Text(str):
    __slots__ = ()


Pair = collections.namedtuple("Pair", "a b")
CONSTRUCTED = [
    (Made, (1,)),
    (MadeToo, (1,)),
    (MadeAndInitialised, (1,)),
    (MadeAndInitialised, ()),
    (Plain, ()),
    (Plain, (1,)),
    (Text, ("a",)),
    (Pair, (1, 2)),
    (Pair, (1,)),
    (fractions.Fraction, (1, 2)),
    (pathlib.PurePosixPath, ("a", "b")),
]


def constructed(cls, args):
    try:
        return type(cls(*args))
    except TypeError:
        return TypeError


@pytest.mark.parametrize("owners", [(Made,), (MadeToo,), (Made, MadeToo), ()], ids=str)
@pytest.mark.parametrize(("cls", "args"), CONSTRUCTED)
def test_an_inherited_init_takes_what_it_took(owners, cls, args, patches):
    """object.__init__ ignores arguments for a class that overrides __new__ alone."""
    expected = constructed(cls, args)
    for owner in owners or (cls,):
        patches.apply((owner, "__init__"), pass_through)

    found = constructed(cls, args)

    assert expected == found


def test_an_inherited_init_is_decorated(patches):
    log = []
    patches.apply((Made, "__init__"), noting(log, "init"))

    MadeToo(1, 2)

    assert log == ["init"]


class Sized(collections.abc.Sized):
    def size(self):
        return len(self)

    @property
    def doubled(self):
        return 2 * len(self)

    def __len__(self):
        return 1


class Inheriting(Sized):
    pass


Inheriting.register(list)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("size", lambda: Inheriting.size([1, 2])),
        ("doubled", lambda: vars(Inheriting).get("doubled", Sized.doubled).fget([1])),
    ],
)
def test_an_inherited_method_is_called_with_what_its_abstract_class_takes_for_an_instance(
    name, use, patches
):
    """`isinstance` says that a list is one, but `super` does not."""
    log = []
    patches.apply((Inheriting, name), noting(log, name))

    assert use() == 2
    assert log == [name]


def test_an_inherited_getattribute_is_not_asked_what_it_is_of(patches):
    """isinstance() asks an object for its class, where the class has ABCMeta."""
    log = []
    subclass = type(Inheriting)("Subclass", (Inheriting,), {"value": 1})
    patches.apply((Inheriting, "__getattribute__"), noting(log, "asked"))

    assert subclass().value == 1
    assert log == ["asked"]


class Number:
    def __add__(self, other):
        return "add"

    def __radd__(self, other):
        return "radd"


class Sub(Number):
    pass


class WithSlots:
    __slots__ = ("a",)


@typing.runtime_checkable
class Reads(typing.Protocol):
    def read(self):
        return ""


@pytest.mark.parametrize(
    ("owner", "name", "instead"),
    [
        (Sub, "__radd__", "the base"),
        (WithSlots, "__reduce__", "'__reduce_ex__'"),
        (Reads, "__hash__", "the base"),
    ],
)
def test_what_python_does_otherwise_for_who_overrides_it_is_refused(owner, name, instead):
    with pytest.raises(safepatch.UnsupportedTargetError) as caught:
        safepatch.apply((owner, name), pass_through)

    assert "asks who overrides it" in str(caught.value)
    assert instead in str(caught.value)


def test_what_is_named_instead_of_them_can_be_patched(patches):
    log = []
    patches.apply((WithSlots, "__reduce_ex__"), noting(log, "reduced"))
    patches.apply((Number, "__radd__"), noting(log, "added"))

    copy.copy(WithSlots())

    assert Number() + Sub() == "add"
    assert 1 + Sub() == "radd"
    assert log == ["reduced", "added"]


def test_what_is_of_a_protocol_stays_of_it(patches):
    """isinstance() asks for each attribute that stands in a protocol, in 3.11 whenever asked."""
    reading = type("Reading", (), {"read": lambda self: "", "__hash__": None})
    patches.apply((Reads, "read"), pass_through)

    assert isinstance(reading(), Reads)
    assert not isinstance(3, Reads)


# --- Results that are not of the kind.


class Served:
    async def coroutine(self):
        return "original"

    def generator(self):
        yield "original"

    async def async_generator(self):
        yield "original"


@types.coroutine
def old_style():
    yield from ()
    return "original"


class Awaited:
    def __await__(self):
        yield from ()
        return "replaced"


async def awaited():
    return "replaced"


async def first(iterable):
    return await anext(aiter(iterable))


AWAITABLE = {
    "a value": lambda: "replaced",
    "a coroutine": lambda: awaited(),
    "an object": lambda: Awaited(),
}


def namespaces():
    instance = Served()
    return {
        "method of an instance": (instance, "coroutine"),
        "bound method": (types.SimpleNamespace(f=instance.coroutine), "f"),
        "partial": (types.SimpleNamespace(f=functools.partial(Served.coroutine, instance)), "f"),
    }


@pytest.mark.parametrize("result", AWAITABLE.values(), ids=AWAITABLE.keys())
@pytest.mark.parametrize("kind", sorted(namespaces()))
def test_what_a_wrapper_of_a_coroutine_function_returns_need_not_be_awaitable(
    kind, result, patches
):
    owner, name = namespaces()[kind]
    is_coroutine = inspect.iscoroutinefunction(getattr(owner, name))
    patches.apply((owner, name), replace(result))

    async def call():
        return await getattr(owner, name)()

    assert asyncio.run(call()) == "replaced"
    assert inspect.iscoroutinefunction(getattr(owner, name)) == is_coroutine


@pytest.mark.parametrize("aliases", ["ignore", "rebind"])
@pytest.mark.parametrize("result", AWAITABLE.values(), ids=AWAITABLE.keys())
def test_an_old_style_coroutine_function_awaits_what_can_be_awaited(result, aliases, patches):
    owner = types.SimpleNamespace(f=old_style)
    patches.apply((owner, "f"), replace(result), aliases=aliases)

    async def call():
        return await owner.f()

    assert asyncio.run(call()) == "replaced"


def test_a_generator_of_an_instance_is_one_whatever_iterable_is_returned(patches):
    instance = Served()
    patches.apply((instance, "generator"), replace(lambda: ["replaced"]))

    generator = instance.generator()

    assert inspect.isgenerator(generator)
    assert list(generator) == ["replaced"]


def test_an_async_generator_of_an_instance_is_one(patches):
    instance = Served()
    patches.apply((instance, "async_generator"), pass_through)

    assert inspect.isasyncgenfunction(instance.async_generator)
    assert asyncio.run(first(instance.async_generator())) == "original"


@pytest.mark.parametrize("aliases", ["ignore", "rebind"])
def test_what_is_thrown_into_an_async_generator_is_nobody_elses_context(aliases, patches):
    async def throwing():
        try:
            yield
        except ValueError:
            pass
        raise KeyError(sys.exc_info()[1])

    owner = types.SimpleNamespace(f=throwing)
    patches.apply((owner, "f"), pass_through, aliases=aliases)

    async def context():
        generator = owner.f()
        await anext(generator)
        try:
            await generator.athrow(ValueError())
        except KeyError as error:
            return error.__context__, error.args

    assert asyncio.run(context()) == (None, (None,))


if hasattr(inspect, "markcoroutinefunction"):  # from 3.12 on

    def test_a_wrapper_marked_as_a_coroutine_function_is_refused_over_a_plain_one():
        def marking(wrapped):
            return inspect.markcoroutinefunction(lambda *args: awaited())

        with pytest.raises(safepatch.UnsupportedTargetError, match="coroutine function"):
            safepatch.apply("colorsys:rgb_to_hls", marking, aliases="ignore")


# --- Binding.


class Methods:
    def method(self, a=1):
        return ("method", a)

    partial = functools.partialmethod(method, 2)

    @functools.singledispatchmethod
    def dispatched(self, a=3):
        return ("dispatched", a)

    @property
    def prop(self):
        return ("prop", self.method())


def test_a_wrapper_that_is_a_partial_gets_the_instance(patches):
    """From 3.13 on a partial has a __get__, which only warns."""
    patches.apply((Methods, "method"), functools.partial)
    patches.apply((Methods, "prop"), functools.partial)

    assert Methods().method(5) == ("method", 5)
    assert Methods().prop == ("prop", ("method", 1))


def test_a_method_found_in_its_class_binds_as_it_did(patches):
    log = []
    patches.apply((Methods, "partial"), noting(log, "ran"))

    taken = type("Taken", (Methods,), {"alias": Methods.partial})

    assert Methods.partial.__get__(Methods(), Methods)() == ("method", 2)
    assert taken().alias() == ("method", 2)
    assert Methods.partial(Methods()) == ("method", 2)
    assert log == ["ran"] * 3


def test_wrapt_wraps_over_ours_over_wrapt(patches):
    def passing(wrapped, instance, args, kwargs):
        return wrapped(*args, **kwargs)

    class Owner:
        def method(self):
            return "original"

    log = []
    wrapt.wrap_function_wrapper(Owner, "method", passing)
    patch = patches.apply((Owner, "method"), noting(log, "ran"))
    Owner.method = wrapt.FunctionWrapper(Owner.method, passing)

    assert [Owner().method(), Owner.method(Owner())] == ["original"] * 2
    assert log == ["ran"] * 2
    patch.undo()
    assert [Owner().method(), Owner.method(Owner())] == ["original"] * 2
    assert log == ["ran"] * 2


def test_a_metaclass_below_keeps_its_own_method(patches):
    class Meta(type):
        def who(cls):
            return "Meta"

    class Further(Meta):
        def who(cls):  # noqa: N805
            return "Further"

    class Owner(metaclass=Meta):
        pass

    class Below(Owner, metaclass=Further):
        pass

    class Child(Owner):
        pass

    log, before = [], spaces(Owner, Below, Child)
    patch = patches.apply((Owner, "who"), noting(log, "ran"))

    assert [Below.who(), Owner.who(), Child.who()] == ["Further", "Meta", "Meta"]
    assert log == ["ran", "ran"]
    patch.undo()
    assert before == spaces(Owner, Below, Child)


def test_errors_of_a_patched_property_tell_its_name(patches):
    def message():
        with pytest.raises(AttributeError) as caught:
            Methods().prop = 1
        return str(caught.value)

    before = message()
    patches.apply((Methods, "prop"), pass_through)

    assert before == message()


def test_a_method_of_an_enum_is_patched_like_any_other(patches):
    class Colour(enum.Enum):
        RED = 1

        def told(self):
            return self.name

    patches.apply((Colour, "told"), lambda wrapped: lambda self: wrapped(self).lower())

    assert Colour.RED.told() == "red"
    assert list(Colour) == [Colour.RED]


class Followed:
    def method(self):
        return "method"

    @staticmethod
    def static():
        return "static"

    @classmethod
    def klass(cls):
        return "klass"

    partial = functools.partialmethod(method)
    wrapped = wrapt.FunctionWrapper(method, lambda wrapped, i, args, kwargs: wrapped(*args))


@pytest.mark.parametrize("name", ["method", "static", "klass", "partial", "wrapped"])
def test_a_patch_of_an_instance_follows_what_comes_and_goes_in_its_class(name, patches):
    instance, log = Followed(), []
    expected = getattr(instance, name)()
    patches.apply((instance, name), noting(log, "instance"))

    patch = patches.apply((Followed, name), noting(log, "class"))

    assert getattr(instance, name)() == expected
    assert log == ["instance", "class"]
    patch.undo()
    log.clear()
    assert getattr(instance, name)() == expected
    assert log == ["instance"]
