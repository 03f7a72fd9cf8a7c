"""The example examples/gunicorn_flask: an application that is patched by configuration alone."""

import contextlib
import json
import os
import pathlib
import re
import select
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from children import ROOT

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "gunicorn_flask"
SERVER = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:0", "app:app"]
PATCHED = [sys.executable, "-m", "safepatch", "run", "--", *SERVER]


@contextlib.contextmanager
def started(command, wanted, **environment):
    """A process of the example, and what `wanted` finds in what it prints."""
    process = subprocess.Popen(
        command,
        cwd=EXAMPLE,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    told = ""
    try:
        while select.select([process.stdout], [], [], 20)[0] and (
            line := process.stdout.readline()
        ):
            told += line
            if found := re.search(wanted, line):
                yield found[1]
                break
        else:
            raise AssertionError(f"it did not begin:\n{told}")
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def upstream():
    with started([sys.executable, "upstream.py", "0"], r"^(\d+)$") as port:
        yield f"http://localhost:{port}"


def ask(url):
    try:
        with urllib.request.urlopen(f"{url}/price", timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.status, json.load(error)


def test_as_it_is_two_answers_of_three_are_errors(upstream):
    with started(SERVER, r"Listening at: (http://\S+)", UPSTREAM=upstream) as url:
        answers = [ask(url)[0] for _ in range(3)]

    assert answers == [502, 502, 200]


def test_patched_all_answers_come_and_the_report_tells_of_it(upstream, tmp_path):
    report = tmp_path / "report.json"
    settings = {"UPSTREAM": upstream, "SAFEPATCH_REPORT": str(report)}
    with started(PATCHED, r"Listening at: (http://\S+)", **settings) as url:
        answers = [ask(url) for _ in range(3)]

    assert answers == [(200, {"apple": 3})] * 3
    patches = json.loads(report.read_text())["patches"]
    assert (patches["http-retry"]["calls"], patches["http-retry"]["original_calls"]) == (3, 9)
    lookups = patches["dns-cache"]
    assert (lookups["calls"], lookups["calls"] - lookups["hits"]) == (9, lookups["original_calls"])
    assert lookups["original_calls"] <= 2  # of two workers
