"""What README.md and docs/monitor/index.md promise a newcomer comes to pass."""

import json
import pathlib
import re

import pytest

pytest.importorskip("httptools", reason="a monitor needs the extra `monitor`")

import gevent
import hubs
from monitors import Server, watching

from safepatch.cli.monitoring import greeting
from safepatch.monitor import sources
from safepatch.monitor.engine import rounds
from safepatch.monitor.results import Result

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text().partition("## A monitor")[2].partition("\n## ")[0]
INDEX = (ROOT / "docs" / "monitor" / "index.md").read_text()


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    hubs.end()


def blocks(text, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def well(endpoint, tools):
    return Result(name=endpoint.name, at=tools.time())


@pytest.fixture
def sites(tmp_path):
    """Writes sites.toml, and gives its name."""

    def write(text):
        (tmp_path / "sites.toml").write_text(text)
        return "sites.toml"

    return write


def test_what_they_show_of_sources_is_read(sites, tmp_path):
    first, channel = blocks(INDEX, "toml")
    (tmp_path / "sites.txt").write_text(blocks(INDEX, "text")[0])

    plan = sources.read(sites(f"{first}\n{channel}"))
    assert [*plan.endpoints, *plan.channels] == ["website", "documentation", "shop", "log", "phone"]
    plan = sources.read(sites(*blocks(README, "toml")))
    assert [*plan.endpoints, *plan.channels] == ["website", "login", "mail", "phone"]
    assert len(sources.read("sites.txt").endpoints) == 6


def test_a_monitor_greets_as_they_show(sites):
    sites(blocks(INDEX, "toml")[0])
    for text in (README, INDEX):
        [shown] = [block for block in blocks(text, "console") if "monitor run" in block]
        command, line = re.search(r"monitor run (.*)\n(.*)\n", shown).groups()

        with watching(command.split(), "state", check=well, listen="127.0.0.1:0") as monitor:
            assert greeting(monitor).replace(monitor.url, "http://127.0.0.1:8787/") == line


def test_the_five_minutes_end_with_an_alert_that_arrived(sites, tmp_path):
    shop = Server()
    text = blocks(INDEX, "toml")[0].replace("http://127.0.0.1:8000/", shop.url)
    text = text.replace("[monitor]\n", "[monitor]\ngather = 0\n").replace('"5s"', '"100ms"')
    text = text.replace("[channels.log]\n", "[channels.log]\nper_minute = 6000\n")
    text = re.sub(r'"https://[^"]*"', f'"{shop.url}other"', text, count=1)
    text = re.sub(r'"https://[^"]*"', f'"{shop.url}third"', text)
    log = tmp_path / "alerts.log"

    def told(count):
        with gevent.Timeout(10):
            while not log.exists() or len(log.read_text().splitlines()) < count:
                rounds.settle(monitor)  # which it does each second
                gevent.sleep(0.02)
        return json.loads(log.read_text().splitlines()[-1])

    with watching(sites(text), "state", listen="") as monitor:
        while monitor.statuses["shop"].state != "up":
            gevent.sleep(0.01)
        shop.down()
        down = told(1)
        shop.up()
        up = told(2)

    assert (down["type"], down["title"]) == ("down", "shop is down")
    assert up["type"] == "up"
    assert up["title"].startswith("shop is up again, after ")
