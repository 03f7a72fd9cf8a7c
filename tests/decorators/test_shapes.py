"""What all decorators have in common."""

import asyncio
import functools
import inspect
from unittest import mock

import pytest
import wrapt
from children import child

from safepatch import decorators
from safepatch.decorators import (
    circuit_breaker,
    count_calls,
    fault,
    log_calls,
    memoize,
    rate_limit,
    replace,
    retry,
    timeout,
    ttl_cache,
)
from safepatch.explain import written


@pytest.mark.parametrize(
    ("decorator", "line"),
    [
        (memoize, "@memoize"),
        (memoize(), "@memoize()"),
        (memoize(maxsize=5, key=len), "@memoize(maxsize=5, key=len)"),
        (ttl_cache(ttl=300), "@ttl_cache(ttl=300)"),
        (ttl_cache(jitter=0.1, ttl=300, copy="no"), "@ttl_cache(ttl=300, copy='no', jitter=0.1)"),
        (log_calls, "@log_calls"),
        (log_calls(level="INFO", hide=["pin"]), "@log_calls(level='INFO', hide=('pin',))"),
        (retry(on=OSError, attempts=5), "@retry(on=OSError, attempts=5)"),
        (retry(on="socket:gaierror"), "@retry(on='socket:gaierror')"),
        (
            retry(on=OSError, budget=decorators.RetryBudget()),
            "@retry(on=OSError, budget=RetryBudget(share=0.1, reserve=10))",
        ),
        (count_calls(), "@count_calls()"),
        (count_calls(buckets=[0.1, 1]), "@count_calls(buckets=(0.1, 1.0))"),
        (replace(len), "@replace(len)"),
        (timeout(seconds=5), "@timeout(seconds=5)"),
        (rate_limit(rate=5, burst=2), "@rate_limit(rate=5, burst=2)"),
        (circuit_breaker, "@circuit_breaker"),
        (circuit_breaker(on=OSError), "@circuit_breaker(on=OSError)"),
        (fault(error=OSError, share=0.5, seed=1), "@fault(error=OSError, share=0.5, seed=1)"),
    ],
)
def test_a_decorator_is_explained_as_it_is_written(decorator, line):
    assert written(decorator) == line


every = pytest.mark.parametrize(
    "decorate",
    [
        memoize,
        ttl_cache(ttl=1),
        log_calls,
        retry(on=OSError),
        count_calls,
        timeout(seconds=60, threads="signal"),
        rate_limit(rate=1000, burst=10),
        circuit_breaker,
        fault(error=OSError, share=0.0),
    ],
    ids=[
        "memoize",
        "ttl_cache",
        "log_calls",
        "retry",
        "count_calls",
        "timeout",
        "rate_limit",
        "circuit_breaker",
        "fault",
    ],
)


@every
@pytest.mark.usefixtures("alarm_is_free")
def test_a_wrapper_calls_whatever_a_link_points_to_now(decorate):
    link = wrapt.CallableObjectProxy(lambda x: ("one", x))
    wrapper = decorate(link)
    assert wrapper(1) == ("one", 1)

    link.__wrapped__ = lambda x: ("two", x)

    assert wrapper(2) == ("two", 2)


@every
@pytest.mark.usefixtures("alarm_is_free")
@pytest.mark.parametrize("wrapped", [functools.partial(int, base=10), int, "5".replace])
def test_what_has_no_name_can_be_decorated(decorate, wrapped):
    arguments = ("5", "6") if wrapped not in (int,) and not hasattr(wrapped, "func") else ("5",)

    assert decorate(wrapped)(*arguments) == wrapped(*arguments)


async def double(number):
    return 2 * number


class Marked:
    """As asgiref marks its objects before Python 3.12."""

    _is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)

    def __call__(self, number):
        return double(number)


AWAITED = [staticmethod(double), mock.create_autospec(double, side_effect=double)]
if Marked._is_coroutine is not None:
    AWAITED.append(Marked())


@every
@pytest.mark.parametrize("wrapped", AWAITED)
def test_what_only_says_that_it_is_to_be_awaited_is_awaited(decorate, wrapped):
    wrapper = decorate(wrapped)

    assert inspect.iscoroutinefunction(wrapper)
    assert asyncio.run(wrapper(2)) == 4


@every
@pytest.mark.usefixtures("alarm_is_free")
def test_decorators_can_be_stacked_and_controls_stay_in_reach(decorate):
    stacked = decorate(count_calls(memoize(lambda x: x)))

    stacked(1)

    assert stacked.stats().calls == 1
    assert stacked.cache_info().misses == 1


def test_importing_the_decorators_imports_little_else():
    code = """
import sys
before = set(sys.modules)
import safepatch
core = set(sys.modules)
import safepatch.decorators
heavy = {"asyncio", "gevent", "logging", "inspect", "random", "cachetools", "copy"}
print(*sorted(heavy & (set(sys.modules) - core)))
"""
    assert child(code) == ""


def test_what_is_public_is_documented_with_its_assumptions():
    for name in decorators.__all__:
        thing = getattr(decorators, name)
        assert thing.__doc__
        assert isinstance(thing, type) or "**Assumes**" in thing.__doc__
