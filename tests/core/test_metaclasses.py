"""Methods of metaclasses, patched there or on one class that has them through its metaclass."""

import asyncio
import inspect

import pytest
from helpers import noting, pass_through, spaces

import safepatch


class Meta(type):
    def plain(cls, a=1):
        return cls.__name__, a

    async def coroutine(cls):
        return cls.__name__

    def generator(cls):
        got = yield cls.__name__
        yield got

    async def asyncgen(cls):
        yield cls.__name__

    @property
    def prop(cls):
        return cls.__name__

    @classmethod
    def klass(cls):
        return cls.__name__

    def __call__(cls, *args):
        return super().__call__(*args)

    def __getitem__(cls, item):
        return cls.__name__, item

    def __instancecheck__(cls, instance):
        return instance == "one of us" or super().__instancecheck__(instance)

    def __iter__(cls):
        yield cls.__name__


class Made(metaclass=Meta):
    pass


def collect(stream):
    async def main():
        return [value async for value in stream]

    return asyncio.run(main())


async def wait_for(awaitable):
    return await awaitable


def sent(generator):
    return [next(generator), generator.send("sent")]


# Owner, name, and how it comes to be called.
USES = {
    "metaclass: plain": (Meta, "plain", lambda: [Made.plain(), Made.plain(a=2)]),
    "metaclass: coroutine": (Meta, "coroutine", lambda: asyncio.run(wait_for(Made.coroutine()))),
    "metaclass: generator": (Meta, "generator", lambda: sent(Made.generator())),
    "metaclass: asyncgen": (Meta, "asyncgen", lambda: collect(Made.asyncgen())),
    "metaclass: property": (Meta, "prop", lambda: Made.prop),
    "metaclass: class method": (Meta, "klass", lambda: [Meta.klass(), Made.klass()]),
    "metaclass: __call__": (Meta, "__call__", lambda: type(Made())),
    "metaclass: __getitem__": (Meta, "__getitem__", lambda: Made["key"]),
    "metaclass: __iter__": (Meta, "__iter__", lambda: list(Made)),
    "metaclass: __instancecheck__": (
        Meta,
        "__instancecheck__",
        lambda: [isinstance("one of us", Made), isinstance(Made(), Made), isinstance(1, Made)],
    ),
    "by class: plain": (Made, "plain", lambda: [Made.plain(), Made.plain(a=2)]),
    "by class: coroutine": (Made, "coroutine", lambda: asyncio.run(wait_for(Made.coroutine()))),
    "by class: generator": (Made, "generator", lambda: sent(Made.generator())),
    "by class: asyncgen": (Made, "asyncgen", lambda: collect(Made.asyncgen())),
}


@pytest.mark.parametrize(("owner", "name", "use"), USES.values(), ids=USES.keys())
def test_it_runs_the_patch_and_gives_what_it_gave(owner, name, use):
    log, expected = [], use()
    before = spaces(owner, Meta, Made)

    with safepatch.patch((owner, name), noting(log, "ran")):
        found = use()

    assert expected == found
    assert log
    assert before == spaces(owner, Meta, Made)
    assert expected == use()


# What can be asked of such a class, whichever of its methods is patched.
LOOKS = {
    "kinds in a metaclass": (
        Meta,
        "coroutine",
        lambda: [inspect.iscoroutinefunction(Meta.coroutine), inspect.ismethod(Made.coroutine)],
    ),
    "kinds by class": (
        Made,
        "coroutine",
        lambda: [inspect.iscoroutinefunction(Made.coroutine), inspect.ismethod(Made.coroutine)],
    ),
    "kinds by class of generators": (
        Made,
        "generator",
        lambda: [
            inspect.isgeneratorfunction(Made.generator),
            str(inspect.signature(Made.generator)),
        ],
    ),
    "instances know no method of the metaclass": (Made, "plain", lambda: hasattr(Made(), "plain")),
}


@pytest.mark.parametrize(("owner", "name", "look"), LOOKS.values(), ids=LOOKS.keys())
def test_it_looks_as_before(owner, name, look):
    expected = look()

    with safepatch.patch((owner, name), pass_through):
        found = look()

    assert expected == found
    assert expected == look()


def test_a_patch_on_one_class_is_not_seen_on_another_of_the_same_metaclass():
    log = []
    other = Meta("Other", (), {})

    with safepatch.patch((Made, "plain"), noting(log, "ran")):
        results = other.plain(), Made.plain()

    assert results == (("Other", 1), ("Made", 1))
    assert log == ["ran"]


@pytest.mark.parametrize("undone", [(0, 1), (1, 0)])
@pytest.mark.parametrize("applied", [("class", "metaclass"), ("metaclass", "class")])
def test_patches_on_a_class_and_on_its_metaclass_both_run_in_any_order(applied, undone, patches):
    owners, log = {"class": Made, "metaclass": Meta}, []
    before = spaces(Made, Meta)
    live = [patches.apply((owners[name], "plain"), noting(log, name)) for name in applied]

    assert Made.plain(a=2) == ("Made", 2)
    assert log == ["class", "metaclass"]
    log.clear()
    live[undone[0]].undo()
    assert Made.plain(a=2) == ("Made", 2)
    assert log == [applied[undone[1]]]
    live[undone[1]].undo()
    assert before == spaces(Made, Meta)


def test_a_patch_outlives_the_method_of_the_metaclass(patches):
    class Fresh(type):
        def who(cls):
            return "who"

    owner = Fresh("owner", (), {})
    patches.apply((owner, "who"), pass_through)
    del Fresh.who

    with pytest.raises(AttributeError, match="who"):
        owner.who()
