"""A program that is killed, between storing and sending, and between sending and marking."""

import os
import signal
import subprocess
import sys

import pytest
from alerted import receiver
from children import ROOT

PROGRAM = """
import os, signal, sys
import gevent
from alerted import event, plan
from safepatch.monitor import delivering
from safepatch.monitor.alerting import Alerts
from safepatch.store import Store

directory, url, where, numbers = *sys.argv[1:4], [int(each) for each in sys.argv[4:]]

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

store = Store(directory, every=0)
alerts = Alerts(store, lambda: plan(ops={"url": url, "per_minute": 60_000.0}))
send = alerts._deliver
if where == "before sending":
    alerts._deliver = die
elif where == "before marking":
    alerts._finish = die
elif where == "before starting":
    alerts.start = die
if numbers:
    with store.transaction():
        alerts.put([event(number) for number in numbers])
alerts.start()
while alerts.stats()["ops"]["waiting"]:
    gevent.sleep(0.01)
alerts.stop()
store.close()
"""


def run(directory, url, where, *numbers):
    path = os.pathsep.join([str(ROOT), os.path.dirname(__file__)])
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, directory, url, where, *map(str, numbers)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
    )


def keys(got):
    return [each.headers["Idempotency-Key"] for each in got]


@pytest.mark.parametrize(
    ("where", "arrived"),
    [("before starting", 0), ("before sending", 0), ("before marking", 1)],
)
def test_a_kill_neither_loses_an_alert_nor_tells_it_under_another_id(tmp_path, where, arrived):
    with receiver() as there:
        killed = run(tmp_path / "store", there.url, where, 1)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert keys(there.got) == ["e1-down"] * arrived

        ended = run(tmp_path / "store", there.url, "nowhere", 2)

        assert (ended.returncode, ended.stderr) == (0, "")
        assert keys(there.got) == ["e1-down"] * (arrived + 1) + ["e2-down"]


def test_what_piled_up_over_a_kill_is_no_flood(tmp_path):
    with receiver() as there:
        run(tmp_path / "store", there.url, "before starting", *range(60))
        ended = run(tmp_path / "store", there.url, "nowhere")

        assert (ended.returncode, ended.stderr) == (0, "")
        [digest] = there.got
        assert digest.json["title"].startswith("60 alerts since ")
