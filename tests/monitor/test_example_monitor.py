"""examples/monitor is read, checked and watched by the real code, and its unit by systemd."""

import pathlib
import re
import shutil
import subprocess

import pytest

pytest.importorskip("httptools", reason="a monitor needs the extra `monitor`")

import gevent
import hubs
from gevent.server import StreamServer
from monitors import watching

from safepatch.cli.monitoring import monitor
from safepatch.monitor import once, sources
from safepatch.monitor.tools import Tools
from safepatch.monitor.verdicts import windows

FOLDER = pathlib.Path(__file__).parents[2] / "examples" / "monitor"
UNIT = (FOLDER / "safepatch-monitor.service").read_text()
SECRETS = ("HOOK_TOKEN", "SMTP_PASSWORD", "SHOP_TOKEN", "DEPLOY_TOKEN")
BODY = b'{"status": "ok", "of": "Example"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


@pytest.fixture
def plan(monkeypatch):
    for name in SECRETS:
        monkeypatch.setenv(name, f"the-{name}")
    return sources.read(FOLDER / "monitor.toml")


@pytest.fixture
def at_home(plan, tmp_path):
    """A copy of the files, whose addresses are of a server on loopback that answers everybody."""

    def answer(sock, address):
        with sock:
            sock.recv(65536)
            sock.sendall(ANSWER)

    server = StreamServer(("127.0.0.1", 0), answer)
    server.start()
    texts = {name: (FOLDER / name).read_text() for name in ("monitor.toml", "sites.txt")}
    for number, endpoint in enumerate(plan.endpoints.values()):
        if endpoint.kind != "beat":
            scheme = "tcp" if endpoint.kind == "tcp" else "http"
            here = f"{scheme}://127.0.0.1:{server.server_port}" + (f"/{number}" * (scheme != "tcp"))
            name = "monitor.toml" if "toml" in endpoint.where else "sites.txt"
            assert texts[name].count(endpoint.address) == 1
            texts[name] = texts[name].replace(endpoint.address, here)
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    yield tmp_path / "monitor.toml"
    server.stop()


def test_it_says_what_its_comments_say(plan):
    on_call = plan.channels["on-call"]
    sunday = 1792897200  # 2026-10-25 04:00 in Vienna, where it is winter since an hour
    public = [name for name, each in plan.endpoints.items() if each.options.public]
    muted = [
        name for name, each in plan.endpoints.items() if windows.muted(each, plan, float(sunday))
    ]

    assert [*plan.endpoints] == [
        *("website", "shop", "intranet", "database", "nightly-backup"),
        *("example.org", "https://example.net/login", "The old shop", "mail.example.com:25"),
    ]
    assert public == ["website", "shop"]
    assert muted == ["shop"]
    assert plan.channels["chat"].url == "https://hooks.example.com/monitor/the-HOOK_TOKEN"
    assert (on_call.mail, on_call.tags) == ("on-call@example.com", ("production",))
    assert plan.restarts["shop"].dry_run
    assert plan.endpoints["shop"].options.depends_on == ("database",)


@pytest.mark.parametrize("missing", SECRETS)
def test_a_secret_that_is_not_set_is_missed_when_it_is_read(missing):
    environ = dict.fromkeys(SECRETS, "x")
    del environ[missing]
    wrong = ""

    try:
        sources.read(FOLDER / "monitor.toml", environ=environ)
    except sources.PlanError as error:
        wrong = str(error)

    assert missing in wrong


def test_once_finds_everything_up_where_all_is_well(at_home):
    plan = sources.read(at_home)

    with Tools() as tools:
        found = {each.name: result for each, result in once.check_all(plan, tools)}

    assert len(found) == len(plan.endpoints) - 1
    assert {name: str(result) for name, result in found.items() if not result.ok} == {}


def test_a_monitor_watches_it(at_home, tmp_path):
    with watching(at_home, tmp_path / "state", listen="") as watched, gevent.Timeout(10):
        up = [name for name in watched.statuses if name != "nightly-backup"]
        while any(watched.statuses[name].state != "up" for name in up):
            gevent.sleep(0.01)
        key = watched.beat_url("nightly-backup").split("/")[-2]
        assert watched.beat(key, "nightly-backup")
        while watched.statuses["nightly-backup"].state != "up":
            gevent.sleep(0.01)

    assert (len(watched.statuses), watched.problems) == (9, [])


def test_the_readme_names_all_secrets_and_files():
    text = (FOLDER / "README.md").read_text()
    files = {path.name for path in FOLDER.iterdir()} - {"README.md", "__pycache__"}

    assert all(f"{name}=" in text for name in SECRETS)
    assert all(name in text for name in files)


def test_systemd_takes_its_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze")
    unit = tmp_path / "safepatch-monitor.service"
    unit.write_text(UNIT.replace("/opt/monitor/bin/safepatch", "/bin/sh"))

    ran = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=30
    )

    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


def test_its_unit_runs_a_command_that_there_is():
    [command] = re.findall(r"^ExecStart=\S+/safepatch monitor (.*)$", UNIT, re.M)
    name, *arguments = command.split()

    context = monitor.commands[name].make_context(name, arguments)

    assert context.params["state"].startswith("/var/lib/")
    assert [source.rpartition("/")[2] for source in context.params["sources"]] == ["monitor.toml"]
