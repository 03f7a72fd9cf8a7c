"""Whoever follows the tutorial to the letter sees what it says."""

import pathlib
import re
import subprocess
import sys

TUTORIAL = pathlib.Path(__file__).parents[1] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_its_program_prints_what_it_shows(tmp_path):
    blocks = BLOCK.findall(TUTORIAL.read_text())
    app = tmp_path / "app.py"
    app.write_text("\n".join(text for kind, text in blocks if kind == "python"))
    shown = "".join(text for kind, text in blocks if kind == "text")

    ran = subprocess.run(
        [sys.executable, "-u", "-W", "error", "app.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
    )

    assert ran.returncode == 0, ran.stdout
    # Three dots stand for what is long, or another on each machine.
    assert re.fullmatch(re.escape(shown).replace(r"\.\.\.", ".*"), ran.stdout), ran.stdout
