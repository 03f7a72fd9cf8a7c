"""A patched property or cached property: its getter is decorated, all else is as before."""

import functools
import inspect

import pytest
from helpers import noting, pass_through, spaces

import safepatch


class Shop:
    """What it sells, with a property for each way to make one."""

    def __init__(self):
        self._price = 1
        self.told = []

    @property
    def price(self):
        """What it costs."""
        return self._price

    @price.setter
    def price(self, value):
        self.told.append(("set", value))
        self._price = value

    @price.deleter
    def price(self):
        self.told.append("deleted")
        self._price = None

    @property
    def only_read(self):
        """Cannot be set."""
        return self._price

    documented = property(lambda self: self._price, doc="Given by hand.")

    @functools.cached_property
    def computed(self):
        """What takes long to compute."""
        self.told.append("computed")
        return [self._price]


class Heir(Shop):
    pass


OWNERS = pytest.mark.parametrize("owner", [Shop, Heir], ids=["own", "inherited"])
PROPERTIES = ["price", "only_read", "documented"]


@pytest.fixture(autouse=True)
def classes_are_as_they_were():
    before = spaces(Shop, Heir)
    yield
    assert before == spaces(Shop, Heir)


def attempt(action, *args):
    try:
        return action(*args)
    except AttributeError as error:
        return type(error)


def transcript(owner, name):
    """All that one can do with a property of an instance, and what came of it."""
    shop = owner()
    results = [
        attempt(getattr, shop, name),
        attempt(setattr, shop, name, 5),
        attempt(getattr, shop, name),
        attempt(delattr, shop, name),
        attempt(getattr, shop, name),
    ]
    return results, shop.told, shop._price, name in vars(shop)


@OWNERS
@pytest.mark.parametrize("name", [*PROPERTIES, "computed"])
def test_getting_setting_and_deleting_give_what_they_gave(owner, name):
    expected = transcript(owner, name)

    with safepatch.patch((owner, name), pass_through):
        found = transcript(owner, name)

    assert expected == found
    assert expected == transcript(owner, name)


@OWNERS
@pytest.mark.parametrize("name", [*PROPERTIES, "computed"])
def test_the_docstring_is_the_propertys_own(owner, name):
    expected = getattr(owner, name).__doc__, inspect.getdoc(getattr(owner, name))

    with safepatch.patch((owner, name), pass_through):
        found = getattr(owner, name).__doc__, inspect.getdoc(getattr(owner, name))

    assert expected == found
    assert expected[0]


@OWNERS
def test_the_setter_and_deleter_are_the_very_functions(owner):
    expected = owner.price.fset, owner.price.fdel

    with safepatch.patch((owner, "price"), pass_through):
        found = owner.price.fset, owner.price.fdel, owner.only_read.fset

    assert (*expected, None) == found


def test_only_the_getter_is_decorated():
    log, shop = [], Shop()

    with safepatch.patch((Shop, "price"), noting(log, "got")):
        shop.price = 3
        del shop.price
        assert log == []
        _ = shop.price

    assert log == ["got"]
    assert shop.told == [("set", 3), "deleted"]


def test_a_property_of_a_class_that_is_extended_while_patched_keeps_its_patch_only_while_it_lasts():
    """`@Shop.price.setter` in a class body makes a new property around the getter that it found."""
    log = []

    with safepatch.patch((Shop, "price"), noting(log, "got")):

        class Extended(Shop):
            @Shop.price.setter
            def price(self, value):
                self._price = -value

        extended = Extended()
        extended.price = 4
        during = extended.price

    assert (during, log) == (-4, ["got"])
    log.clear()
    assert extended.price == -4
    assert log == []


# Cached properties.


@OWNERS
def test_a_value_that_was_cached_before_stays(owner):
    log, shop = [], owner()
    cached = shop.computed

    with safepatch.patch((owner, "computed"), noting(log, "ran")):
        during = shop.computed

    assert cached is during is shop.computed
    assert log == []
    assert shop.told == ["computed"]


@OWNERS
def test_a_value_that_is_cached_while_patched_stays(owner):
    log, shop = [], owner()

    with safepatch.patch((owner, "computed"), noting(log, "ran")):
        during = [shop.computed, shop.computed]

    assert during[0] is during[1] is shop.computed is vars(shop)["computed"]
    assert log == ["ran"]
    assert shop.told == ["computed"]


@OWNERS
def test_a_value_that_was_deleted_is_computed_anew_by_whatever_stands_there(owner):
    log, shop = [], owner()
    _ = shop.computed

    with safepatch.patch((owner, "computed"), noting(log, "ran")):
        del shop.computed
        _ = shop.computed
        del shop.computed
    _ = shop.computed

    assert log == ["ran"]
    assert shop.told == ["computed"] * 3


@OWNERS
def test_what_was_set_past_a_cached_property_is_given(owner):
    shop = owner()

    with safepatch.patch((owner, "computed"), pass_through):
        shop.computed = "set by hand"
        during = shop.computed

    assert during == shop.computed == "set by hand"
    assert shop.told == []


def test_a_cached_property_under_another_name_than_its_functions_caches_under_its_own():
    class Other:
        renamed = functools.cached_property(lambda self: ["value"])

    with safepatch.patch((Other, "renamed"), pass_through):
        other = Other()
        during = other.renamed

    assert vars(other) == {"renamed": during}
    assert during is other.renamed


def test_a_getter_that_raises_caches_nothing_and_says_what_it_said():
    class Other:
        def __getattr__(self, name):
            raise AttributeError(f"no {name}")

        @functools.cached_property
        def failing(self):
            raise KeyError("key")

        @property
        def missing(self):
            raise AttributeError("inner")

    with (
        safepatch.patch((Other, "failing"), pass_through),
        safepatch.patch((Other, "missing"), pass_through),
    ):
        other = Other()
        with pytest.raises(KeyError, match="key"):
            other.failing
        # As ever, an AttributeError of a getter makes Python ask __getattr__.
        with pytest.raises(AttributeError, match="no missing"):
            other.missing

    assert vars(other) == {}
