"""What a check costs, beside what people watch sites with today, all in one run on loopback.

    python -m benchmarks.monitor [--quick]

nginx has one core, and whoever checks it the other one; each check opens a connection. Ours are
whole: from the schedule by way of the DNS patch, at a server that takes 50 ms, to verdicts, history
and the store.
Writes all samples to benchmarks/results/; --quick takes few, to see that it runs, and writes
nothing. Trust the ratios of one run, not the seconds, and no ratio to its second digit.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from benchmarks import reports
from benchmarks.monitor import report, tools
from benchmarks.monitor.servers import CLIENT, DOMAIN, Servers, free, nginx, pinned
from benchmarks.store.workers import Pairs, pairs

ROOT = pathlib.Path(__file__).parents[2]
OURS, BLACKBOX, WRK = "safepatch monitor", "blackbox_exporter", "wrk"
LEFT_OUT: dict[str, str] = {}


def measure(quick: bool) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT / "examples"))
    from loopback import Loopback

    with nginx() as servers, Loopback(latency=0.05) as names:
        os.environ["GEVENTARES_SERVERS"] = "127.0.0.1"  # which our children's resolvers go by
        os.environ["GEVENTARES_UDP_PORT"] = str(names.dns_port)
        os.environ["GEVENTARES_TCP_PORT"] = str(names.dns_port)
        rounds, seconds = (1, 1.0) if quick else (3, 5.0)
        return {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "versions": {name: version(name) for name in report.VERSIONS},
            "plain": checks(servers, rounds, seconds, quick, tls=False),
            "TLS": checks(servers, rounds, seconds, quick, tls=True),
            "many": many(servers, quick),
            "DNS": asked(servers, names, 200 if quick else 2000),
            "left out": LEFT_OUT,
        }


# -- checks a second


def checks(servers: Servers, rounds: int, seconds: float, quick: bool, *, tls: bool) -> Pairs:
    """Pairs of what ours and each other one did."""
    url = f"https://127.0.0.1:{servers.tls}/" if tls else f"http://127.0.0.1:{servers.plain}/"
    named = url.replace("127.0.0.1", f"site{{n}}.{DOMAIN}")
    ca = servers.ca if tls else None
    question = {"url": url, "seconds": seconds, "ca": ca}
    # More than there is time for; and not so many at once that they take each other's time.
    ours = {"url": named, "seconds": seconds, "interval": 1.0, "timeout": 1.0, "concurrency": 64}
    ours |= {"endpoints": 1500 if tls else 6000, "warm": 1 if quick else 6}
    if tls:
        ours["ca"] = ca
    candidates: dict[str, Callable[[], dict[str, Any]]] = {
        OURS: lambda: child("ours", ours),
        "aiohttp": lambda: child("others", "aiohttp", question),
        "requests": lambda: child("others", "requests", question),
    }
    with contextlib.ExitStack() as opened:
        if not tls:  # it verifies nothing, and resumes sessions
            candidates[WRK] = lambda: tools.wrk(url, seconds, CLIENT, "-H", "Connection: close")
        try:
            pid, port = opened.enter_context(tools.blackbox(servers.ca, tls=tls))
            assert tools.probed(port, url)
            candidates[BLACKBOX] = lambda: tools.probe(pid, port, url, seconds)
        except FileNotFoundError as error:
            LEFT_OUT[BLACKBOX] = str(error)
        others = [name for name in candidates if name != OURS]
        return pairs(rounds, OURS, others, lambda name: candidates[name]())


def many(servers: Servers, quick: bool) -> dict[str, Any]:
    """A cycle of a minute over 50,000 sites, and how long pages take meanwhile."""
    port = free()
    url = f"http://site{{n}}.{DOMAIN}:{servers.plain}/"
    size = {"endpoints": 1000, "interval": 5.0, "seconds": 5.0, "warm": 1}
    if not quick:
        size = {"endpoints": 50_000, "interval": 60.0, "seconds": 70.0, "warm": 1}
    patience = {"patience": 4 * size["interval"], "timeout": 5.0}
    return size | child("ours", {"url": url, "listen": f"127.0.0.1:{port}", **patience, **size})


def asked(servers: Servers, names: Any, sites: int) -> dict[str, dict[str, Any]]:
    """Questions to the DNS server in five rounds over all sites."""
    found = {}
    url = f"http://site{{n}}.{DOMAIN}:{servers.plain}/"
    for name, ttl in {"with dns-cache": 300.0, "without": 0.0}.items():
        before = sum(names.queries().values())
        did = child("resolving", {"url": url, "endpoints": sites, "rounds": 5, "ttl": ttl})
        found[name] = did | {"queries": sum(names.queries().values()) - before}
    return found


def child(module: str, *arguments: Any) -> dict[str, Any]:
    """What a process of its own, on the core for those that check, prints."""
    command = [*pinned(CLIENT), sys.executable, "-m", f"benchmarks.monitor.{module}"]
    command += [one if isinstance(one, str) else json.dumps(one) for one in arguments]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if ran.returncode:
        raise RuntimeError(f"{module} ended with {ran.returncode}; what it said is above")
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    found = measure(quick)
    text = reports.report(found, report.tables(found), report.acceptance(found))
    print(text)
    if not quick:
        reports.keep("monitor", found, text)


if __name__ == "__main__":
    main()
