"""Every console block of docs/howto/run.md prints what it says."""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

import pytest
from running import PACKAGE, clean_environ

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "howto" / "run.md"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="blocks for a POSIX shell")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def shell(tmp_path):
    """Run a line where the programs of the page are."""
    hosts, app = blocks("python")
    (tmp_path / "hosts.py").write_text(hosts)
    (tmp_path / "app.py").write_text(app)
    programs = {"safepatch": "safepatch.runner", "gunicorn": "gunicorn"}
    for name, module in programs.items():
        drop = "shift; " if name == "safepatch" else ""
        (tmp_path / name).write_text(f'#!/bin/sh\n{drop}exec {sys.executable} -m {module} "$@"\n')
        (tmp_path / name).chmod(0o755)
    search = f"{tmp_path}:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    environ = clean_environ(PATH=search, PYTHONPATH=str(PACKAGE.parent))

    def shell(line):
        ran = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environ, timeout=60, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return ran.stdout

    return shell


def shape(printed):
    """What does not depend on how fast the machine is."""
    return re.sub(r" *-?\d+\.\d{3} s", " #.### s", printed)


def test_every_console_block_prints_what_it_says(shell, tmp_path):
    pytest.importorskip("gunicorn")
    (tmp_path / "safepatch.toml").write_text(blocks("toml")[0])
    told = "".join(blocks("console"))

    lines = re.findall(r"^\$ (.*(?:\n> .*)*)\n((?:(?!\$ ).*\n)*)", told, re.MULTILINE)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        printed = pool.map(shell, [line.replace("\n> ", " ") for line, _ in lines])
        said = "".join(f"$ {line}\n{text}" for (line, _), text in zip(lines, printed, strict=True))

    assert len(lines) == told.count("$ ")
    assert shape(said) == shape(told)
