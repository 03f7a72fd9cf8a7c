"""What docs/reference/monitor.md says of the Python names is so."""

import gc
import pathlib
import re
import subprocess
import sys

import pytest

pytest.importorskip("httptools", reason="a monitor needs the extra `monitor`")

import hubs
import msgspec
from monitors import source, watching

from safepatch.monitor import monitor as monitor_module
from safepatch.monitor.engine import taking
from safepatch.monitor.statuses import Status

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reference" / "monitor.md").read_text()
PROGRAM, OTHER = re.findall(
    r"^```\{code-block\} python\n:caption: [^\n]*\n(.*?)^```$", TEXT, re.M | re.S
)


@pytest.fixture
def monitor(tmp_path):
    with watching(source({"a": "beat://a"}), tmp_path / "state") as made:
        yield made
    hubs.end()
    del made
    gc.collect()  # or `explain`, in other tests, would tell of its patch


def table(after):
    """The rows of the table below a heading, as lists of cells."""
    _, _, rest = TEXT.partition(f"### {after}\n")
    rows = [line for line in rest.partition("\n#")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[2:]]


def run(text, path):
    path.write_text(text)
    return subprocess.run(
        [sys.executable, "-W", "error", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
    ).stdout


def test_its_program_prints_what_it_shows(tmp_path):
    [shown] = re.findall(r"^```text\n(.*?)^```$", TEXT, re.M | re.S)

    assert run(PROGRAM, tmp_path / "watch.py") == shown


def test_another_thread_may_ask_as_it_shows(tmp_path):
    hub, asked = OTHER.strip().split("\n\n")
    given = f"""
import gevent, tempfile, threading
from safepatch.monitor import Monitor

with Monitor({{"endpoints": {{"shop": "beat://shop"}}}}, state={str(tmp_path)!r}, listen="") as monitor:
    {hub}
    done = monitor.pace.done
    threading.Thread(target=lambda: {asked.partition("  #")[0]}).start()
    with gevent.Timeout(10):
        while monitor.pace.done == done:
            gevent.sleep(0.01)
    print("checked")
"""  # noqa: E501

    assert run(given, tmp_path / "asks.py") == "checked\n"


def test_all_that_it_says_a_monitor_knows_is_there(monitor):
    for cells in table("What it knows"):
        names = re.findall(r"`([\w.]+)", cells[0])
        place = names[0].partition(".")[0]
        for name in names:
            found = monitor
            for step in (place + name if name[0] == "." else name).split("."):
                found = getattr(found, step)


def test_it_names_all_of_a_status_that_is_told(monitor):
    told = taking.shown(Status())
    [[_, _, keys]] = [cells for cells in table("What happens") if cells[0] == "`status`"]

    assert {*msgspec.structs.asdict(Status())} - {*told} == {*re.findall(r"`(\w+)`", keys)} - {
        *("name", "change")
    }


def test_it_names_all_that_happens():
    folder = pathlib.Path(monitor_module.__file__).parent
    text = "".join(path.read_text() for path in folder.rglob("*.py"))
    told = {*re.findall(r'feed\.put\(\s*type="(\w+)"', text)}

    assert {cells[0].strip("`") for cells in table("What happens")} == {*told, "missed"}
