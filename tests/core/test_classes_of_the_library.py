"""Methods of classes that the standard library makes or checks: enums, named tuples, data
classes, generic classes and protocols."""

import abc
import collections
import copy
import dataclasses
import enum
import inspect
import pickle
import typing
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import pytest
from helpers import noting, pass_through, spaces

import safepatch

T = TypeVar("T")


class Color(enum.Enum):
    RED = 1
    GREEN = 2

    def shout(self):
        return self.name + "!"

    @classmethod
    def _missing_(cls, value):
        return cls.RED if value == "crimson" else None

    @staticmethod
    def _generate_next_value_(name, start, count, last):
        return count

    @property
    def darker(self):
        return f"dark {self.name}"

    def __str__(self):
        return f"the color {self.name}"


class Level(enum.IntFlag):
    READ = 1
    WRITE = 2

    def shout(self):
        return [level.name for level in self]


class Point(NamedTuple):
    x: int
    y: int = 2

    def total(self):
        return self.x + self.y


Pair = collections.namedtuple("Pair", "left right")


@dataclasses.dataclass(order=True)
class Item:
    price: int
    tags: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.tags.append("made")

    def total(self, count=2):
        return self.price * count


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    price: int

    def total(self):
        return self.price * 2


class Box(Generic[T]):
    def __init__(self, item: T):
        self.item = item

    def get(self) -> T:
        return self.item

    @classmethod
    def of(cls, item: T):
        return cls(item)


class IntBox(Box[int]):
    pass


@runtime_checkable
class Sized(Protocol):
    def size(self) -> int:
        return 7

    @abc.abstractmethod
    def weight(self) -> int: ...


class Brick(Sized):
    def weight(self):
        return self.size() + 1


class Stone:
    def size(self):
        return 1

    def weight(self):
        return 2


# Owner, name, and how it comes to be called.
USES = {
    "enum: method": (Color, "shout", lambda: [color.shout() for color in Color]),
    "enum: _missing_": (Color, "_missing_", lambda: Color("crimson")),
    "enum: property": (Color, "darker", lambda: Color.RED.darker),
    "enum: __str__": (Color, "__str__", lambda: [str(color) for color in Color]),
    "enum: flag": (Level, "shout", lambda: (Level.READ | Level.WRITE).shout()),
    "enum: inherited __format__": (Color, "__format__", lambda: f"{Color.RED:>20}"),
    "enum: inherited __reduce_ex__": (
        Color,
        "__reduce_ex__",
        lambda: pickle.loads(pickle.dumps(Color.RED)),
    ),
    "NamedTuple: method": (Point, "total", lambda: Point(1).total()),
    "NamedTuple: _replace": (Point, "_replace", lambda: Point(1)._replace(x=5)),
    "NamedTuple: _make": (Point, "_make", lambda: Point._make([1, 2])),
    "NamedTuple: __new__": (Point, "__new__", lambda: [Point(1), Point(y=3, x=1)]),
    "namedtuple: _asdict": (Pair, "_asdict", lambda: Pair(1, 2)._asdict()),
    "namedtuple: __repr__": (Pair, "__repr__", lambda: repr(Pair(1, right=2))),
    "namedtuple: inherited index": (Pair, "index", lambda: Pair(1, 2).index(2)),
    "dataclass: method": (Item, "total", lambda: [Item(3).total(), Item(3).total(count=3)]),
    "dataclass: __init__": (Item, "__init__", lambda: Item(price=3)),
    "dataclass: __post_init__": (Item, "__post_init__", lambda: Item(3).tags),
    "dataclass: __eq__": (Item, "__eq__", lambda: [Item(3) == Item(3), Item(3) != Item(4)]),
    "dataclass: __lt__": (Item, "__lt__", lambda: sorted([Item(4), Item(3)])),
    "dataclass: __repr__": (Item, "__repr__", lambda: repr(Item(3))),
    "dataclass: replace": (Item, "__init__", lambda: dataclasses.replace(Item(3), price=4)),
    "frozen dataclass: method": (Frozen, "total", lambda: Frozen(3).total()),
    "frozen dataclass: __hash__": (Frozen, "__hash__", lambda: {Frozen(3): 1}[Frozen(3)]),
    "frozen dataclass: copy": (Frozen, "__getstate__", lambda: copy.copy(Frozen(3))),
    "Generic: method": (Box, "get", lambda: [Box(1).get(), Box[int](2).get(), IntBox(3).get()]),
    "Generic: class method": (Box, "of", lambda: [type(Box[int].of(1)), type(IntBox.of(1))]),
    "Generic: inherited method": (IntBox, "get", lambda: IntBox(3).get()),
    "Generic: __class_getitem__": (Box, "__class_getitem__", lambda: Box[int]),
    "Protocol: method": (Sized, "size", lambda: [Brick().size(), Brick().weight()]),
    "Protocol: implementation": (Brick, "weight", lambda: Brick().weight()),
}


@pytest.mark.parametrize(("owner", "name", "use"), USES.values(), ids=USES.keys())
def test_it_runs_the_patch_and_gives_what_it_gave(owner, name, use):
    log, expected = [], use()
    before = spaces(owner, *owner.__mro__)

    with safepatch.patch((owner, name), noting(log, "ran")):
        found = use()

    assert expected == found
    assert log
    assert before == spaces(owner, *owner.__mro__)
    assert expected == use()


def checks(cls, *classes):
    """Whether each is a subclass of a protocol, and its instances are instances."""
    return [(issubclass(each, cls), isinstance(each(), cls)) for each in classes]


# What can be asked of such a class, whichever of its methods is patched.
LOOKS = {
    "members of an enum": (
        Color,
        "shout",
        lambda: [list(Color), dict(Color.__members__), Color(1), Color["RED"], Color.RED.value],
    ),
    "what is no member of an enum": (Color, "shout", lambda: "shout" in Color.__members__),
    "members of an enum under __str__": (Color, "__str__", lambda: [list(Color), repr(Color.RED)]),
    "pickled members": (Color, "shout", lambda: [pickle.loads(pickle.dumps(Color.GREEN))]),
    "fields of a named tuple": (
        Point,
        "total",
        lambda: [Point._fields, Point._field_defaults, Point(1), tuple(Point(1)), Point(1).x],
    ),
    "a pickled named tuple": (Point, "__new__", lambda: pickle.loads(pickle.dumps(Point(1)))),
    "fields of a dataclass": (
        Item,
        "__init__",
        lambda: [dataclasses.fields(Item), dataclasses.asdict(Item(1)), inspect.signature(Item)],
    ),
    "how a dataclass is matched": (Item, "__init__", lambda: Item.__match_args__),
    "a frozen dataclass": (Frozen, "total", lambda: [Frozen(1), hash(Frozen(1)), Frozen.__slots__]),
    "a dataclass made of a dataclass": (
        Item,
        "__init__",
        lambda: str(inspect.signature(dataclasses.dataclass(type("More", (Item,), {})))),
    ),
    "parameters of a generic class": (
        Box,
        "get",
        lambda: [Box.__parameters__, IntBox.__orig_bases__, typing.get_args(Box[int])],
    ),
    "type hints of a method": (Box, "get", lambda: typing.get_type_hints(Box.get)),
    "type hints of a class": (Item, "total", lambda: typing.get_type_hints(Item)),
    "who has a protocol": (Sized, "size", lambda: checks(Sized, Brick, Stone, int, list)),
    "who has a protocol that it implements": (Stone, "size", lambda: checks(Sized, Brick, Stone)),
    "who inherits a protocol's method": (Brick, "size", lambda: checks(Sized, Brick, Stone)),
    "a protocol is not instantiated": (Sized, "size", lambda: inspect.isabstract(Sized)),
}


@pytest.mark.parametrize(("owner", "name", "look"), LOOKS.values(), ids=LOOKS.keys())
def test_it_looks_as_before(owner, name, look):
    expected = look()

    with safepatch.patch((owner, name), pass_through):
        found = look()

    assert expected == found
    assert expected == look()


def test_classes_made_while_their_base_is_patched_are_as_any_other_afterwards():
    with (
        safepatch.patch((Item, "total"), pass_through),
        safepatch.patch((Box, "get"), pass_through),
        safepatch.patch((Sized, "size"), pass_through),
    ):

        @dataclasses.dataclass
        class Dear(Item):
            extra: int = 1

            def total(self, count=2):
                return super().total(count) + self.extra

        class StrBox(Box[str]):
            def get(self):
                return super().get() + "!"

        class Heavy(Sized):
            def weight(self):
                return self.size() * 10

        during = Dear(3).total(), StrBox("a").get(), Heavy().weight()

    assert during == (7, "a!", 70)
    assert (Dear(3).total(), StrBox("a").get(), Heavy().weight()) == during
