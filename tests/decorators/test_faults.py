"""What fault promises."""

import asyncio
import inspect
import json
import threading
import time

import pytest
from children import child

from safepatch.decorators import FaultInfo, fault, retry


class WorkError(Exception):
    def __init__(self, number, *, unit="m"):
        super().__init__(number)
        self.unit = unit


def outcomes(call, times):
    """'x' for each call that failed, '.' for each that did not."""
    told = ""
    for _ in range(times):
        try:
            call()
            told += "."
        except OSError:
            told += "x"
    return told


def test_the_error_is_raised_and_the_function_is_not_called():
    calls = []
    call = fault(calls.append, error=OSError("down"))

    with pytest.raises(OSError, match="down"):
        call(1)

    assert calls == []
    assert call.fault_info() == FaultInfo(calls=1, faults=1)


def test_the_others_get_what_the_function_gives():
    call = fault(int, error=OSError, share=0.0)

    assert call("5") == 5
    with pytest.raises(ValueError, match="x"):
        call("x")
    assert call.fault_info() == FaultInfo(calls=2, faults=0)


@pytest.mark.parametrize("error", [WorkError(5, unit="km"), lambda: WorkError(5, unit="km")])
def test_each_error_is_a_new_one(error):
    call = fault(int, error=error)
    raised = []
    for _ in range(5):
        with pytest.raises(WorkError) as caught:
            call()
        raised.append(caught.value)

    assert len(set(map(id, [*raised, error]))) == 6
    assert all((one.args, one.unit) == ((5,), "km") for one in raised)
    # One object raised again and again gets a traceback that grows.
    depths = set()
    for one in raised:
        frames, depth = one.__traceback__, 0
        while frames:
            frames, depth = frames.tb_next, depth + 1
        depths.add(depth)
        assert one.__context__ is None
    assert len(depths) == 1


def test_an_error_that_is_given_is_not_touched():
    error = OSError("down")
    call = fault(int, error=error)

    with pytest.raises(OSError, match="down"):
        call()

    assert error.__traceback__ is None


# Which calls.


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({3}, "..x...."),
        ([1, 2], "xx....."),
        (range(2, 100, 2), ".x.x.x."),
        (lambda number: number > 4, "....xxx"),
    ],
    ids=["set", "list", "range", "function"],
)
def test_a_schedule_says_which_calls(schedule, expected):
    call = fault(int, error=OSError, schedule=schedule)

    assert outcomes(call, 7) == expected
    assert call.fault_info() == FaultInfo(7, expected.count("x"))


def test_a_seed_makes_the_same_calls_fail_each_time_for_each_function():
    decorate = fault(error=OSError, share=0.5, seed=5)

    first, second = (outcomes(decorate(int), 200) for _ in range(2))

    assert first == second
    assert first != outcomes(fault(int, error=OSError, share=0.5, seed=6), 200)
    assert 60 < first.count("x") < 140


@pytest.mark.parametrize(("share", "expected"), [(0.0, "." * 50), (1.0, "x" * 50)])
def test_a_share_of_none_and_of_all_is_exact(share, expected):
    assert outcomes(fault(int, error=OSError, share=share), 50) == expected


def test_threads_get_the_numbers_of_one_sequence():
    struck, lock = [], threading.Lock()
    call = fault(int, error=OSError, schedule=range(10, 2001, 10))

    def many():
        for _ in range(500):
            try:
                call()
            except OSError:
                with lock:
                    struck.append(1)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(struck) == 200
    assert call.fault_info() == FaultInfo(2000, 200)


# Delays.


def test_a_delay_is_slept_and_then_the_function_is_called():
    slept = []
    call = fault(int, delay=2.5, schedule={1}, sleep=slept.append)

    assert call("5") == call("6") - 1 == 5
    assert slept == [2.5]


def test_a_delay_comes_before_the_error():
    slept = []
    call = fault(int, delay=2.5, error=OSError, sleep=slept.append)

    assert outcomes(call, 1) == "x"
    assert slept == [2.5]


def test_a_delay_is_slept_by_the_sleep_that_time_has_then(patches):
    call = fault(int, delay=2.5)
    slept = []
    patches.apply((time, "sleep"), lambda wrapped: slept.append, aliases="ignore")

    call()

    assert slept == [2.5]


def test_a_delay_of_a_coroutine_function_lets_others_run():
    now = []

    async def work():
        now.append("work")

    async def other():
        now.append("other")

    async def main():
        await asyncio.gather(fault(work, delay=0.001)(), other())

    asyncio.run(main())

    assert now == ["other", "work"]


def test_a_delay_under_gevent_lets_others_run():
    pytest.importorskip("gevent")
    child("""
        from safepatch.decorators import fault
        now = []
        slow = fault(lambda: now.append("slow"), delay=0.01)
        import gevent.monkey
        gevent.monkey.patch_all()
        gevent.joinall([gevent.spawn(slow), gevent.spawn(now.append, "other")], raise_error=True)
        assert now == ["other", "slow"], now
        """)


# Kinds of functions.


def test_a_coroutine_function_fails_when_it_is_awaited():
    @fault(error=OSError("down"), schedule={2})
    async def work():
        return "done"

    async def main():
        assert await work() == "done"
        coroutine = work()
        with pytest.raises(OSError, match="down"):
            await coroutine

    assert inspect.iscoroutinefunction(work)
    asyncio.run(main())


def test_a_generator_fails_in_place_of_its_first_value():
    slept = []

    @fault(error=OSError("down"), delay=1, schedule={2}, sleep=slept.append)
    def give():
        yield 1

    assert inspect.isgeneratorfunction(give)
    assert list(give()) == [1]
    generator = give()
    with pytest.raises(OSError, match="down"):
        next(generator)
    assert slept == [1]


def test_an_async_generator_fails_in_place_of_its_first_value():
    @fault(error=OSError("down"), schedule={2})
    async def give():
        yield 1

    async def main():
        assert [value async for value in give()] == [1]
        with pytest.raises(OSError, match="down"):
            [value async for value in give()]

    assert inspect.isasyncgenfunction(give)
    asyncio.run(main())


def test_an_async_generator_cannot_be_delayed():
    async def give():
        yield 1

    with pytest.raises(TypeError, match=r"cannot delay .*give"):
        fault(give, delay=1)


def test_a_patch_makes_somebody_elses_function_fail(patches):
    with patches.patch("json:dumps", fault(error=OSError, schedule={1})) as patch:
        call = retry(lambda: json.dumps(5), on=OSError, sleep=lambda seconds: None)

        assert call() == "5"
        assert patch.wrapper.fault_info() == FaultInfo(2, 1)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({}, ValueError, "neither error nor delay"),
        ({"error": 5}, TypeError, "got error=5"),
        ({"error": int}, TypeError, "got error=<class 'int'>"),
        ({"error": UnicodeDecodeError}, TypeError, "cannot be made without arguments"),
        ({"delay": "1"}, ValueError, "got delay='1'"),
        ({"delay": -1}, ValueError, "got delay=-1"),
        ({"delay": float("inf")}, ValueError, "got delay=inf"),
        ({"error": OSError, "share": 1.5}, ValueError, "got share=1.5"),
        ({"error": OSError, "share": 0.5, "schedule": {1}}, ValueError, "and a schedule"),
        ({"error": OSError, "schedule": 3}, TypeError, "got schedule=3"),
        ({"error": OSError, "schedule": iter([1])}, TypeError, "got schedule="),
    ],
)
def test_bad_options_are_refused_at_once(options, error, told):
    with pytest.raises(error, match=told):
        fault(**options)


def test_an_error_that_cannot_be_copied_is_refused():
    class StubbornError(Exception):
        def __copy__(self):
            return self

    with pytest.raises(TypeError, match="cannot be copied"):
        fault(error=StubbornError())


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="let fail 5"):
        fault(5, error=OSError)
