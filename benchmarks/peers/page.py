"""The answers as the table and the text of docs/explanation/peers.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from benchmarks.peers.cases import CASES

Found = dict[str, dict[str, Any]]
MARKS = {"yes": "yes", "no": "**no**", "refuses": "\N{EN DASH}"}


def questions() -> Iterator[str]:
    """The cases, as a numbered list."""
    for number, case in enumerate(CASES, 1):
        yield f"{number}. {case.__doc__}"


def table(found: Found) -> Iterator[str]:
    """A row for each tool, with a column for each case."""
    numbers = range(1, len(CASES) + 1)
    yield f"| tool | {' | '.join(map(str, numbers))} |"
    yield f"|---|{'---|' * len(CASES)}"
    for tool, result in found.items():
        words = [result["answers"][case.__name__].partition(":")[0] for case in CASES]
        yield f"| {tool} | {' | '.join(MARKS[word] for word in words)} |"


def in_page(page: str, found: Found) -> str:
    """The page with the list and table between its marks."""
    made = "\n".join([*questions(), "", *table(found)])
    begin, end = "<!-- from benchmarks.peers -->\n", "<!-- to here -->"
    between = f"{begin}.*?{end}"
    return re.sub(between, lambda _: f"{begin}\n{made}\n\n{end}", page, flags=re.DOTALL)


def text(found: Found) -> str:
    """All that was found other than yes, by tool."""
    lines = []
    for tool, result in found.items():
        lines.append(f"{tool} {result['version'] or '(of Python)'}".strip())
        for number, case in enumerate(CASES, 1):
            answer = result["answers"][case.__name__]
            if answer != "yes":
                lines.append(f"  {number:2} {answer}")
    return "\n".join(lines) + "\n"
