"""Decorators by their names."""

import inspect
import sys

import pytest

from safepatch import ConfigError, catalogue, decorators, references, shapes
from safepatch.catalogue import Use


def test_the_names_are_those_of_our_decorators():
    assert catalogue.names() == [
        "circuit_breaker",
        "count_calls",
        "fault",
        "log_calls",
        "memoize",
        "rate_limit",
        "replace",
        "retry",
        "single_flight",
        "timeout",
        "ttl_cache",
    ]
    assert all(inspect.isfunction(getattr(decorators, name)) for name in catalogue.names())


def double(value):
    return 2 * value


def test_one_of_ours_is_made_by_its_name_with_options_or_none():
    cached = catalogue.decorator("ttl_cache", ttl=60, maxsize=3)(double)
    counted = catalogue.decorator("count_calls")(double)

    assert (cached(2), counted(2)) == (4, 4)
    assert cached.cache_info().maxsize == 3
    assert counted.stats().calls == 1


def test_any_other_is_named_with_its_module_and_called_if_there_is_something_to_call_it_with(
    project,
):
    import shop_patches

    assert catalogue.decorator("shop_patches:shout") is shop_patches.shout
    assert catalogue.decorator("shop_patches:marked", "m")(double)(2) == ("m", 4)
    assert catalogue.decorator("shop_patches:marked", times=2)(double)(2) == ("marked", "marked", 4)
    assert catalogue.make(Use("shop_patches:marked", called=True))(double)(2) == ("marked", 4)


BARE = {
    "def it(wrapped): return wrapped": True,
    "def it(*functions): return functions[0]": True,
    "def it(wrapped=None, *, limit=1): return wrapped": True,
    "class it:\n    def __init__(self, wrapped): self.wrapped = wrapped": True,
    "from builtins import staticmethod as it": True,
    "def it(): return lambda wrapped: wrapped": False,
    "def it(*, limit=1): return lambda wrapped: wrapped": False,
    "def it(limit=1): return lambda wrapped: wrapped": False,
    "def it(limit, wrapped): return wrapped": False,
}


@pytest.mark.parametrize(("source", "is_decorator"), BARE.items())
def test_what_only_makes_a_decorator_is_not_taken_for_one(project, source, is_decorator):
    (project.folder / "one_of_mine.py").write_text(source)
    try:
        if is_decorator:
            assert catalogue.decorator("one_of_mine:it") is sys.modules["one_of_mine"].it
            return
        with pytest.raises(ConfigError) as caught:
            catalogue.decorator("one_of_mine:it")
    finally:
        del sys.modules["one_of_mine"]

    assert str(caught.value) == (
        "'one_of_mine:it' does not take a function, as a decorator does; to call it, give "
        "options, or write 'one_of_mine:it()'"
    )


def test_an_option_may_have_any_name(project):
    (project.folder / "odd.py").write_text(
        "def odd(**options):\n    return lambda wrapped: lambda: options\n"
    )

    decorate = catalogue.decorator("odd:odd", use=1, self=2, function=3)

    assert decorate(double)() == {"use": 1, "self": 2, "function": 3}


def test_an_object_is_given_by_its_name_also_inside_of_others():
    made = catalogue.decorator(
        "circuit_breaker", failures=1, on=({"object": "builtins:OSError"},), reset_after=60
    )

    @made
    def fail():
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        fail()
    assert fail.breaker_state() == "open"


WRONG = {
    ("ttl_cahe",): "there is no decorator 'ttl_cahe'; did you mean 'ttl_cache'?",
    ("CacheInfo",): "there is no decorator 'CacheInfo'; there are circuit_breaker, count_calls, "
    "fault, log_calls, memoize, rate_limit, replace, retry, single_flight, timeout, ttl_cache, "
    "and any 'module:callable'",
    ("safepatch.decorators:ttl_cahe",): "cannot find 'safepatch.decorators:ttl_cahe': "
    f"{decorators!r} has no attribute 'ttl_cahe'; did you mean 'ttl_cache'?",
    ("safepatch.decoratrs:retry",): "cannot find 'safepatch.decoratrs:retry': importing "
    "'safepatch.decoratrs' failed with No module named 'safepatch.decoratrs'; "
    "did you mean 'safepatch.decorators'?",
}


@pytest.mark.parametrize(("use", "expected"), WRONG.items())
def test_a_decorator_that_there_is_not_is_told_with_the_nearest(use, expected):
    with pytest.raises(ConfigError) as caught:
        catalogue.decorator(*use)

    assert str(caught.value) == expected


def test_a_module_that_fails_when_it_is_imported_is_told(project):
    (project.folder / "failing_module.py").write_text("1 / 0")

    with pytest.raises(ConfigError) as caught:
        references.load("failing_module:decorator")

    assert str(caught.value) == (
        "cannot find 'failing_module:decorator': importing 'failing_module' failed with "
        "ZeroDivisionError('division by zero')"
    )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "m:f": True,
        "pkg.mod:Class.method": True,
        "m": False,
        "m:": False,
        ":f": False,
        "m:f:g": False,
        "m.:f": False,
        "m f:g": False,
        "m:f()": False,
        3: False,
    }.items(),
)
def test_a_reference_is_a_module_and_a_name(text, expected):
    assert references.is_reference(text) is expected


@pytest.mark.parametrize("name", catalogue.names())
def test_the_defaults_of_our_decorators_are_of_the_shapes_that_their_hints_tell(name):
    function = catalogue.find(name)
    wanted = catalogue.option_shapes(function)

    for option, parameter in inspect.signature(function).parameters.items():
        default = parameter.default
        if option in wanted and default is not parameter.empty and not callable(default):
            assert shapes.fits(default, wanted[option]), option
