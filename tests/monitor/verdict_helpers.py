"""Endpoints, and results of checks that nobody has made."""

from collections import defaultdict

from safepatch.monitor.plan import Endpoint, Options, Plan, Settings
from safepatch.monitor.results import Result
from safepatch.monitor.statuses import Status
from safepatch.monitor.verdicts.incidents import Incidents
from safepatch.monitor.verdicts.verdicts import step

NOW = 1_790_000_000.0
QUICK = Options(interval=60, confirm_down=1, confirm_up=1)


def result(name, at=NOW, error="", address="", **facts):
    if address:
        facts["address"] = address
    message = f"{error} it is" if error else ""
    phases = {"dns": 0.0001, "total": 0.01}
    return Result(name=name, at=at, error=error, message=message, phases=phases, facts=facts)


def fresh():
    """A root of a store, as far as it goes."""
    return defaultdict(dict)


class World:
    """Endpoints of which results come in, as an engine takes them."""

    def __init__(self, root=None, now=NOW, **settings):
        self.root = fresh() if root is None else root
        self.now = now
        self.plan = Plan(settings=Settings(**settings))
        self.statuses = {}
        self.incidents = Incidents(self.root, lambda: self.plan, self.statuses)

    def add(self, name, address="", options=QUICK, url=None):
        self.plan.endpoints[name] = Endpoint(name, url or f"https://{name}/", options)
        self.statuses[name] = Status()
        self.check(name, address=address)

    def check(self, name, error="", address="", **facts):
        endpoint, status = self.plan.endpoints[name], self.statuses[name]
        found = result(name, self.now, error, address, **facts)
        if not error and address:
            self.incidents.seen(name, address)
        change = step(status, found, endpoint.options, self.now)
        self.incidents.take(endpoint, status, found, change, self.now)
        return change

    def settle(self, seconds=20.0, **how):
        self.now += seconds
        return self.incidents.settle(self.now, **how)
