"""A client of aiohttp that keeps DNS answers and retries, by two patches that it knows nothing of.

    python examples/aiohttp_client.py

The client makes a session for each call, as many do, so aiohttp's own cache of DNS answers, which
belongs to a session, never helps it. aiohttp asks the event loop, which calls
`socket.getaddrinfo` in a thread: there `dns-cache` sits. The server on this machine answers 503 to
two requests of three; a patched coroutine function retries as a plain one does.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

try:
    import aiohttp
    from aiohttp import web
except ImportError as error:
    raise SystemExit(f"{error}; install it with: pip install aiohttp") from error

import safepatch
from safepatch.decorators import count_calls, retry


class Client:
    """Somebody else's client."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def weather(self, place: str) -> Any:
        # The resolver in threads, which is aiohttp's default where aiodns is not installed.
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        async with (
            aiohttp.ClientSession(connector=connector, raise_for_status=True) as session,
            session.get(f"{self.url}/weather/{place}") as response,
        ):
            return await response.json()


def passes(error: Exception) -> bool:
    return isinstance(error, aiohttp.ClientResponseError) and error.status == 503


async def main() -> None:
    # Applied first, and in place as the cache is, so it counts what the cache lets through.
    lookups = safepatch.apply("socket:getaddrinfo", count_calls(), aliases="rebind")
    async with flaky_server() as url:
        client = Client(url)
        try:
            await client.weather("Oslo")
        except aiohttp.ClientResponseError as error:
            print(f"as it is: {error.status}, {lookups.wrapper.stats().calls} lookup")

        before = lookups.wrapper.stats().calls
        safepatch.apply("dns-cache")
        safepatch.apply(
            (Client, "weather"),
            retry(on=passes, attempts=3, wait_initial=0.01, wait_jitter=0.01),
            name="weather-retry",
        )
        for place in ("Oslo", "Rome", "Lima"):
            print(f"patched: {await client.weather(place)}")
        print(f"for all of them {lookups.wrapper.stats().calls - before} lookup")
    print(f"\n{safepatch.explain((Client, 'weather'))}")
    safepatch.undo_all()


@contextlib.asynccontextmanager
async def flaky_server() -> AsyncIterator[str]:
    """Answers 503 to the first request, and to two of three after that."""
    numbers = itertools.count()

    async def weather(request: web.Request) -> web.Response:
        if next(numbers) % 3:
            return web.Response(status=503)
        return web.json_response({"place": request.match_info["place"], "sun": True})

    next(numbers)
    app = web.Application()
    app.router.add_get("/weather/{place}", weather)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        [(_, port)] = runner.addresses
        yield f"http://localhost:{port}"
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
