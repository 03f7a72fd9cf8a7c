"""What count_calls promises."""

import asyncio
import inspect
import threading
import weakref

import prometheus_client
import pytest
from children import child

from safepatch.decorators import CallStats, count_calls, tallies
from safepatch.decorators.tallies import tally

INF = float("inf")


class WorkError(Exception):
    pass


def clock_of(*seconds):
    """A clock that tells one time after the other."""
    return iter(seconds).__next__


def test_it_works_bare_called_and_with_a_clock():
    for decorate in (count_calls, count_calls(), count_calls(clock=clock_of(0, 1))):
        counted = decorate(len)
        assert counted("ab") == 2
        assert counted.stats()[:2] == (1, 0)


def test_calls_errors_and_seconds_are_counted():
    def half(x):
        if x % 2:
            raise WorkError
        return x // 2

    counted = count_calls(half, clock=clock_of(0, 1, 10, 12, 20, 24))

    assert [counted(4), counted(x=6)] == [2, 3]
    with pytest.raises(WorkError):
        counted(3)
    assert counted.stats()[:3] == (3, 1, 7.0)


def test_nothing_was_counted_before_the_first_call():
    assert count_calls(len, buckets=[1]).stats() == CallStats(0, 0, 0.0, ((1.0, 0), (INF, 0)))


def test_a_call_counts_when_it_is_over():
    @count_calls
    def look():
        return look.stats().calls

    assert [look(), look()] == [0, 1]


def test_whatever_ends_a_call_counts_as_an_error_and_comes_through():
    error = KeyboardInterrupt()

    @count_calls
    def interrupted():
        raise error

    with pytest.raises(KeyboardInterrupt) as raised:
        interrupted()

    assert raised.value is error
    assert interrupted.stats()[:2] == (1, 1)


def test_a_coroutine_function_counts_when_it_was_awaited():
    async def later(x):
        await asyncio.sleep(0)
        if x is None:
            raise WorkError
        return x

    counted = count_calls(later, clock=clock_of(0, 3, 5, 9))
    coroutine = counted(1)
    assert counted.stats().calls == 0

    assert asyncio.run(coroutine) == 1
    with pytest.raises(WorkError):
        asyncio.run(counted(None))
    assert counted.stats()[:3] == (2, 1, 7.0)
    assert inspect.iscoroutinefunction(counted)


def test_no_call_of_any_thread_is_lost():
    counted = count_calls(lambda: None)

    def many():
        for _ in range(2000):
            counted()

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counted.stats()[:2] == (16000, 0)


def test_methods_are_counted_for_all_instances_together():
    class Numbers:
        @count_calls
        def number(self):
            return self

    one, two = Numbers(), Numbers()

    assert [one.number(), two.number()] == [one, two]
    assert Numbers.number.stats().calls == one.number.stats().calls == 2


def test_each_decoration_counts_for_itself():
    decorate = count_calls()
    one, two = decorate(len), decorate(len)

    one("")

    assert [one.stats().calls, two.stats().calls] == [1, 0]


def test_what_cannot_be_called_is_refused_when_decorating():
    with pytest.raises(TypeError, match="cannot count calls of 5: it is a int"):
        count_calls(5)


def test_a_clock_that_cannot_be_called_is_refused_at_once():
    with pytest.raises(TypeError, match="got clock=5; give a function"):
        count_calls(clock=5)


# The histogram


def test_the_histogram_says_how_many_calls_took_how_long():
    clock = clock_of(0, 0.5, 0, 1, 0, 1.5, 0, 2, 0, 3)
    counted = count_calls(lambda: None, buckets=[1, 2.0], clock=clock)

    for _ in range(5):
        counted()

    assert counted.stats().histogram == ((1.0, 2), (2.0, 2), (INF, 1))


def test_failed_calls_are_in_the_histogram_too():
    counted = count_calls(int, buckets=[1], clock=clock_of(0, 5))

    with pytest.raises(ValueError, match="invalid literal"):
        counted("no")

    assert counted.stats() == CallStats(1, 1, 5.0, ((1.0, 0), (INF, 1)))


def test_buckets_are_those_of_prometheus_and_opentelemetry_by_default():
    bounds = [bound for bound, _ in count_calls(len).stats().histogram]

    assert bounds == list(prometheus_client.Histogram.DEFAULT_BUCKETS)
    assert count_calls(len, buckets=()).stats().histogram == ((INF, 0),)


@pytest.mark.parametrize("buckets", [[2, 1], [1, 1], [1, INF], [float("nan")], [0, float("nan")]])
def test_buckets_out_of_order_are_refused_at_once(buckets):
    with pytest.raises(ValueError, match=r"got buckets=.*; give seconds, each more than the one"):
        count_calls(buckets=buckets)


# Generators


def numbers(n, error=None):
    yield from range(n)
    if error:
        raise error


async def anumbers(n, error=None):
    for i in range(n):
        yield i
    if error:
        raise error


async def taken(generator):
    return [item async for item in generator]


def test_a_generator_counts_when_it_is_over():
    counted = count_calls(numbers, clock=clock_of(0, 3, 10, 12))
    generator = counted(2)

    assert [next(generator), next(generator), counted.stats().calls] == [0, 1, 0]
    assert list(generator) == []
    with pytest.raises(WorkError):
        list(counted(1, WorkError()))
    assert counted.stats()[:3] == (2, 1, 5.0)
    assert inspect.isgeneratorfunction(counted)


def test_an_async_generator_counts_when_it_is_over():
    counted = count_calls(anumbers, clock=clock_of(0, 3, 10, 12))

    assert asyncio.run(taken(counted(2))) == [0, 1]
    with pytest.raises(WorkError):
        asyncio.run(taken(counted(1, WorkError())))
    assert counted.stats()[:3] == (2, 1, 5.0)
    assert inspect.isasyncgenfunction(counted)


def test_to_close_a_generator_is_no_error():
    counted = count_calls(numbers)

    for _ in counted(5):
        break

    assert counted.stats()[:2] == (1, 0)


# Threads that end


def in_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def entries_of(total):
    [entries] = [cell.cell_contents for cell in total.__closure__]
    return entries


def test_what_ended_threads_counted_stays_and_their_entries_do_not():
    _, begin, total = tally(2)

    def add():
        numbers = begin()
        numbers[0] += 1
        numbers[1] += 0.5

    for _ in range(50):
        in_a_thread(add)

    assert total() == [50, 25.0]
    assert len(entries_of(total)) <= 3


def test_threads_that_come_while_others_go_lose_nothing():
    counted = count_calls(lambda: None)

    def spawn():
        for _ in range(30):
            in_a_thread(lambda: [counted() for _ in range(20)])

    readings = []
    threads = [threading.Thread(target=spawn) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        readings.append(counted.stats().calls)
    for thread in threads:
        thread.join()

    assert counted.stats().calls == 4 * 30 * 20
    assert readings == sorted(readings)


def test_a_call_that_a_finalizer_makes_while_a_thread_begins_is_not_lost(monkeypatch):
    local, begin, total = tally(1)

    def begin_again(alive, ref=weakref.ref):
        monkeypatch.undo()
        begin()[0] += 1
        return ref(alive)

    monkeypatch.setattr("safepatch.decorators.tallies.weakref.ref", begin_again)
    begin()[0] += 1
    in_a_thread(begin)
    local.numbers[0] += 1

    assert total() == [3]


def test_a_thread_that_begins_while_others_are_added_up_is_not_lost(monkeypatch):
    _, begin, total = tally(1)

    def add():
        begin()[0] += 1

    def sums(lists, real=tallies._sums):
        monkeypatch.undo()
        in_a_thread(add)
        return real(lists)

    monkeypatch.setattr(tallies, "_sums", sums)
    add()

    assert total() == [2]


def test_numbers_that_are_being_added_up_elsewhere_are_left_alone():
    _, begin, total = tally(1)
    [turn] = [
        cell.cell_contents
        for cell in begin.__closure__[
            begin.__code__.co_freevars.index("fold")
        ].cell_contents.__closure__
        if cell.cell_contents == [True]
    ]
    turn.clear()

    in_a_thread(begin)
    in_a_thread(begin)
    assert len(entries_of(total)) == 3
    turn.append(True)
    in_a_thread(begin)

    assert len(entries_of(total)) == 2


def test_threads_of_a_process_that_gevent_patched_are_told_apart_as_such():
    printed = child("""
        import gevent.monkey
        gevent.monkey.patch_all()
        import gevent
        from gevent.threadpool import ThreadPool
        from safepatch.decorators import count_calls
        counted = count_calls(len)
        gevent.joinall([gevent.spawn(counted, "") for _ in range(100)])
        pool = ThreadPool(1)
        pool.apply(counted, ("",))
        pool.kill()
        print(counted.stats().calls)
    """)
    assert printed == "101"
