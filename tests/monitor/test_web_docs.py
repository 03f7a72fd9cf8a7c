"""What docs/monitor/pages.md says is so."""

import pathlib
import re

import pytest

pytest.importorskip("flask", reason="pages need the extra `monitor`")

import hubs
from standins import StandIn, shop
from visitors import HASH, client

from safepatch.monitor import sources
from safepatch.monitor.web import (
    access,
    api,
    board,
    live,
    logins,
    pages,
    passwords,
    public,
    serving,
)

DOCUMENT = (pathlib.Path(__file__).parents[2] / "docs" / "monitor" / "pages.md").read_text()


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT, re.M | re.S)


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_toml_block_is_a_source_whose_pages_are_safe(block, tmp_path, monkeypatch):
    monkeypatch.setenv("MONITOR_PASSWORD_HASH", HASH)
    monkeypatch.setenv("MONITOR_TOKENS", "one two")
    file = tmp_path / "monitor.toml"
    file.write_text(block if "[endpoints" in block else f'{block}\n[endpoints]\na = "a.example"\n')

    plan = sources.read([file])

    access.need_safe(plan.settings)


def test_the_example_of_a_public_page_shows_what_it_says(tmp_path):
    file = tmp_path / "monitor.toml"
    file.write_text(blocks("toml")[0])
    monitor = StandIn()
    monitor.plan = sources.read([file])
    visitor = client(monitor, host="status.example.com", address="192.0.2.1")

    text = visitor.get("/status").text

    assert "Web shop" in text
    assert "shop.example.com" not in text
    assert "Example Ltd" in text


def test_every_address_that_is_named_is_there():
    rules = {
        re.sub(r"<[^>]+>", "*", each.rule) for each in client().application.url_map.iter_rules()
    }
    named = re.findall(r"`(/[^`?]*)(?:\?[^`]*)?`", DOCUMENT.partition("## A page")[0])

    for address in named:
        wanted = re.sub(r"\b(NAME|KEY|ID)\b", "*", address)
        if not wanted.endswith("..."):
            assert wanted in rules, address


def test_every_metric_that_is_named_is_there_and_no_other():
    table = DOCUMENT.partition("| metric | is |")[2].partition("\n\n")[0]
    named = set()
    for row in table.splitlines()[2:]:
        for name in re.findall(r"`([\w.]+)(?:\{[^}]*\})?`", row.split("|")[1]):
            named.add(name if name.startswith("safepatch") else f"safepatch_monitor{name}")
    written = set(re.findall(r"^# TYPE (\S+) ", client().get("/metrics").text, re.M))

    assert {name for name in written if "_dns_" not in name} == {
        name for name in named if not name.endswith("...")
    }


def test_the_numbers_are_those_of_the_code():
    assert pages.ROWS == 100
    assert "100 on a page" in DOCUMENT
    assert live.STREAMS == 100
    assert "There are 100 such streams at once" in DOCUMENT
    assert public.SLICE < board.SLICE
    assert api.MOST == 1000
    assert (serving.EACH, serving.CONNECTIONS, serving.PATIENCE) == (64, 512, 20.0)
    assert "64 connections each at the same time, and 512 together" in DOCUMENT
    assert serving.HEAD == 32 * 1024
    assert client().application.config["MAX_CONTENT_LENGTH"] == 64 * 1024
    assert "32 kB for its head and 64 kB for its body" in DOCUMENT
    attempt = logins.limit()
    for _ in range(5):
        attempt("192.0.2.1", True)
    with pytest.raises(Exception, match="12"):
        attempt("192.0.2.1", True)
    for n in range(20):
        attempt(f"198.51.100.{n}", False)
    with pytest.raises(Exception, match="2"):
        attempt("198.51.100.99", False)
    assert logins.LASTS == 14 * 86400


def test_the_console_makes_a_hash_as_it_says(capsys):
    console = next(block for block in blocks("console") if "password" in block)
    command, first, second, printed = console.splitlines()
    answers = iter(["correct horse", "correct horse"])
    asked = []

    def ask(prompt):
        asked.append(prompt.strip())
        return next(answers)

    passwords.main(ask)

    assert command == "$ safepatch monitor password"
    assert asked == [first, second]
    assert capsys.readouterr().out.startswith(printed.removesuffix("..."))


def test_pages_within_another_program_want_a_login():
    monitor = shop(listen="", url="")

    assert client(monitor).get("/").status_code == 403
    assert client(monitor).get("/status").status_code == 200
