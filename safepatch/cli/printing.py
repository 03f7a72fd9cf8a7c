"""What the commands print: colours and tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def console(*, stderr: bool = False) -> Console:
    """A console that breaks no lines and gives no text a meaning of its own.

    rich heeds NO_COLOR, FORCE_COLOR and TERM, and whether a terminal is there.
    """
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def complain(text: str) -> None:
    console(stderr=True).print(Text.assemble(("safepatch:", "bold red"), f" {text}"))


def line(*parts: str | tuple[str, str]) -> None:
    """Print one line of texts, or pairs of a text and a style."""
    console().print(Text.assemble(*parts))


def as_json(data: Any) -> None:
    """For programs: never coloured, never broken."""
    print(json.dumps(data, indent=2))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table as wide as the terminal; elsewhere aligned columns, a row a line."""
    rows = [*rows]
    to = console()
    if to.is_terminal:
        drawn = Table(box=None, header_style="bold", pad_edge=False)
        for head in heads:
            drawn.add_column(head, overflow="fold")  # rather than cut names off
        for row in rows:
            drawn.add_row(*map(Text, row))
        to.print(drawn)
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        line("  ".join(cells).rstrip())


_STYLES = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red"}


def diff(lines: Iterable[str]) -> None:
    for text in lines:
        style = next((_STYLES[mark] for mark in _STYLES if text.startswith(mark)), "")
        line((text, style))


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on a terminal's standard error, for what tells how much is done of how much in all."""
    to = console(stderr=True)
    if not to.is_terminal:
        yield None
        return
    from rich.progress import Progress  # which takes a while

    with Progress(console=to, transient=True) as bar:
        task, last = bar.add_task(what, total=None), time.monotonic()

        def told(done: int, total: int) -> None:
            nonlocal last
            if (now := time.monotonic()) - last > 0.1:  # seconds; drawing takes longer than reading
                last = now
                bar.update(task, completed=done, total=total)

        yield told


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Something that moves on a terminal's standard error, for what cannot tell how far it is."""
    to = console(stderr=True)
    with to.status(what) if to.is_terminal else contextlib.nullcontext():
        yield
