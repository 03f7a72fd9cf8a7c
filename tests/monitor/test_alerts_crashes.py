"""A program that is killed, between storing and sending, and between sending and marking."""

import os
import random
import signal
import subprocess
import sys
import time

from alerted import receiver
from children import ROOT
from test_alerts_mail import server

LONG = "SAFEPATCH_CRASHES" in os.environ

PROGRAM = """
import os, signal, sys
import gevent
from alerted import event, plan
from safepatch.monitor.alerts import delivering
from safepatch.monitor.alerts.alerting import Alerts
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
    return run_program(PROGRAM, str(directory), url, where, *map(str, numbers))


def run_program(program, *arguments):
    path = os.pathsep.join([str(ROOT), os.path.dirname(__file__)])
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_kills_neither_lose_an_alert_nor_tell_it_under_another_id(tmp_path):
    with receiver() as there:
        for number, (where, arrived) in enumerate(
            [
                ("before starting", []),
                ("before sending", []),
                ("before marking", ["e0-down"]),
                ("nowhere", ["e0-down", "e0-down", "e1-down", "e2-down", "e3-down"]),
            ]
        ):
            ran = run(tmp_path / "store", there.url, where, number)

            assert ran.returncode == (0 if where == "nowhere" else -signal.SIGKILL), ran.stderr
            assert ran.stderr == ""
            assert [each.headers["Idempotency-Key"] for each in there.got] == arrived


STREAM = """
import sys
import gevent
from alerted import event, plan
from safepatch.monitor.alerts.alerting import Alerts
from safepatch.store import Store

directory, url, first, count = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
store = Store(directory, every=0, segment=20_000)
alerts = Alerts(store, lambda: plan(ops={"url": url, "per_minute": 60_000.0}))
alerts.start()
for number in range(first, first + count):
    with store.transaction():
        alerts.put([event(number)])
    print(number, flush=True)
    gevent.sleep(0.002)
while alerts.stats()["ops"]["waiting"]:
    gevent.sleep(0.01)
"""


def stream(directory, url, first, count):
    return subprocess.Popen(
        [sys.executable, "-c", STREAM, str(directory), url, str(first), str(count)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.path.dirname(__file__)])},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_nothing_is_lost_over_many_kills(tmp_path):
    acknowledged, chance = [], random.Random(7)
    with receiver() as there:
        for _ in range(20 if LONG else 2):
            first = acknowledged[-1] + 2 if acknowledged else 0
            with stream(tmp_path / "store", there.url, first, 10_000) as child:
                lines = [child.stdout.readline() for _ in range(chance.randrange(1, 60))]
                child.kill()
                lines += child.stdout
            acknowledged += map(int, lines)
        with stream(tmp_path / "store", there.url, 100_000, 0) as child:
            assert child.wait(30) == 0

    told, ids = [], set()
    for got in there.got:
        if got.headers["Idempotency-Key"] not in ids:
            ids.add(got.headers["Idempotency-Key"])
            told += [each["id"] for each in got.json["events"] or [got.json]]
    assert [*dict.fromkeys(told)] == told
    numbers = [int(each[1:].removesuffix("-down")) for each in told]
    assert numbers == sorted(numbers)
    assert {*acknowledged} <= {*numbers}
    # What was on disk, but not yet acknowledged, may be there too.
    assert len(numbers) <= len(acknowledged) + 21


PATCHED = """
from gevent import monkey; monkey.patch_all()
import sys
import gevent
from alerted import event, plan
from safepatch.monitor.alerts.alerting import Alerts
from safepatch.monitor.plan import Settings
from safepatch.store import Store

plans = plan(
    Settings(smtp=f"smtp://{sys.argv[4]}"),
    mail={"mail": "me@example.org"},
    hook={"url": f"http://{sys.argv[2]}/hook"},
    apprise={"url": f"json://{sys.argv[2]}/apprise"},
    run={"command": ("sh", "-c", 'echo "$SAFEPATCH_ID"; cat > "$0"', sys.argv[3])},
)
store = Store(sys.argv[1], every=0)
alerts = Alerts(store, lambda: plans)
alerts.start()
with store.transaction():
    alerts.put([event(1)])
ticks = 0
while any(each["waiting"] for each in alerts.stats().values()):
    gevent.sleep(0.01)
    ticks += 1
alerts.stop()
store.close()
print(ticks > 3)
"""


def slowly(handler):
    time.sleep(0.15)
    handler.send_response(200)
    handler.end_headers()


def test_all_of_it_works_in_a_process_that_gevent_has_patched(tmp_path):
    with receiver(slowly) as there, server(tls=False) as post:
        arguments = [str(tmp_path / "store"), there.host, str(tmp_path / "out"), post.address]
        ran = run_program(PATCHED, *arguments)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "True\n", "")
    assert {each.path for each in there.got} == {"/hook", "/apprise"}
    assert [each["Subject"] for each in post.got] == ["site-1 is down"]
    assert '"id":"e1-down"' in (tmp_path / "out").read_text()
