"""A generator that is observed is the same to those who use it, and its end is told once."""

import asyncio
import copy
import gc
import inspect
import sys
import types
import weakref

import pytest
import wrapt
from children import child
from hypothesis import given, settings
from hypothesis import strategies as st

from safepatch.decorators.observing import observed
from safepatch.decorators.wrapping import is_generator, kind_of


class WorkError(Exception):
    pass


def watched(function):
    """The function observed, and the list of what was told."""
    told = []

    def begin(args, kwargs):
        told.append(("begin", args, kwargs))
        return lambda *end: told.append(("end", *end))

    return observed(function, begin), told


def ends(told):
    return [(type(one[1]), *one[2:]) for one in told if one[0] == "end"]


# Generators: everything a user can do is done to the plain one and to the observed one, by a list
# of steps, and what comes of it is compared.


def talker(log):
    """Answers, catches what is thrown, and says how it was left."""
    try:
        got = yield "first"
        while got != "return":
            try:
                log.append(got)
                got = yield ("got", got)
            except WorkError as error:
                log.append((error.args, error.__context__))
                got = yield "caught"
            except GeneratorExit:
                if "stay" in log:
                    got = yield "stayed"
                elif "raise" in log:
                    raise WorkError("closing") from None
                else:
                    return "closed"
    finally:
        log.append("finally")
    return "result"


def done(step, *arguments):
    try:
        return step(*arguments)
    except BaseException as error:
        return type(error), error.args, error.__context__, getattr(error, "value", None)


def sync_steps(function, steps):
    log = []
    generator = function(log)
    came = [done(getattr(generator, name), *arguments) for name, *arguments in anew(steps)]
    return came, log


def anew(steps):
    """Errors that were raised before would come with the `__context__` from there."""
    return copy.deepcopy(steps)


NEXT, CLOSE = ("__next__",), ("close",)
STEPS = {
    "all": [NEXT, NEXT, NEXT],
    "send": [NEXT, ("send", 1), ("send", None), ("send", "return"), NEXT],
    "send too early": [("send", 1), NEXT],
    "caught": [NEXT, NEXT, ("throw", WorkError("in")), NEXT, ("send", "return")],
    "not caught": [NEXT, ("throw", WorkError("in")), NEXT],
    "another": [NEXT, NEXT, ("throw", KeyError("in")), NEXT],
    "thrown too early": [("throw", WorkError("in")), NEXT],
    "StopIteration": [NEXT, NEXT, ("throw", StopIteration(5)), NEXT],
    "GeneratorExit": [NEXT, NEXT, ("throw", GeneratorExit()), NEXT],
    "GeneratorExit, stays": [
        NEXT,
        ("send", "stay"),
        ("throw", GeneratorExit()),
        ("send", "return"),
    ],
    "close": [NEXT, NEXT, CLOSE, CLOSE, NEXT],
    "close at first": [CLOSE, NEXT],
    "close at the end": [NEXT, ("send", "return"), CLOSE],
    "close, stays": [NEXT, ("send", "stay"), CLOSE, ("send", "return"), CLOSE],
    "close, raises": [NEXT, ("send", "raise"), CLOSE, CLOSE],
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_generator_is_to_its_user_what_it_was(steps):
    function, told = watched(talker)

    expected, came = sync_steps(talker, steps), sync_steps(function, steps)

    assert repr(expected) == repr(came)
    assert [what for what, *_ in told] in ([], ["begin"], ["begin", "end"])


async def async_talker(log):
    try:
        got = yield "first"
        while got != "return":
            await asyncio.sleep(0)
            try:
                log.append(got)
                got = yield ("got", got)
            except WorkError as error:
                await asyncio.sleep(0)
                log.append((error.args, error.__context__))
                got = yield "caught"
            except GeneratorExit:
                await asyncio.sleep(0)
                if "stay" in log:
                    got = yield "stayed"
                elif "raise" in log:
                    raise WorkError("closing") from None
                else:
                    return
    finally:
        log.append("finally")


async def async_done(step, *arguments):
    try:
        return await step(*arguments)
    except BaseException as error:
        return type(error), error.args, error.__context__


async def async_steps(function, steps):
    log = []
    generator = function(log)
    names = {"__next__": "__anext__", "send": "asend", "throw": "athrow", "close": "aclose"}
    return [
        await async_done(getattr(generator, names[name]), *arguments)
        for name, *arguments in anew(steps)
    ], log


@pytest.mark.parametrize(
    "steps",
    [*STEPS.values(), [NEXT, NEXT, ("throw", StopAsyncIteration()), NEXT]],
    ids=[*STEPS, "StopAsyncIteration"],
)
def test_an_async_generator_is_to_its_user_what_it_was(steps):
    function, told = watched(async_talker)

    expected = asyncio.run(async_steps(async_talker, steps))
    came = asyncio.run(async_steps(function, steps))

    assert repr(expected) == repr(came)
    assert [what for what, *_ in told] in ([], ["begin"], ["begin", "end"])


@given(st.lists(st.sampled_from([step for steps in STEPS.values() for step in steps]), max_size=6))
@settings(max_examples=50)
def test_whatever_is_done_to_a_generator_it_is_what_it_was(steps):
    steps = [*steps, ("send", "return"), NEXT, CLOSE]

    assert repr(sync_steps(talker, steps)) == repr(sync_steps(watched(talker)[0], steps))
    assert repr(asyncio.run(async_steps(async_talker, steps))) == repr(
        asyncio.run(async_steps(watched(async_talker)[0], steps))
    )


def count(n, *, error=None):
    yield from range(n)
    if error:
        raise error
    return "result"


async def acount(n, *, error=None):
    for i in range(n):
        yield i
    if error:
        raise error


async def collected(items):
    return [item async for item in items]


def test_work_begins_with_the_first_value_and_ends_after_the_last():
    function, told = watched(count)

    generator = function(2, error=None)
    assert told == []
    assert next(generator) == 0
    assert told == [("begin", (2,), {"error": None})]
    assert list(generator) == [1]
    assert told[1:] == [("end", None, "result", 2)]


def test_work_of_an_async_generator_begins_with_the_first_value_and_ends_after_the_last():
    function, told = watched(acount)

    async def main():
        generator = function(2)
        assert told == []
        assert await anext(generator) == 0
        assert told == [("begin", (2,), {})]
        assert await collected(generator) == [1]

    asyncio.run(main())
    assert told[1:] == [("end", None, None, 2)]


@pytest.mark.parametrize("function", [count, acount])
def test_an_error_is_told_and_comes_out_itself(function):
    error = WorkError()
    wrapper, told = watched(function)

    items = wrapper(2, error=error)
    use = list if function is count else lambda items: asyncio.run(collected(items))
    with pytest.raises(WorkError) as raised:
        use(items)

    assert raised.value is error
    assert error.__context__ is None
    assert told[1] == ("end", error, None, 2)


def test_a_break_is_told_as_a_close():
    function, told = watched(count)

    for _ in function(5):
        break

    assert ends(told) == [(GeneratorExit, None, 1)]


def test_a_break_out_of_an_async_generator_is_told_when_the_loop_closes_it():
    function, told = watched(acount)

    async def main():
        async for _ in function(5):
            break
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ends(told) == [(GeneratorExit, None, 1)]

    asyncio.run(main())
    assert len(told) == 2


def test_a_cancelled_task_is_told_as_an_error():
    async def waiting():
        yield 1
        await asyncio.Event().wait()

    function, told = watched(waiting)

    async def main():
        task = asyncio.create_task(collected(function()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ends(told) == [(asyncio.CancelledError, None, 1)]


def test_a_loop_that_ends_closes_async_generators_without_complaint():
    complaints = []
    log = []
    function, told = watched(async_talker)

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda *told: complaints.append(told))
        kept.append(function(log))
        await anext(kept[0])

    kept = []
    asyncio.run(main())

    assert (complaints, log) == ([], ["finally"])
    assert ends(told) == [(GeneratorExit, None, 1)]


def test_the_hooks_of_the_loop_stay_what_they_are():
    async def main():
        before = sys.get_asyncgen_hooks()
        await anext(watched(acount)[0](1))
        assert sys.get_asyncgen_hooks() == before

    asyncio.run(main())


def test_what_begin_raises_refuses_the_call():
    def begin(args, kwargs):
        raise WorkError

    def never():
        raise AssertionError
        yield

    async def anever():
        raise AssertionError
        yield

    with pytest.raises(WorkError):
        next(observed(never, begin)())
    with pytest.raises(WorkError):
        asyncio.run(collected(observed(anever, begin)()))


def test_none_for_an_end_lets_one_generator_go_unobserved():
    assert list(observed(count, lambda args, kwargs: None)(2)) == [0, 1]
    assert asyncio.run(collected(observed(acount, lambda args, kwargs: None)(2))) == [0, 1]


def test_close_of_a_generator_that_goes_unobserved_returns_nothing():
    generator = observed(talker, lambda args, kwargs: None)([])
    next(generator), next(generator)

    assert generator.close() is None


def test_wrong_arguments_are_told_as_an_error():
    function, told = watched(count)

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'n'"):
        next(function())

    assert ends(told) == [(TypeError, None, 0)]


class Thing:
    pass


def test_arguments_and_values_live_no_longer_than_the_function_needs():
    def give(thing):
        del thing
        yield
        yield Thing()
        yield

    thing = Thing()
    seen = weakref.ref(thing)
    generator = observed(give, lambda args, kwargs: lambda *end: None)(thing)
    del thing
    next(generator)
    assert seen() is None
    seen = weakref.ref(next(generator))

    assert seen() is None


class OtherError(Exception):
    pass


def test_an_error_that_came_through_leaves_no_cycle():
    def begin(args, kwargs):
        return lambda *end: None

    def through():
        generator = observed(talker, begin)([])
        next(generator)
        try:
            generator.throw(OtherError())
        except OtherError as error:
            return weakref.ref(error)

    async def athrough():
        generator = observed(async_talker, begin)([])
        await anext(generator)
        try:
            await generator.athrow(OtherError())
        except OtherError as error:
            return weakref.ref(error)

    gc.disable()
    try:
        assert through()() is None
        assert asyncio.run(athrough())() is None
    finally:
        gc.enable()


def test_the_kind_stays():
    assert inspect.isgeneratorfunction(watched(count)[0])
    assert inspect.isasyncgenfunction(watched(acount)[0])
    assert watched(count)[0].__wrapped__ is count


def test_an_old_style_coroutine_can_be_awaited_still():
    @types.coroutine
    def old(x):
        yield from asyncio.sleep(0).__await__()
        return x

    function, told = watched(old)

    async def main():
        return await function(5)

    assert asyncio.run(main()) == 5
    assert ends(told)[0][:2] == (type(None), 5)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda: None, "plain"),
        (len, "plain"),
        (int, "plain"),
        (collected, "coroutine"),
        (count, "generator"),
        (acount, "async generator"),
    ],
)
def test_the_kind_is_seen_through_objects_methods_and_proxies(function, kind):
    called = type("Called", (), {"__call__": function})
    method = types.MethodType(function, 5)

    assert kind_of(function) == kind_of(wrapt.CallableObjectProxy(function)) == kind
    if function is not int and function is not len:
        assert {kind_of(called()), kind_of(method)} == {kind}
        assert kind_of(wrapt.CallableObjectProxy(called())) == kind
    assert is_generator(function) == kind.endswith("generator")


def test_what_a_foreign_decorator_gives_may_be_any_iterable():
    link = wrapt.CallableObjectProxy(count)
    function, told = watched(link)
    link.__wrapped__ = lambda: [1, 2]
    assert list(function()) == [1, 2]

    class Items:
        def __init__(self):
            self.left = [1, 2]

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

    link = wrapt.CallableObjectProxy(acount)
    function, atold = watched(link)
    link.__wrapped__ = Items
    assert asyncio.run(collected(function())) == [2, 1]
    assert ends(told) == ends(atold) == [(type(None), None, 2)]


def test_an_async_generator_that_nobody_closes_is_closed_with_the_process():
    child("""
        import asyncio
        from safepatch.decorators.observing import observed

        async def numbers():
            try:
                yield 1
            finally:
                await asyncio.sleep(0)

        async def main():
            global kept
            kept = observed(numbers, lambda args, kwargs: lambda *end: None)()
            await anext(kept)

        asyncio.run(main())
    """)


def test_generators_of_patched_functions_are_observed(patches):
    module = types.ModuleType("module")
    module.numbers, module.anumbers = count, acount
    told = []

    def decorate(wrapped):
        return observed(wrapped, lambda args, kwargs: lambda *end: told.append(end))

    for name in ("numbers", "anumbers"):
        patches.apply((module, name), decorate, aliases="ignore")

    assert list(module.numbers(2)) == [0, 1]
    assert asyncio.run(collected(module.anumbers(2))) == [0, 1]
    assert told == [(None, "result", 2), (None, None, 2)]
    assert inspect.isgeneratorfunction(module.numbers)
    assert inspect.isasyncgenfunction(module.anumbers)
