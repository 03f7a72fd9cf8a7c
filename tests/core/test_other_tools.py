"""What tools that know nothing of us do to our faces; `tests/together` runs the real ones."""

import inspect
import types

import pytest
import wrapt
from helpers import noting, spaces

import safepatch


def make_class():
    class Shop:
        def price(self):
            return 1

    return Shop


def make_module():
    module = types.ModuleType("shop")
    module.price = lambda: 1
    return module


def closure(owner, log, mark):
    """Wrap as OpenTelemetry does with requests."""
    owner.price = noting(log, mark)(owner.price)


def wrap(owner, log, mark):
    """Wrap as it and ddtrace mostly do."""

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


@pytest.mark.parametrize("upper", [wrap, closure])
@pytest.mark.parametrize("upper_goes_first", [True, False])
def test_an_undone_patch_does_not_keep_a_wrapper_of_wrapt_from_being_taken_off(
    upper, upper_goes_first
):
    shop, log = make_class(), []
    wrap(shop, log, "lower")
    patch = safepatch.apply((shop, "price"), noting(log, "ours"))
    upper(shop, log, "upper")
    if upper_goes_first:
        take_off_the_outermost(shop)
    patch.undo()
    if not upper_goes_first:
        take_off_the_outermost(shop)

    take_off_the_outermost(shop)

    assert heard(shop, log) == []


def test_explain_names_a_patch_between_two_wrappers_of_wrapt_and_where_those_were_written():
    shop, log = make_class(), []
    wrapper_line = next(
        code.co_firstlineno for code in wrap.__code__.co_consts if inspect.iscode(code)
    )
    wrap(shop, log, "lower")
    with safepatch.patch((shop, "price"), noting(log, "ours"), name="ours"):
        wrap(shop, log, "upper")

        (site,) = safepatch.explain((shop, "price")).to_dict()["sites"]

        assert [line.get("name") for line in site["lines"]] == [None, "ours", None]
        for line in (site["lines"][0], site["lines"][-1]):
            assert "test_other_tools.wrap.<locals>.wrapper" in line["decorator"]
            assert line["where"] == f"{__file__}:{wrapper_line}"
        take_off_the_outermost(shop)


@pytest.mark.parametrize("owner", [make_class, make_module])
@pytest.mark.parametrize("theirs", [closure, wrap])
def test_a_face_that_was_put_back_does_not_keep_a_wrapper_from_being_taken_off(owner, theirs):
    """Such as a mock puts back that was started over our patch."""
    shop, log = owner(), []
    original = shop.price
    theirs(shop, log, "theirs")
    patch = safepatch.apply((shop, "price"), noting(log, "ours"))
    face = vars(shop)["price"]
    patch.undo()
    shop.price = face

    take_off_the_outermost(shop)

    assert shop.price is original


# Code in place of ours: ddtrace exchanges the code of the very function that it finds.


def over(stack):
    def wrapper(*args, **kwargs):
        stack  # code that is put into a function must have as many free variables as it had
        call = "around"
        return call(*args, **kwargs)

    return wrapper


def exchange_code(function, log, mark):
    """Put a wrapper into a function; gives the way to take it out again."""
    code = function.__code__
    inner = types.FunctionType(code, function.__globals__, closure=function.__closure__)
    around, wrapper = noting(log, mark)(inner), over(None).__code__
    consts = (around if const == "around" else const for const in wrapper.co_consts)
    function.__code__ = wrapper.replace(co_consts=tuple(consts))

    def take_out():
        function.__code__ = code

    return take_out


def test_code_that_somebody_put_into_our_face_keeps_running_when_we_go():
    shop, log = make_class(), []
    before = spaces(shop)
    patch = safepatch.apply((shop, "price"), noting(log, "ours"))
    take_out = exchange_code(shop.price, log, "theirs")
    assert heard(shop, log) == ["theirs", "ours"]

    patch.undo()

    assert heard(shop, log) == ["theirs"]
    take_out()
    safepatch.explain((shop, "price"))
    assert before == spaces(shop)


@pytest.mark.parametrize("first", ["lower", "upper"])
def test_a_patch_goes_on_top_of_code_that_somebody_put_into_our_face(first, patches):
    shop, log = make_class(), []
    before = spaces(shop)
    made = {"lower": patches.apply((shop, "price"), noting(log, "lower"), name="lower")}
    take_out = exchange_code(shop.price, log, "theirs")
    made["upper"] = patches.apply((shop, "price"), noting(log, "upper"), name="upper")
    assert heard(shop, log) == ["upper", "theirs", "lower"]
    (site,) = safepatch.explain((shop, "price")).to_dict()["sites"]
    assert [line.get("name") for line in site["lines"]] == ["upper", None, "lower"]
    assert not made["lower"].superseded

    made.pop(first).undo()

    assert heard(shop, log) == {"lower": ["upper", "theirs"], "upper": ["theirs", "lower"]}[first]
    made.popitem()[1].undo()
    assert heard(shop, log) == ["theirs"]
    take_out()
    safepatch.explain((shop, "price"))
    assert before == spaces(shop)
