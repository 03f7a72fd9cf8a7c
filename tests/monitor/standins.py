"""A monitor that checks nothing, for what is served of it; its structs are the real ones."""

import math
import random
import time
import types

from safepatch.monitor.engine.feed import Feed
from safepatch.monitor.plan import Endpoint, Options, Plan, Settings
from safepatch.monitor.results import Result
from safepatch.monitor.statuses import Status


class Pace:
    checks, per_second, in_flight, overloaded = 12345, 83.3, 7, False

    def __init__(self):
        self.lateness = {"median": 0.004, "p95": 0.031, "max": 0.2}

    def figures(self):
        names = ("checks", "per_second", "in_flight", "overloaded", "lateness")
        return {name: getattr(self, name) for name in names}


class History:
    """Results as they may be; `bad` are days before today on which some checks failed."""

    def __init__(self, now, bad=(), share=0.2):
        self.now, self.bad, self.share = now, dict.fromkeys(bad, share), share

    def raw(self, name, since, until):
        rng, found = random.Random(name), []
        for at in range(int(max(since, self.now - 86400)), int(min(until, self.now)), 60):
            seconds = 0.08 + 0.03 * math.sin(at / 9000) + rng.expovariate(60)
            failed = 0 in self.bad and self.now - at < 86400 * self.share / 4
            found.append((float(at), 10.0, "timeout") if failed else (float(at), seconds, ""))
        return found

    def rollups(self, name, since, until, step="hour"):
        size, rng, found = {"hour": 3600, "day": 86400}[step], random.Random(name), []
        at = -(-since // size) * size
        while at <= until:
            failed = self.bad.get((self.now // 86400) - (at // 86400), 0)
            p50 = 0.08 + 0.02 * math.sin(at / 300000) + rng.random() / 100
            found.append(
                {
                    "at": at, "checks": size // 60, "failed": int(failed * size // 60),
                    "unknown": 0, "p50": p50, "p95": p50 * 1.7, "max": p50 * 5,
                }
            )  # fmt: skip
            at += size
        return found

    def uptime(self, name, seconds):
        return 100.0 - 100 * self.share * len(self.bad) / max(1.0, seconds / 86400)


class StandIn:
    """What pages read of a monitor; `done` has what they asked it to do."""

    def __init__(self, endpoints=(), *, now=None, store=None, **settings):
        self.now = time.time() if now is None else now
        self.plan = Plan(
            settings=Settings(**settings), endpoints={each.name: each for each in endpoints}
        )
        self.statuses = {
            each.name: Status(state="up", since=self.now - 86400, checked=self.now - 20)
            for each in endpoints
        }
        self.found, self.problems, self.blind, self.started = {}, [], "", self.now - 90000
        self.pace, self.history, self.done = Pace(), History(self.now), []
        self.feed, self.told, self.alerts_told = Feed(), [], []
        self.learned_facts, self.restarts_done, self.channels = {}, [], {}
        self.learned = types.SimpleNamespace(facts=lambda name: self.learned_facts.get(name, {}))
        self.incidents = types.SimpleNamespace(
            open=lambda: [each for each in self.told if not each["closed"]],
            recent=lambda count: self.told[:count],
            get=lambda key: next((each for each in self.told if each["id"] == key), None),
            members=lambda key: self.incidents.get(key)["names"],
        )
        self.alerts = types.SimpleNamespace(
            recent=lambda n=50: self.alerts_told[:n], stats=lambda: self.channels
        )
        self.restarts = types.SimpleNamespace(recent=lambda n=50: self.restarts_done[:n])
        stats = {"lookups": 500_000, "hits": 499_500, "kept": 480, "failing": 2, "seconds": 0.012}
        self.tools = types.SimpleNamespace(resolving=types.SimpleNamespace(stats=lambda: stats))
        if store is not None:
            self.store = store

    def endpoint(self, name):
        return self.found.get(name) or self.plan.endpoints[name]

    def settle(self, **settings):
        """Have other settings."""
        self.plan = Plan(settings=Settings(**settings), endpoints=self.plan.endpoints)

    def beat(self, key, name, ok=True, message=""):
        self.done.append(("beat", key, name, ok, message))
        return key == "the-key" and name in self.plan.endpoints

    def beat_url(self, name):
        return f"http://localhost:8787/beat/the-key/{name}"

    def recheck(self, name):
        self.done.append(("recheck", name))
        return True

    def relearn(self, name):
        self.done.append(("relearn", name))

    def silence(self, name, seconds):
        self.done.append(("silence", name, seconds))

    def events(self):
        return self.feed.subscribe()


def endpoint(name, address="", **options):
    return Endpoint(name, address or f"https://{name}", Options(**options), "sites.txt:1")


def incident(key="1764150000000", names=("shop",), *, now, closed=0.0, **more):
    """A document as Incidents has them."""
    return {
        "id": key, "type": "down", "cause": {}, "opened": now - 700, "joined": now - 700,
        "closed": closed, "title": f"{names[0]} is down", "text": "It is.", "count": len(names),
        "names": list(names), "tags": [], "channels": [], "told": 1, "told_at": now - 690,
        "messages": 1, "chunks": 1, "down": 0 if closed else len(names), **more,
    }  # fmt: skip


_SHOP = [
    ("Web shop", "https://shop.example.com/", "Web shop", ("shop",)),
    ("Checkout", "https://pay.example.com/health", "Checkout and payments", ("shop",)),
    ("Search", "https://search.example.com/", "Search", ("shop",)),
    ("Customer API", "https://api.example.com/v2/status", "API for partners", ("api",)),
    ("Mail", "smtp://mx1.example.com:25", "Mail", ("mail",)),
    ("Mail out", "smtp://mx2.example.com:587", "", ("mail",)),
    ("Name servers", "dns://example.com?type=NS", "Name servers", ("network",)),
    ("Documentation", "https://docs.example.com/", "Documentation", ()),
    ("Database", "tcp://10.1.2.3:5432", "", ("internal",)),
    ("nightly-backup", "beat://nightly-backup", "", ("jobs",)),
    ("Gateway Berlin", "icmp://192.0.2.1", "", ("network",)),
    ("Old site", "http://old.example.com/", "", ()),
]
_INSIDE = {"Database", "nightly-backup", "Gateway Berlin", "Mail out", "Old site"}


def shop(now=None, **settings):
    """A monitor of a few endpoints in all states, as pictures have them."""
    now = time.time() if now is None else now
    made = StandIn(
        [
            endpoint(name, address, description=text, tags=tags, public=name not in _INSIDE)
            for name, address, text, tags in _SHOP
        ],
        now=now,
        **{"title": "Example Ltd", "url": "https://status.example.com", **settings},
    )
    rng = random.Random(5)
    for name, status in made.statuses.items():
        phases = {"dns": 0.0004, "connect": rng.uniform(0.01, 0.03), "tls": rng.uniform(0.02, 0.05)}
        phases["first_byte"] = rng.uniform(0.02, 0.08)
        phases["total"] = sum(phases.values()) + 0.004
        facts = {"certificate": {"expires": now + 40 * 86400, "issuer": "Example CA"}}
        status.result = Result(name=name, at=status.checked, phases=phases, facts=facts)
        status.since = now - rng.uniform(1, 60) * 86400
        status.checked = now - rng.uniform(1, 55)
    _states(made, now)
    _history(made, now)
    return made


def _states(made, now):
    down = made.statuses["Checkout"]
    down.state, down.since, down.failing, down.error = "down", now - 700, 12, "timeout"
    down.message = "asked https://pay.example.com/health, and no answer came within 10 s"
    down.incident = "2"
    down.result.phases |= {"first_byte": 9.94, "total": 10.0}
    made.statuses["Old site"].warnings = ("its certificate ends in 9 days, at 2026-12-05",)
    search = made.statuses["Search"]
    search.failing, search.error = 1, "status"
    search.message = "https://search.example.com/ answers 503, not 200"
    made.statuses["Database"].muted = "maintenance nightly"
    made.statuses["Mail out"].state = "new"


def _history(made, now):
    before = now - 6 * 86400
    made.told = [
        incident("2", ("Checkout",), now=now),
        incident(
            "1", ("Web shop", "Search", "Old site"), now=before, closed=before + 1500,
            title="3 endpoints at 192.0.2.7 are down",
            cause={"kind": "address", "value": "192.0.2.7"},
        ),
    ]  # fmt: skip
    made.history = History(now, bad=(0, 6, 41), share=0.04)
    made.alerts_told = [
        {
            "id": "2-1-down", "type": "down", "at": now - 690, "severity": "critical",
            "title": "Checkout is down", "incident": "2", "channel": "team chat", "state": "sent",
            "put": now - 690, "sent": now - 689, "attempts": 1, "into": None,
        }
    ]  # fmt: skip
    made.channels = {
        "team chat": {
            "kind": "webhook", "waiting": 0, "sent": 41, "failures": 1, "last_sent": now - 689,
            "failing_since": 0.0, "error": "", "attempts": 0, "sending": False,
        },
        "phone": {
            "kind": "webhook", "waiting": 3, "sent": 12, "failures": 7, "last_sent": now - 90000,
            "failing_since": now - 600, "error": "it answers with status 404, and a long reason",
            "attempts": 7, "sending": True,
        },
    }  # fmt: skip
    made.learned_facts["Web shop"] = made.learned_facts["Checkout"] = {
        "status": 200, "url": "https://shop.example.com/", "title": "Example shop",
        "size": [18000, 22000], "latency": {"median": 0.081, "mad": 0.009},
        "certificate": {"issuer": "Example CA", "expires": "2027-01-05"},
    }  # fmt: skip


def many(count, **settings):
    """A monitor of that many endpoints, one of a hundred down, and one of fifty with a warning."""
    options = [Options(tags=(f"team {n}",)) for n in range(20)]
    endpoints = [
        Endpoint(f"site-{n:05}.example.com", f"https://site-{n:05}.example.com/", options[n % 20])
        for n in range(count)
    ]
    made = StandIn(endpoints, **settings)
    phases = {"dns": 0.001, "connect": 0.02, "tls": 0.03, "first_byte": 0.04, "total": 0.1}
    facts = {"certificate": {"expires": made.now + 40 * 86400}}
    for n, (name, status) in enumerate(made.statuses.items()):
        status.result = Result(name=name, at=status.checked, phases=phases, facts=facts)
        if not n % 100:
            status.state, status.since, status.error = "down", made.now - n, "timeout"
        elif not n % 50:
            status.warnings = ("its certificate ends in 9 days",)
    return made
