"""A patch that decorates an IsolatedAsyncioTestCase class, and what its tests start."""

import asyncio
import functools
import io
import types
import unittest

import pytest
from helpers import spaces

import safepatch


@pytest.fixture
def shop():
    module = types.ModuleType("shop")
    module.price = lambda: "original"
    before = spaces(module)
    yield module
    assert before == spaces(module)


def ours(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        wrapped(*args, **kwargs)
        return "ours"

    return wrapper


def make_case(shop):
    """A test class that notes what the price is, by stage and by who asks."""
    noted = {}

    def price():
        return shop.price()

    class Case(unittest.IsolatedAsyncioTestCase):
        def setUp(self):
            noted["setUp"] = price()

        async def asyncSetUp(self):
            noted["asyncSetUp"] = price()
            self.addAsyncCleanup(self.clean_up)

        async def clean_up(self):
            noted["cleanup"] = price()

        async def asyncTearDown(self):
            noted["asyncTearDown"] = price()

        def tearDown(self):
            noted["tearDown"] = price()

        def test_plain(self):
            noted["plain test"] = price()

        async def test_coroutine(self):
            first = price()
            await asyncio.sleep(0)
            noted["coroutine test"] = first, price()

        async def test_task_group(self):
            async def later():
                await asyncio.sleep(0)
                return price()

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(later()) for _ in range(2)]
            noted["TaskGroup"] = [task.result() for task in tasks]

        async def test_to_thread(self):
            noted["to_thread"] = await asyncio.to_thread(price)

        async def test_executor(self):
            loop = asyncio.get_running_loop()
            noted["executor"] = await loop.run_in_executor(None, price)

        async def test_call_soon(self):
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(lambda: future.set_result(price()))
            noted["call_soon"] = await future

        async def test_raises(self):
            raise KeyError("on purpose")

        async def test_is_cancelled(self):
            async def forever():
                try:
                    await asyncio.Event().wait()
                finally:
                    noted["cancelled task"] = price()

            task = asyncio.create_task(forever())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

    return Case, noted


def run(case):
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    return unittest.TextTestRunner(io.StringIO()).run(suite)


STAGES = dict.fromkeys(
    ["setUp", "asyncSetUp", "asyncTearDown", "tearDown", "cleanup"],
    "original",
)
INSIDE = {
    "plain test": "ours",
    "coroutine test": ("ours", "ours"),
    "TaskGroup": ["ours", "ours"],
    "to_thread": "ours",
    "call_soon": "ours",
    "cancelled task": "ours",
}


@pytest.mark.parametrize(
    ("options", "in_an_executor"),
    [({}, "ours"), ({"aliases": "rebind"}, "ours"), ({"scope": "context"}, "original")],
    ids=str,
)
def test_each_test_and_what_it_starts_sees_the_patch(shop, options, in_an_executor):
    case, noted = make_case(shop)

    result = run(safepatch.patch((shop, "price"), ours, **options)(case))

    assert noted == {**STAGES, **INSIDE, "executor": in_an_executor}
    assert [test.id().split(".")[-1] for test, _ in result.errors] == ["test_raises"]
    assert (result.testsRun, result.failures) == (8, [])


def test_tests_of_one_class_that_run_in_two_tasks_each_see_their_own_context_patch(shop):
    """As a runner does that runs tests concurrently."""

    class Cases:
        @safepatch.patch((shop, "price"), ours, scope="context")
        async def test_patched(self):
            await asyncio.sleep(0)
            return shop.price()

        async def test_not_patched(self):
            await asyncio.sleep(0)
            return shop.price()

    async def main():
        cases = Cases()
        return await asyncio.gather(
            *(case() for _ in range(3) for case in (cases.test_patched, cases.test_not_patched))
        )

    assert asyncio.run(main()) == ["ours", "original"] * 3
