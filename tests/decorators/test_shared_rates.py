"""What rate_limit promises with a store of the limits library."""

import asyncio
import shutil
import socket
import subprocess
import threading
import time

import pytest
from children import child

from safepatch.decorators import RateLimitExceeded, rate_limit

pytest.importorskip("limits")
from limits.aio import strategies as aio_strategies
from limits.aio.storage import MemoryStorage as AioMemoryStorage
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter


@pytest.fixture(scope="module")
def redis_url():
    """The address of a Redis server of our own, on this machine only."""
    pytest.importorskip("redis")
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("there is no redis-server here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(params=["memory", "redis"])
def store(request):
    if request.param == "memory":
        return MovingWindowRateLimiter(MemoryStorage())
    storage = storage_from_string(request.getfixturevalue("redis_url"))
    storage.reset()
    return MovingWindowRateLimiter(storage)


def test_functions_of_one_name_share_a_limit(store):
    decorate = rate_limit(rate=2, per=60, burst=2, on_limit="raise", store=store, name="api")
    one, other = decorate(int), decorate(float)

    assert (one("5"), other("5")) == (5, 5.0)
    with pytest.raises(RateLimitExceeded, match="api was not called") as raised:
        other("5")

    assert 50 < raised.value.retry_after <= 60


def test_functions_without_a_name_have_a_limit_each(store):
    decorate = rate_limit(rate=1, per=60, on_limit="raise", store=store)

    assert (decorate(int)("5"), decorate(float)("5")) == (5, 5.0)


def test_each_key_has_a_limit_of_its_own(store):
    call = rate_limit(int, rate=1, per=60, on_limit="raise", store=store, key=lambda text: text)
    call("5")
    call("6")

    with pytest.raises(RateLimitExceeded):
        call("5")


def test_who_waits_asks_again_when_its_turn_may_have_come():
    store = MovingWindowRateLimiter(MemoryStorage())
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        time.sleep(seconds)

    call = rate_limit(time.time, rate=2, per=1, burst=2, store=store, sleep=sleep)

    started = time.time()
    began = [call() for _ in range(3)]

    assert began[2] - started >= 1
    assert 1 <= len(slept) <= 5


def test_threads_are_never_more_than_the_limit(redis_url):
    store = MovingWindowRateLimiter(storage_from_string(redis_url))
    began = []
    call = rate_limit(
        lambda: began.append(time.time()), rate=10, per=1, burst=10, store=store, name="many"
    )
    started = time.time()
    threads = [threading.Thread(target=call) for _ in range(15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    began.sort()
    assert len(began) == 15
    assert began[10] - started >= 1


def test_processes_share_a_limit_in_redis(redis_url):
    storage = storage_from_string(redis_url)
    storage.reset()
    source = f"""
        from limits.storage import storage_from_string
        from limits.strategies import MovingWindowRateLimiter
        from safepatch.decorators import RateLimitExceeded, rate_limit

        store = MovingWindowRateLimiter(storage_from_string({redis_url!r}))
        call = rate_limit(
            int, rate=5, per=60, burst=5, on_limit="raise", store=store, name="api"
        )
        made = 0
        for _ in range(4):
            try:
                call()
                made += 1
            except RateLimitExceeded:
                pass
        print(made)
        """

    assert [child(source), child(source)] == ["4", "1"]


def test_a_store_that_is_away_is_told_and_nothing_is_called():
    pytest.importorskip("redis")
    calls = []
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        storage = storage_from_string(f"redis://127.0.0.1:{unused.getsockname()[1]}")
        call = rate_limit(calls.append, rate=1, store=MovingWindowRateLimiter(storage))

        with pytest.raises(storage.base_exceptions):
            call(5)

    assert calls == []


def test_a_coroutine_function_takes_an_async_strategy():
    store = aio_strategies.MovingWindowRateLimiter(AioMemoryStorage())
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        await asyncio.sleep(seconds)

    @rate_limit(rate=2, per=1, burst=2, store=store, sleep=sleep)
    async def work():
        return time.time()

    async def main():
        return await asyncio.gather(*(work() for _ in range(3)))

    started = time.time()
    began = sorted(asyncio.run(main()))

    assert began[2] - started >= 1
    assert slept


def test_a_coroutine_function_is_limited_in_redis(redis_url):
    from limits.aio.storage import RedisStorage

    storage_from_string(redis_url).reset()

    async def main():
        storage = RedisStorage(f"async+{redis_url}", implementation="redispy")
        store = aio_strategies.MovingWindowRateLimiter(storage)

        @rate_limit(rate=2, per=60, burst=2, on_limit="raise", store=store)
        async def work():
            return "done"

        assert [await work(), await work()] == ["done", "done"]
        with pytest.raises(RateLimitExceeded):
            await work()
        await storage.bridge.storage.aclose()

    asyncio.run(main())


def test_another_strategy_may_be_given():
    store = FixedWindowRateLimiter(MemoryStorage())
    call = rate_limit(int, rate=1, per=60, on_limit="raise", store=store)
    call()

    with pytest.raises(RateLimitExceeded):
        call()


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"rate": 10}, ValueError, r"used up in 0\.1 seconds"),
        ({"rate": 2, "burst": 3}, ValueError, r"used up in 1\.5 seconds"),
        ({"rate": 1, "store": MemoryStorage()}, TypeError, "give a strategy"),
        ({"rate": 1, "store": "redis://"}, TypeError, "give a strategy"),
        (
            {"rate": 1, "store": aio_strategies.MovingWindowRateLimiter(AioMemoryStorage())},
            TypeError,
            "an async strategy, for a plain function",
        ),
    ],
)
def test_what_does_not_fit_is_refused_when_decorating(options, error, told):
    store = MovingWindowRateLimiter(MemoryStorage())

    with pytest.raises(error, match=told):
        rate_limit(int, **{"store": store} | options)


def test_a_blocking_strategy_is_refused_for_a_coroutine_function():
    async def work():
        pass

    with pytest.raises(TypeError, match="a blocking strategy, for a coroutine function"):
        rate_limit(work, rate=1, store=MovingWindowRateLimiter(MemoryStorage()))


@pytest.mark.parametrize(("rate", "per", "burst"), [(3, 10, 3), (0.1, 1, 1), (1 / 3, 1, 1)])
def test_whole_seconds_are_taken_as_such_however_they_are_written(rate, per, burst):
    store = MovingWindowRateLimiter(MemoryStorage())

    rate_limit(int, rate=rate, per=per, burst=burst, store=store)
