"""Coroutine functions and async generators, patched by name, under a loop of asyncio."""

import asyncio
import contextlib
import gc
import types
import warnings

import pytest
from helpers import pass_through

import safepatch


class ToldError(Exception):
    pass


@pytest.fixture
def module():
    """Functions that tell in a log what they meet."""
    module = types.ModuleType("shop")
    module.log = log = []

    async def waiting(event):
        try:
            await event.wait()
        except asyncio.CancelledError:
            log.append("cancelled inside")
            raise
        finally:
            log.append("finally")
        return "waited"

    async def stubborn(event):
        try:
            await event.wait()
        except asyncio.CancelledError:
            log.append("cancelled inside")
        return "went on"

    async def failing(event):
        try:
            await asyncio.sleep(0)
            raise KeyError("why")
        except KeyError as error:
            raise ToldError("told") from error

    async def stream(event):
        try:
            yield 1
            await event.wait()
            yield 2
        except asyncio.CancelledError:
            log.append("cancelled inside")
            raise
        finally:
            await asyncio.sleep(0)
            log.append("finally")

    for function in (waiting, stubborn, failing, stream):
        setattr(module, function.__name__, function)
    return module


async def outcome(awaitable):
    try:
        return await awaitable
    except BaseException as error:
        return type(error), error.args, type(error.__cause__)


async def begun():
    """Let tasks that are ready run to where they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


# Coroutines.


async def cancelled(module, name):
    task = asyncio.create_task(getattr(module, name)(asyncio.Event()))
    await begun()
    task.cancel("because")
    result = await outcome(task)
    return result, task.cancelled(), list(module.log)


async def cancelled_at_once(module, name):
    task = asyncio.create_task(getattr(module, name)(asyncio.Event()))
    task.cancel("because")
    return await outcome(task), task.cancelled(), list(module.log)


async def timed_out(module, name):
    # Long ago, so that nothing waits for a clock.
    loop = asyncio.get_running_loop()
    async with asyncio.timeout_at(loop.time() - 1):
        return await getattr(module, name)(asyncio.Event())


async def shielded(module, name):
    event = asyncio.Event()
    inner = asyncio.ensure_future(getattr(module, name)(event))
    outer = asyncio.shield(inner)
    await begun()
    outer.cancel()
    event.set()
    return await outcome(outer), await outcome(inner), list(module.log)


async def gathered(module, name):
    event = asyncio.Event()
    event.set()
    function = getattr(module, name)
    return await asyncio.gather(*(function(event) for _ in range(3)), return_exceptions=True)


async def in_a_group(module, name):
    event = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(getattr(module, name)(event)) for _ in range(2)]
        await begun()
        event.set()
    return [task.result() for task in tasks], list(module.log)


async def whose_sibling_fails(module, name):
    async def sibling():
        await begun()
        raise ToldError("sibling")

    async with asyncio.TaskGroup() as group:
        group.create_task(getattr(module, name)(asyncio.Event()))
        group.create_task(sibling())


async def asked_what_it_is(module, name):
    coroutine = getattr(module, name)(asyncio.Event())
    task = asyncio.create_task(coroutine)
    said = task.get_coro().__name__, asyncio.iscoroutine(coroutine), coroutine.cr_running
    task.cancel()
    return said, await outcome(task)


SCENES = [
    cancelled,
    cancelled_at_once,
    timed_out,
    shielded,
    gathered,
    in_a_group,
    whose_sibling_fails,
    asked_what_it_is,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
@pytest.mark.parametrize("name", ["waiting", "stubborn", "failing"])
def test_a_coroutine_ends_as_before_when_it_is(module, name, scene):
    def transcript():
        module.log.clear()
        return repr(asyncio.run(outcome(scene(module, name)))), list(module.log)

    expected = transcript()

    with safepatch.patch((module, name), pass_through):
        found = transcript()

    assert expected == found
    assert expected == transcript()


OPTIONS = [{}, {"aliases": "rebind"}, {"scope": "context"}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_cancelled_task_raises_inside_the_body(module, options):
    with safepatch.patch((module, "waiting"), pass_through, **options):
        result, is_cancelled, log = asyncio.run(cancelled(module, "waiting"))

    assert result == (asyncio.CancelledError, ("because",), type(None))
    assert is_cancelled
    assert log == ["cancelled inside", "finally"]


@pytest.mark.parametrize("patches_over", [1, 2, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_coroutine_that_nobody_awaits_is_warned_of_exactly_once(module, options, patches_over):
    def said():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            module.waiting(None)
            gc.collect(0)
        return [str(warning.message) for warning in caught]

    (expected,) = said()

    with safepatch.patch((module, "waiting"), *[pass_through] * patches_over, **options):
        found = said()

    assert [expected] == found
    assert "waiting' was never awaited" in expected


# Async generators.


async def left_in_the_middle(module):
    """The loop finalises it, as it does when a generator is dropped."""
    async for value in module.stream(asyncio.Event()):
        module.log.append(value)
        break
    gc.collect(0)
    await begun()
    return list(module.log)


async def cancelled_between_values(module):
    async def consume():
        async for value in module.stream(asyncio.Event()):
            module.log.append(value)

    task = asyncio.create_task(consume())
    await begun()
    task.cancel()
    return await outcome(task), list(module.log)


async def closed_by_contextlib(module):
    async with contextlib.aclosing(module.stream(asyncio.Event())) as values:
        async for value in values:
            module.log.append(value)
            break
    return list(module.log)


async def never_started(module):
    module.stream(asyncio.Event())
    gc.collect(0)


async def asked_twice_at_once(module):
    values = module.stream(asyncio.Event())
    await anext(values)
    task = asyncio.create_task(anext(values))
    await begun()
    second = await outcome(anext(values))
    task.cancel()
    return second, await outcome(task), await outcome(anext(values))


async def by_comprehension(module):
    event = asyncio.Event()
    event.set()
    return [value async for value in module.stream(event)]


async def open_when_the_loop_ends(module):
    module.kept = module.stream(asyncio.Event())
    return await anext(module.kept)


STREAMS = [
    left_in_the_middle,
    open_when_the_loop_ends,
    cancelled_between_values,
    closed_by_contextlib,
    never_started,
    asked_twice_at_once,
    by_comprehension,
]


@pytest.mark.parametrize("options", [{}, {"aliases": "rebind"}], ids=str)
@pytest.mark.parametrize("scene", STREAMS, ids=lambda scene: scene.__name__)
def test_an_async_generator_is_finalised_as_before_when_it_is(module, scene, options):
    def transcript():
        module.log.clear()
        complaints = []

        async def main():
            asyncio.get_running_loop().set_exception_handler(
                lambda loop, context: complaints.append(context["message"])
            )
            return await outcome(scene(module))

        return repr(asyncio.run(main())), list(module.log), complaints

    expected = transcript()

    with safepatch.patch((module, "stream"), pass_through, **options):
        found = transcript()

    assert expected == found
    assert expected == transcript()
