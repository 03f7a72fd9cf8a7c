"""A monitor whose checks are made by workers."""

import contextlib
import os
import signal
import subprocess
import sys

import hubs
import pytest
from alerted import receiver
from children import ROOT
from monitors import Server, port_of_nobody, states, watching
from patience import ENOUGH, until

from safepatch.monitor.monitor import Monitor
from safepatch.monitor.sources import PlanError


@pytest.fixture(autouse=True)
def hub():
    yield
    hubs.end()


SOON = {"interval": 2.0, "timeout": 1.0, "retry_after": 0.2, "confirm_down": 2, "confirm_up": 2}


def source(redis, endpoints, names=("here",), **more):
    settings = {"listen": "", "gather": 0.0, "broker": redis.url, "vantages": [*names]}
    return {"monitor": settings, "defaults": SOON, "endpoints": endpoints, **more}


def told(hook, *types):
    """The events of some types. On a slow machine vantages are silent for a while, before all."""
    return [each.json["type"] for each in hook.got if each.json["type"] in types]


def test_verdicts_and_alerts_are_made_of_what_workers_see(worker, redis, tmp_path):
    worker("here")
    server = Server()
    with receiver() as hook:
        given = source(
            redis, {"a": server.url}, channels={"hook": {"url": hook.url, "per_minute": 6000}}
        )
        with watching(given, tmp_path / "state") as monitor:
            until(lambda: states(monitor) == {"a": "up"})
            assert monitor.pace.checks > 0
            assert monitor.schedule.next() is None  # nothing is checked here
            server.down()
            until(lambda: states(monitor) == {"a": "down"})
            until(lambda: told(hook, "down", "up") == ["down"])
            server.up()
            until(lambda: states(monitor) == {"a": "up"})
            until(lambda: told(hook, "down", "up") == ["down", "up"])
        server.down()


def test_what_a_worker_finds_out_is_learned(worker, redis, tmp_path):
    worker("here")
    server = Server()
    address = f"127.0.0.1:{server.port}"
    with watching(source(redis, {"a": address}), tmp_path / "state") as monitor:
        until(lambda: states(monitor) == {"a": "up"})

        assert monitor.endpoint("a").address == f"http://{address}"
    server.down()


def test_heartbeats_are_checked_by_the_monitor_itself(redis, tmp_path):
    """There is no worker at all."""
    given = source(redis, {"job": {"address": "beat://job", "grace": 0.0, "interval": 0.3}})
    with watching(given, tmp_path / "state") as monitor:
        until(lambda: states(monitor) == {"job": "down"})
        with monitor.store.transaction():
            key = monitor.beats.key
        assert monitor.beat(key, "job")


def test_an_endpoint_is_checked_when_somebody_asks_for_it(worker, redis, tmp_path):
    worker("here")
    server = Server()
    given = source(redis, {"a": {"address": server.url, "interval": 600.0}})
    with watching(given, tmp_path / "state") as monitor:
        until(lambda: states(monitor) == {"a": "up"})
        before = server.asked
        assert monitor.recheck("a")
        until(lambda: server.asked > before)
        assert not monitor.recheck("b")
    server.down()


def test_vantages_that_are_silent_make_the_monitor_blind_and_that_is_told(worker, redis, tmp_path):
    dying = worker("here")
    server = Server()
    with receiver() as hook:
        given = source(
            redis, {"a": server.url}, channels={"hook": {"url": hook.url, "per_minute": 6000}}
        )
        with watching(given, tmp_path / "state") as monitor:
            until(lambda: states(monitor) == {"a": "up"} and not monitor.blind)
            dying.send_signal(signal.SIGKILL)
            dying.wait(ENOUGH)
            server.down()
            until(lambda: monitor.blind)
            until(lambda: told(hook, "blind", "seeing")[-1:] == ["blind"])
            assert states(monitor) == {"a": "up"}  # nobody knows
            assert "nothing is heard of here" in monitor.blind
            server.up()
            worker("here")
            until(lambda: not monitor.blind)
            until(lambda: told(hook, "blind", "seeing")[-2:] == ["blind", "seeing"])
            assert told(hook, "down", "up") == []
        server.down()


def test_endpoints_that_are_added_are_checked_soon(worker, redis, tmp_path):
    worker("here")
    server = Server()
    one, two = (f'[endpoints.{name}]\naddress = "{server.url}{name}"\n' for name in "ab")
    head = (
        f'[monitor]\nlisten = ""\nbroker = "{redis.url}"\nvantages = ["here"]\n'
        "[defaults]\ninterval = 600.0\n"
    )
    file = tmp_path / "monitor.toml"
    file.write_text(head + one)
    with watching(str(file), tmp_path / "state") as monitor:
        until(lambda: states(monitor) == {"a": "up"})
        file.write_text(head + one + two)
        until(lambda: states(monitor) == {"a": "up", "b": "up"})
    server.down()


def test_vantages_without_a_broker_are_refused(tmp_path):
    given = {"monitor": {"listen": "", "vantages": ["here"]}, "endpoints": {"a": "tcp://a.test:1"}}
    with pytest.raises(PlanError, match="say broker"):
        Monitor(given, state=tmp_path / "state").start()


def test_the_command_is_a_worker(redis, tmp_path):
    command = [sys.executable, "-m", "safepatch", "monitor", "worker", "--vantage", "here"]
    given = {**os.environ, "PYTHONPATH": str(ROOT), "SAFEPATCH_MONITOR_BROKER": redis.url}
    process = subprocess.Popen(command, env=given, stdout=-3, stderr=-3, cwd=tmp_path)
    try:
        gone = {"a": f"tcp://127.0.0.1:{port_of_nobody()}"}
        with watching(source(redis, gone), tmp_path / "state") as monitor:
            until(lambda: states(monitor) == {"a": "down"})
        process.terminate()
        assert process.wait(ENOUGH) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(ENOUGH)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--broker", "amqp://a", "--vantage", "here"], "write redis://HOST:PORT/NUMBER"),
        (["--broker", "redis://a", "--vantage", "a b"], "is no name of a vantage"),
        (["--broker", "redis://a", "--vantage", "a", "--password-env", "NO_SUCH"], "is not set"),
    ],
)
def test_a_worker_that_cannot_be_is_told(options, told, tmp_path):
    command = [sys.executable, "-m", "safepatch", "monitor", "worker", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ENOUGH, cwd=tmp_path)

    assert done.returncode == 2
    assert told in done.stderr
