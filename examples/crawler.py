"""A crawler that asks its DNS server far less often once `dns-cache` is applied.

    python examples/crawler.py                            # offline, with servers of its own
    python examples/crawler.py https://example.com ...    # these URLs
    python examples/crawler.py --file urls.txt            # those in a file, one a line

All URLs are fetched twice with gevent and urllib3, over a new connection each time: first as
things are, then with the patch applied. What fetches them knows nothing of the cache.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

try:
    from gevent import monkey

    monkey.patch_all()
    import gevent.pool
    import urllib3
    from gevent.resolver.ares import Resolver
    from loopback import Loopback
    from urllib3.util.connection import allowed_gai_family

    import safepatch
    from safepatch.decorators import count_calls
    from safepatch.recipes.dns import dns_cache
except ImportError as error:
    raise SystemExit(f"{error}; install what this needs with: pip install '.[examples]'") from error


def main() -> None:
    # By SystemExit, which gevent hands to the main greenlet wherever it is raised; of a
    # KeyboardInterrupt it would print the traceback as well.
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    arguments = parsed_arguments()
    if arguments.urls:
        # No server to count at, so count the lookups. What is applied first is innermost, and
        # sees only what a cache applied later lets through.
        resolver = (resolver_class(), "getaddrinfo")
        lookups = safepatch.apply(resolver, count_calls(), aliases="ignore")
        if lookups.state == "skipped":
            raise SystemExit(f"cannot count lookups: {lookups.reason}")
        compare(arguments, arguments.urls, "lookups", lambda: lookups.wrapper.stats().calls)
        lookups.undo()
        return
    with Loopback(latency=arguments.latency) as servers, resolving_at(servers):
        urls = [f"http://site{n}.test:{servers.http_port}/" for n in range(arguments.hosts)]
        compare(arguments, urls, "queries", lambda: sum(servers.queries().values()))


def compare(
    arguments: argparse.Namespace, urls: list[str], counted: str, count: Callable[[], int]
) -> None:
    """Crawl as things are, then with the patch, and tell the difference."""
    different, urls = len(urls), urls * arguments.requests_per_host
    if not arguments.json:
        tell(
            "Crawling twice, as things are and with dns-cache:\n"
            f"{len(urls)} requests to {different} URLs, {arguments.concurrency} at a time, "
            "each over a new connection.\n"
        )
    random.Random(0).shuffle(urls)
    results: dict[str, Any] = {
        "unpatched": measure(urls, arguments.concurrency, counted, count),
    }
    cache = safepatch.register("dns-cache", dns_cache())
    cache.apply()
    skipped = [part for part in cache.parts if part.state == "skipped"]
    if skipped:
        results["switched_off"] = skipped[0].reason
    else:
        results["patched"] = measure(urls, arguments.concurrency, counted, count)
        results["misses"] = cache.wrapper.cache_info().misses
        results["per_miss"] = queries_per_lookup() if counted == "queries" else 1
    tell(json.dumps(results, indent=2) if arguments.json else told(results, counted))
    cache.undo()


def measure(
    urls: list[str], concurrency: int, counted: str, count: Callable[[], int]
) -> dict[str, float]:
    """Crawl once, and say how much was asked and how long it took."""
    before, started = count(), time.perf_counter()
    pool = gevent.pool.Pool(concurrency)
    fetching = pool.imap_unordered(fetch, urls)
    try:
        fetched = list(fetching)
    finally:
        # After Ctrl-C: who ran on would ask a resolver that is closed, and say so at length.
        fetching.kill()
        pool.kill()
    wall = time.perf_counter() - started
    latencies = sorted(latency for latency, _ in fetched)
    return {
        "requests": len(urls),
        "errors": sum(failed for _, failed in fetched),
        counted: count() - before,
        "wall s": round(wall, 2),
        "p50 ms": round(latencies[len(latencies) // 2] * 1000, 1),
        "p99 ms": round(latencies[len(latencies) * 99 // 100] * 1000, 1),
    }


def fetch(url: str) -> tuple[float, bool]:
    """Get a URL: how many seconds it took, and whether it failed."""
    started = time.perf_counter()
    try:
        with urllib3.PoolManager(retries=False, timeout=10) as client:
            client.request("GET", url)
        failed = False
    except (urllib3.exceptions.HTTPError, OSError):
        failed = True
    return time.perf_counter() - started, failed


MEANING = {
    "queries": "questions to the DNS server, of type A (IPv4) or AAAA (IPv6)",
    "lookups": "how often the resolver looked for the addresses of a host",
}
WHY_NOT = {
    "queries": "the resolver asked some again, because answers came late",
    "lookups": "the rest went past the cache",
}


def told(results: dict[str, Any], counted: str) -> str:
    """The results as text: a table, what it comes to, and who patched the resolver."""
    off = results.get("switched_off")
    return "\n".join(
        [
            *table(results),
            "",
            f"{counted}: {MEANING[counted]}.",
            "p50, p99: half of the requests, and 99 in 100, took no longer.",
            "",
            f"dns-cache is switched off: {off}." if off else difference(results, counted),
            "",
            "safepatch.explain() tells who patched the resolver:",
            "",
            str(safepatch.explain((resolver_class(), "getaddrinfo"))),
        ]
    )


def table(results: dict[str, Any]) -> Iterator[str]:
    """A line with the names of the figures, and one for each crawl."""
    yield f"{'':10}" + "".join(f"{figure:>10}" for figure in results["unpatched"])
    for name in ("unpatched", "patched"):
        if name in results:
            yield f"{name:10}" + "".join(f"{value:>10}" for value in results[name].values())


def difference(results: dict[str, Any], counted: str) -> str:
    """What the patch saves, and the sum that proves it, or why that does not hold."""
    asked_before, asked = results["unpatched"][counted], results["patched"][counted]
    misses, per_miss = results["misses"], results["per_miss"]
    fewer = f"{asked_before / asked:.1f} times" if asked < asked_before else "No"
    kinds = "A and AAAA" if per_miss == 2 else "A"
    each = f"asked for {kinds}" if counted == "queries" else "made one lookup"
    holds = misses * per_miss == asked
    return (
        f"{fewer} fewer {counted}. The cache missed {misses} times, and {each} each time:\n"
        f"{misses} x {per_miss} {'==' if holds else '!='} {asked} {counted}"
        + ("." if holds else f": {WHY_NOT[counted]}.")
    )


def tell(text: str) -> None:
    """Print, or end if nobody reads any more, as after `| head -1`."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What could not be written would be tried again at exit, and complained about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def resolver_class() -> type:
    """The class that getaddrinfo of the hub's resolver comes from."""
    classes = type(gevent.get_hub().resolver).__mro__
    return next(cls for cls in classes if "getaddrinfo" in vars(cls))


def queries_per_lookup() -> int:
    """How many questions urllib3 has c-ares ask for a name: A, and with IPv6 here also AAAA."""
    return 2 if allowed_gai_family() == socket.AF_UNSPEC else 1


@contextlib.contextmanager
def resolving_at(servers: Loopback) -> Iterator[None]:
    """Let gevent resolve names at a DNS server of ours."""
    hub = gevent.get_hub()
    port = servers.dns_port
    hub.resolver = resolver = Resolver(servers="127.0.0.1", udp_port=port, tcp_port=port)
    try:
        yield
    finally:
        del hub.resolver
        resolver.close()


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("urls", nargs="*", metavar="URL", help="fetch these, over the network")
    parser.add_argument("--file", type=pathlib.Path, help="more URLs, one a line")
    parser.add_argument("--hosts", type=positive, default=200, help="offline: how many hosts")
    parser.add_argument("--latency", type=latency, default=0.02, help="offline: of DNS, in seconds")
    parser.add_argument("--requests-per-host", type=positive, default=5, help="or per URL given")
    parser.add_argument("--concurrency", type=positive, default=50, help="requests at a time")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    if arguments.file:
        try:
            lines = arguments.file.read_text("utf-8-sig").split("\n")
        except OSError as error:
            parser.error(f"cannot read URLs from {str(arguments.file)!r}: {error.strerror}")
        except UnicodeDecodeError:
            parser.error(f"cannot read URLs from {str(arguments.file)!r}: it is no text in UTF-8")
        arguments.urls += [url for line in lines if (url := line.strip()) and url[0] != "#"]
        if not arguments.urls:
            parser.error(f"there are no URLs in {str(arguments.file)!r}; write one a line")
    for url in arguments.urls:
        if not can_be_fetched(url):
            parser.error(f"{url!r} is no URL to fetch; write it like 'https://example.com/'")
    return arguments


def can_be_fetched(url: str) -> bool:
    """Whether text is a URL with all that urllib3 needs."""
    try:
        parsed = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few; give 1 or more")
    return number


def latency(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 10:  # nor nan
        raise argparse.ArgumentTypeError(f"{text} is no latency; give seconds from 0 to 10")
    return seconds


if __name__ == "__main__":
    main()
