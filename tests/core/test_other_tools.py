"""What tools that know nothing of us do to our faces; `tests/together` runs the real ones."""

import pytest
import wrapt
from helpers import noting, spaces

import safepatch


def make_class():
    class Shop:
        def price(self):
            return 1

    return Shop


def wrap(owner, log, mark):
    """Wrap a method as OpenTelemetry and ddtrace do."""

    def wrapper(wrapped, instance, args, kwargs):
        log.append(mark)
        return wrapped(*args, **kwargs)

    wrapt.wrap_function_wrapper(owner, "price", wrapper)


def take_off_the_outermost(owner):
    """And as they unwrap it: what looking the attribute up gives is what they put back."""
    owner.price = owner.price.__wrapped__


def heard(shop, log):
    log.clear()
    shop().price()
    return [*log]


def test_a_patch_between_two_wrappers_of_wrapt_stays_when_the_upper_is_taken_off():
    shop, log = make_class(), []
    wrap(shop, log, "lower")
    before = spaces(shop)
    patch = safepatch.apply((shop, "price"), noting(log, "ours"))
    wrap(shop, log, "upper")

    take_off_the_outermost(shop)

    assert heard(shop, log) == ["ours", "lower"]
    assert not patch.superseded
    patch.undo()
    assert before == spaces(shop)
    take_off_the_outermost(shop)
    assert heard(shop, log) == []


@pytest.mark.parametrize("upper_goes_first", [True, False])
def test_an_undone_patch_does_not_keep_a_wrapper_of_wrapt_from_being_taken_off(upper_goes_first):
    shop, log = make_class(), []
    wrap(shop, log, "lower")
    patch = safepatch.apply((shop, "price"), noting(log, "ours"))
    wrap(shop, log, "upper")
    if upper_goes_first:
        take_off_the_outermost(shop)
    patch.undo()
    if not upper_goes_first:
        take_off_the_outermost(shop)

    take_off_the_outermost(shop)

    assert heard(shop, log) == []


def test_explain_names_a_patch_between_two_wrappers_of_wrapt():
    shop, log = make_class(), []
    wrap(shop, log, "lower")
    with safepatch.patch((shop, "price"), noting(log, "ours"), name="ours"):
        wrap(shop, log, "upper")

        (site,) = safepatch.explain((shop, "price")).to_dict()["sites"]

        assert [line.get("name") for line in site["lines"]] == [None, "ours", None]
        take_off_the_outermost(shop)


def test_a_face_that_was_put_back_does_not_keep_a_closure_from_being_taken_off():
    """Such as a mock puts back that was started over our patch."""
    shop, log = make_class(), []
    original = shop.price
    shop.price = noting(log, "theirs")(original)
    patch = safepatch.apply((shop, "price"), noting(log, "ours"))
    face = shop.price
    patch.undo()
    shop.price = face

    take_off_the_outermost(shop)

    assert shop.price is original
