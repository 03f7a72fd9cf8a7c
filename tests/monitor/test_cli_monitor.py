"""`safepatch monitor`: what each command prints, where, and with which exit code."""

import io
import json
import logging
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

pytest.importorskip("httptools", reason="a monitor needs the extra `monitor`")

import gevent
from alerted import in_hub, receiver, wait_until
from children import ROOT, child
from monitors import Server, port_of_nobody, source, watching

from safepatch.__main__ import main
from safepatch.cli import monitoring, monitoring_top, monitoring_trying
from safepatch.monitor import monitor as monitor_module
from safepatch.monitor.engine.keeping import MonitorError
from safepatch.monitor.results import Result


@pytest.fixture
def run(capsys, monkeypatch):
    """Run `safepatch monitor` in this process, which nothing is to patch."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(monitoring, "patch", lambda: None)
    for variable in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)

    def run(*arguments):
        code = main(["monitor", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


# once


@in_hub
def test_once_ends_with_0_if_all_is_well(run):
    server = Server()
    assert run("once", server.url) == (0, "1 endpoint checked, none down\n", "")
    server.down()


@in_hub
def test_once_tells_what_is_down_and_ends_with_1(run):
    server, nobody = Server(), f"tcp://127.0.0.1:{port_of_nobody()}"

    code, printed, complaints = run("once", server.url, nobody, "--attempts", "1")

    assert (code, complaints) == (1, "")
    first, last = printed.splitlines()
    assert first.startswith(f"{nobody} is down (refused): ")
    assert last == "2 endpoints checked, 1 down"
    server.down()


@in_hub
def test_once_calls_nothing_down_that_it_failed_to_check(run, tmp_path):
    (tmp_path / "a.pem").write_text("no certificate")
    (tmp_path / "sites.toml").write_text(
        '[endpoints.a]\naddress = "https://127.0.0.1:1/"\nca = "a.pem"\n'
    )

    code, printed, _ = run("once", tmp_path / "sites.toml", "--attempts", "1")

    assert code == 1
    assert printed.startswith("a cannot be checked (internal): cannot use the certificates of ")
    assert printed.endswith("\n1 endpoint checked, none down, 1 cannot be checked\n")


@in_hub
def test_once_prints_json_in_the_order_of_the_sources(run, tmp_path):
    server, nobody = Server(), f"tcp://127.0.0.1:{port_of_nobody()}"
    (tmp_path / "sites.txt").write_text(f"{nobody}\nsite = {server.url}\n")

    code, printed, _ = run("once", tmp_path / "sites.txt", "--json", "--attempts", "1")

    first, second = json.loads(printed)
    assert code == 1
    assert (first["name"], first["ok"], first["error"]) == (nobody, False, "refused")
    assert (second["name"], second["ok"], second["facts"]["status"]) == ("site", True, 200)
    server.down()


@in_hub
def test_once_checks_again_what_fails(run, monkeypatch):
    from safepatch.monitor import once

    outcomes = ["reset", ""]
    monkeypatch.setattr(once.gevent, "sleep", lambda seconds: None)
    found = once.check_all(
        _plan("tcp://127.0.0.1:1"), None, attempts=2, sleep=lambda seconds: None,
        check=lambda endpoint, tools: Result(name=endpoint.name, at=0.0, error=outcomes.pop(0)),
    )  # fmt: skip

    assert [result.error for _, result in found] == [""]


@in_hub
def test_once_leaves_heartbeats_out(run):
    server = Server()

    assert run("once", server.url, "beat://nightly") == (
        0, "1 endpoint checked, none down; 1 heartbeat left out\n", "",
    )  # fmt: skip
    server.down()


def _plan(*addresses):
    from safepatch.monitor.sources import read

    return read(addresses)


# All of them.


@pytest.mark.parametrize("command", ["run", "once", "top", "worker", "test-alert", "password"])
def test_help_of_each_command_tells_its_exit_codes(run, command):
    code, printed, complaints = run(command, "--help")

    assert (code, complaints) == (0, "")
    assert "2  an error" in printed


def test_once_tells_its_exit_codes_in_words_of_its_own(run):
    _, printed, _ = run("once", "--help")

    for told in ("0  all is well", "1  something is down", "a wrong option or source", "130  "):
        assert told in printed
    assert "lock file" not in printed


@pytest.mark.parametrize("command", ["run", "once", "top"])
@in_hub
def test_sources_that_are_wrong_are_told_with_exit_code_2(run, command, tmp_path):
    (tmp_path / "sites.txt").write_text("tpc://a\nexample.com:99999\n")

    code, printed, complaints = run(command, tmp_path / "sites.txt")

    assert (code, printed) == (2, "")
    assert complaints.startswith("safepatch: 2 things are wrong\n")
    assert "sites.txt:1: " in complaints
    assert "sites.txt:2: " in complaints


def test_without_the_extra_it_is_said_what_to_install():
    told = child(
        """
        import sys
        sys.modules["gevent"] = None
        from safepatch.__main__ import main
        sys.stderr = sys.stdout
        print(main(["monitor", "once", "tcp://127.0.0.1:1"]))
        """
    )

    needs = "a monitor needs 'gevent'; install it with pip install 'safepatch-py[monitor]'"
    assert told == f"safepatch: {needs}\n2"


# run


@pytest.fixture
def started(tmp_path):
    """`safepatch monitor run` in a child; ended when the test is."""
    running = []

    def start(*arguments):
        began = subprocess.Popen(
            [sys.executable, "-m", "safepatch", "monitor", "run", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        )  # fmt: skip
        running.append(began)
        return began

    yield start
    for each in running:
        if each.poll() is None:
            each.kill()
        each.communicate(timeout=10)


def test_run_says_what_it_watches_and_stops_when_it_is_told(started, tmp_path):
    (tmp_path / "sites.txt").write_text("tcp://127.0.0.1:1\n")
    monitor = started("sites.txt", "--listen", "", "--state", "kept")

    greeting = monitor.stdout.readline()
    monitor.send_signal(signal.SIGTERM)
    _, complaints = monitor.communicate(timeout=10)

    assert greeting == (
        "watching 1 endpoint (tcp://127.0.0.1:1); no pages are served; the state is in kept/\n"
    )
    assert (monitor.returncode, "Traceback" in complaints) == (0, False)
    assert (tmp_path / "kept" / "store").is_dir()


def test_run_logs_each_change_in_a_line_with_the_time_in_utc(started, tmp_path):
    (tmp_path / "sites.toml").write_text(
        "[monitor]\ngather = 0\n[defaults]\nconfirm_down = 1\n[endpoints]\n"
        f'a = "tcp://127.0.0.1:{port_of_nobody()}"\n'
    )
    monitor = started("sites.toml", "--listen", "")

    line = monitor.stderr.readline()

    at, why = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", ": .*the connection is refused\n"
    [shown] = re.findall(rf"^(?:{at} .*\n)+", DOCUMENT.read_text(), re.MULTILINE)
    first, second = shown.replace("shop", "a").splitlines(keepends=True)
    assert re.fullmatch(rf"{at} INFO a: down \(refused\){why}", line)
    assert re.fullmatch(rf"{at} INFO a: down \(refused\){why}", first)
    assert re.fullmatch(rf"{at} WARNING a is down{why}", second)


@pytest.mark.parametrize("to", ["journald", "a file of the same service"])
def test_what_goes_to_journald_has_priorities_and_no_times(monkeypatch, tmp_path, to):
    with (tmp_path / "journal").open("w+") as journal:
        found = os.fstat(journal.fileno())
        inode = found.st_ino + (to != "journald")
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{inode}")
        monkeypatch.setattr(sys, "stderr", journal)
        monkeypatch.setattr(logging, "basicConfig", lambda level, handlers: made.extend(handlers))
        made = []
        monitoring.log_to_stderr(logging.INFO)
        for level in (logging.INFO, logging.WARNING, logging.ERROR):
            record = logging.LogRecord("a", level, "", 0, "it is so", None, None)
            made[0].handle(record)
        journal.seek(0)
        written = journal.read()

    if to == "journald":
        assert written == "<6>it is so\n<4>it is so\n<3>it is so\n"
    else:
        assert written.count(" UTC ") == 3


def test_a_hangup_has_the_sources_read_again(started, tmp_path):
    (tmp_path / "sites.txt").write_text("tcp://127.0.0.1:1\n")
    monitor = started("sites.txt", "--listen", "")
    monitor.stdout.readline()

    (tmp_path / "sites.txt").write_text("tpc://127.0.0.1:1\n")
    monitor.send_signal(signal.SIGHUP)
    lines = iter(monitor.stderr.readline, "")

    assert any("the sources are wrong, and all goes on as before" in line for line in lines)
    assert monitor.poll() is None
    monitor.send_signal(signal.SIGINT)
    assert monitor.wait(timeout=10) == 0


def test_run_refuses_a_state_directory_without_a_name(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    code, printed, complaints = run("run", "tcp://127.0.0.1:1", "--state", "")

    assert (code, printed) == (2, "")
    assert complaints.startswith("safepatch: no state directory is named")
    assert [*tmp_path.iterdir()] == []


@in_hub
def test_run_complains_of_a_state_directory_that_is_in_use(run, tmp_path):
    with watching(source({"a": "tcp://127.0.0.1:1"}), tmp_path):
        asked = ("run", "tcp://127.0.0.1:1", "--state", tmp_path, "--listen", "127.0.0.1:0")
        code, printed, complaints = run(*asked)

    assert (code, printed) == (2, "")
    assert "another monitor does; stop that, or give this one a directory of its own" in complaints


@in_hub
def test_run_complains_of_a_port_that_is_taken_and_leaves_no_state(run, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = f"127.0.0.1:{port}"
        code, printed, complaints = run(
            "run", "tcp://127.0.0.1:1", "--state", tmp_path / "kept", "--listen", listen
        )

    assert (code, printed) == (2, "")
    assert complaints == (
        f"safepatch: cannot serve the pages at {listen!r}: port {port} is taken, perhaps by "
        "another monitor; `ss -ltnp` tells by whom; give another address by --listen "
        "or by `listen` in [monitor], such as '127.0.0.1:8788', or '' for no pages\n"
    )
    assert [*tmp_path.iterdir()] == []


# test-alert, password


@pytest.fixture
def channels(tmp_path):
    """A file with a webhook that takes alerts, or answers as it is told to."""
    file = tmp_path / "sites.toml"
    with receiver(200, 404) as hook:
        file.write_text(
            f'[endpoints]\na = "tcp://127.0.0.1:1"\n[channels.team]\nurl = "{hook.url}"\n'
            '[channels.on-call]\ncommand = ["false"]\n'
        )
        yield file, hook


@in_hub
def test_a_test_alert_is_sent_once_and_what_came_of_it_is_told(run, channels):
    file, hook = channels

    taken, refused = run("test-alert", file, "team"), run("test-alert", file, "team")

    assert taken == (0, "channel 'team' (webhook) took the test alert\n", "")
    assert refused == (
        1, "",
        "safepatch: channel 'team' (webhook) did not take it: it answers with status 404\n",
    )  # fmt: skip
    shown = DOCUMENT.with_name("alerts.md").read_text()
    assert f"$ safepatch monitor test-alert sites.toml team\n{taken[1]}" in shown
    assert refused[2].removeprefix("safepatch: ").strip() in shown
    assert [each.json["type"] for each in hook.got] == ["test", "test"]
    code, _, complaints = run("test-alert", file, "on-call")
    assert (code, "channel 'on-call' (command) did not take it" in complaints) == (1, True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            ["FILE", "tem"],
            "there is no channel 'tem'; name one of team, on-call, after the sources",
        ),
        (["FILE"], "no channel is named; name one of team, on-call, after the sources"),
        (["tcp://127.0.0.1:1", "x"], "there is no channel 'x', and the sources have none; add a"),
    ],
)
@in_hub
def test_a_channel_that_there_is_not_is_told_with_those_that_are(run, channels, given, told):
    file, hook = channels

    code, printed, complaints = run("test-alert", *(str(file) if g == "FILE" else g for g in given))

    assert (code, printed, hook.got) == (2, "", [])
    assert complaints.startswith(f"safepatch: {told}")


@pytest.mark.parametrize(
    ("answers", "code", "told"),
    [
        (["correct horse", "correct horse"], 0, "scrypt:"),
        (["correct horse", "battery"], 1, "these were two different passwords"),
        (["short", "short"], 1, "a password of 5 letters; take 8 or more"),
    ],
)
def test_a_password_is_made_a_hash(run, monkeypatch, answers, code, told):
    from safepatch.monitor.web import passwords

    monkeypatch.setattr(passwords.main, "__defaults__", (lambda prompt: answers.pop(0),))

    ended, printed, complaints = run("password")

    assert ended == code
    assert (printed if code == 0 else complaints).startswith(told)


def test_a_password_comes_through_a_pipe(run, monkeypatch, recwarn):
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse\n"))

    code, printed, complaints = run("password")

    assert (code, complaints, [*recwarn]) == (0, "", [])
    assert printed.startswith("scrypt:")


# worker


def test_a_worker_becomes_one_of_the_broker_that_it_is_given(run, monkeypatch):
    workers = pytest.importorskip("safepatch.monitor.workers")
    monkeypatch.setenv("SECRET", "s")
    served = []
    monkeypatch.setattr(workers, "serve", lambda *given, **more: served.append((given, more)))
    broker = "redis://127.0.0.1:6379/0"

    code = run("worker", "--broker", broker, "--vantage", "fra", "--password-env", "SECRET")[0]

    assert code == 0
    assert served == [((broker, "fra"), {"concurrency": 500, "password": "s"})]


def test_a_worker_finds_the_broker_in_the_sources_of_the_monitor(run, monkeypatch, tmp_path):
    workers = pytest.importorskip("safepatch.monitor.workers")
    served = []
    monkeypatch.setattr(workers, "serve", lambda *given, **more: served.append(given))
    (tmp_path / "a.toml").write_text(
        '[monitor]\nbroker = "redis://127.0.0.1:1/0"\nvantages = ["here"]\n[endpoints]\n'
        'a = "tcp://127.0.0.1:1"\n'
    )

    assert run("worker", tmp_path / "a.toml", "--vantage", "here")[0] == 0
    assert served == [("redis://127.0.0.1:1/0", "here")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no broker is named: give --broker"),
        (["--broker", "amqp://a"], "the broker 'amqp://a' is not Redis"),
        (["--broker", "redis://a", "--password-env", "UNSET"], "variable UNSET is not set"),
        (["--broker", "redis://a", "--vantage", "a b"], "'a b' is no name of a vantage"),
    ],
)
def test_what_a_worker_cannot_use_is_told_with_exit_code_2(run, arguments, said):
    pytest.importorskip("celery")

    code, printed, complaints = run("worker", "--vantage", "here", *arguments)

    assert (code, printed) == (2, "")
    assert said in complaints


# top

ROW = {
    "name": "a", "state": "down", "since": 0.0, "failing": 3, "message": "refused", "muted": "",
    "warnings": [], "flapping": False, "phases": {"total": 0.012},
}  # fmt: skip
STATUS = {
    "total": 2, "counts": {"down": 1, "up": 1, "new": 0}, "blind": "", "problems": [],
    "pace": {"per_second": 3.0, "lateness": {"median": 0.004}, "overloaded": False},
}  # fmt: skip


def test_top_prints_once_where_no_terminal_is_there(capsys):
    good = {**ROW, "name": "b", "state": "up", "failing": 0, "message": "", "warnings": ["new"]}

    monitoring_top.show(lambda: (STATUS, [ROW, good]), 1.0)

    assert capsys.readouterr().out.splitlines() == [
        "2 endpoints: 1 down, 1 up; 3.0 checks/s, 4 ms late",
        "down     a    12 ms  refused",
        "warning  b    12 ms  new",
    ]


def test_top_says_first_what_makes_all_else_doubtful():
    pace = {**STATUS["pace"], "overloaded": True}
    status = {**STATUS, "blind": "no way out", "problems": ["sites.txt:3: x"], "pace": pace}

    assert monitoring_top.headline(status).endswith(
        "; OVERLOADED; BLIND: no way out; the sources are wrong: sites.txt:3: x"
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(5, "5 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (86400 * 3, "3 d")],
)
def test_top_tells_how_long_ago(seconds, said):
    assert monitoring_top._ago(1000.0, now=lambda: 1000.0 + seconds) == said
    assert monitoring_top._ago(0.0) == ""


def test_top_draws_all_rows_that_fit():
    from rich.console import Console

    to = Console(width=80, record=True, file=io.StringIO())
    to.print(monitoring_top.drawn(STATUS, [ROW]))

    text = to.export_text()
    assert "2 endpoints" in text
    assert re.search(r"down +a +12 ms +refused", text)


def test_top_looks_again_and_again_on_a_terminal_and_sleeps_as_gevent_may_have_patched(monkeypatch):
    from rich.console import Console

    drawn, slept = io.StringIO(), []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    to = Console(force_terminal=True, file=drawn, width=80, height=20)
    monkeypatch.setattr(monitoring_top.printing, "console", lambda: to)
    monkeypatch.setattr(time, "sleep", sleep)

    with pytest.raises(KeyboardInterrupt):
        monitoring_top.show(lambda: (STATUS, [ROW]), 1.5)

    assert slept == [1.5] * 3
    assert drawn.getvalue().count("2 endpoints") == 3


@in_hub
def test_top_asks_a_monitor_that_runs(run, tmp_path):
    given = source({"a": "tcp://127.0.0.1:1"}, settings={"listen": "127.0.0.1:0"})
    with watching(given, tmp_path, check=lambda e, t: Result(name=e.name, at=1.0)) as monitor:
        wait_until(lambda: monitor.statuses["a"].state == "up")
        url = f"http://127.0.0.1:{monitor.server.server_port}"
        code, printed, complaints = gevent.get_hub().threadpool.apply(run, ("top", "--url", url))

    assert (code, complaints) == (0, "")
    assert printed.startswith("1 endpoint: 1 up; ")
    assert re.search(r"^up +a ", printed, re.MULTILINE)


def test_top_moves_no_cursor_whatever_a_monitor_says(capsys):
    bad = "\x1b[2J"
    status = {**STATUS, "blind": bad}

    monitoring_top.show(lambda: (status, [{**ROW, "name": bad, "message": bad}]), 1.0)

    assert bad not in capsys.readouterr().out


def test_top_gives_its_token_to_nobody_that_a_monitor_redirects_to():
    def redirect(handler):
        handler.send_response(302)
        handler.send_header("Location", other.url)
        handler.end_headers()

    with receiver() as other, receiver(redirect) as there, pytest.raises(MonitorError):
        monitoring_top.fetched(f"http://{there.host}", "s3cret")

    assert there.got[0].headers["Authorization"] == "Bearer s3cret"
    assert "Authorization" not in other.got[0].headers


@in_hub
def test_top_says_what_is_wrong_with_a_token(run, tmp_path, monkeypatch):
    from safepatch.monitor.web import passwords

    monkeypatch.setattr(passwords, "is_hash", lambda text: True)
    for variable, value in (("HASH", "x"), ("TOKENS", "right"), ("WRONG", "x")):
        monkeypatch.setenv(variable, value)
    settings = {
        "listen": "127.0.0.1:0", "login": "ops", "password_hash_env": "HASH",
        "tokens_env": "TOKENS",
    }  # fmt: skip
    with watching(source({"a": "tcp://127.0.0.1:1"}, settings=settings), tmp_path) as monitor:
        top = ("top", "--url", f"127.0.0.1:{monitor.server.server_port}")

        def asked(*options):
            return gevent.get_hub().threadpool.apply(run, (*top, *options))

        found = [asked(), asked("--token-env", "WRONG"), asked("--token-env", "UNSET")]
        right = asked("--token-env", "TOKENS")

    assert [code for code, _, _ in found] == [2, 2, 2]
    for (_, _, complaints), told in zip(
        found,
        [
            "; give a token by --token-env",
            "; is the token among its tokens?",
            "UNSET is not set; set",
        ],
        strict=True,
    ):
        assert told in complaints
    assert right[0] == 0


def test_top_says_what_to_do_where_no_monitor_answers(run):
    url = f"http://127.0.0.1:{port_of_nobody()}"

    code, printed, complaints = run("top", "--url", url)

    assert (code, printed) == (2, "")
    told = f"safepatch: no monitor answers at {url}: Connection refused; start one"
    assert complaints.startswith(told)
    assert "start one by `safepatch monitor run`" in complaints


@in_hub
def test_top_checks_sources_by_itself_and_leaves_nothing(run, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = Server()
    monkeypatch.setattr(monitoring_top, "show", lambda look, every: seen.append(_until_up(look)))
    seen = []

    code, _, complaints = run("top", server.url, "--interval", "10")

    assert (code, complaints) == (0, "")
    [(status, [row])] = seen
    assert (row["name"], row["state"], status["counts"]["up"]) == (server.url, "up", 1)
    server.down()


@in_hub
def test_top_without_a_terminal_waits_until_all_were_checked_once(run, tmp_path):
    slow = Server()
    slow.answers_after = 0.3
    (tmp_path / "sites.toml").write_text(
        f"""
        [defaults]
        interval = 1
        timeout = 1
        retry_after = 0.01   # what fails is checked many times meanwhile
        [endpoints]
        slow = "{slow.url}"
        nobody = "tcp://127.0.0.1:{port_of_nobody()}"
        """
    )

    code, printed, complaints = run("top", tmp_path / "sites.toml")

    assert (code, complaints) == (0, "")
    assert printed.count("2 endpoints: ") == 1
    assert re.search(r"^up +slow ", printed, re.MULTILINE)
    slow.down()


def _until_up(look):
    until = time.monotonic() + 5
    while look()[0]["counts"]["up"] < 1 and time.monotonic() < until:
        gevent.sleep(0.01)
    return look()


# The document.

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "monitor" / "running.md"


def test_the_document_has_every_command_and_every_exit_code():
    rows = re.findall(
        r"^\| `([\w-]+)[^|]*\| [^|]*\| ([^|]*)\|$", DOCUMENT.read_text(), re.MULTILINE
    )

    assert {command for command, _ in rows} == {*monitoring_trying.monitor.commands}
    codes = {command: re.findall(r"\b[0-3]\b", ends) for command, ends in rows}
    assert codes == {
        "run": ["0", "2", "3"], "once": ["0", "1", "2"], "top": ["0", "2"], "worker": ["0", "2"],
        "test-alert": ["0", "1", "2"], "password": ["0", "1"],
    }  # fmt: skip


@in_hub
def test_the_document_greets_as_the_command_does(tmp_path, monkeypatch):
    [shown] = re.findall(
        r"^\$ safepatch monitor run (.*)\n(.*)$", DOCUMENT.read_text(), re.MULTILINE
    )
    monkeypatch.setattr(monitor_module.Monitor, "url", "http://127.0.0.1:8787/")
    watched = monitor_module.Monitor(shown[0].split(), state="state")
    watched.plan = watched.read()

    assert monitoring.greeting(watched) == shown[1]
