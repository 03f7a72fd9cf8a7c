"""Coroutine functions: tasks of one event loop, several loops, and the end of loops."""

import asyncio
import contextvars
import itertools

import hand_made
from rows import (
    ASYNC_LRU,
    CACHEBOX,
    CONDITION,
    FLIGHTS,
    FOR_COROUTINES,
    HAND_MADE,
    LOCK,
    LRU,
    WorkError,
    count,
    expect,
    in_threads,
    raise_first,
    row,
)

task_row = row(ours=FLIGHTS, peers=FOR_COROUTINES)


@row(peers=(LRU, LOCK, CONDITION, CACHEBOX, ASYNC_LRU, HAND_MADE))
def coroutine_function(cache):
    """The results of a coroutine function are kept, not its coroutines."""
    calls = []

    @cache
    async def double(x):
        calls.append(x)
        return 2 * x

    async def main():
        return [await double(1), await double(1)]

    expect(asyncio.run(main()) == [2, 2], "wrong")
    count(calls)


@row(peers=FOR_COROUTINES)
def spoilt_result_of_a_coroutine_function(cache):
    """A caller changes the list that it awaited."""

    @cache
    async def items():
        return [1]

    async def main():
        for _ in range(3):
            found = await items()
            expect(found == [1], "leaks")
            found.append(2)

    asyncio.run(main())


@row(ours=FLIGHTS, peers=FOR_COROUTINES)
def unhashable_argument_of_a_coroutine_function(cache):
    """An argument cannot be hashed."""

    @cache
    async def summed(numbers):
        return sum(numbers)

    async def main():
        return [await summed([1, 2]), await summed([2, 3])]

    expect(asyncio.run(main()) == [3, 5], "wrong")


@row(ours=FLIGHTS, peers=FOR_COROUTINES, control=hand_made.cached_when_awaited)
def many_tasks_one_call(cache):
    """Ten tasks ask for the same at once: one calls."""
    calls = []

    @cache
    async def slow(x):
        calls.append(x)
        await asyncio.sleep(0.01)
        return [x]

    async def main():
        return await asyncio.gather(*[slow(1) for _ in range(10)])

    expect(asyncio.run(main()) == [[1]] * 10, "wrong")
    count(calls)


@task_row
def many_tasks_fail(cache):
    """Ten tasks ask for what fails: each gets an error of its own, and none is kept."""
    calls = []

    @cache
    async def fail():
        calls.append(1)
        await asyncio.sleep(0.01)
        raise WorkError

    async def main():
        tasks = [fail() for _ in range(10)]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        before = len(calls)
        try:
            await fail()
        except WorkError:
            expect(len(calls) == before + 1, "is kept")
        return found

    found = asyncio.run(main())

    expect(len(set(map(id, found))) == 10, "one error for all")
    expect([type(error) for error in found] == [WorkError] * 10, "wrong")
    expect(not any(error.__context__ for error in found), "foreign __context__")


@task_row
def first_task_cancelled(cache):
    """The task that asked first is cancelled: those who wait are not."""

    @cache
    async def slow():
        await asyncio.sleep(0.02)
        return "done"

    async def main():
        tasks = [asyncio.ensure_future(slow()) for _ in range(3)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = asyncio.run(main())

    expect(type(first) is asyncio.CancelledError, "cannot be cancelled")
    expect(others == ["done"] * 2, "cancelled with it")


@task_row
def waiting_task_cancelled(cache):
    """A task that waits is cancelled, or has waited long enough: the others get the result."""
    calls, events = [], []

    @cache
    async def slow():
        calls.append(1)
        await events[0].wait()
        return "done"

    async def main():
        events.append(asyncio.Event())
        tasks = [asyncio.ensure_future(slow()) for _ in range(3)]
        await asyncio.sleep(0)
        try:
            await asyncio.wait_for(slow(), 0.01)
        except TimeoutError:
            pass
        tasks[1].cancel()
        await asyncio.sleep(0)
        events[0].set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    one, gone, other = asyncio.run(main())

    expect(type(gone) is asyncio.CancelledError, "cannot be cancelled")
    expect([one, other] == ["done"] * 2, "cancelled with it")


@task_row
def cancelled_alone(cache):
    """The only task that asks is cancelled: the next one calls, and gets the result."""
    numbers = itertools.count()

    @cache
    async def work():
        await asyncio.sleep(3600 if next(numbers) == 0 else 0)
        return "done"

    async def main():
        task = asyncio.ensure_future(work())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return await work()

    expect(asyncio.run(main()) == "done", "wrong")


@task_row
def function_cancels_itself(cache):
    """The function raises CancelledError of its own: who waits calls for itself."""
    numbers = itertools.count()

    @cache
    async def work():
        number = next(numbers)
        await asyncio.sleep(0.01)
        if number == 0:
            raise asyncio.CancelledError
        return "done"

    async def main():
        return await asyncio.gather(*[work() for _ in range(3)], return_exceptions=True)

    expect(asyncio.run(main())[1:] == ["done"] * 2, "cancelled with it")


@task_row
def reentry_of_a_task(cache):
    """A coroutine function awaits itself with the same arguments."""
    depth = []

    @cache
    async def again(x):
        depth.append(x)
        return await again(x) if len(depth) < 3 else "end"

    expect(asyncio.run(again(1)) == "end", "wrong")


@task_row
def reentry_by_child_tasks(cache):
    """A coroutine function awaits tasks that await it with the same arguments."""
    depth = []

    @cache
    async def again(x):
        depth.append(x)
        if len(depth) < 3:
            await asyncio.gather(again(x), again(x))
        return "end"

    expect(asyncio.run(again(1)) == "end", "wrong")


@task_row
def crossed_tasks(cache):
    """One task awaits f(1), which awaits f(2), another f(2), which awaits f(1)."""
    begun = []

    @cache
    async def f(x):
        begun.append(x)
        await asyncio.sleep(0.01)
        return await f(3 - x) if len(begun) < 6 else "end"

    async def main():
        return await asyncio.gather(f(1), f(2))

    expect(asyncio.run(main()) == ["end"] * 2, "wrong")


@task_row
def crossed_by_child_tasks(cache):
    """As before, each by a task of its own."""
    begun = []

    @cache
    async def f(x):
        begun.append(x)
        await asyncio.sleep(0.01)
        return (await asyncio.gather(f(3 - x)))[0] if len(begun) < 6 else "end"

    async def main():
        return await asyncio.gather(f(1), f(2))

    expect(asyncio.run(main()) == ["end"] * 2, "wrong")


@row(ours=FLIGHTS, peers=FOR_COROUTINES, control=hand_made.cached_with_a_lock)
def loops_one_after_another(cache):
    """Event loops, one after another, ask for what is there and for what is not."""

    @cache
    async def double(x):
        await asyncio.sleep(0.001)
        return 2 * x

    async def main(x):
        return await asyncio.gather(double(x), double(x), double(1))

    expect([asyncio.run(main(x)) for x in (1, 2, 3)] == [[2, 2, 2], [4, 4, 2], [6, 6, 2]], "wrong")


@task_row
def loops_in_threads(cache):
    """Event loops in several threads ask for the same at once."""

    @cache
    async def slow(x):
        await asyncio.sleep(0.02)
        return [x]

    async def main():
        return await asyncio.gather(*[slow(1) for _ in range(3)])

    found = raise_first(in_threads(*[lambda: asyncio.run(main())] * 4))

    expect(found == [[[1]] * 3] * 4, "wrong")


@task_row
def loop_closed_during_a_call(cache):
    """An event loop is closed while a task of it calls; another loop asks for the same."""
    numbers = itertools.count()

    @cache
    async def work():
        await asyncio.sleep(3600 if next(numbers) == 0 else 0)
        return "done"

    loop = asyncio.new_event_loop()
    pending = loop.create_task(work())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    expect(asyncio.run(work()) == "done", "wrong")
    expect(not pending.done(), "wrong")


@task_row
def loop_ended_during_a_call(cache):
    """As before, but the loop cancels its tasks when it ends, as `asyncio.run` does."""
    numbers = itertools.count()

    @cache
    async def work():
        await asyncio.sleep(3600 if next(numbers) == 0 else 0)
        return "done"

    async def main():
        main.task = asyncio.ensure_future(work())
        await asyncio.sleep(0.01)

    asyncio.run(main())

    expect(asyncio.run(work()) == "done", "wrong")


def failing_to_clean(function, **options):
    """Notes who calls, and forgets that only when the call is through."""
    under_way = {}

    async def wrapper(*args):
        if args in under_way:
            return await asyncio.wait_for(under_way[args].wait(), 1)
        under_way[args] = asyncio.Event()
        found = await function(*args)
        under_way.pop(args).set()
        return found

    return wrapper


@row(ours=FLIGHTS, peers=FOR_COROUTINES, control=failing_to_clean)
def abandoned_coroutine(cache):
    """A coroutine is begun and given up: the next one calls."""
    numbers = itertools.count()

    @cache
    async def work():
        await asyncio.sleep(3600 if next(numbers) == 0 else 0)
        return "done"

    async def main():
        coroutine = work()
        coroutine.send(None)
        coroutine.close()
        never_begun = work()
        never_begun.close()
        return await work()

    expect(asyncio.run(main()) == "done", "wrong")


@task_row
def reentry_by_a_child_thread_of_a_task(cache):
    """A coroutine function awaits a thread with a loop of its own, which asks for the same."""
    depth = []

    @cache
    async def again(x):
        depth.append(x)
        if len(depth) < 3:
            await asyncio.to_thread(lambda: asyncio.run(again(x)))
        return "end"

    expect(asyncio.run(again(1)) == "end", "wrong")


user = contextvars.ContextVar("user", default=None)


def one_worker(function, **options):
    """A cache whose misses are all served by one task, as queues and pools do it."""
    results, started = {}, []

    async def serve(queue):
        while True:
            key, done = await queue.get()
            results[key] = await function(*key)
            done.set()

    async def wrapper(*key):
        if not started:
            started.append(asyncio.Queue())
            wrapper.task = asyncio.ensure_future(serve(started[0]))
        if key not in results:
            done = asyncio.Event()
            started[0].put_nowait((key, done))
            await done.wait()
        return results[key]

    return wrapper


@row(ours=FLIGHTS, peers=FOR_COROUTINES, control=one_worker)
def context_of_the_caller(cache):
    """The function sees the context variables of who calls it, and nobody else those it sets."""

    @cache
    async def whose(x):
        await asyncio.sleep(0.01)
        found = user.get()
        user.set(f"{found} inside")
        return found

    async def ask(name, x):
        user.set(name)
        found = await whose(x)
        return found, user.get()

    async def main():
        return await asyncio.gather(ask("ann", 1), ask("bob", 2), ask("cid", 2))

    ann, bob, cid = asyncio.run(main())  # cid waits for bob

    expect([ann[0], bob[0]] == ["ann", "bob"], "another caller's context")
    expect(cid[1] in ("cid", "cid inside"), "leaks")
