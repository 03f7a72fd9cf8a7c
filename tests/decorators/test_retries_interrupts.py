"""Whoever wants a call to end ends it at once, in an attempt or in a wait, whatever `on` says."""

import asyncio
import signal
import time

import pytest
from children import child
from failing import WorkError

from safepatch.decorators import retry

ANYTHING = [BaseException, Exception, lambda error: True, (Exception, BaseException)]


@pytest.mark.parametrize("on", [*ANYTHING, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_ends_an_attempt_at_once(on, kind):
    error, calls = kind(), []

    @retry(on=on)
    def work():
        calls.append(1)
        raise error

    with pytest.raises(kind) as raised:
        work()

    assert raised.value is error
    assert calls == [1]
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize("on", ANYTHING)
def test_ctrl_c_ends_a_wait_at_once(on):
    calls = []

    @retry(on=on, wait=lambda n: 60)
    def work():
        calls.append(1)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        raise WorkError

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert calls == [1]
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("on", [*ANYTHING, (WorkError, asyncio.CancelledError)])
@pytest.mark.parametrize("where", ["attempt", "wait"])
@pytest.mark.parametrize("kind", ["coroutine", "async generator"])
def test_a_cancellation_ends_a_task_at_once(on, where, kind):
    calls = []

    async def fail():
        calls.append(1)
        if where == "wait":
            raise WorkError
        await asyncio.sleep(60)

    @retry(on=on, wait=lambda n: 60)
    async def work():
        await fail()

    @retry(on=on, wait=lambda n: 60)
    async def items():
        await fail()
        yield

    async def main():
        ask = work() if kind == "coroutine" else anext(items())
        task = asyncio.ensure_future(ask)
        while not calls:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(main(), 30))

    assert calls == [1]


def test_a_timeout_of_asyncio_around_a_retry_ends_it_and_one_inside_is_retried():
    calls = []

    async def work():
        calls.append(1)
        async with asyncio.timeout(0):
            await asyncio.sleep(60)

    async def main():
        with pytest.raises(TimeoutError):
            await retry(work, on=TimeoutError, wait=lambda n: 0)()
        assert len(calls) == 3

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await retry(work, on=TimeoutError, wait=lambda n: 60)()
        assert len(calls) == 4

    asyncio.run(asyncio.wait_for(main(), 30))


GEVENT = """
{patch_early}
import gevent
from safepatch.decorators import retry
{patch_late}

class WorkError(Exception):
    pass

calls = []

def told(error):
    return True

def retried(where, on):
    # Where gevent does not patch, nobody can interrupt time.sleep().
    @retry(on=on, wait=lambda n: 60, sleep={sleep})
    def work():
        calls.append(1)
        if where == "wait":
            raise WorkError
        gevent.sleep(60)

    @retry(on=on, wait=lambda n: 60, sleep={sleep})
    def items():
        calls.append(1)
        if where == "wait":
            raise WorkError
        gevent.sleep(60)
        yield

    return [work, lambda: next(items())]

def timed_out(work):
    timeout = gevent.Timeout.start_new(0.01)
    try:
        work()
    except gevent.Timeout as raised:
        return raised is timeout
    finally:
        timeout.close()

done = []
for on in (Exception, BaseException, told, (WorkError, gevent.GreenletExit, gevent.Timeout)):
    for where in ("attempt", "wait"):
        for work in retried(where, on):
            greenlet = gevent.spawn(work)
            gevent.sleep(0.01)
            greenlet.kill()
            done.append(isinstance(greenlet.value, gevent.GreenletExit))
            done.append(timed_out(work))
print(len(calls), len(done), all(done))
"""


@pytest.mark.parametrize(
    ("early", "late", "sleep"),
    [
        ("import gevent.monkey; gevent.monkey.patch_all()", "", "None"),
        ("", "import gevent.monkey; gevent.monkey.patch_all()", "None"),
        ("", "", "gevent.sleep"),
    ],
    ids=["patched early", "patched late", "not patched"],
)
def test_a_killed_greenlet_and_a_gevent_timeout_end_at_once(early, late, sleep):
    pytest.importorskip("gevent")
    code = GEVENT.format(patch_early=early, patch_late=late, sleep=sleep)

    assert child(code, timeout=60) == "32 32 True"


def test_other_greenlets_run_during_a_wait():
    pytest.importorskip("gevent")
    code = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent
from safepatch.decorators import retry

ran = []

@retry(on=ValueError, wait=lambda n: 0.01)
def work():
    ran.append("work")
    raise ValueError

def fail():
    try:
        work()
    except ValueError:
        pass

jobs = [gevent.spawn(fail) for _ in range(100)]
gevent.joinall(jobs)
print(ran == ["work"] * 300, max(job.ready() for job in jobs))
"""
    assert child(code, timeout=20) == "True True"
