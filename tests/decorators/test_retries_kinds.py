"""What retry promises for functions of each kind, and for what exceptions carry with them."""

import asyncio
import gc
import inspect
import traceback
import types
import weakref

import pytest
import wrapt
from failing import WorkError, failing
from test_observing import STEPS, async_steps, async_talker, sync_steps, talker

from safepatch.decorators import retry

patient = retry(on=WorkError, attempts=3, sleep=lambda seconds: None)


def failing_first(times, function):
    """The function, but its generators fail so many times before their first value."""
    left = [WorkError(number) for number in range(times)]

    def generator(*args):
        if left:
            raise left.pop(0)
        return (yield from function(*args))

    async def async_generator(*args):
        inner = function(*args)
        if left:
            raise left.pop(0)
        sent, thrown = None, None
        while True:
            try:
                step = inner.athrow(thrown) if thrown else inner.asend(sent)
                value = await step
            except StopAsyncIteration:
                return
            thrown = None
            try:
                sent = yield value
            except BaseException as error:
                thrown = error

    return async_generator if inspect.isasyncgenfunction(function) else generator


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_generator_is_to_its_user_what_it_was(steps):
    assert repr(sync_steps(patient(talker), steps)) == repr(sync_steps(talker, steps))


@pytest.mark.parametrize(
    "steps",
    [*STEPS.values(), [("__next__",), ("throw", StopAsyncIteration()), ("__next__",)]],
    ids=[*STEPS, "StopAsyncIteration"],
)
def test_an_async_generator_is_to_its_user_what_it_was(steps):
    expected = asyncio.run(async_steps(async_talker, steps))

    assert repr(asyncio.run(async_steps(patient(async_talker), steps))) == repr(expected)


SENDS = [("__next__",), ("send", 1), ("throw", WorkError("in")), ("send", "return")]


def test_a_generator_that_failed_before_its_first_value_is_made_again():
    came = sync_steps(patient(failing_first(2, talker)), SENDS)

    assert repr(came) == repr(sync_steps(talker, SENDS))


def test_an_async_generator_that_failed_before_its_first_value_is_made_again():
    came = asyncio.run(async_steps(patient(failing_first(2, async_talker)), SENDS))

    assert repr(came) == repr(asyncio.run(async_steps(async_talker, SENDS)))


@pytest.mark.parametrize("function", [talker, async_talker])
def test_a_generator_that_fails_before_its_first_value_again_and_again_raises_the_last(function):
    generator = patient(failing_first(3, function))([])

    with pytest.raises(WorkError) as raised:
        next(generator) if function is talker else asyncio.run(anext(generator))

    assert raised.value.args == (2,)
    assert raised.value.__context__ is None
    assert raised.value.__notes__[0].startswith("retry: gave up after 3 attempts")


def test_a_generator_that_fails_after_its_first_value_is_not_made_again():
    made = []

    @patient
    def items():
        made.append(1)
        yield "first"
        raise WorkError

    generator = items()

    assert next(generator) == "first"
    with pytest.raises(WorkError):
        next(generator)
    assert made == [1]


def test_an_async_generator_that_fails_after_its_first_value_is_not_made_again():
    made, came = [], []

    @patient
    async def items():
        made.append(1)
        yield "first"
        raise WorkError

    async def main():
        async for item in items():
            came.append(item)

    with pytest.raises(WorkError):
        asyncio.run(main())
    assert (made, came) == ([1], ["first"])


def test_a_generator_that_gives_nothing_did_not_fail():
    careless = retry(on=Exception, sleep=lambda seconds: None)
    made = []

    @careless
    def nothing():
        made.append(1)
        return "result"
        yield

    @careless
    async def anothing():
        made.append(2)
        return
        yield

    async def collected():
        return [item async for item in anothing()]

    with pytest.raises(StopIteration) as stopped:
        next(nothing())
    assert stopped.value.value == "result"
    assert asyncio.run(collected()) == []
    assert made == [1, 2]


def test_a_generator_does_nothing_until_it_is_asked_for_a_value():
    made = []

    @patient
    def items():
        made.append(1)
        yield

    items().close()

    assert made == []


def test_a_loop_that_ends_closes_async_generators_without_complaint():
    complaints, log, kept = [], [], []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda *told: complaints.append(told))
        kept.append(patient(async_talker)(log))
        await anext(kept[0])

    asyncio.run(main())

    assert (complaints, log) == ([], ["finally"])


async def coroutine():
    return 5


class Called:
    def __call__(self):
        yield 5


@pytest.mark.parametrize(
    ("function", "is_kind"),
    [
        (coroutine, inspect.iscoroutinefunction),
        (talker, inspect.isgeneratorfunction),
        (async_talker, inspect.isasyncgenfunction),
        (Called(), inspect.isgeneratorfunction),
        (wrapt.CallableObjectProxy(async_talker), inspect.isasyncgenfunction),
    ],
)
def test_the_kind_stays(function, is_kind):
    assert is_kind(patient(function))


def test_an_old_style_coroutine_can_be_awaited_still():
    @patient
    @types.coroutine
    def old(x):
        yield from asyncio.sleep(0).__await__()
        return x

    async def main():
        return await old(5)

    assert asyncio.run(main()) == 5


def test_methods_of_all_sorts_are_retried():
    class Client:
        failures = 2

        @classmethod
        @patient
        def get(cls, url):
            Client.failures -= 1
            if Client.failures >= 0:
                raise WorkError
            return cls, url

        @staticmethod
        @patient
        def items():
            yield 1

        @patient
        async def later(self):
            return self

    client = Client()

    assert client.get("url") == (Client, "url")
    assert list(client.items()) == [1]
    assert asyncio.run(client.later()) is client


# What exceptions carry with them.


def frames(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def raised_by(function, *arguments):
    try:
        result = function(*arguments)
        if inspect.iscoroutine(result):
            # By hand, since the frames of asyncio.run() hold the error.
            result.send(None)
    except Exception as error:
        return error


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_the_traceback_of_a_shared_exception_does_not_grow_with_attempts(is_coroutine):
    def after(attempts):
        shared = WorkError()

        def work():
            raise shared

        async def work_later():
            raise shared

        decorate = retry(on=WorkError, attempts=attempts, sleep=lambda seconds: None)
        error = raised_by(decorate(work_later if is_coroutine else work))
        assert error is shared
        return frames(shared)

    assert len(after(50)) == len(after(3))


def test_the_traceback_keeps_where_a_shared_exception_came_from():
    def source():
        raise WorkError

    shared = raised_by(source)

    @retry(on=WorkError, attempts=9, sleep=lambda seconds: None)
    def work():
        raise shared

    with pytest.raises(WorkError):
        work()

    assert frames(shared)[-1] == "source"


def test_the_traceback_of_a_call_that_fails_once_is_that_of_a_plain_closure():
    @retry(on=OSError)
    def work():
        raise WorkError

    assert frames(raised_by(work)) == ["raised_by", "wrapper", "work"]


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_an_error_is_freed_with_its_last_user(is_coroutine):
    class Thing:
        pass

    def work(thing):
        raise WorkError

    async def work_later(thing):
        raise WorkError

    def failed():
        # No name for the error: this frame is reached from its traceback.
        return weakref.ref(raised_by(patient(work_later if is_coroutine else work), Thing()))

    gc.collect()
    gc.disable()
    try:
        assert failed()() is None
    finally:
        gc.enable()


def test_arguments_are_not_kept_by_a_generator_that_needs_them_no_more():
    class Thing:
        pass

    @patient
    def items(thing):
        del thing
        yield

    thing = Thing()
    seen = weakref.ref(thing)
    generator = items(thing)
    del thing
    next(generator)

    assert seen() is None


def test_an_error_in_a_handler_has_the_context_it_would_have():
    work, _, _ = failing(WorkError(1), WorkError(2), attempts=2)
    outer = KeyError()

    def handle():
        try:
            raise outer
        except KeyError:
            work()

    assert raised_by(handle).__context__ is outer
