"""The monitor as a whole: verdicts, alerts and state, over restarts, reloads and mistakes."""

import contextlib
import errno
import gc
import logging
import os
import shutil

import pytest

pytest.importorskip("httptools", reason="a monitor needs the extra `monitor`")

import gevent
import msgspec
from alerted import in_hub, receiver, wait_until
from monitors import ANSWER, QUICK, Server, port_of_nobody, source, states, watching

from safepatch.monitor import checks
from safepatch.monitor.engine import afar, journal, keeping, reloading, rounds, taking
from safepatch.monitor.engine.keeping import MonitorError, Statuses, not_served
from safepatch.monitor.history.history import History
from safepatch.monitor.monitor import Monitor
from safepatch.monitor.names import lookups
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.results import Result
from safepatch.monitor.sources import PlanError
from safepatch.monitor.statuses import Status
from safepatch.monitor.tools import Tools
from safepatch.store import FailedError, Store


def ok(endpoint, tools):
    return Result(name=endpoint.name, at=0.0, phases={"total": 0.001})


def until(monitor, **wanted):
    wait_until(lambda: {name: states(monitor).get(name) for name in wanted} == wanted)


# Verdicts, and what comes of them.


@in_hub
def test_what_goes_down_and_comes_back_is_told_of_once_each(tmp_path):
    server = Server()
    with receiver() as hook:
        given = source(
            {"a": server.url, "b": server.url},
            channels={"hook": {"url": hook.url, "per_minute": 6000}},
        )
        with watching(given, tmp_path) as monitor:
            until(monitor, a="up", b="up")
            server.down()
            until(monitor, a="down", b="down")
            rounds.settle(monitor)
            wait_until(lambda: len(hook.got) == 1)
            assert [each["id"] for each in monitor.alerts.recent(9)] == [hook.got[0].json["id"]]
            [incident] = monitor.incidents.open()
            server.up()
            until(monitor, a="up", b="up")
            rounds.settle(monitor)
            wait_until(lambda: len(hook.got) == 2)
            assert monitor.incidents.open() == []
        server.down()

    assert [each.json["type"] for each in hook.got] == ["down", "up"]
    assert [each.json["count"] for each in hook.got] == [2, 2]
    assert {each.json["incident"] for each in hook.got} == {incident["id"]}


@in_hub
def test_after_a_restart_verdicts_incidents_and_times_are_as_they_were(
    tmp_path,
):
    with receiver() as hook:
        given = source(
            {"a": f"http://127.0.0.1:{port_of_nobody()}/"}, channels={"hook": {"url": hook.url}}
        )
        with watching(given, tmp_path) as monitor:
            until(monitor, a="down")
            rounds.settle(monitor)
            wait_until(lambda: hook.got)
            before, incident = monitor.statuses["a"], monitor.incidents.open()

        with watching(given, tmp_path) as monitor:
            after = monitor.statuses["a"]
            assert (after.state, after.since, after.incident) == (
                "down", before.since, before.incident,
            )  # fmt: skip
            assert monitor.incidents.open() == incident
            wait_until(lambda: monitor.pace.done >= 3)
            rounds.settle(monitor)
            gevent.sleep(0.05)

    assert len(hook.got) == 1


@in_hub
def test_a_verdict_its_incident_and_the_alert_are_on_disk_before_anybody_is_told(tmp_path):
    def copy(request):
        if not (tmp_path / "copy").exists():
            shutil.copytree(tmp_path / "state" / "store", tmp_path / "copy")
        request.send_response(200)
        request.send_header("Content-Length", "0")
        request.end_headers()

    with receiver(copy) as hook:
        given = source(
            {"a": f"tcp://127.0.0.1:{port_of_nobody()}"}, channels={"hook": {"url": hook.url}}
        )
        with watching(given, tmp_path / "state") as monitor:
            until(monitor, a="down")
            rounds.settle(monitor)
            wait_until(lambda: hook.got)

    with Store(tmp_path / "copy") as then:
        assert then.root["statuses"]["a"]["state"] == "down"
        [incident] = then.root["incidents"].values()
        [alert] = then.root["alerts"].values()
        assert alert["message"]["incident"] == incident["id"]


@in_hub
def test_nothing_is_written_for_checks_that_change_nothing(tmp_path):
    with watching(source({"a": "tcp://127.0.0.1:1"}), tmp_path, check=ok) as monitor:
        until(monitor, a="up")
        rounds.settle(monitor)
        before, done = monitor.store.stats()["commits"], monitor.pace.done

        wait_until(lambda: monitor.pace.done > done + 3)
        rounds.settle(monitor)

        assert monitor.store.stats()["commits"] == before


@in_hub
def test_what_is_seen_for_the_first_time_is_written_within_a_round(tmp_path):
    with watching(source({"a": "tcp://127.0.0.1:1"}), tmp_path, check=ok) as monitor:
        until(monitor, a="up")
        rounds.settle(monitor)

        assert monitor.store.root["statuses"]["a"] == monitor.statuses["a"].since


@in_hub
def test_it_is_told_live_what_changes(tmp_path):
    with watching(source({"a": "tcp://127.0.0.1:1"}), tmp_path, check=ok) as monitor:
        with monitor.events() as events:
            told = events.get(timeout=2)
        assert (told["type"], told["name"], told["change"]) == ("status", "a", "first")
        assert list(events) == []

        late = monitor.events()
        for number in range(2000):
            monitor.feed.put(type="x", number=number)
        assert late.get() == {"type": "missed"}
        assert late.get(timeout=0.001) is None or late.get(timeout=0.001) is None

    assert late.get(timeout=1) is None  # ended with the monitor


@in_hub
def test_an_address_without_a_kind_is_found_out_once_and_kept_over_restarts(tmp_path):
    server = Server()
    given = source({"a": f"127.0.0.1:{server.port}"})
    with watching(given, tmp_path) as monitor:
        until(monitor, a="up")
        wait_until(lambda: monitor.pace.done >= 3)
        assert monitor.endpoint("a").kind == "http"
        found = monitor.endpoint("a").address

    with watching(given, tmp_path) as monitor:
        taking.detecting = None  # it must not be needed
        try:
            wait_until(lambda: monitor.pace.done >= 2)
        finally:
            from safepatch.monitor.checks import detecting

            taking.detecting = detecting
        assert (monitor.endpoint("a").address, monitor.pace.failures) == (found, 0)
    server.down()


@in_hub
def test_a_quiet_monitor_tells_nobody(tmp_path):
    with receiver() as hook:
        given = source(
            {"a": f"tcp://127.0.0.1:{port_of_nobody()}"}, channels={"hook": {"url": hook.url}}
        )
        with watching(given, tmp_path, quiet=True) as monitor:
            until(monitor, a="down")
            rounds.settle(monitor)
            gevent.sleep(0.02)

    assert hook.got == []


# What people ask of it.


@in_hub
def test_a_recheck_is_made_at_once(tmp_path):
    given = source({"a": "tcp://127.0.0.1:1"}, defaults={"interval": 3600})
    with watching(given, tmp_path, check=ok) as monitor:
        until(monitor, a="up")
        done = monitor.pace.done
        assert monitor.recheck("a")
        wait_until(lambda: monitor.pace.done == done + 1)
        assert not monitor.recheck("b")


@in_hub
def test_nobody_is_told_of_what_is_silenced_until_that_is_over(tmp_path):
    now = [1_790_000_000.0]
    with receiver() as hook:
        given = source(
            {"a": f"tcp://127.0.0.1:{port_of_nobody()}"}, channels={"hook": {"url": hook.url}}
        )
        with watching(given, tmp_path, wall=lambda: now[0]) as monitor:
            monitor.silence("a", 60)
            assert monitor.statuses["a"].muted == "silenced until 14:14 UTC"
            until(monitor, a="down")
            rounds.settle(monitor)
            gevent.sleep(0.05)
            assert hook.got == []

            now[0] += 120
            rounds.settle(monitor)
            wait_until(lambda: hook.got)
            wait_until(lambda: monitor.statuses["a"].muted == "")
            with pytest.raises(KeyError):
                monitor.silence("b", 1)

    assert [each.json["type"] for each in hook.got] == ["down"]


@pytest.mark.parametrize(
    ("listen", "hashed", "told"),
    [
        ("127.0.0.1:0", "secret", "'PAGES_HASH' has is no hash of a password; make one with"),
        ("192.0.2.7:8787", "scrypt:1", "this machine does not have that address"),
    ],
)
@in_hub
def test_pages_that_cannot_be_served_are_one_kind_of_error(
    tmp_path, monkeypatch, listen, hashed, told
):
    from safepatch.monitor.web import passwords

    monkeypatch.setenv("PAGES_HASH", hashed)
    monkeypatch.setattr(passwords, "is_hash", lambda text: text.startswith("scrypt:"))
    login = {"login": "ops", "password_hash_env": "PAGES_HASH"}

    with pytest.raises(MonitorError, match="cannot serve the pages") as error:
        Monitor("tcp://127.0.0.1:1", state=tmp_path / "s", listen=listen, **login).start()

    assert told in str(error.value)
    assert error.value.facts == {"listen": listen}
    assert not (tmp_path / "s").exists()


def test_a_port_that_is_only_for_root_is_told():
    # Tests may run as root, who gets any.
    told = not_served("127.0.0.1:80", PermissionError(errno.EACCES, "Permission denied"))

    assert "port 80 is not for this user; those below 1024 are for root" in told


def test_a_state_directory_without_a_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(MonitorError, match="no state directory is named: `state` is ''"):
        Monitor("tcp://127.0.0.1:1", state="")

    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("change", "status", "line"),
    [
        (
            "down",
            Status(state="down", error="refused", message="a:1: no"),
            "a: down (refused): a:1: no",
        ),
        ("down", Status(error="dns", message="x\n\x1b[1my"), "a: down (dns): x ?[1my"),
        ("up", Status(state="up"), "a: up"),
        ("flapping", Status(state="up"), "a: flapping"),
        ("steady", Status(state="up"), "a: steady, up"),
        (
            "up",
            Status(state="up", muted="maintenance m"),
            "a: up; nobody is alerted: maintenance m",
        ),
        ("first", Status(state="up"), None),
        ("", Status(state="up"), None),
    ],
)
def test_each_change_of_a_state_is_a_line_in_the_log(caplog, change, status, line):
    caplog.set_level(logging.INFO)

    journal.note("a", status, change)

    assert [each.getMessage() for each in caplog.records] == ([line] if line else [])


@in_hub
def test_a_restart_is_told_to_the_log_and_to_who_looks_on(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    given = source(
        {"a": {"address": f"tcp://127.0.0.1:{port_of_nobody()}", "restart": "again"}},
        restarts={"again": {"command": ["true"], "wait": 0.01}},
    )
    with watching(given, tmp_path) as monitor, monitor.events() as happening:
        wait_until(lambda: "a is restarted (attempt 1)" in caplog.text)
        told = iter(lambda: happening.get(timeout=0), None)
        events = [each["event"] for each in told if each["type"] == "event"]

    assert "restart" in events


@in_hub
def test_a_silence_that_is_ended_is_over(tmp_path):
    with watching(source({"a": "tcp://127.0.0.1:1"}), tmp_path, check=ok) as monitor:
        monitor.silence("a", 60)
        monitor.silence("a", 0)

        assert monitor.statuses["a"].muted == ""
        assert dict(monitor.store.root["silences"]) == {}


@in_hub
def test_a_heartbeat_is_looked_at_when_it_reports(tmp_path):
    given = source(
        {"nightly": {"address": "beat://nightly", "interval": 3600, "retry_after": 3600}}
    )
    with watching(given, tmp_path) as monitor:
        with monitor.store.transaction():
            key = monitor.beats.key

        assert monitor.beat(key, "nightly", ok=False, message="disk full")
        until(monitor, nightly="down")
        assert monitor.statuses["nightly"].message == "'nightly' reported a failure: disk full"
        assert not monitor.beat("wrong", "nightly")
        assert not monitor.beat(key, "unknown")
        assert [*monitor.store.root["beats"]] == ["nightly"]
        assert monitor.beat(key, "nightly")
        until(monitor, nightly="up")


@in_hub
def test_a_heartbeat_is_new_until_it_has_come_and_down_when_it_is_late(tmp_path):
    now = [1_790_000_000.0]
    options = {"interval": 3600, "grace": 60}
    given = source({
        "nightly": {"address": "beat://nightly", **options},
        "never": {"address": "beat://never", **options},
    })  # fmt: skip
    with watching(given, tmp_path, wall=lambda: now[0]) as monitor:
        never, nightly = monitor.statuses["never"], monitor.statuses["nightly"]
        wait_until(lambda: never.checked and nightly.checked)
        assert (never.state, nightly.state) == ("new", "new")
        monitor.history.flush(now[0])
        assert monitor.history.uptime("never", 86400) is None

        with monitor.store.transaction():
            key = monitor.beats.key
        monitor.beat(key, "nightly")
        wait_until(lambda: nightly.state == "up")
        assert never.state == "new"

        now[0] += 3661
        monitor.recheck("never")
        wait_until(lambda: never.state == "down")
        assert never.message.startswith("'never' has not reported in 61 minutes")


@in_hub
def test_a_heartbeat_that_comes_seldom_is_looked_at_all_the_same():
    endpoint = Endpoint("a", "beat://a", Options(interval=86400.0))

    assert taking.interval(endpoint) == 30.0


# Hot reload.


def write(path, *endpoints):
    lines = ["[monitor]", 'listen = ""', "gather = 0.0", "[defaults]"]
    lines += [f"{name} = {value}" for name, value in QUICK.items()]
    path.write_text("\n".join([*lines, *endpoints, ""]))


@in_hub
def test_a_changed_file_keeps_the_state_of_what_stayed(tmp_path):
    file = tmp_path / "sites.toml"
    write(file, "[endpoints]", 'a = "tcp://127.0.0.1:1"', 'b = "tcp://127.0.0.1:2"')
    with watching(file, tmp_path / "state", check=ok) as monitor:
        until(monitor, a="up", b="up")
        rounds.settle(monitor)
        kept = monitor.statuses["a"]
        write(file, "[endpoints]", 'a = "tcp://127.0.0.1:1"', 'c = "tcp://127.0.0.1:3"')

        assert monitor.reload()

        assert monitor.statuses["a"] is kept
        assert [*monitor.plan.endpoints] == ["a", "c"]
        until(monitor, a="up", c="up")
        assert "b" not in monitor.statuses
        assert "b" not in monitor.schedule
        assert "b" not in monitor.store.root["statuses"]


@in_hub
def test_a_file_that_is_wrong_changes_nothing_and_says_what_is_wrong_where(tmp_path, caplog):
    file = tmp_path / "sites.toml"
    write(file, "[endpoints]", 'a = "tcp://127.0.0.1:1"')
    with watching(file, tmp_path / "state", check=ok) as monitor:
        until(monitor, a="up")
        plan = monitor.plan
        write(file, "[endpoints]", 'a = "tpc://127.0.0.1:1"')
        assert not monitor.reload()

        assert monitor.plan is plan
        [(where, message)] = monitor.problems
        assert where.endswith("sites.toml:11")
        assert "tcp" in message
        assert "the sources are wrong, and all goes on as before" in caplog.text
        done = monitor.pace.done
        wait_until(lambda: monitor.pace.done > done)
        write(file, "[endpoints]", 'a = "tcp://127.0.0.1:1"')
        assert monitor.reload()
        assert monitor.problems == []


@in_hub
def test_each_mistake_in_a_file_is_a_line_of_its_own_in_the_log(tmp_path, caplog):
    file = tmp_path / "sites.toml"
    write(file, "[endpoints]", 'a = "tcp://127.0.0.1:1"')
    with watching(file, tmp_path / "state", check=ok) as monitor:
        write(file, "[endpoints]", 'a = "tpc://127.0.0.1:1"', 'b = "tpc://127.0.0.1:2"')
        monitor.reload()

    said = [each.getMessage() for each in caplog.records if "all goes on as before" in each.msg]
    assert [line.partition("as before: ")[2].partition(": endpoints")[0] for line in said] == [
        "2 things are wrong", f"{file}:11", f"{file}:12",
    ]  # fmt: skip


@in_hub
def test_what_has_another_address_is_learned_anew_and_keeps_its_verdict(tmp_path):
    server = Server()
    file = tmp_path / "sites.toml"
    write(file, "[endpoints]", f'a = "127.0.0.1:{server.port}"')
    with watching(file, tmp_path / "state") as monitor:
        until(monitor, a="up")
        since = monitor.statuses["a"].since
        write(file, "[endpoints]", f'a = "{server.url}other"')
        monitor.reload()
        wait_until(lambda: server.asked and monitor.pace.done > 3)

        assert monitor.endpoint("a").address == f"{server.url}other"
        assert (monitor.statuses["a"].state, monitor.statuses["a"].since) == ("up", since)
    server.down()


@in_hub
def test_what_was_removed_while_the_monitor_was_off_is_forgotten(tmp_path):
    with watching(source({"a": "tcp://127.0.0.1:1"}), tmp_path, check=ok) as monitor:
        until(monitor, a="up")

    with watching(source({"b": "tcp://127.0.0.1:1"}), tmp_path, check=ok) as monitor:
        assert [*monitor.store.root["statuses"]] in ([], ["b"])
        assert [*monitor.statuses] == ["b"]


@in_hub
def test_an_incident_of_what_was_removed_is_over(tmp_path):
    file = tmp_path / "sites.toml"
    down = f"tcp://127.0.0.1:{port_of_nobody()}"
    write(file, "[endpoints]", f'a = "{down}"', f'b = "{down}"')
    with watching(file, tmp_path / "state") as monitor:
        until(monitor, a="down", b="down")
        rounds.settle(monitor)
        assert len(monitor.incidents.open()) == 1
        write(file, "[endpoints]", f'c = "{down}"')
        monitor.reload()
        rounds.settle(monitor)

        assert monitor.incidents.open() == []


# What goes wrong.


@in_hub
def test_sources_that_are_wrong_open_nothing(tmp_path):
    with pytest.raises(PlanError):
        Monitor("tpc://nowhere", state=tmp_path / "state").start()

    assert [*tmp_path.iterdir()] == []


@in_hub
def test_a_state_directory_that_another_monitor_uses_is_refused(tmp_path):
    given = source({"a": "tcp://127.0.0.1:1"})
    with (
        watching(given, tmp_path, check=ok),
        pytest.raises(MonitorError, match="another monitor does") as caught,
    ):
        Monitor(given, state=tmp_path).start()

    assert caught.value.facts == {"state": str(tmp_path)}


@in_hub
def test_a_state_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(MonitorError, match=r"cannot keep state in .*file/state.*permissions"):
        Monitor("tcp://127.0.0.1:1", state=tmp_path / "file" / "state", listen="").start()


@pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning")  # gevent's socket
@in_hub
def test_a_port_that_is_taken_is_told_and_nothing_is_left_open(tmp_path):
    server = Server()
    taken = f"127.0.0.1:{server.port}"
    monitor = Monitor("tcp://127.0.0.1:1", state=tmp_path, listen=taken, check=ok)

    with pytest.raises(MonitorError, match=f"cannot serve the pages at '{taken}'.*is taken"):
        monitor.start()

    server.down()
    with watching("tcp://127.0.0.1:1", tmp_path, listen="", check=ok):
        pass


@in_hub
def test_a_mistake_in_a_check_does_not_end_anything(tmp_path, caplog):
    def check(endpoint, tools):
        if endpoint.name == "bad":
            raise RuntimeError("a mistake")
        return ok(endpoint, tools)

    given = source({"bad": "tcp://127.0.0.1:1", "good": "tcp://127.0.0.1:2"})
    with watching(given, tmp_path, check=check) as monitor:
        until(monitor, good="up")
        wait_until(lambda: monitor.pace.failures >= 2)

    assert "the check of 'bad' failed by a mistake of the monitor" in caplog.text


def failing(name):
    return Result(name=name, at=0.0, error="timeout", message="late")


@in_hub
def test_what_is_removed_while_it_is_written_that_it_is_down_is_not_counted(tmp_path):
    slow = {"interval": 600.0, "confirm_down": 1}
    given = source({"a": "tcp://a:1", "b": "tcp://b:1"}, defaults=slow)
    with watching(given, tmp_path, check=ok) as monitor:
        until(monitor, a="up", b="up")
        removed = monitor.plan.endpoints["a"]
        without = msgspec.structs.replace(
            monitor.plan, endpoints={"b": monitor.plan.endpoints["b"]}
        )
        reload = gevent.spawn(reloading.take_up, monitor, without)
        monitor.take(removed, failing("a"))
        reload.get()

        assert [*monitor.statuses] == ["b"]
        assert monitor.down == set()


@in_hub
def test_what_depended_on_what_a_reload_removes_is_told_of(tmp_path):
    slow = {"interval": 600.0, "confirm_down": 1}
    given = source({"a": "tcp://a:1", "b": {"address": "tcp://b:1", "depends_on": ["a"]}},
                   defaults=slow)  # fmt: skip
    with watching(given, tmp_path, check=ok) as monitor, monitor.events() as happening:
        until(monitor, a="up", b="up")
        for name in ("a", "b"):
            monitor.take(monitor.plan.endpoints[name], failing(name))
        rounds.settle(monitor)
        assert monitor.statuses["b"].muted == "depends on a"

        left = Endpoint("b", "tcp://b:1", Options(interval=600.0))
        reloading.take_up(monitor, msgspec.structs.replace(monitor.plan, endpoints={"b": left}))
        rounds.settle(monitor)
        monitor.feed.close()
        told = [each["title"] for each in happening if each["type"] == "event"]

    assert told == ["a is down", "b is down"]


@in_hub
def test_what_is_not_watched_any_more_takes_no_memory(tmp_path):
    """Nor a place in learned.toml, once its history is over: it may have gone by mistake."""
    slow = {"interval": 600.0}
    given = source({"a": "tcp://a:1", "b": "tcp://b:1"}, defaults=slow)
    with watching(given, tmp_path, check=ok) as monitor:
        until(monitor, a="up", b="up")
        for name in ("a", "b"):
            monitor.take(monitor.plan.endpoints[name], failing(name))
            monitor.learned.found(name, f"tcp://{name}:1")
        monitor.history.flush(monitor.wall())
        without = msgspec.structs.replace(
            monitor.plan, endpoints={"b": monitor.plan.endpoints["b"]}
        )
        reloading.take_up(monitor, without)
        rounds.unlearn(monitor)
        assert monitor.blindness._bad == {"b"}
        assert monitor.learned.address("a")

        monitor.history.forget(["a", "b"])
        rounds.unlearn(monitor)

        assert monitor.learned.address("a") is None
        assert monitor.learned.address("b")


@in_hub
def test_a_verdict_whose_transaction_failed_by_a_mistake_is_written_within_a_second(tmp_path):
    slow = {"interval": 600.0, "confirm_down": 1}
    with watching(source({"a": "tcp://a:1"}, defaults=slow), tmp_path, check=ok) as monitor:
        until(monitor, a="up")
        endpoint = monitor.plan.endpoints["a"]
        monitor.take(endpoint, failing("a"))
        monitor.incidents.take = None
        for _ in range(2):  # as `confirm_up` says
            with contextlib.suppress(TypeError):
                monitor.take(endpoint, ok(endpoint, None))
        rounds.settle(monitor)

        assert monitor.statuses["a"].state == "up"
        assert monitor.store.root["statuses"]["a"]["state"] == "up"


@in_hub
def test_after_a_mistake_in_a_transaction_incidents_are_as_they_are_in_the_store(tmp_path):
    with receiver() as hook:
        given = source(
            {"a": f"tcp://127.0.0.1:{port_of_nobody()}"}, channels={"hook": {"url": hook.url}}
        )
        with watching(given, tmp_path) as monitor:
            until(monitor, a="down")
            put = monitor.alerts.put
            monitor.alerts.put = lambda events: 1 / 0
            with pytest.raises(ZeroDivisionError):
                rounds.settle(monitor)
            assert monitor.incidents.open() == []
            monitor.alerts.put = put
            rounds.settle(monitor)
            wait_until(lambda: hook.got)

    assert [each.json["type"] for each in hook.got] == ["down"]


@in_hub
def test_a_round_that_fails_is_told_and_comes_again(tmp_path, caplog, monkeypatch):
    calls = []
    monkeypatch.setattr(rounds, "_SECOND", 0.01)
    monkeypatch.setattr(rounds, "settle", lambda monitor: calls.append(1) or 1 / 0)
    monitor = Monitor(source({"a": "tcp://127.0.0.1:1"}), state=tmp_path, check=ok)
    monitor.start()
    try:
        wait_until(lambda: len(calls) >= 3)
        assert monitor.pace.failures >= 3
    finally:
        monkeypatch.undo()
        monitor.stop()

    assert "a mistake of the monitor; it goes on" in caplog.text


@in_hub
def test_where_the_disk_fails_the_monitor_ends_and_says_so(tmp_path):
    monitor = Monitor(source({"a": "tcp://127.0.0.1:1"}), state=tmp_path, check=ok)
    monitor.start()
    monitor.fail(FailedError("the disk is full"))

    with pytest.raises(MonitorError, match=r"cannot be written any more.*the disk is full"):
        monitor.run()

    Store(tmp_path / "store").close()


@in_hub
def test_a_monitor_may_be_started_again(tmp_path):
    monitor = Monitor(source({"a": "tcp://127.0.0.1:1"}), state=tmp_path, check=ok)
    for _ in range(2):
        with monitor:
            monitor.start()
            until(monitor, a="up")
    monitor.stop()


@in_hub
def test_an_overload_is_told(tmp_path, caplog):
    with receiver() as hook:
        given = source(
            {"a": "tcp://127.0.0.1:1"}, channels={"hook": {"url": hook.url, "per_minute": 6000}}
        )
        with watching(given, tmp_path, check=ok) as monitor:
            monitor.schedule.late = lambda now: 9.0
            for _ in range(4):
                rounds.look_at_pace(monitor)
            wait_until(lambda: hook.got)

    assert hook.got[0].json["title"] == "The monitor is overloaded"
    assert len(hook.got) == 1


# Blindness, and DNS.


@in_hub
def test_while_no_canary_answers_nothing_is_called_down(tmp_path):
    canary = f"tcp://127.0.0.1:{port_of_nobody()}"
    given = source(
        {name: f"tcp://127.0.0.1:{port_of_nobody()}" for name in "abc"},
        settings={"canaries": [canary]},
    )
    with watching(given, tmp_path, check=unreachable) as monitor:
        monitor.statuses["a"].state = "up"
        for _ in range(10):
            rounds.look_around(monitor)
            rounds.settle(monitor)
            gevent.sleep(0.05)

        assert "none of the canaries answers" in monitor.blind
        assert monitor.statuses["a"].state == "up"


def unreachable(endpoint, tools):
    return Result(name=endpoint.name, at=tools.time(), error="unreachable", message="no way")


class Looks:
    """A DNS where some hosts fail, and a clock that goes on by sleeping."""

    def __init__(self, *failing):
        self.failing, self.asked, self.slept, self.told = failing, [], [], []

    def look(self, host):
        self.asked.append(host)
        return "no such name" if host in self.failing else ""

    def lookups(self, *addresses):
        plan = {each: Endpoint(each, each, Options()) for each in addresses}
        return lookups.Lookups(
            self.look, lambda: plan, lambda *told: self.told.append(told),
            sleep=self.slept.append, clock=lambda: sum(self.slept),
        )  # fmt: skip


@in_hub
def test_each_host_is_looked_up_once_a_round_and_those_that_fail_are_warned_of():
    looks = Looks("b.example")
    each = looks.lookups(
        "https://a.example/", "https://a.example/x", "tcp://b.example:1", "dns://c.example",
        "f.example:25", "http://127.0.0.1/", "beat://e", "http://[nonsense",
    )  # fmt: skip

    each.round()

    assert sorted(looks.asked) == ["a.example", "b.example", "f.example"]
    assert each.warnings == {"b.example": "no such name"}
    assert sorted(looks.told) == [
        ("a.example", ""), ("b.example", "no such name"), ("f.example", ""),
    ]  # fmt: skip
    looks.failing = ()
    each.round()
    assert each.warnings == {}


@in_hub
def test_lookups_go_at_a_rate():
    looks = Looks()

    looks.lookups(*(f"https://host{number}.example/" for number in range(8))).round()

    assert sum(looks.slept) == pytest.approx(7 * 5.0)  # at 0.2 a second, but for the first


@in_hub
def test_a_host_that_dns_does_not_know_is_a_warning_of_its_endpoints(tmp_path):
    with watching(source({"a": "tcp://a.example:1"}), tmp_path, check=ok) as monitor:
        until(monitor, a="up")
        monitor.lookups.warnings["a.example"] = "DNS knows nothing of it"

        wait_until(lambda: monitor.statuses["a"].warnings == ("DNS knows nothing of it",))
        monitor.lookups.warnings.clear()
        wait_until(lambda: monitor.statuses["a"].warnings == ())


# Workers.


class Vantages:
    """What has workers check, without any."""

    def __init__(self, broker, names, endpoints, take, **options):
        self.broker, self.names, self.endpoints, self.take = broker, names, endpoints, take
        self.options, self.asked, self.silent, self.late = options, [], "", 0.0

    def start(self):
        pass

    stop = start

    def check(self, name, seconds=0.0):
        self.asked.append(name)

    def reason(self):
        return self.silent


@in_hub
def test_with_a_broker_workers_check_all_but_heartbeats(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    workers = pytest.importorskip("safepatch.monitor.workers")
    monkeypatch.setattr(workers, "Vantages", Vantages)
    given = source(
        {"a": "tcp://127.0.0.1:1", "nightly": "beat://nightly", "b": "b.example"},
        settings={"broker": "redis://127.0.0.1:1/0", "vantages": ["here", "there"], "quorum": 2},
    )
    with watching(given, tmp_path) as monitor:
        vantages = monitor.vantages
        assert ("a" in monitor.schedule, "nightly" in monitor.schedule) == (False, True)
        assert [*vantages.endpoints()] == [*monitor.statuses] == ["a", "nightly", "b"]
        assert (vantages.names, vantages.options["quorum"]) == (("here", "there"), 2)
        assert (monitor.recheck("a"), vantages.asked) == (True, ["a"])

        failed = Result(name="a", at=monitor.wall(), error="refused", message="no")
        for _ in range(2):
            vantages.take(monitor.plan.endpoints["a"], failed)
        assert monitor.statuses["a"].state == "down"
        vantages.options["found"](monitor.plan.endpoints["b"], "https://b.example/")
        assert monitor.endpoint("b").address == "https://b.example/"
        vantages.silent = "1 of 2 vantages report"
        with monitor.events() as happening:
            afar.look(monitor)
            rounds.settle(monitor)
            assert monitor.blind == "1 of 2 vantages report"
            told = [happening.get(timeout=0)]
            vantages.silent = ""
            afar.look(monitor)
            told.append(happening.get(timeout=0))
    assert [(each["event"], each["title"]) for each in told] == [
        ("blind", "Too few vantages report"), ("seeing", "Enough vantages report again"),
    ]  # fmt: skip
    assert "WARNING  safepatch.monitor:journal.py" in caplog.text
    assert "Too few vantages report" in caplog.text
    assert "a: down (refused): no" in caplog.text


# What is kept of statuses.


@pytest.mark.parametrize(
    "status",
    [
        Status(state="up", since=5.0, checked=5.0, passing=1),
        Status(state="down", since=5.0, checked=9.0, failing=3, error="dns", message="no"),
        Status(state="up", since=5.0, passing=2, turns=(1.0, 2.0), warnings=("a", "b")),
        Status(state="up", since=5.0, muted="silenced until 12:00", incident="i1"),
        Status(state="unknown", since=5.0, flapping=True),
        Status(),
    ],
)
def test_a_status_comes_back_as_it_was_written(tmp_path, status):
    store = Store(tmp_path / "store")
    with store.transaction():
        Statuses(store.root).write("a", status)
    store.close()

    with store:
        assert Statuses(store.root).load("a") == status


@in_hub
def test_of_very_many_endpoints_the_last_good_result_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(taking, "_FEW", 1)
    with watching(source({"a": "tcp://127.0.0.1:1"}), tmp_path, check=ok) as monitor:
        until(monitor, a="up")

        assert monitor.statuses["a"].result is None


@in_hub
def test_what_very_many_endpoints_keep_is_no_work_for_the_garbage_collector(tmp_path, monkeypatch):
    with watching(source({"a": "tcp://127.0.0.1:1"}), tmp_path, check=ok) as monitor:
        gc.unfreeze()
        rounds.tidy(monitor)
        assert gc.get_freeze_count() == 0

        monkeypatch.setattr(rounds, "_MANY", 1)
        rounds.tidy(monitor)
        frozen = gc.get_freeze_count()
        gc.unfreeze()

    assert frozen > 1000


@in_hub
@pytest.mark.parametrize(
    ("address", "answer", "error"),
    [
        ("http://127.0.0.1:{}/", ANSWER, ""),
        ("127.0.0.1:{}", ANSWER, ""),
        ("http://127.0.0.1:{}/", ANSWER, "timeout"),
        ("http://127.0.0.1:{}/", b"", "reset"),
        ("http://127.0.0.1:{}/", b"what?", "protocol"),
        ("http://127.0.0.1:1/", b"", "refused"),
        ("https://127.0.0.1:{}/", ANSWER, "tls"),
        ("http://shop.example:{}/", ANSWER, "dns"),
        ("smtp://127.0.0.1:{}", ANSWER, "timeout"),
    ],
)
def test_a_check_leaves_no_garbage_to_be_collected(address, answer, error):
    """What of it is there when a monitor freezes is never looked at again: of 5,000 endpoints that
    were some hundred bodies and tracebacks each minute, and gigabytes a day."""
    server = Server(answer)
    endpoint = Endpoint("a", address.format(server.port), Options(timeout=0.2))
    with Tools(dns_servers=[f"127.0.0.1:{port_of_nobody()}"]) as tools:
        checks.run(endpoint, tools)  # what is made once
        server.answers_after = 1.0 if error == "timeout" else 0.0
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            result = checks.run(endpoint, tools)
            gc.collect()
            garbage = {type(each).__name__ for each in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    server.down()

    assert result.error == error
    assert not garbage & {
        "Answer", "CheckError", "Connection", "Course", "Timeout", "gaierror", "traceback"
    }  # fmt: skip


@in_hub
def test_a_result_of_what_is_not_watched_any_more_is_nothing(tmp_path):
    gone = Endpoint("gone", "tcp://127.0.0.1:1", Options())
    with watching(source({"a": "tcp://127.0.0.1:1"}), tmp_path, check=ok) as monitor:
        assert monitor.take(gone, Result(name="gone", at=1.0, error="refused")) == (60.0, None)

        assert "gone" not in monitor.statuses


@in_hub
def test_what_cannot_be_checked_is_a_warning_and_not_down(tmp_path):
    def check(endpoint, tools):
        return Result(name=endpoint.name, at=1.0, error="internal", message="no sockets for pings")

    given = source({"a": {"address": "icmp://127.0.0.1", "confirm_down": 1}})
    with watching(given, tmp_path, check=check) as monitor:
        wait_until(lambda: monitor.pace.done)
        wait_until(lambda: monitor.statuses["a"].warnings)

        assert monitor.statuses["a"].state == "new"
        assert monitor.statuses["a"].warnings == ("cannot be checked: no sockets for pings",)


@in_hub
def test_somebody_is_told_of_a_warning_once_also_over_a_restart(tmp_path, caplog):
    def check(endpoint, tools):
        return Result(name=endpoint.name, at=1.0, warnings=("the certificate ends in 3 days",))

    with receiver() as hook:
        given = source({"a": "tls://127.0.0.1:1"}, channels={"hook": {"url": hook.url}})
        for _ in range(2):
            with watching(given, tmp_path, check=check) as monitor:
                until(monitor, a="up")
                rounds.settle(monitor)
                wait_until(lambda: hook.got)
                rounds.settle(monitor)

    assert [each.json["title"] for each in hook.got] == ["a: the certificate ends in 3 days"]
    assert caplog.text.count("a: the certificate ends in 3 days") == 1


@in_hub
def test_new_endpoints_are_checked_soon_and_very_many_within_an_interval(tmp_path):
    given = source({f"s{n}": "tcp://127.0.0.1:1" for n in range(20)}, defaults={"interval": 3600})
    with watching(given, tmp_path, check=ok) as monitor:
        wait_until(lambda: {*states(monitor).values()} == {"up"}, 2)
        assert monitor.pace.done == 20

        rounds.settle(monitor)
    with watching(given, tmp_path, check=ok) as monitor:  # they have their turn, as before
        gevent.sleep(0.05)
        assert monitor.pace.done <= 1


def test_keys_are_for_the_owner_alone_whoever_made_the_state_directory(tmp_path):
    (tmp_path / "state" / "store").mkdir(parents=True)
    (tmp_path / "state" / "store").chmod(0o755)
    (tmp_path / "state").chmod(0o755)  # as systemd makes one, or an older monitor

    keeping.open_store(tmp_path / "state").close()

    assert (tmp_path / "state" / "store").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o755


@in_hub
def test_nobody_else_reads_the_state_whatever_the_umask(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made").chmod(0o755)
    before = os.umask(0)
    try:
        for state in (tmp_path / "new", tmp_path / "made"):
            with watching(source({"shop": "tcp://127.0.0.1:1"}), state, check=ok) as monitor:
                wait_until(lambda: states(monitor) == {"shop": "up"}, 2)
                modes = {each.name: each.stat().st_mode & 0o777 for each in state.iterdir()}

            assert {"store", "history.db"} <= modes.keys()
            assert not [name for name, mode in modes.items() if mode & 0o077]
    finally:
        os.umask(before)

    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o755


def test_a_history_that_is_there_keeps_its_mode(tmp_path):
    (tmp_path / "history.db").touch()
    (tmp_path / "history.db").chmod(0o640)

    History(tmp_path / "history.db").close()

    assert (tmp_path / "history.db").stat().st_mode & 0o777 == 0o640
