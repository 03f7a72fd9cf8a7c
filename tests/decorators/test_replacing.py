"""What replace promises."""

import inspect
import time
from unittest import mock

import pytest

from safepatch.decorators import replace


def test_the_wrapper_is_the_function_itself():
    def other(a, b):
        pass

    @replace(other)
    def original(x, y):
        pass

    assert original is other


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (lambda: 0, lambda: 0),
        (lambda a, b: 0, lambda x, y: 0),
        (lambda a, b: 0, lambda x, y=1, z=2: 0),
        (lambda a, b=1: 0, lambda x, y=1: 0),
        (lambda a, b=1: 0, lambda *args: 0),
        (lambda a, /, b: 0, lambda x, y, /: 0),
        (lambda *, k: 0, lambda *, k: 0),
        (lambda *, k: 0, lambda *, k=1: 0),
        (lambda *, k: 0, lambda k: 0),
        (lambda *, k: 0, lambda **kwargs: 0),
        (lambda a, *, k=1: 0, lambda x, k=1, *, z=1: 0),
        (lambda *args, **kwargs: 0, lambda *a, **k: 0),
        (lambda a, *args: 0, lambda *a: 0),
        (lambda a, **kwargs: 0, lambda a, **k: 0),
        (lambda a, **kwargs: 0, lambda x, /, **k: 0),
        (lambda a, **kwargs: 0, lambda *x, **k: 0),
        (lambda a, **kwargs: 0, lambda a, x=1, **k: 0),
        (lambda a, **kwargs: 0, lambda a, *, x=1, **k: 0),
        (lambda a, b=1: 0, mock.Mock()),
        (lambda a, b=1: 0, mock.create_autospec(lambda a, b=1: 0)),
        (lambda a: 0, int),
        (lambda a, b: 0, print),
    ],
)
def test_a_function_that_takes_the_same_calls_is_taken(wanted, found):
    assert replace(found)(wanted) is found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (lambda a: 0, lambda: 0),
        (lambda a: 0, lambda x, y: 0),
        (lambda a, b=1: 0, lambda x: 0),
        (lambda a, b=1: 0, lambda x, y: 0),
        (lambda *args: 0, lambda a, b, c=1: 0),
        (lambda *args: 0, lambda a=1, b=2, c=3: 0),
        (lambda **kwargs: 0, lambda: 0),
        (lambda a, **kwargs: 0, lambda x, **k: 0),
        (lambda a, /, **kwargs: 0, lambda a, **k: 0),
        (lambda a, **kwargs: 0, lambda kwargs, **k: 0),
        (lambda *, k: 0, lambda: 0),
        (lambda *, k=1: 0, lambda *, k: 0),
        (lambda *, k: 0, lambda *, other: 0),
        (lambda a: 0, lambda x, *, k: 0),
        (lambda a, *, k=1: 0, lambda x: 0),
        (lambda a, b=1, *, k=1: 0, lambda x, k=1: 0),
        (lambda a: 0, mock.create_autospec(lambda a, b: 0)),
    ],
)
def test_a_function_that_would_refuse_a_call_is_refused(wanted, found):
    with pytest.raises(TypeError) as raised:
        replace(found)(wanted)

    for function in (wanted, found):
        assert str(inspect.signature(function)) in str(raised.value)


def test_where_a_signature_cannot_be_read_there_is_no_check():
    unreadable = type("NoSignature", (), {"__call__": len, "__signature__": "none"})()

    assert replace(unreadable)(lambda a: 0) is unreadable
    assert replace(len)(unreadable) is len


def test_sleep_can_be_replaced_for_a_while(patches):
    before = time.sleep

    with patches.apply("time:sleep", replace(lambda seconds: None), aliases="ignore"):
        time.sleep(1e6)

    assert time.sleep is before


@pytest.mark.parametrize("thing", [5, None])
def test_what_cannot_be_called_is_refused_at_once(thing):
    with pytest.raises(TypeError, match=f"cannot replace anything by {thing}"):
        replace(thing)
