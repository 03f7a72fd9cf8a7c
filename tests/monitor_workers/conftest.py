"""A Redis and workers of Celery, as children; and vantages in a monitor's hub."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import hubs
import pytest
from children import ROOT
from patience import ENOUGH, free_port

from safepatch.monitor.workers import Vantages, command
from safepatch.monitor.workers.brokers import AT_ONCE, BROKER


class Redis:
    """A server of its own on loopback, that can be ended and started again."""

    def __init__(self, directory):
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.skip("there is no redis-server here")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1"]
        self._command += ["--dir", str(directory), "--save", "", "--loglevel", "warning"]

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + ENOUGH
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self):
        self._process.kill()
        self._process.wait(ENOUGH)


@pytest.fixture
def redis(tmp_path):
    made = Redis(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def worker(redis, tmp_path):
    """Start a worker of a vantage; all are ended with the test. `source` is run in it before."""
    started = []

    def start(vantage, source=""):
        module = f"app_{vantage}"
        (tmp_path / f"{module}.py").write_text(
            f"from safepatch.monitor.workers.app import app\n{source}"
        )
        path = os.pathsep.join((str(ROOT), str(tmp_path)))
        given = {**os.environ, "PYTHONPATH": path, BROKER: redis.url, AT_ONCE: "50"}
        with open(tmp_path / f"{vantage}.log", "w") as log:
            process = subprocess.Popen(
                command(vantage, app=module),
                cwd=tmp_path,
                env=given,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.send_signal(signal.SIGKILL)
        process.wait(ENOUGH)
    for log in tmp_path.glob("*.log"):
        sys.stdout.write(f"{log.name}: {log.read_text()}\n")


@pytest.fixture
def watch(redis):
    """Vantages that watch endpoints, of which `taken` has what was agreed on."""
    watching = []

    def watch(endpoints, names=("here",), **options):
        vantages = Vantages(
            redis.url, names, lambda: endpoints, lambda *agreed: take(vantages, *agreed), **options
        )
        vantages.taken = []
        vantages.again = None
        watching.append(vantages)
        vantages.start()
        return vantages

    def take(vantages, endpoint, result):
        vantages.taken.append((endpoint, result))
        return endpoint.options.interval, vantages.again

    yield watch
    for vantages in watching:
        vantages.stop()
    hubs.end()
