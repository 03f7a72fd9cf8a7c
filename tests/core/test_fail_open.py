"""fail_open: what an observer's own code raises does not reach the caller."""

import asyncio
import concurrent.futures
import contextvars
import functools
import gc
import inspect
import logging
import queue
import sys
import threading
import traceback
import types
import weakref

import pytest
from children import child
from helpers import noting, pass_through
from hypothesis import given
from hypothesis import strategies as st

import safepatch
from safepatch import decorators, fail_open, kinds, testing
from safepatch.decorators import count_calls, log_calls
from safepatch.errors import OptionError

SOURCE = """
import asyncio

calls = []

def double(x):
    calls.append(x)
    return 2 * x

def bad(x):
    calls.append(x)
    raise LookupError(x)

async def slow(x):
    calls.append(x)
    await asyncio.sleep(0)
    return 2 * x

async def slow_bad(x):
    calls.append(x)
    await asyncio.sleep(0)
    raise LookupError(x)

class Till:
    def open(self, x):
        return (self, x)

    @property
    def total(self):
        return 7

    @classmethod
    def kind(cls):
        return cls

    @staticmethod
    def rate():
        return 3

def count(n):
    yield from range(n)

async def acount(n):
    for i in range(n):
        yield i
"""


@pytest.fixture
def shop():
    made = types.ModuleType("shop_that_fails_open")
    exec(SOURCE, made.__dict__)
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


class OwnError(Exception):
    """What a decorator's own code raises in these tests."""


def failing_before(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        raise OwnError("before")

    return wrapper


def failing_after(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        wrapped(*args, **kwargs)
        raise OwnError("after")

    return wrapper


def failing_around(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        try:
            return wrapped(*args, **kwargs)
        finally:
            raise OwnError("around")

    return wrapper


def failing_before_async(wrapped):
    @functools.wraps(wrapped)
    async def wrapper(*args, **kwargs):
        await asyncio.sleep(0)
        raise OwnError("before")

    return wrapper


def failing_after_async(wrapped):
    @functools.wraps(wrapped)
    async def wrapper(*args, **kwargs):
        await wrapped(*args, **kwargs)
        await asyncio.sleep(0)
        raise OwnError("after")

    return wrapper


def failing_around_async(wrapped):
    @functools.wraps(wrapped)
    async def wrapper(*args, **kwargs):
        try:
            return await wrapped(*args, **kwargs)
        finally:
            raise OwnError("around")

    return wrapper


PLAIN = [failing_before, failing_after, failing_around]
ASYNC = [failing_before_async, failing_after_async, failing_around_async, failing_before]


def raised_by(call, *args):
    try:
        call(*args)
    except BaseException as error:
        return error
    pytest.fail("it raised nothing")


# What the caller gets.


@pytest.mark.parametrize("decorator", PLAIN)
def test_the_caller_gets_the_result_and_the_original_runs_once(shop, patches, decorator):
    patches.apply((shop, "double"), decorator, fail_open=True)

    assert shop.double(21) == 42
    assert shop.calls == [21]


@pytest.mark.parametrize("decorator", ASYNC)
def test_whoever_awaits_gets_the_result_and_the_original_runs_once(shop, patches, decorator):
    patches.apply((shop, "slow"), decorator, fail_open=True)

    assert inspect.iscoroutinefunction(shop.slow)
    assert asyncio.run(shop.slow(21)) == 42
    assert shop.calls == [21]


@pytest.mark.parametrize("decorator", PLAIN)
def test_the_caller_gets_the_originals_exception_as_it_was(shop, patches, decorator):
    patches.apply((shop, "bad"), decorator, fail_open=True)

    error = raised_by(shop.bad, 1)

    assert type(error) is LookupError
    assert (error.__context__, error.__cause__, error.__suppress_context__) == (None, None, False)
    assert shop.calls == [1]
    assert traceback.extract_tb(error.__traceback__)[-1].name == "bad"
    frames = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
    # What lets it through is in it, as it is without fail_open.
    assert ("wrapper" in frames) == (decorator is failing_after)


@pytest.mark.parametrize("decorator", ASYNC)
def test_whoever_awaits_gets_the_originals_exception_as_it_was(shop, patches, decorator):
    patches.apply((shop, "slow_bad"), decorator, fail_open=True)

    error = raised_by(lambda: asyncio.run(shop.slow_bad(1)))

    assert type(error) is LookupError
    assert (error.__context__, error.__cause__, error.__suppress_context__) == (None, None, False)
    assert shop.calls == [1]


def test_the_originals_exception_keeps_what_it_had_and_gets_nothing_of_the_decorators(
    shop, patches
):
    context, cause = KeyError("context"), KeyError("cause")

    def bad():
        try:
            raise context
        except KeyError:
            error = LookupError()
            error.add_note("a note")
            raise error from cause

    def meddling(wrapped):
        def wrapper():
            try:
                wrapped()
            except LookupError as error:
                error.add_note("another")
                error.__cause__ = OwnError()
                raise OwnError from None

        return wrapper

    shop.bad = bad
    patches.apply((shop, "bad"), meddling, fail_open=True)

    error = raised_by(shop.bad)

    assert type(error) is LookupError
    assert (error.__context__, error.__cause__) == (context, cause)
    assert error.__notes__ == ["a note"]


def test_a_caller_that_is_handling_something_sees_it_as_the_context_as_without_a_patch(
    shop, patches
):
    patches.apply((shop, "bad"), failing_around, fail_open=True)
    handled = ValueError()

    try:
        raise handled
    except ValueError:
        error = raised_by(shop.bad, 1)

    assert error.__context__ is handled


def test_what_the_original_raises_when_it_is_called_instead_has_no_foreign_context(shop, patches):
    patches.apply((shop, "bad"), failing_before, fail_open=True)

    error = raised_by(shop.bad, 1)

    assert type(error) is LookupError
    assert error.__context__ is None


def test_what_passes_through_the_decorator_is_no_failure(shop, patches):
    patch = patches.apply((shop, "bad"), pass_through, fail_open=True)

    error = raised_by(shop.bad, 1)

    assert type(error) is LookupError
    assert patch.failures.count == 0


def test_what_a_decorator_makes_of_a_result_or_an_exception_is_its_business(shop, patches):
    def other(wrapped):
        def wrapper(x):
            try:
                return wrapped(x) + 1
            except LookupError as error:
                if x:
                    raise OwnError from error
                return "swallowed"

        return wrapper

    first = patches.apply((shop, "double"), other, fail_open=True)
    second = patches.apply((shop, "bad"), other, fail_open=True)

    assert shop.double(1) == 3
    assert shop.bad(0) == "swallowed"
    assert type(raised_by(shop.bad, 1)) is OwnError
    assert first.failures.count == second.failures.count == 0


def test_of_several_calls_of_the_original_the_last_counts(shop, patches):
    def twice(wrapped):
        def wrapper(x):
            wrapped(x)
            wrapped(x + 1)
            raise OwnError

        return wrapper

    patches.apply((shop, "double"), twice, fail_open=True)

    assert shop.double(1) == 4
    assert shop.calls == [1, 2]


def test_an_exception_of_an_earlier_attempt_that_is_given_to_the_caller_is_no_failure(
    shop, patches
):
    def retrying(wrapped):
        def wrapper(x):
            try:
                return wrapped(x)
            except LookupError as error:
                first = error
            try:
                return wrapped(x + 1)
            except LookupError:
                raise first from None

        return wrapper

    patch = patches.apply((shop, "bad"), retrying, fail_open=True)

    assert raised_by(shop.bad, 1).args == (1,)
    assert patch.failures.count == 0


CONTROL = [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit]


@pytest.mark.parametrize("kind", CONTROL)
def test_what_is_no_exception_of_a_program_is_never_swallowed(shop, patches, kind):
    def interrupted(wrapped):
        def wrapper(*args):
            raise kind

        return wrapper

    patch = patches.apply((shop, "double"), interrupted, fail_open=True)

    assert type(raised_by(shop.double, 1)) is kind
    assert patch.failures.count == 0


@pytest.mark.parametrize("kind", CONTROL)
def test_nor_is_it_when_it_came_from_below_and_the_decorator_fails_meanwhile(shop, patches, kind):
    def interrupted(x):
        raise kind

    shop.bad = interrupted
    patches.apply((shop, "bad"), failing_around, fail_open=True)

    assert type(raised_by(shop.bad, 1)) is kind


# In processes of their own: a thread that has a hub once is another place for all tests after it.


def test_greenlets_that_are_killed_or_timed_out_are():
    pytest.importorskip("gevent")
    child("""
        import types
        import gevent
        import safepatch

        shop = types.SimpleNamespace(double=lambda x: calls.append(x))
        calls = []

        def waiting(wrapped):
            return lambda x: gevent.sleep(10)

        patch = safepatch.apply((shop, "double"), waiting, fail_open=True)
        killed = gevent.spawn(shop.double, 1)
        gevent.sleep(0)
        killed.kill()

        assert type(killed.value) is gevent.GreenletExit
        try:
            with gevent.Timeout(0.001):
                shop.double(1)
        except gevent.Timeout:
            assert (patch.failures.count, calls) == (0, [])
        else:
            raise AssertionError("the time-out went unheard")
    """)


def test_a_task_that_is_cancelled_while_its_decorator_fails_is_cancelled(shop, patches):
    patches.apply((shop, "slow"), failing_around_async, fail_open=True)

    async def main():
        task = asyncio.create_task(shop.slow(1))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())


def test_wrong_arguments_for_the_decorator_reach_the_original(shop, patches):
    patches.apply((shop, "double"), lambda wrapped: lambda: wrapped(0), fail_open=True)

    assert shop.double(4) == 8


# Every kind of place.


def test_methods_and_properties_fail_open(shop, patches):
    till = shop.Till()
    for name in ("open", "total", "kind", "rate"):
        patches.apply((shop.Till, name), failing_after, fail_open=1)

    for _ in range(2):
        assert till.open(5) == (till, 5)
        assert till.total == 7
        assert till.kind() is shop.Till.kind() is shop.Till
        assert till.rate() == 3


def test_an_inherited_method_and_a_builtin_fail_open(patches):
    class Words(list):
        pass

    import math

    patches.apply((Words, "append"), failing_after, fail_open=True)
    patches.apply((math, "sqrt"), failing_before, fail_open=True, aliases="ignore")
    words = Words()
    words.append("one")

    assert words == ["one"]
    assert math.sqrt(4) == 2


def test_a_function_patched_in_place_fails_open(shop, patches):
    held = [shop.double]
    patches.apply(shop.double, failing_after, fail_open=True)

    assert held[0](2) == 4
    assert shop.calls == [2]


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("circuit_breaker", decorators.circuit_breaker()),
        ("circuit_breaker", decorators.circuit_breaker),
        ("fault", decorators.fault(error=OSError)),
        ("rate_limit", decorators.rate_limit(rate=1)),
        ("timeout", decorators.timeout(seconds=1)),
    ],
)
def test_decorators_of_ours_that_raise_on_purpose_are_refused(shop, patches, name, made):
    with pytest.raises(OptionError) as caught:
        patches.patch((shop, "double"), pass_through, made, fail_open=True)

    assert str(caught.value).endswith(
        f":double' with {name} and fail_open: what it raises on purpose would be taken for a "
        "failure, and calls go through; leave it out"
    )
    assert caught.value.option == "fail_open"
    assert patches.patch((shop, "double"), made).state == "declared"


def test_one_that_has_such_a_name_and_is_not_ours_is_none_of_them(shop, patches):
    def timeout(wrapped):
        return wrapped

    assert patches.apply((shop, "double"), timeout, fail_open=True).state == "applied"


@pytest.mark.parametrize(
    ("name", "what"), [("count", "a generator function"), ("acount", "an async generator function")]
)
def test_generator_functions_are_refused(shop, patches, name, what):
    before = getattr(shop, name)

    with pytest.raises(safepatch.UnsupportedTargetError) as caught:
        patches.apply((shop, name), pass_through, fail_open=True)

    assert f", {what}, with fail_open: its body runs after the call" in str(caught.value)
    assert getattr(shop, name) is before


def test_other_functions_whose_body_runs_after_the_call_are_refused(shop, patches):
    shop.old = types.coroutine(lambda: (yield))
    shop.marked = lambda: shop.slow(1)
    if hasattr(inspect, "markcoroutinefunction"):
        inspect.markcoroutinefunction(shop.marked)
    else:
        shop.marked._is_coroutine = asyncio.coroutines._is_coroutine

    with pytest.raises(safepatch.UnsupportedTargetError, match="with fail_open"):
        patches.apply((shop, "old"), pass_through, fail_open=True)
    if inspect.iscoroutinefunction(shop.marked):
        with pytest.raises(safepatch.UnsupportedTargetError, match="marked as a coroutine"):
            patches.apply((shop, "marked"), pass_through, fail_open=True)


# Beside others.


def test_it_holds_for_its_own_patch_alone(shop, patches):
    patches.apply((shop, "double"), failing_before)
    patches.apply((shop, "double"), pass_through, fail_open=True)

    assert type(raised_by(shop.double, 1)) is OwnError


def test_a_patch_below_that_fails_is_below(shop, patches):
    below = patches.apply((shop, "double"), failing_after, fail_open=True)
    above = patches.apply((shop, "double"), failing_after, fail_open=True)

    assert shop.double(1) == 2
    assert shop.calls == [1]
    assert (below.failures.count, above.failures.count) == (1, 1)


def test_with_several_decorators_all_of_them_are_the_patch(shop, patches):
    log = []
    patches.apply((shop, "double"), noting(log, "inner"), failing_before, fail_open=True)

    assert shop.double(1) == 2
    assert log == []


def test_patches_above_and_below_come_and_go(shop, patches):
    log = []
    below = patches.apply((shop, "double"), noting(log, "below"))
    patches.apply((shop, "double"), failing_before, fail_open=9)
    above = patches.apply((shop, "double"), noting(log, "above"))

    assert shop.double(1) == 2
    assert log == ["above", "below"]
    below.undo()
    above.undo()
    assert shop.double(2) == 4
    assert log == ["above", "below"]


def test_calls_that_do_not_see_the_patch_do_not_count(shop, patches):
    patch = patches.apply(
        (shop, "double"), failing_before, fail_open=True, only_if=lambda x: x > 10
    )

    assert [shop.double(x) for x in (1, 2, 11)] == [2, 4, 22]
    assert patch.failures.count == 1


def test_a_decorator_sees_the_original_as_without_it(shop, patches):
    seen = []

    def looking(wrapped):
        seen.append((wrapped.__name__, str(inspect.signature(wrapped)), callable(wrapped)))
        seen.append(inspect.iscoroutinefunction(wrapped))
        return wrapped

    patches.apply((shop, "double"), looking, fail_open=True)
    patches.apply((shop, "slow"), looking, fail_open=True)

    assert seen == [("double", "(x)", True), False, ("slow", "(x)", True), True]
    assert shop.double(1) == 2
    assert asyncio.run(shop.slow(1)) == 2


def test_a_decorator_that_fails_when_it_decorates_raises_as_ever(shop, patches):
    before = dict(vars(shop))

    def broken(wrapped):
        raise OwnError

    with pytest.raises(OwnError):
        patches.apply((shop, "double"), broken, fail_open=True)

    assert before == vars(shop)


# Recursion, threads, tasks.


def test_each_call_of_a_recursion_has_its_own_state(patches):
    made = types.SimpleNamespace()
    made.fib = lambda n: n if n < 2 else made.fib(n - 1) + made.fib(n - 2)
    calls = []

    def failing_sometimes(wrapped):
        def wrapper(n):
            calls.append(n)
            if len(calls) % 3 == 0:
                raise OwnError
            result = wrapped(n)
            if len(calls) % 2 == 0:
                raise OwnError
            return result

        return wrapper

    patches.apply((made, "fib"), failing_sometimes, fail_open=10_000)

    assert made.fib(12) == 144


def test_functions_that_call_each_other_through_patches_do_not_mix_up(patches):
    made = types.SimpleNamespace()
    made.even = lambda n: True if n == 0 else made.odd(n - 1)
    made.odd = lambda n: False if n == 0 else made.even(n - 1)
    for name in ("even", "odd"):
        patches.apply((made, name), failing_after, fail_open=10_000)

    assert [made.even(n) for n in range(8)] == [True, False] * 4


def test_threads_do_not_get_each_others_results(shop, patches):
    patches.apply((shop, "double"), failing_after, fail_open=10**9)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = [*pool.map(shop.double, range(2000))]

    assert results == [2 * x for x in range(2000)]


def test_greenlets_do_not_get_each_others_results():
    pytest.importorskip("gevent")
    child("""
        import logging, types
        import gevent
        import safepatch

        logging.disable()  # one failure is told

        def double(x):
            gevent.sleep(0)
            return 2 * x

        def failing_after(wrapped):
            def wrapper(x):
                wrapped(x)
                raise RuntimeError("after")

            return wrapper

        made = types.SimpleNamespace(double=double)
        options = {"aliases": "ignore", "fail_open": 10**9}
        safepatch.apply((made, "double"), failing_after, **options)
        greenlets = [gevent.spawn(made.double, x) for x in range(100)]
        gevent.joinall(greenlets)

        assert [one.value for one in greenlets] == [2 * x for x in range(100)]
    """)


def test_tasks_do_not_get_each_others_results(shop, patches):
    patches.apply((shop, "slow"), failing_after_async, fail_open=10**9)

    async def main():
        return await asyncio.gather(*(shop.slow(x) for x in range(100)))

    assert asyncio.run(main()) == [2 * x for x in range(100)]


def test_coroutines_that_take_turns_in_one_context_do_not_mix_up(patches):
    """Which is what a loop that somebody wrote by hand does."""
    made = types.SimpleNamespace()

    @types.coroutine
    def turn():
        yield

    async def slow(x):
        await turn()
        return 2 * x

    made.slow = slow

    def failing(wrapped):
        async def wrapper(x):
            await turn()
            await wrapped(x)
            await turn()
            raise OwnError

        return wrapper

    patches.apply((made, "slow"), failing, fail_open=True)
    waiting, results = {x: made.slow(x) for x in range(3)}, {}
    while waiting:
        for x, coroutine in [*waiting.items()]:
            try:
                coroutine.send(None)
            except StopIteration as stop:
                results[x] = stop.value
                del waiting[x]

    assert results == {0: 0, 1: 2, 2: 4}


def test_a_task_of_the_decorators_own_belongs_to_the_call(shop, patches):
    def in_a_task(wrapped):
        async def wrapper(x):
            await asyncio.create_task(wrapped(x))
            raise OwnError

        return wrapper

    patches.apply((shop, "slow"), in_a_task, fail_open=True)

    assert asyncio.run(shop.slow(3)) == 6
    assert shop.calls == [3]


def test_a_coroutine_that_was_never_begun_is_called_anew(shop, patches):
    def failing(wrapped):
        async def wrapper(x):
            wrapped(x).close()
            raise OwnError

        return wrapper

    patches.apply((shop, "slow"), failing, fail_open=True)

    assert asyncio.run(shop.slow(3)) == 6
    assert shop.calls == [3]


def test_a_thread_with_a_copy_of_the_context_belongs_to_the_call(shop, patches):
    def in_a_thread(wrapped):
        def wrapper(x):
            thread = threading.Thread(target=contextvars.copy_context().run, args=(wrapped, x))
            thread.start()
            thread.join()
            raise OwnError

        return wrapper

    patches.apply((shop, "double"), in_a_thread, fail_open=True)

    assert shop.double(3) == 6
    assert shop.calls == [3]


def test_where_the_original_ran_in_a_foreign_thread_it_does_not_run_twice(shop, patches):
    """Nobody can tell whether it was on behalf of this call, so the caller gets the error."""

    def in_a_pool(wrapped):
        pool = concurrent.futures.ThreadPoolExecutor(1)
        pool.submit(int).result()  # its thread is of before the call

        def wrapper(x):
            pool.submit(wrapped, x).result()
            if x == 3:
                pool.shutdown()
            raise OwnError

        return wrapper

    patch = patches.apply((shop, "double"), in_a_pool, fail_open=True)

    for x in (1, 2, 3):
        assert type(raised_by(shop.double, x)) is OwnError
    assert shop.calls == [1, 2, 3]
    assert patch.failures.count == 3


def test_a_thread_that_an_earlier_call_started_does_not_belong_to_this_one(shop, patches):
    """Its context is a copy of that of the earlier call."""
    work, done = queue.Queue(), queue.Queue()

    def working():
        for call in iter(work.get, None):
            done.put(call())

    def through_a_thread(wrapped):
        def wrapper(x):
            if not threads:
                run = contextvars.copy_context().run
                threads.append(threading.Thread(target=run, args=(working,)))
                threads[0].start()
            work.put(lambda: wrapped(x))
            done.get()
            raise OwnError

        return wrapper

    threads = []
    patches.apply((shop, "double"), through_a_thread, fail_open=True)

    try:
        first, second = shop.double(1), raised_by(shop.double, 2)
    finally:
        work.put(None)
        threads[0].join()

    assert (first, type(second)) == (2, OwnError)
    assert shop.calls == [1, 2]


def test_where_the_original_is_still_running_it_does_not_run_twice(patches):
    made, release, calls = types.SimpleNamespace(), threading.Event(), []

    def slow(x):
        calls.append(x)
        release.wait(20)

    made.slow = slow

    def impatient(wrapped):
        def wrapper(x):
            run = contextvars.copy_context().run
            thread = threading.Thread(target=run, args=(wrapped, x))
            thread.start()
            while not calls:
                thread.join(0.001)
            raise OwnError

        return wrapper

    patches.apply((made, "slow"), impatient, fail_open=True)
    error = raised_by(made.slow, 1)
    release.set()

    assert type(error) is OwnError
    assert calls == [1]


# Stepping aside.


def test_after_so_many_failures_the_patch_steps_aside(shop, patches):
    calls = []

    def failing(wrapped):
        def wrapper(x):
            calls.append(x)
            raise OwnError("no disk")

        return wrapper

    patch = patches.apply((shop, "double"), failing, fail_open=2, name="observer")

    assert [shop.double(x) for x in range(5)] == [0, 2, 4, 6, 8]
    assert calls == [0, 1]
    assert patch.state == "applied"
    assert patch.reason == (
        "stepped aside after 2 failures of its decorator, the last: OwnError: no disk"
    )
    assert patch.reason in str(patches.explain((shop, "double")))


def test_true_means_three(shop, patches):
    patch = patches.apply((shop, "double"), failing_before, fail_open=True)

    reasons = [shop.double(0) or patch.reason for _ in range(3)]

    assert reasons[:2] == [None, None]
    assert reasons[2].startswith("stepped aside after 3 failures")


def test_a_patch_that_stepped_aside_calls_the_patches_below_it(shop, patches):
    log = []
    patches.apply((shop, "slow"), noting(log, "below"))
    patches.apply((shop, "slow"), failing_before_async, fail_open=1)

    assert [asyncio.run(shop.slow(x)) for x in (1, 2)] == [2, 4]
    assert log == ["below", "below"]


def test_applied_anew_it_begins_anew(shop, patches):
    patch = patches.patch((shop, "double"), failing_before, fail_open=1)
    with patch:
        shop.double(1)
        stepped_aside = patch.reason

    with patch:
        assert stepped_aside
        assert patch.reason is None
        assert patch.failures.count == 0
        shop.double(1)
        assert patch.reason == stepped_aside


def test_explain_tells_of_failures_as_data(shop, patches):
    patches.apply((shop, "double"), failing_before, fail_open=2)
    patches.apply((shop, "double"), pass_through)
    shop.double(1)

    above, below = patches.explain((shop, "double")).to_dict()["sites"][0]["lines"]

    assert above["fail_open"] is None
    assert below["fail_open"] == {
        "after": 2,
        "failures": 1,
        "last": "OwnError: before",
        "aside": False,
    }


def test_the_first_failure_is_logged_with_its_traceback_and_the_last_once(shop, patches, caplog):
    patch = patches.apply((shop, "double"), failing_after, fail_open=True, name="observer")

    with caplog.at_level(logging.INFO):
        for x in range(6):
            shop.double(x)

    first, last = caplog.records
    assert (first.name, first.levelname) == ("safepatch", "ERROR")
    assert first.getMessage() == (
        f"patch 'observer' of 'shop_that_fails_open:double' (applied from {patch.applied_from}) "
        "fails open: its decorator raised OwnError: after"
    )
    assert first.exc_info[0] is OwnError
    assert first.exc_info[2] is not None
    assert (first.event, first.patch, first.applied_from) == (
        "failed open",
        "observer",
        patch.applied_from,
    )
    assert last.levelname == "WARNING"
    assert last.getMessage() == (
        f"patch 'observer' of 'shop_that_fails_open:double' {patch.reason}; calls go to what lies "
        "below it until it is applied anew"
    )


def test_many_threads_that_fail_at_once_log_no_more(shop, patches, caplog):
    patches.apply((shop, "double"), failing_after, fail_open=True)

    with caplog.at_level(logging.INFO), concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(shop.double, range(100))) == 9900

    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_log_that_fails_does_not_reach_the_caller(shop, patches):
    def broken(record):
        raise OwnError("the filter")

    logger = logging.getLogger("safepatch")
    logger.addFilter(broken)
    try:
        patches.apply((shop, "double"), failing_before, fail_open=True)

        assert [shop.double(x) for x in range(4)] == [0, 2, 4, 6]
    finally:
        logger.removeFilter(broken)


def test_an_error_that_cannot_be_written_does_not_reach_the_caller(shop, patches):
    class MuteError(Exception):
        def __str__(self):
            raise OwnError

    def failing(wrapped):
        def wrapper(x):
            raise MuteError

        return wrapper

    patch = patches.apply((shop, "double"), failing, fail_open=1)

    assert shop.double(1) == 2
    assert patch.reason.endswith("the last: MuteError")


def test_what_logging_itself_calls_can_fail_open(patches, caplog):
    """Its record asks for the time: the patch of time.time fails again while that is logged."""
    import time

    patches.apply((time, "time"), failing_before, fail_open=True, aliases="ignore")

    assert time.time() > 0
    assert "fails open" in caplog.text


# The option.


@pytest.mark.parametrize("value", ["yes", None, 1.5, [3]])
def test_a_wrong_type_is_refused(value):
    with pytest.raises(TypeError, match=r"fail_open=.* is no number of failures; give True, or"):
        safepatch.patch("json:dumps", pass_through, fail_open=value)


def test_a_number_below_none_is_refused():
    with pytest.raises(ValueError, match="fail_open=-1 is below 0; give True or a number"):
        safepatch.patch("json:dumps", pass_through, fail_open=-1)


@pytest.mark.parametrize("value", [False, 0])
def test_without_it_nothing_is_different(shop, patches, value):
    patch = patches.apply((shop, "double"), failing_before, fail_open=value)

    assert type(raised_by(shop.double, 1)) is OwnError
    assert patch.failures is None


def test_register_takes_it(shop, patches):
    patches.register("observer", "shop_that_fails_open:double", failing_after, fail_open=True)
    patches.apply("observer")

    assert shop.double(1) == 2


# What stays.


def test_nothing_of_a_call_that_failed_is_kept_alive(shop, patches, monkeypatch):
    class Result:
        pass

    shop.double = lambda x: Result()
    patch = patches.apply((shop, "double"), failing_after, fail_open=True)
    monkeypatch.setattr(logging.getLogger("safepatch"), "disabled", True)  # pytest keeps records
    caught = weakref.ref(shop.double(1))
    patch.undo()
    gc.collect()

    assert caught() is None


def test_a_task_that_a_call_started_keeps_no_result_alive(shop, patches):
    class Result:
        pass

    async def slow():
        return Result()

    shop.slow = slow

    def spawning(wrapped):
        async def wrapper():
            tasks.append(asyncio.create_task(asyncio.sleep(20)))
            return await wrapped()

        return wrapper

    tasks = []
    patches.apply((shop, "slow"), spawning, fail_open=True)

    async def main():
        made = weakref.ref(await shop.slow())
        await asyncio.sleep(0)
        gc.collect()
        tasks[0].cancel()
        return made()

    assert asyncio.run(main()) is None


def test_a_raised_error_is_in_no_circle(shop, patches, monkeypatch):
    class TracedError(LookupError):
        pass

    def bad(x):
        raise TracedError

    shop.bad = bad
    patches.apply((shop, "bad"), failing_around, fail_open=1)
    monkeypatch.setattr(logging.getLogger("safepatch"), "disabled", True)  # pytest keeps records
    gc.collect()
    gc.disable()
    try:
        try:
            shop.bad(1)
        except TracedError as error:
            caught = weakref.ref(error)
        assert caught() is None
    finally:
        gc.enable()


# Whatever a decorator does: the caller gets what it had got without it, and the original runs as
# often as the decorator calls it, or once.

STEPS = st.lists(
    st.sampled_from(["call", "call and catch", "raise", "raise while handling", "finally raise"]),
    max_size=5,
)


def decorating(steps):
    """A decorator that does so, and then returns what the last call gave."""

    def decorate(wrapped):
        def wrapper(x):
            result = None
            called = False
            for step in steps:
                if step == "raise":
                    raise OwnError
                if step == "finally raise":
                    try:
                        called = True
                        result = wrapped(x)
                    finally:
                        raise OwnError
                try:
                    called = True
                    result = wrapped(x)
                except LookupError:
                    if step == "call":
                        raise
                    if step == "raise while handling":
                        raise OwnError from None
            return result if called else wrapped(x)

        return wrapper

    return decorate


@given(STEPS, st.booleans(), st.integers(1, 4))
def test_whatever_a_decorator_does_the_caller_gets_what_the_original_came_to(steps, fails, after):
    calls = []

    def double(x):
        calls.append(x)
        if fails:
            raise LookupError(x)
        return 2 * x

    made = types.SimpleNamespace(double=double)
    with safepatch.patch((made, "double"), decorating(steps), fail_open=after) as patch:
        for x in range(after + 1):
            calls.clear()
            failed, aside = patch.failures.count, patch.failures.aside
            outcome = _outcome(made.double, x)

            swallowed = fails and outcome is None
            assert swallowed or outcome == (("raised", x) if fails else 2 * x)
            assert calls
            assert not swallowed or patch.failures.count == failed
            if aside:
                assert calls == [x]
    assert made.double is double


def _outcome(call, x):
    try:
        return call(x)
    except LookupError as error:
        return "raised", error.args[0]


# What interrupts the decorator's own code, which fails in its turn.


def failing_when_interrupted(wait):
    def decorate(wrapped):
        def wrapper(*args):
            try:
                wait()
            finally:
                raise OwnError

        return wrapper

    return decorate


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_of_the_decorators_own_code_is_not_swallowed(shop, patches, kind):
    interruption = kind()

    def wait():
        raise interruption

    patches.apply((shop, "double"), failing_when_interrupted(wait), fail_open=True)

    assert raised_by(shop.double, 1) is interruption
    assert shop.calls == []


def test_one_that_the_caller_is_handling_is_no_interruption(shop, patches):
    patches.apply((shop, "double"), failing_around, fail_open=True)
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert shop.double(1) == 2


def test_one_that_the_decorator_converted_is_none(shop, patches):
    def converting(wrapped):
        def wrapper(*args):
            try:
                raise GeneratorExit
            except GeneratorExit as error:
                raise OwnError from error

        return wrapper

    patches.apply((shop, "double"), converting, fail_open=True)

    assert shop.double(1) == 2


def test_where_it_may_be_the_decorators_own_the_caller_gets_its_error(shop, patches):
    """As without the option: the original is not called, for it may be a time-out around it."""

    class Timeout(BaseException):
        pass

    def wait():
        raise Timeout

    patches.apply((shop, "double"), failing_when_interrupted(wait), fail_open=True)

    assert type(raised_by(shop.double, 1)) is OwnError
    assert shop.calls == []


def waiting_and_failing(wrapped):
    async def wrapper(x):
        try:
            await asyncio.sleep(20)
        finally:
            raise OwnError

    return wrapper


def test_a_task_that_is_cancelled_in_the_decorators_own_code_is_cancelled(shop, patches):
    patches.apply((shop, "slow"), waiting_and_failing, fail_open=True)

    async def main():
        task = asyncio.create_task(shop.slow(1))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())
    assert shop.calls == []


def test_a_coroutine_that_is_closed_in_the_decorators_own_code_is_closed(shop, patches):
    patches.apply((shop, "slow"), waiting_and_failing, fail_open=True)

    async def main():
        coroutine = shop.slow(1)
        coroutine.send(None)
        coroutine.close()

    asyncio.run(main())
    assert shop.calls == []


class private_timeout:
    """A time-out as libraries have it: it cancels the task and takes that back, and its error has
    the cancellation as its context."""

    async def __aenter__(self):
        self.task = asyncio.current_task()
        asyncio.get_running_loop().call_soon(self.task.cancel)

    async def __aexit__(self, *error):
        self.task.uncancel()
        raise TimeoutError


def test_a_time_out_of_the_decorators_own_is_a_failure_like_others(shop, patches):
    def sending(wrapped):
        async def wrapper(x):
            async with private_timeout():
                await asyncio.sleep(20)

        return wrapper

    patches.apply((shop, "slow"), sending, fail_open=True)

    assert asyncio.run(shop.slow(2)) == 4


def test_a_time_out_around_the_original_is_not_taken_for_a_cancellation(shop, patches):
    async def slow(x):
        await asyncio.sleep(20)

    shop.slow = slow

    def limiting(wrapped):
        async def wrapper(x):
            async with private_timeout():
                await wrapped(x)

        return wrapper

    patches.apply((shop, "slow"), limiting, fail_open=True)

    assert type(raised_by(lambda: asyncio.run(shop.slow(2)))) is TimeoutError


def test_callbacks_that_each_ask_for_the_next_do_not_pile_up(patches):
    """Each has a copy of the context that the one before it had."""
    from safepatch.fail_open import _Call

    made = types.SimpleNamespace()

    def tick(n):
        if n:
            loop.call_soon(made.tick, n - 1)
        else:
            gc.collect()
            kept.append(sum(type(one) is _Call for one in gc.get_objects()))
            loop.stop()

    made.tick = tick
    patches.apply((made, "tick"), pass_through, fail_open=True)
    loop, kept = asyncio.new_event_loop(), []
    loop.call_soon(made.tick, 50)
    loop.run_forever()
    loop.close()

    assert kept[0] < 5


# Decorators as people write them.


def transparently(wrapped):
    """Every decorator that is applied with the option, as one: it is not to be seen."""
    kind = kinds.kind(wrapped)
    if kind not in (kinds.PLAIN, kinds.COROUTINE):
        return wrapped  # refused
    failures = fail_open.Failures(None, 3)
    link = fail_open.link(wrapped, failures)
    made = fail_open.failing_open(link, link, failures)
    assert kinds.kind(made) == kind
    return made


def test_it_is_as_transparent_as_a_decorator_should_be():
    assert testing.findings(transparently) == []


@pytest.mark.parametrize("name", ["wrapped", "self", "step", "below", "args", "call", "this"])
def test_arguments_may_have_any_name(patches, name):
    made = types.SimpleNamespace()
    exec(f"def f(*, {name}): return {name}\nasync def g(*, {name}): return {name}", vars(made))
    patches.apply((made, "f"), failing_after, fail_open=True)
    patches.apply((made, "g"), failing_after_async, fail_open=True)

    assert made.f(**{name: 1}) == 1
    assert asyncio.run(made.g(**{name: 1})) == 1


def test_a_decorator_of_wrapt_fails_open_on_methods(shop, patches):
    import wrapt

    seen = []

    @wrapt.decorator
    def failing(wrapped, instance, args, kwargs):
        seen.append(instance)
        wrapped(*args, **kwargs)
        raise OwnError

    till = shop.Till()
    patches.apply((shop.Till, "open"), failing, fail_open=2)

    assert [till.open(x) for x in range(3)] == [(till, x) for x in range(3)]
    assert seen == [till, till]


@pytest.mark.parametrize("decorate", [count_calls, log_calls])
def test_our_observers_fail_open(shop, patches, decorate, caplog):
    def broken():
        raise OwnError("the clock")

    shop.log = lambda x: x
    for name in ("double", "slow"):
        patches.apply((shop, name), decorate(clock=broken), fail_open=True)

    assert [shop.double(x) for x in range(5)] == [0, 2, 4, 6, 8]
    assert [asyncio.run(shop.slow(x)) for x in range(5)] == [0, 2, 4, 6, 8]


@given(STEPS, st.booleans(), st.integers(1, 4))
def test_whatever_it_does_whoever_awaits_gets_it_too(steps, fails, after):
    calls = []

    async def double(x):
        calls.append(x)
        await _turn()
        if fails:
            raise LookupError(x)
        return 2 * x

    made = types.SimpleNamespace(double=double)
    with safepatch.patch((made, "double"), decorating_async(steps), fail_open=after) as patch:
        for x in range(after + 1):
            calls.clear()
            failed, aside = patch.failures.count, patch.failures.aside
            outcome = _outcome(lambda x: _run(made.double(x)), x)

            swallowed = fails and outcome is None
            assert swallowed or outcome == (("raised", x) if fails else 2 * x)
            assert calls
            assert not swallowed or patch.failures.count == failed
            if aside:
                assert calls == [x]


@types.coroutine
def _turn():
    yield


def _run(coroutine):
    """Without the price of a loop."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


def decorating_async(steps):
    """`decorating`, with what awaits in place of what calls."""
    plainly = decorating(steps)

    def decorate(wrapped):
        async def wrapper(x):
            await _turn()
            # The very decorator, whose calls of the original are run to their end.
            return plainly(lambda x: _run(wrapped(x)))(x)

        return wrapper

    return decorate


def test_undone_it_keeps_no_owner_alive(patches):
    def owner():
        made = types.ModuleType("owner_that_goes")
        exec("def f(): return 1", vars(made))
        return made

    made = owner()
    patch = patches.apply((made, "f"), failing_after, fail_open=1)
    made.f()
    patch.undo()
    gone = weakref.ref(made)
    del made
    gc.collect()

    assert gone() is None
    assert patch.failures.count == 1
