"""Single flight among the tasks of event loops; for threads and greenlets, test_flights.py."""

import asyncio
import gc
import threading

import pytest

from safepatch.decorators import flights, memoize, single_flight, ttl_cache

ENOUGH = 30

every = pytest.mark.parametrize(
    "cache", [memoize, ttl_cache(ttl=60), single_flight], ids=["memoize", "ttl_cache", "single"]
)


class WorkError(Exception):
    pass


@pytest.fixture(autouse=True)
def endless_patience(monkeypatch):
    """So that a test which waits in vain hangs, instead of only taking its time."""
    monkeypatch.setattr(flights, "PATIENCE", 1e6)


def run(main):
    """Run a coroutine function; what hangs is cancelled, and so fails."""
    return asyncio.run(asyncio.wait_for(main(), ENOUGH))


@every
def test_one_of_many_tasks_runs_and_all_get_a_result_of_their_own(cache):
    calls = []

    @cache
    async def work(x):
        calls.append(x)
        await asyncio.sleep(0)
        return [x]

    async def main():
        return await asyncio.gather(*[work(x) for x in (1, 2) * 10])

    results = run(main)

    assert results == [[1], [2]] * 10
    assert len({id(result) for result in results}) == 20
    assert calls == [1, 2]


@every
def test_when_the_call_fails_each_who_waited_makes_one_of_its_own(cache):
    @cache
    async def work():
        calls.append(1)
        await asyncio.sleep(0)
        raise WorkError

    calls = []

    async def main():
        return await asyncio.gather(*[work() for _ in range(3)], return_exceptions=True)

    errors = run(main)

    assert [type(error) for error in errors] == [WorkError] * 3
    assert len({id(error) for error in errors}) == 3
    assert all(error.__context__ is None for error in errors)
    assert len(calls) == 3


@every
def test_when_the_first_is_cancelled_another_takes_its_place(cache):
    @cache
    async def work():
        calls.append(asyncio.current_task())
        await asyncio.sleep(0 if len(calls) > 1 else ENOUGH)
        return "done"

    calls = []

    async def main():
        tasks = [asyncio.create_task(work()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = run(main)

    assert type(first) is asyncio.CancelledError
    assert others == ["done"] * 2
    assert len(calls) == 2


@every
def test_who_waits_can_be_cancelled_and_nobody_else_minds(cache):
    @cache
    async def work():
        await event.wait()
        return "done"

    async def main():
        global event
        event = asyncio.Event()
        tasks = [asyncio.create_task(work()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        event.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = run(main)

    assert (first, third) == ("done", "done")
    assert type(second) is asyncio.CancelledError


@every
@pytest.mark.parametrize(
    "again",
    [
        lambda work: work(1),
        lambda work: asyncio.gather(work(1), work(1)),
        lambda work: asyncio.create_task(work(1)),
        lambda work: asyncio.wait_for(work(1), ENOUGH),
    ],
)
def test_a_call_within_the_call_does_not_wait_for_it(cache, again):
    @cache
    async def work(x):
        calls.append(x)
        if len(calls) == 1:
            await again(work)
        return x

    calls = []

    async def main():
        return await work(1)

    assert run(main) == 1


@every
def test_tasks_that_wait_for_each_other_do_not_hang(cache):
    @cache
    async def work(x):
        calls.append(x)
        if len(calls) <= 2:
            await asyncio.sleep(0)
            return await asyncio.create_task(work(3 - x))
        return "done"

    calls = []

    async def main():
        return await asyncio.gather(work(1), work(2))

    assert run(main) == ["done", "done"]


def test_a_circle_through_several_functions_and_a_third_task_does_not_hang():
    @memoize
    async def one(x):
        await asyncio.sleep(0)
        return await two(x)

    @memoize
    async def two(x):
        await asyncio.sleep(0)
        return await asyncio.create_task(three(x))

    @memoize
    async def three(x):
        await asyncio.sleep(0)
        return "done" if depth() > 4 else await one(x)

    count = []

    def depth():
        count.append(1)
        return len(count)

    async def main():
        return await asyncio.gather(one(1), two(1), three(1))

    assert run(main) == ["done"] * 3


@every
def test_a_loop_does_not_wait_for_another(cache):
    """Which may be waiting for it, or never run again."""
    entered, leave = threading.Event(), threading.Event()
    calls = []

    @cache
    async def work():
        calls.append(threading.get_ident())
        if len(calls) == 1:
            entered.set()
            await asyncio.to_thread(leave.wait, ENOUGH)
        return len(calls)

    other = threading.Thread(target=lambda: results.append(asyncio.run(work())))
    results = []
    other.start()
    assert entered.wait(ENOUGH)

    async def main():
        return await work()

    assert run(main) == 2
    leave.set()
    other.join(ENOUGH)
    assert results == [2]


def test_a_loop_that_was_left_with_work_under_way_does_not_stand_in_the_way():
    calls = []

    @memoize
    async def work():
        calls.append(1)
        await asyncio.sleep(0 if len(calls) > 1 else ENOUGH)
        return len(calls)

    loop = asyncio.new_event_loop()
    left = loop.create_task(work())
    loop.call_soon(loop.stop)
    loop.run_forever()

    async def main():
        return await work(), await work()

    assert run(main) == (2, 2)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(left)
    loop.close()
    assert run(main) == (2, 2)


def test_a_coroutine_that_is_dropped_does_not_stand_in_the_way():
    calls = []

    @single_flight
    async def work():
        calls.append(1)
        if len(calls) == 1:
            await asyncio.get_running_loop().create_future()
        return len(calls)

    async def main():
        begun = work()
        begun.send(None)
        begun.close()
        return await work()

    assert run(main) == 2


def test_without_asyncio_a_coroutine_is_driven_by_whoever_can():
    class Step:
        def __await__(self):
            yield "step"

    @memoize
    async def work(x):
        await Step()
        return [x]

    one, two = work(1), work(1)
    assert [one.send(None), two.send(None)] == ["step", "step"]
    for coroutine in (one, two):
        with pytest.raises(StopIteration) as stopped:
            coroutine.send(None)
        assert stopped.value.value == [1]
    with pytest.raises(StopIteration):
        work(1).send(None)


def test_who_has_waited_in_vain_runs_as_well(monkeypatch):
    monkeypatch.setattr(flights, "PATIENCE", 0.01)
    calls = []

    @memoize
    async def work():
        calls.append(1)
        if len(calls) == 1:
            await asyncio.sleep(ENOUGH)
        return len(calls)

    async def main():
        stuck = asyncio.create_task(work())
        await asyncio.sleep(0)
        results = await asyncio.gather(*[work() for _ in range(3)])
        stuck.cancel()
        return results, await work()

    results, later = run(main)

    assert later == results[0] == 2
    assert len(calls) <= 4


def test_the_context_of_the_first_is_its_own():
    import contextvars

    tenant = contextvars.ContextVar("tenant", default="nobody")

    @single_flight
    async def work():
        tenant.set("first")
        await asyncio.sleep(0)
        return tenant.get()

    async def ask(name):
        tenant.set(name)
        return await work(), tenant.get()

    async def main():
        return await asyncio.gather(ask("one"), ask("two"))

    assert run(main) == [("first", "first"), ("first", "two")]


@every
def test_no_task_or_loop_is_kept_alive(cache):
    import weakref

    @cache
    async def work(x):
        await asyncio.sleep(0)
        return x

    async def main():
        tasks = [asyncio.create_task(work(1)) for _ in range(3)]
        await asyncio.gather(*tasks)
        return [weakref.ref(thing) for thing in (*tasks, asyncio.get_running_loop())]

    references = run(main)
    gc.collect()

    assert [reference() for reference in references] == [None] * 4
