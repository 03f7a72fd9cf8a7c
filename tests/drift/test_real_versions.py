"""Two real versions of requests: what the document says of them is what is found.

The folders of the two are in DRIFT_VERSIONS, which `tox run -e drift` fills.
"""

import os
import pathlib
import re
import subprocess
import sys

import pytest
from consoles import blocks, typed

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "howto" / "upgrade-safely.md"
VERSIONS = pathlib.Path(os.environ["DRIFT_VERSIONS"])


@pytest.fixture
def project(tmp_path):
    [configured] = blocks(DOCUMENT, "toml")
    (tmp_path / "safepatch.toml").write_text(configured)
    until = configured.replace("requests>=3", "requests>=2.32")
    assert until != configured
    (tmp_path / "until.toml").write_text(until)
    return tmp_path


def safepatch(arguments, folder, version):
    kept = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    return subprocess.run(
        [sys.executable, "-m", "safepatch", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(VERSIONS / version)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_document_shows_what_is_printed(project):
    version, shown = None, typed(DOCUMENT)

    for command, expected in shown:
        program, *arguments = command.split()
        if program == "pip":
            version = arguments[-1].partition("==")[2]
            continue
        ran = safepatch(arguments, project, version)
        # Documents have no spaces at the ends of lines.
        printed = re.sub(" +$", "", ran.stdout, flags=re.MULTILINE)
        assert (printed, ran.stderr) == (expected, ""), command
    assert len(shown) == 8


def test_an_upgrade_turns_the_check_red_and_going_back_turns_it_green(project):
    codes = [
        safepatch([command], project, version).returncode
        for command, version in (
            ("lock", "2.31.0"),
            ("check", "2.31.0"),
            ("check", "2.32.3"),
            ("diff", "2.32.3"),
            ("check", "2.31.0"),
            ("lock", "2.32.3"),
            ("check", "2.32.3"),
        )
    ]

    assert codes == [0, 0, 1, 1, 0, 0, 0]


def test_the_commands_for_ci_find_the_drift(project):
    safepatch(["lock"], project, "2.31.0")
    commands = [
        line
        for block in blocks(DOCUMENT, "yaml")
        for line in re.findall(r"safepatch (check .*?)(?: >|$)", block, re.MULTILINE)
    ]

    ran = [safepatch(command.split(), project, "2.32.3") for command in commands]

    assert commands == ["check --format github", "check --format gitlab"]
    assert [each.returncode for each in ran] == [1, 1]
    assert ran[0].stdout.startswith("::error file=safepatch.toml,line=1,title=safepatch%3A ")
    assert '"check_name": "safepatch/source"' in ran[1].stdout
