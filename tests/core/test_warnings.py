"""Warnings point at the line that asked for the patch, and come before anything changes."""

import asyncio
import contextlib
import sys
import types
import uuid
import warnings

import pytest
from helpers import noting, pass_through

import safepatch


@pytest.fixture
def shop():
    """A module whose function `price` somebody else took before, and whose `tax` nobody did."""
    made, customer = (types.ModuleType(f"{n}_{uuid.uuid4().hex}") for n in ("shop", "customer"))
    exec("def price(): return 1\ndef tax(): return 2", made.__dict__)
    customer.bought = made.price
    sys.modules |= {made.__name__: made, customer.__name__: customer}
    made.customer = customer
    before = dict(vars(made)), dict(vars(customer))
    yield made
    assert before == (vars(made), vars(customer))
    del sys.modules[made.__name__], sys.modules[customer.__name__]


def no(original):
    return "it rains"


def line():
    return sys._getframe(1).f_lineno


def apply(patches, patch):
    return line(), patch.apply()


def by_with(patches, patch):
    at = line() + 1
    with patch:
        return at


def by_with_among_others(patches, patch):
    at = line() + 1
    with contextlib.nullcontext(), patch:
        return at


def by_exit_stack(patches, patch):
    with contextlib.ExitStack() as stack:
        return line(), stack.enter_context(patch)


def by_context_manager_of_ones_own(patches, patch):
    @contextlib.contextmanager
    def patched():
        yield line(), patch.apply()

    with patched() as at:
        return at


def by_decorated_function(patches, patch):
    @patch
    def run():
        return None

    return line(), run()


def by_decorated_generator(patches, patch):
    @patch
    def run():
        yield 1

    return line(), list(run())


def by_decorated_coroutine(patches, patch):
    @patch
    async def run():
        return None

    async def main():
        return line(), await run()

    return asyncio.run(main())


def by_decorated_coroutine_that_is_a_task(patches, patch):
    @patch
    async def run():
        return None

    return line(), asyncio.run(run())


def by_decorated_async_generator(patches, patch):
    @patch
    async def run():
        yield 1

    async def main():
        return line(), [value async for value in run()]

    return asyncio.run(main())


def by_decorated_class(patches, patch):
    @patch
    class Tests:
        def test_it(self):
            return None

    return line(), Tests().test_it()


def by_name(patches, patch):
    patches.register("name", patch)
    return line(), patches.apply("name")


def by_apply_all(patches, patch):
    patches.register("name", patch)
    return line(), patches.apply_all()


def by_group(patches, patch):
    group = patches.register("name", [patch])
    return line(), group.apply()


def by_with_of_a_group(patches, patch):
    group = patches.register("name", [patch])
    at = line() + 1
    with group:
        return at


WAYS = [
    apply,
    by_with,
    by_with_among_others,
    by_exit_stack,
    by_context_manager_of_ones_own,
    by_decorated_function,
    by_decorated_generator,
    by_decorated_coroutine,
    by_decorated_coroutine_that_is_a_task,
    by_decorated_async_generator,
    by_decorated_class,
    by_name,
    by_apply_all,
    by_group,
    by_with_of_a_group,
]
REASONS = {
    "an alias": ({"aliases": "warn"}, safepatch.AliasWarning, "bought"),
    "a skipping guard": (
        {"guard": no, "on_mismatch": "skip", "aliases": "ignore"},
        safepatch.GuardWarning,
        "it rains",
    ),
    "an overruled guard": (
        {"guard": no, "on_mismatch": "apply", "aliases": "ignore"},
        safepatch.GuardWarning,
        "it rains",
    ),
}
each_reason = pytest.mark.parametrize(
    ("options", "category", "text"), REASONS.values(), ids=REASONS.keys()
)
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@each_way
@each_reason
def test_a_warning_is_given_once_and_points_at_the_callers_line(
    shop, patches, way, options, category, text
):
    patch = patches.patch(f"{shop.__name__}:price", pass_through, **options)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        given = way(patches, patch)
    patches.undo_all()

    expected = given if isinstance(given, int) else given[0]
    assert [warning.category for warning in caught] == [category]
    assert text in str(caught[0].message)
    assert (__file__, expected) == (caught[0].filename, caught[0].lineno)


@each_way
@each_reason
def test_with_warnings_as_errors_nothing_is_changed(shop, patches, way, options, category, text):
    before = dict(vars(shop)), dict(vars(shop.customer))
    patch = patches.patch(f"{shop.__name__}:price", pass_through, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(category, match=text):
            way(patches, patch)

    assert before == (vars(shop), vars(shop.customer))
    assert patch.state == "declared"
    assert patches.live() == []


@each_reason
@pytest.mark.parametrize("position", [0, 1])
def test_with_warnings_as_errors_apply_all_applies_none(
    shop, patches, options, category, text, position
):
    quiet = patches.patch(f"{shop.__name__}:tax", pass_through)
    loud = patches.patch(f"{shop.__name__}:price", pass_through, **options)
    for name, patch in enumerate([loud, quiet] if position else [quiet, loud]):
        patches.register(f"patch-{name}", patch)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(category, match=text):
            patches.apply_all()

    assert {quiet.state, loud.state} == {"declared"}
    assert patches.live() == []


def test_with_warnings_as_errors_rebinding_what_cannot_be_reached_changes_nothing(patches):
    import time

    holder = {"a dict that holds it": time.monotonic}
    before = dict(vars(time))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(safepatch.AliasWarning, match="cannot reach"):
            patches.apply("time:monotonic", pass_through, aliases="rebind")

    assert before == vars(time)
    assert holder["a dict that holds it"] is time.monotonic
    assert patches.live() == []


def test_a_warning_that_became_an_error_does_not_stand_in_the_way_of_the_next_try(shop):
    patch = safepatch.patch(f"{shop.__name__}:price", pass_through, aliases="warn")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(safepatch.AliasWarning):
            patch.__enter__()

    with pytest.warns(safepatch.AliasWarning), patch:
        assert patch.state == "applied"

    assert patch.state == "undone"


DEFAULTS = {
    "apply": (apply, 1),
    "apply_all": (by_apply_all, 1),
    "a group": (by_group, 1),
    "with": (by_with, 0),
    "ExitStack": (by_exit_stack, 0),
    "a decorated function": (by_decorated_function, 0),
    "with, of a group": (by_with_of_a_group, 0),
}


@pytest.mark.parametrize(("way", "expected"), DEFAULTS.values(), ids=DEFAULTS.keys())
def test_aliases_are_warned_of_by_default_outside_of_with(shop, patches, way, expected):
    patch = patches.patch(f"{shop.__name__}:price", pass_through)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        way(patches, patch)
    patches.undo_all()

    assert expected == len(caught)


def test_one_warning_names_every_holder(shop, patches):
    shop.customer.again = shop.price

    with pytest.warns(safepatch.AliasWarning) as caught:
        patches.apply(f"{shop.__name__}:price", pass_through).undo()

    assert len(caught) == 1
    for name in ("bought", "again"):
        assert f"{shop.customer.__name__}:{name}" in str(caught[0].message)
    del shop.customer.again


@pytest.mark.parametrize("aliases", ["ignore", "rebind"])
def test_who_said_what_to_do_about_aliases_is_not_warned(shop, patches, aliases):
    patches.apply(f"{shop.__name__}:price", pass_through, aliases=aliases)

    assert len(patches.live()) == 1
    patches.undo_all()


def test_nobody_is_warned_of_what_nobody_holds(shop, patches):
    patches.apply(f"{shop.__name__}:tax", pass_through)

    assert len(patches.live()) == 1
    patches.undo_all()


@each_reason
def test_the_warning_comes_before_anything_changes(shop, patches, options, category, text):
    states = []
    original = shop.price
    patch = patches.patch(f"{shop.__name__}:price", pass_through, **options)

    def look(*args, **kwargs):
        states.append((patch.state, shop.price is original))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = look
        patch.apply()
    patches.undo_all()

    assert states == [("declared", True)]


def test_the_warning_obeys_a_filter_for_the_callers_module(shop, patches):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=safepatch.AliasWarning, module=__name__)
        patches.apply(f"{shop.__name__}:price", pass_through)

    assert len(patches.live()) == 1
    patches.undo_all()


def test_the_default_filter_shows_a_warning_once_a_line(shop, patches):
    patch = patches.patch(f"{shop.__name__}:price", noting([], 1), aliases="warn")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            with patch:
                pass

    assert len(caught) == 1


@pytest.mark.parametrize("category", [safepatch.GuardWarning, safepatch.AliasWarning])
def test_a_warning_is_shown_to_users_by_default(category):
    assert issubclass(category, UserWarning)
