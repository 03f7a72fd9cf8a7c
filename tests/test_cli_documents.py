"""What docs/cli.md shows is what the commands print."""

import doctest
import gc
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from children import ROOT
from click.shell_completion import get_completion_class
from consoles import blocks, typed

import safepatch
from safepatch.__main__ import main
from safepatch.cli.commands import program

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "cli.md"


@pytest.fixture
def project(tmp_path, monkeypatch):
    [configured] = blocks(DOCUMENT, "toml")
    (tmp_path / "safepatch.toml").write_text(configured)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(safepatch.registry.default, "_named", {})
    yield
    safepatch.undo_all()


def printed(command, capfd):
    """What a command of the document prints, where `python` is ours."""
    words = [sys.executable if word == "python" else word for word in shlex.split(command)]
    if words[1] == "run":  # this process would become the command
        subprocess.run(
            [sys.executable, "-m", *words], env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=30
        )
    else:
        main(words[1:])
    found, complaints = capfd.readouterr()
    assert (words[0], complaints) == ("safepatch", "")
    return found


def test_the_commands_print_what_the_document_shows(project, capfd):
    shown = typed(DOCUMENT)

    checker = doctest.OutputChecker()
    for command, expected in shown:
        gc.collect()  # what `list` looked up, in a registry of its own
        found = printed(command, capfd)
        assert checker.check_output(expected, found, doctest.ELLIPSIS), (command, found)
    assert len(shown) == 9


def test_every_command_and_every_word_has_its_place_in_the_document():
    text = DOCUMENT.read_text()

    assert {*re.findall(r"^### (\w+)$", text, re.MULTILINE)} == {*program.commands}
    for kind in ("signature", "source", "gone", "new", "stale", "until", "version"):
        assert f"| `{kind}` |" in text
    for kind in ("too-late", "superseded", "foreign", "guard", "skipped", "failed", "pending"):
        assert f"| `{kind}` |" in text


def test_the_lines_for_completion_name_what_click_looks_for():
    shells = re.findall(r"_SAFEPATCH_COMPLETE=(\w+)_source safepatch", DOCUMENT.read_text())

    assert shells == ["bash", "zsh", "fish"]
    for shell in shells:
        assert get_completion_class(shell) is not None
