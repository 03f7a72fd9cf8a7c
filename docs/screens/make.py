"""Pictures of what commands print, made from what they print.

    python docs/screens/make.py             # runs all of SCREENS, and writes an SVG for each

To add one, add a line to SCREENS, and what it needs to the directory where it runs. A test runs
them too, and reads in the pictures whether they still show what is printed.
"""

from __future__ import annotations

import io
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: By the names of the pictures: where, what a reader types, and with which status it ends.
SCREENS = {
    "explain": ("shop", "safepatch explain shop:price", 0),
    "explain-all": ("shop", "python app.py", 0),
    "explain-misspelt": ("shop", "safepatch explain shop:prize", 2),
    # Locked in `shop`, and upgraded since.
    "list": ("upgraded", "safepatch list", 0),
    "check": ("upgraded", "safepatch check", 1),
    "diff": ("upgraded", "safepatch diff", 1),
}
# What a command is started by here; on a reader's machine it is on the path.
PROGRAMS = {"python": [], "safepatch": ["-m", "safepatch"]}


def printed(name: str) -> str:
    """What a command prints to both streams, with colours if it has some on a terminal."""
    folder, command, status = SCREENS[name]
    program, *arguments = command.split()
    command_line = [sys.executable, *PROGRAMS[program], *arguments]
    ran = subprocess.run(
        command_line,
        cwd=HERE / folder,
        env=environment(HERE / folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    if ran.returncode != status:
        raise RuntimeError(f"{command}: exit status {ran.returncode}, not {status}\n{ran.stdout}")
    return f"$ {command}\n{ran.stdout.replace(str(HERE / folder), '/srv/shop')}"


def environment(folder: pathlib.Path) -> dict[str, str]:
    """That of a terminal with colours, in which nobody has set anything up."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "NO_COLOR" and not name.startswith("SAFEPATCH")
    }
    ours = {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "PYTHONDONTWRITEBYTECODE": "1"}
    return kept | ours | {"COLUMNS": "100", "FORCE_COLOR": "1", "TERM": "xterm-256color"}


def plain(text: str) -> list[str]:
    """The lines of a text without its colours."""
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", text).rstrip().split("\n")]


def shown(svg: str) -> list[str]:
    """The lines of a picture. Rich leaves out spaces between pieces, but says where they begin."""
    lines: dict[int, str] = {}
    piece = (
        r'<text class="[^"]*" x="([\d.]+)"[^>]*clip-path="url\(#[\w-]+-line-(\d+)\)">(.*?)</text>'
    )
    for x, line, text in re.findall(piece, svg):
        before = lines.get(int(line), "").ljust(round(float(x) / CELL))
        lines[int(line)] = before + _unescaped(text)
    return [lines.get(line, "").rstrip() for line in range(max(lines) + 1)]


CELL = 20 * 0.61  # the width of a character in rich's pictures


def _unescaped(text: str) -> str:
    import html

    return html.unescape(text).replace("\N{NO-BREAK SPACE}", " ")


def picture(name: str) -> str:
    """The SVG of what a command prints."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.text import Text

    text = printed(name)
    width = max(map(len, plain(text))) + 1
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text.rstrip()), highlight=False)
    # Without the fonts that it would load from somebody's server.
    form = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg: str = console.export_svg(title="shop", unique_id=name, code_format=form)
    return svg


def made() -> Iterator[pathlib.Path]:
    for name in SCREENS:
        path = HERE / f"{name}.svg"
        path.write_text(picture(name))
        yield path


if __name__ == "__main__":
    for path in made():
        print(path)
