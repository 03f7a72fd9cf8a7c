"""The compiled front of a cache takes the calls that the function takes, and no others."""

import functools
import inspect
import pickle
import re
import types

import pytest
import wrapt
from hypothesis import given
from hypothesis import strategies as st

from safepatch.decorators import memoize, ttl_cache

# Names of ours in the compiled function, and of builtins that it uses.
NAMES = ["a", "_key", "_entry", "__get", "type", "id", "wrapper", "key_of", "KEY", "values"]


@st.composite
def functions(draw):
    """A plain function with any parameters, which returns what they are bound to."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=6))
    positional_only = draw(st.integers(0, len(names)))
    positional = draw(st.integers(positional_only, len(names)))
    required = draw(st.integers(0, positional))
    by_keyword = [draw(st.booleans()) for _ in names[positional:]]
    defaults = [place >= required for place in range(positional)] + by_keyword
    texts = [
        name + f"={place + 10}" * has_default
        for place, (name, has_default) in enumerate(zip(names, defaults, strict=True))
    ]
    if positional < len(names):
        texts.insert(positional, "*")
    if positional_only:
        texts.insert(positional_only, "/")
    scope = {}
    exec(f"def function({', '.join(texts)}): return {{**locals()}}", scope)
    return scope["function"]


values = st.integers(0, 3) | st.integers(10, 15)  # the latter are defaults


@given(
    function=functions(),
    args=st.lists(values, max_size=6),
    kwargs=st.dictionaries(st.sampled_from(NAMES), values, max_size=4),
    typed=st.booleans(),
)
def test_a_call_is_bound_as_by_the_function_itself(function, args, kwargs, typed):
    seen = []

    def below(*args, **kwargs):
        seen.append((args, kwargs))
        return function(*args, **kwargs)

    link = wrapt.CallableObjectProxy(function)
    cached = memoize(link, typed=typed)
    link.__wrapped__ = below
    try:
        expected = function(*args, **kwargs)
    except TypeError as error:
        with pytest.raises(TypeError, match=f"^{re.escape(str(error))}$"):
            cached(*args, **kwargs)
        return

    assert cached(*args, **kwargs) == expected
    assert len(seen) == 1
    by_name = seen[0][1]
    assert not {(name, value) for name, value in by_name.items()} & defaults_of(function)


def defaults_of(function):
    parameters = inspect.signature(function).parameters.values()
    return {(parameter.name, parameter.default) for parameter in parameters}


def test_a_wrapper_below_gets_no_argument_that_the_caller_left_out():
    """As one that gives a default of its own must be able to tell."""

    def request(url, headers=None, timeout=None):
        return url, headers, timeout

    def with_timeout(*args, **kwargs):
        kwargs.setdefault("timeout", 5)
        return request(*args, **kwargs)

    link = wrapt.CallableObjectProxy(request)
    cached = memoize(link)
    link.__wrapped__ = with_timeout

    assert cached("u") == ("u", None, 5)
    assert cached("u", timeout=7) == ("u", None, 7)


def test_the_wrapper_shows_the_defaults_of_the_function():
    def function(a, b=1, *, c=2):
        pass

    cached = memoize(function)

    assert (cached.__defaults__, cached.__kwdefaults__) == ((1,), {"c": 2})
    assert type(cached) is types.FunctionType


def test_a_default_that_cannot_be_hashed_does_not_stand_in_the_way():
    calls, default = [], []

    @memoize
    def function(a, found=default):
        calls.append(a)
        return found

    for _ in range(2):
        function(1)
    assert calls == [1]
    assert function(2) is default
    for _ in range(2):
        function(1, [])
    assert calls == [1, 2, 1, 1]


def test_what_only_shows_the_parameters_of_another_is_called_as_it_was():
    calls = []

    def shown(a, b=1):
        pass

    @functools.wraps(shown)
    def adds_an_argument(*args, **kwargs):
        calls.append((args, kwargs))
        return args

    cached = ttl_cache(ttl=1)(adds_an_argument)

    assert cached() == ()
    assert cached(1, 2, 3) == (1, 2, 3)
    assert cached(b=2, a=1) == ()
    assert calls == [((), {}), ((1, 2, 3), {}), ((), {"b": 2, "a": 1})]


def test_functions_of_the_same_parameters_share_the_compiled_code():
    one, two = memoize(lambda a, b=1: a), memoize(lambda a, b=2: a)

    assert one.__code__ is two.__code__


def with_limit(function):
    """A wrapper that gives another default than what it shows."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        kwargs.setdefault("limit", 100)
        return function(*args, **kwargs)

    return wrapper


@wrapt.decorator
def with_limit_by_wrapt(wrapped, instance, args, kwargs):
    kwargs.setdefault("limit", 100)
    return wrapped(*args, **kwargs)


@wrapt.decorator
def with_connection(wrapped, instance, args, kwargs):
    return wrapped("connection", *args, **kwargs)


@pytest.mark.parametrize(
    "decorate",
    [with_limit, with_limit_by_wrapt, lambda f: functools.partial(with_limit(f))],
    ids=["functools.wraps", "wrapt", "partial"],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_default_that_a_wrapper_only_shows_is_not_taken_for_what_it_gives(decorate, order):
    @memoize
    @decorate
    def page(x, limit=10):
        return limit

    calls = [((1,), {}, 100), ((1,), {"limit": 10}, 10), ((), {"x": 1}, 100)]

    for args, kwargs, expected in calls[::order] * 2:
        assert page(*args, **kwargs) == expected
    assert page.cache_info()[:2] == (4, 2)


def test_a_wrapper_of_wrapt_may_add_an_argument():
    calls = []

    @memoize
    @with_connection
    def query(connection, text):
        calls.append(text)
        return connection, text

    assert query("q") == ("connection", "q")
    assert calls == ["q"]


class Reduced:
    def __reduce__(self):
        return float, ("0.5",)


def test_c_code_that_is_called_in_front_may_import():
    """As numpy does when it compares, and the interpreter to warn of what the collector finds."""
    clock = functools.partial(pickle.loads, pickle.dumps(Reduced()))

    cached = ttl_cache(object, ttl=1, clock=clock)

    assert cached() is cached()
