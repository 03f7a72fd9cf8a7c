"""explain() as data: what wrappers tell of themselves, and always fit for JSON."""

import functools
import json
import math
import sys
import types
from typing import Any, NamedTuple
from unittest import mock

import pytest
from helpers import pass_through
from hypothesis import given, settings
from hypothesis import strategies as st

import safepatch
from safepatch import counters
from safepatch.decorators import count_calls, memoize, replace, ttl_cache


@pytest.fixture
def shop():
    made = types.ModuleType("shop_that_counts")
    exec("def one(x): return x\ndef two(x): raise KeyError(x)", made.__dict__)
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


def lines(explanation):
    told = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    return [line for site in told["sites"] for line in site["lines"]] + told["others"]


def of(explanation, name):
    return next(line for line in lines(explanation) if line["name"] == name)


def test_every_patch_of_every_registry_is_told_with_its_counters(shop, patches):
    with safepatch.Registry() as other:
        patches.apply((shop, "one"), ttl_cache(ttl=60), name="cached")
        other.apply((shop, "two"), count_calls(), name="counted")
        for x in (1, 1, 2):
            shop.one(x)
            with pytest.raises(KeyError):
                shop.two(x)

        cached, counted = (of(safepatch.explain(), name) for name in ("cached", "counted"))

    assert cached["registry"] == repr(patches)
    assert cached["wrappers"] == [
        {
            "cache_info": {
                "hits": 1,
                "misses": 2,
                "maxsize": 1024,
                "currsize": 2,
                "verified": 0,
                "wrong": 0,
            }
        }
    ]
    stats = counted["wrappers"][0]["stats"]
    assert (stats["calls"], stats["errors"]) == (3, 3)
    assert stats["histogram"][-1] == ["inf", 0]


def test_wrappers_stand_in_the_order_of_decorators(shop, patches):
    patches.apply((shop, "one"), count_calls(), memoize(), name="both")

    line = of(patches.explain((shop, "one")), "both")

    assert line["decorators"] == ["@memoize()", "@count_calls()"]
    assert [[*told] for told in line["wrappers"]] == [["cache_info"], ["stats"]]


def test_each_patch_tells_of_itself_alone(shop, patches):
    """functools.wraps copies what lies below tells to what stands above."""
    patches.apply((shop, "one"), count_calls(), name="below")
    patches.apply((shop, "one"), pass_through, name="above")
    patches.apply((shop, "two"), count_calls(), pass_through, name="both")

    assert of(patches.explain((shop, "one")), "above")["wrappers"] == [{}]
    assert [[*told] for told in of(patches.explain((shop, "two")), "both")["wrappers"]] == [
        [],
        ["stats"],
    ]


def test_a_cache_of_the_original_is_not_the_patches(shop, patches):
    shop.one = functools.lru_cache(shop.one)
    patches.apply((shop, "one"), pass_through, name="first")
    patches.apply((shop, "two"), functools.lru_cache, name="second")

    assert of(patches.explain((shop, "one")), "first")["wrappers"] == [{}]
    [told] = of(patches.explain((shop, "two")), "second")["wrappers"]
    assert told["cache_info"] == {"hits": 0, "misses": 0, "maxsize": 128, "currsize": 0}


def telling(stats):
    def decorate(wrapped):
        made = pass_through(wrapped)
        made.stats = stats
        return made

    return decorate


def raising():
    raise ValueError("no numbers today")


class MuteError(Exception):
    def __str__(self):
        raise self


def raising_mutely():
    raise MuteError


@pytest.mark.parametrize(
    ("stats", "told"),
    [
        (raising, {"error": "ValueError: no numbers today"}),
        (raising_mutely, {"error": "MuteError"}),
        (lambda wanted: 1, None),
    ],
)
def test_a_wrapper_whose_stats_raise_does_not_break_it(shop, patches, stats, told):
    patches.apply((shop, "one"), telling(stats), name="first")

    [found] = of(safepatch.explain(), "first")["wrappers"]

    assert found["stats"] == told or found["stats"]["error"].startswith("TypeError: ")


def test_stats_that_are_no_method_are_left_alone(shop, patches):
    patches.apply((shop, "one"), telling({"calls": 1}), name="first")

    assert of(safepatch.explain(), "first")["wrappers"] == [{}]


def test_a_mock_is_not_asked(shop, patches):
    """It would note the question as a call, which its owner is going to look at."""
    stand_in = mock.Mock(return_value=3)
    patches.apply((shop, "one"), replace(stand_in), name="first")

    found = of(safepatch.explain(), "first")

    assert shop.one(1) == 3
    assert found["wrappers"] == [{}]
    assert stand_in.mock_calls == [mock.call(1)]


def test_what_was_skipped_or_undone_is_told(shop, patches):
    with pytest.warns(safepatch.GuardWarning):
        patches.apply(
            (shop, "one"), count_calls(), guard=lambda f: "no", on_mismatch="skip", name="skipped"
        )
    patches.register("named", (shop, "two"), count_calls())
    patches.apply("named").undo()

    skipped, named = (of(safepatch.explain(), name) for name in ("skipped", "named"))

    assert (skipped["state"], skipped["reason"], skipped["wrappers"]) == ("skipped", "no", [])
    assert named["state"] == "undone"
    assert named["wrappers"][0]["stats"]["calls"] == 0


class Odd(NamedTuple):
    calls: Any
    more: Any


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers())
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
        | st.builds(Odd, inner, inner)
    ),
)


@settings(max_examples=40)
@given(VALUES)
def test_whatever_is_told_can_be_json(value):
    told = counters.plain(value)

    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_what_contains_itself_ends():
    circle: list[Any] = []
    circle.append(circle)

    json.dumps(counters.plain(circle), allow_nan=False)
    assert counters.plain([math.inf, -math.inf, math.nan]) == ["inf", "-inf", "nan"]


def test_an_argument_that_cannot_be_written_does_not_break_it(shop, patches):
    class Mute:
        def __repr__(self):
            raise ValueError

    decorator = functools.partial(lambda wrapped, tag: wrapped, tag=Mute())
    patches.apply((shop, "one"), decorator, name="first")

    assert "(tag=<" in of(safepatch.explain(), "first")["decorators"][0]
