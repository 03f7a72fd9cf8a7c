"""What count_calls promises."""

import asyncio
import inspect
import threading

import pytest

from safepatch.decorators import CallStats, count_calls


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
    assert counted.stats() == CallStats(calls=3, errors=1, seconds=7.0)


def test_nothing_was_counted_before_the_first_call():
    assert count_calls(len).stats() == CallStats(0, 0, 0.0)


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
    assert counted.stats() == CallStats(2, 1, 7.0)
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
