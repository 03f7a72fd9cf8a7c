"""A patched function has the signature of its original, however it is asked for."""

import copy
import functools
import inspect
import pickle
import types

import pytest
from helpers import pass_through

ONE_MORE = inspect.Parameter("more", inspect.Parameter.KEYWORD_ONLY)


def priced(item: str, /, amount: int = 1, *rest: int, currency: str = "EUR", **tags: str) -> float:
    raise NotImplementedError


@pytest.fixture(params=["by name", "in place"])
def patched(request, patches):
    """A function and what stands for it while it is patched, which no other test has asked."""
    original = types.FunctionType(priced.__code__, globals(), "priced", priced.__defaults__)
    original.__kwdefaults__, original.__annotations__ = (
        priced.__kwdefaults__,
        priced.__annotations__,
    )
    module = types.ModuleType("shop")
    module.priced = original
    aliases = "rebind" if request.param == "in place" else "ignore"
    patches.apply((module, "priced"), pass_through, aliases=aliases)
    return module.priced


# What is asked of a signature, each as the first question to a fresh one.
QUESTIONS = {
    "str": str,
    "repr": repr,
    "hash": hash,
    "equality": lambda found: found == inspect.signature(priced),
    "parameters": lambda found: list(found.parameters.items()),
    "return annotation": lambda found: found.return_annotation,
    "bind": lambda found: found.bind("tea", 2, 3, currency="CHF", shop="corner").arguments,
    "bind_partial": lambda found: found.bind_partial(amount=2).arguments,
    "replace": lambda found: found.replace(return_annotation=int),
    "replace parameters": lambda found: found.replace(parameters=[ONE_MORE]),
    "pickle": lambda found: pickle.loads(pickle.dumps(found)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_signature_answers_as_the_one_of_the_original(patched, question):
    ask = QUESTIONS[question]

    assert ask(inspect.signature(priced)) == ask(inspect.signature(patched))


def test_copies_of_a_signature_are_ordinary_ones(patched):
    found = inspect.signature(patched)

    for copied in (found.replace(), copy.copy(found), pickle.loads(pickle.dumps(found))):
        assert type(copied) is inspect.Signature


def test_those_who_do_not_follow_wrapped_get_the_same_parameters(patched):
    assert inspect.getfullargspec(priced) == inspect.getfullargspec(patched)
    assert "__wrapped__" in vars(patched)


def test_a_signature_has_no_attributes_that_others_have_not(patched):
    with pytest.raises(AttributeError, match="no_such_thing"):
        patched.__signature__.no_such_thing


def test_a_function_that_wraps_what_has_no_signature_has_none_either(patches):
    module = types.ModuleType("shop")
    module.wrapping = functools.wraps(max)(lambda *args: None)
    with pytest.raises(ValueError, match="no signature found") as before:
        inspect.signature(module.wrapping)
    patches.apply((module, "wrapping"), pass_through)

    with pytest.raises(ValueError, match="no signature found") as after:
        inspect.signature(module.wrapping)

    assert str(before.value) == str(after.value)
