"""The tables of docs/comparison.md, made from what benchmarks/results holds.

    python -m benchmarks.decorators.page [--check]

puts them in; with --check it changes nothing, and fails if they are not those of the results.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
from typing import Any

from benchmarks.decorators import acceptance, tables

ROOT = pathlib.Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "comparison.md"

#: Where a table goes: between this line and that, `<!-- hits 3.13 -->` and `<!-- end -->`.
BLOCK = re.compile(
    r"(<!-- (?P<name>[a-z ]+?)(?: (?P<python>3\.\d+))? -->\n).*?(<!-- end -->)", re.DOTALL
)


def filled(page: str) -> str:
    """The page, with the tables that its marks ask for in place of those that are there."""
    return BLOCK.sub(_block, page)


def _block(mark: re.Match[str]) -> str:
    if mark["python"] and not _path(mark["python"]).exists():
        return mark[0]  # not measured yet
    return f"{mark[1]}\n{_table(mark['name'], mark['python'])}\n\n{mark[4]}"


def _table(name: str, python: str | None) -> str:
    if name == "promises":
        return "\n".join(_promises())
    return "\n".join(tables.markdown(tables.TABLES[name][1](_found(str(python)))))


def _path(python: str) -> pathlib.Path:
    return RESULTS / f"decorators-{python}.json"


def _found(python: str) -> Any:
    return json.loads(_path(python).read_text())


def _promises() -> list[str]:
    paths = RESULTS.glob("decorators-*.json")
    pythons = sorted(path.stem.removeprefix("decorators-") for path in paths)
    measured = {python: acceptance.promises(_found(python)) for python in pythons}
    lines = ["| | at most | " + " | ".join(pythons) + " |", "|---|--:|" + "--:|" * len(pythons)]
    for same in zip(*measured.values(), strict=True):
        cells = (f"{one.measured:.2f}{'' if one.kept else ' (not met)'}" for one in same)
        lines.append(f"| {same[0].what} | {same[0].most:.2f} | " + " | ".join(cells) + " |")
    return lines


def write() -> None:
    PAGE.write_text(filled(PAGE.read_text()))


def main() -> None:
    if "--check" not in sys.argv[1:]:
        write()
    elif filled(PAGE.read_text()) != PAGE.read_text():
        sys.exit("the tables of docs/comparison.md are not those of benchmarks/results")


if __name__ == "__main__":
    main()
