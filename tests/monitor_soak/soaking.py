"""A monitor in a child that watches a world in which things go wrong, and what it tells."""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import gevent
from alerted import receiver
from children import ROOT
from nameserver import Nameserver, naming
from soak_faults import KINDS, Authorities, healthy
from soak_world import World

PATIENCE = 120.0  # seconds for anything to come; a machine may be busy
REPLICAS = 4  # of each case, for eight turns within ten minutes are flapping:
TIMES, WITHIN = 3, 660.0  # so often each in so many seconds; once, if it fails at either end
LANES = 8  # cases at the same time, of which no five have the same kind of error
_HERE = pathlib.Path(__file__).parent
_DEFAULTS = """
interval = 2
timeout = 2
retry_after = 0.5
confirm_down = 3
confirm_up = 2
private = ["127.0.0.0/8"]
"""


class Soak:
    """The monitor, what befalls its endpoints, and what it was heard to say."""

    def __init__(self, directory, world, hook, dns):
        self.directory, self.world, self.hook = directory, world, hook
        self.environ = {
            **os.environ, "PYTHONPATH": str(ROOT), "GEVENTARES_SERVERS": "127.0.0.1",
            "GEVENTARES_UDP_PORT": dns, "GEVENTARES_TCP_PORT": dns,
        }  # fmt: skip
        authorities = Authorities(str(directory / "ca.pem"))
        self.healthy = healthy(world, authorities)
        self.cases = [make(world, authorities) for make in KINDS * REPLICAS]
        self.done = collections.Counter()  # by kind
        self.visits = 0
        self.expected = []  # of each case that was told of, the id of its incident
        self._used = collections.defaultdict(list)
        self._busy = set()
        self._child = None
        (directory / "sites.toml").write_text(self._source())

    def _source(self):
        endpoints = dict(self.healthy)
        for case in self.cases:
            endpoints |= case.bad | case.near
        self.endpoints = endpoints
        lines = ["[monitor]", 'listen = "127.0.0.1:0"', "gather = 6", "[defaults]", _DEFAULTS]
        lines += [f'ca = "{self.directory / "ca.pem"}"', "[endpoints]"]
        lines += [f'{name} = "{address}"' for name, address in endpoints.items()]
        lines += ["[channels.hook]", f'url = "{self.hook.url}"', "per_minute = 60000"]
        return "\n".join(lines)

    # -- the child

    def start(self):
        with (self.directory / "log").open("a") as log:
            self._child = subprocess.Popen(
                [sys.executable, _HERE / "soak_child.py", "sites.toml", "state", "samples"],
                env=self.environ, cwd=self.directory, stderr=log,
            )  # fmt: skip

    def end(self):
        """End it as systemd does; the seconds that it took."""
        began = time.monotonic()
        self._child.send_signal(signal.SIGTERM)
        while self._child.poll() is None and time.monotonic() < began + PATIENCE:
            gevent.sleep(0.05)
        assert self._child.poll() == 0, self.log
        return time.monotonic() - began

    def kill(self):
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait(10)

    @property
    def log(self):
        return (self.directory / "log").read_text()[-5000:]

    # -- what it tells

    @property
    def samples(self):
        """All that it has told of itself so far."""
        text = (self.directory / "samples").read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def now(self):
        """The newest of them."""
        with contextlib.suppress(OSError), (self.directory / "samples").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 65536))
            whole = [line for line in file.read().splitlines(keepends=True) if line[-1:] == b"\n"]
            with contextlib.suppress(ValueError, IndexError):
                return json.loads(whole[-1])
        return None

    @property
    def told(self):
        """What its alerts say, each id once, oldest first; also those that came in one message."""
        said = [one for each in [*self.hook.got] for one in each.json["events"] or [each.json]]
        return [*{one["id"]: one for one in said}.values()]

    def downs(self, names):
        """The alerts that some of these endpoints are down."""
        calm = ("up", "steady", "warning")
        return [
            each
            for each in self.told
            if each["type"] not in calm and not names.isdisjoint(each["endpoints"])
        ]

    def ups(self, incident):
        return [each for each in self.told if each["type"] == "up" and each["incident"] == incident]

    def wait(self, what, true, seconds=PATIENCE):
        """Wait until something is true, and give it; AssertionError with what there is else."""
        until = time.monotonic() + seconds
        while not (found := true()):
            assert self._child.poll() is None, f"the monitor ended: {self.log}"
            told = [(each["type"], each["title"], each["cause"]) for each in self.told[-8:]]
            assert time.monotonic() < until, f"not {what}: {told}, {self.now()}, {self.log}"
            gevent.sleep(0.1)
        return found

    # -- what goes wrong

    def befall(self, case):
        """Let a fault come and go, and see that it is told of once, and rightly."""
        before = {each["id"] for each in self.told}
        case.begin()
        try:
            alert = self._see(case, before) if case.error else self._see_nothing(case)
        finally:
            case.end()
        if alert is None:
            return
        self.wait(f"told {case.kind} is over", lambda: self.ups(alert["incident"]))
        self.wait(f"{case.kind} is up", lambda: self._states(case) == {})

    def _see(self, case, before):
        wanted = dict.fromkeys(case.bad, case.error)
        self.wait(f"{case.kind} down as {case.error}", lambda: self._states(case) == wanted)

        def new():
            return [one for one in self.downs(set(case.bad)) if one["id"] not in before]

        alert = self.wait(f"told of {case.kind}", new)[0]
        gevent.sleep(3)  # in which a second one would come
        assert len(new()) == 1, new()
        assert (alert["type"], alert["cause"].get("kind", "")) == ("down", case.cause), alert
        assert set(alert["endpoints"]) <= set(case.bad), alert
        self.expected.append(alert["incident"])
        return alert

    def _see_nothing(self, case):
        gevent.sleep(12)
        assert self._states(case) == {}
        assert (told := self.downs(set(case.bad))) == [], told

    def _states(self, case):
        down = self.now()["down"]
        return {name: down[name] for name in case.bad if name in down}

    def faults(self, seconds):
        """Let faults come and go for so long, several at a time, as evenly as there are."""
        until = time.monotonic() + seconds
        lanes = [gevent.spawn(self._lane, until) for _ in range(LANES)]
        try:
            gevent.joinall(lanes, raise_error=True)
        finally:
            gevent.killall(lanes)

    def _lane(self, until):
        while time.monotonic() < until:
            case = self._next()
            if case is None:
                gevent.sleep(1)
                continue
            self._busy.add(case.kind)
            try:
                self.befall(case)
            finally:
                self._busy.discard(case.kind)
            self.done[case.kind] += 1

    def _next(self):
        """The case to come, of the kind that came least, that has not come too often; or None."""
        now, free = time.monotonic(), []
        for case in self.cases:
            used = self._used[case] = [at for at in self._used[case] if at > now - WITHIN]
            if case.kind not in self._busy and len(used) < (TIMES if case.error else 1):
                free.append(case)
        if not free:
            return None
        chosen = min(
            free, key=lambda one: (self.done[one.kind], len(self._used[one]), random.random())
        )
        self._used[chosen].append(now)
        return chosen


@contextlib.contextmanager
def soaking(directory):
    """A world, and a monitor of it in a child."""
    with contextlib.ExitStack() as stack:
        names = Nameserver(ttl=1)
        dns = stack.enter_context(naming(names)).rpartition(":")[2]
        world = World(names)
        stack.callback(world.close)
        soak = Soak(directory, world, stack.enter_context(receiver()), dns)
        stack.callback(soak.kill)
        soak.start()
        stack.enter_context(_visited(soak))
        yield soak


@contextlib.contextmanager
def _visited(soak):
    """Somebody looks at the pages, all the time."""
    end = threading.Event()

    def visit():
        while not end.wait(1.0):
            if (now := soak.now()) and now["at"] > time.time() - 3:
                soak.visits += _reads(now["url"]) + _reads(f"{now['url']}metrics")

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        yield
    finally:
        end.set()
        visitor.join(30)


def _reads(url):
    """Whether a page is there; it is not while the monitor is started again."""
    try:
        with urllib.request.urlopen(url, timeout=10) as page:
            return bool(page.read())
    except (OSError, http.client.HTTPException):
        return False
