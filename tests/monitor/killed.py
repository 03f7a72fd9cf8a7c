"""A monitor in a child that is killed at any moment, and what must be true of it all the same."""

import collections
import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import gevent
from alerted import receiver
from children import ROOT
from monitors import QUICK, Server

# As `safepatch monitor run` does it, with rounds that come sooner than each second.
_PROGRAM = """
import sys
from gevent import monkey; monkey.patch_all()
from safepatch.monitor.engine import rounds
from safepatch.monitor.monitor import Monitor
rounds._SECOND = 0.05
Monitor(sys.argv[1], state=sys.argv[2]).run()
"""


SERVERS = 5  # so that none goes and comes so often that it flaps


class Killed:
    """A monitor of servers, its child, and the alerts that came."""

    def __init__(self, directory, hook, servers):
        self.directory, self.hook, self.servers = directory, hook, servers
        self.kills = 0
        self._child = None
        (directory / "sites.toml").write_text(_sites(servers, hook))

    def start(self):
        with (self.directory / "log").open("a") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, "sites.toml", "state"],
                env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=self.directory, stderr=log,
            )  # fmt: skip

    def kill(self):
        assert self._child.poll() is None, (self.directory / "log").read_text()
        self._child.send_signal(signal.SIGKILL)
        self._child.wait(10)
        self.kills += 1

    def stop(self):
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait(10)

    @property
    def told(self):
        """What was told, by incident: the types of its events, each id once."""
        events = {each.json["id"]: each.json for each in [*self.hook.got]}
        found = collections.defaultdict(list)
        for event in events.values():
            found[event["incident"]].append(event["type"])
        return list(found.values())

    def wait_for(self, told, seconds=20):
        until = time.monotonic() + seconds
        while self.told != told:
            assert time.monotonic() < until, (self.told, (self.directory / "log").read_text())
            gevent.sleep(0.01)


def _sites(servers, hook):
    lines = ["[monitor]", 'listen = ""', "gather = 0.05", "[defaults]"]
    lines += [f"{name} = {value}" for name, value in QUICK.items()]
    lines += ["[endpoints]", *(f's{server.port} = "{server.url}"' for server in servers)]
    lines += ["[channels.hook]", f'url = "{hook.url}"', "per_minute = 60000"]
    return "\n".join(lines)


@contextlib.contextmanager
def killed(directory):
    servers = [Server() for _ in range(SERVERS)]
    with receiver() as hook:
        monitor = Killed(directory, hook, servers)
        monitor.start()
        try:
            yield monitor
        finally:
            monitor.stop()
            for server in servers:
                server.down()


def outages(directory, number, seed):
    """Let servers go and come back, so many times, with two kills each time; raises AssertionError
    if anything is told twice, or not at all."""
    chance = random.Random(seed)
    with killed(directory) as monitor:
        told = []
        for each in range(number):
            server = monitor.servers[each % SERVERS]
            gevent.sleep(chance.random() * 0.8)
            server.down()
            _restarted(monitor, chance)
            told.append(["down"])
            monitor.wait_for(told)
            server.up()
            _restarted(monitor, chance)
            told[-1] = ["down", "up"]
            monitor.wait_for(told)
        # Another id for the same would be in `told`; the same one may come again after a kill.
        again = len(monitor.hook.got) - 2 * number
        assert 0 <= again <= monitor.kills


def _restarted(monitor, chance):
    gevent.sleep(chance.random() * 1.2)
    monitor.kill()
    monitor.start()
