"""What is to be watched, read from where people write it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safepatch.monitor.plan import Plan
from safepatch.monitor.sources import documents
from safepatch.monitor.sources.documents import Document, Input, Source
from safepatch.monitor.sources.notes import Notes
from safepatch.monitor.sources.reading import Reading


class PlanError(ValueError):
    """Sources are wrong, in one place or in several: `.problems`, all of them.

    Each is where it is, "sites.txt:12", and what is wrong and what to do, in one sentence.
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = list(problems)
        told = [f"{where}: {message}" for where, message in self.problems[:20]]
        if len(self.problems) > 20:
            told.append(f"... and {len(self.problems) - 20:,} more")
        if len(told) > 1:
            told.insert(0, f"{len(self.problems):,} things are wrong")
        super().__init__("\n  ".join(told))


def read(
    sources: Sequence[Source] | Source,
    *,
    stdin: Input | None = None,
    settings: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
    pause: Callable[[], None] = lambda: None,
) -> Plan:
    """What the sources say together: files of lines, .toml files, addresses, "-", or mappings.

    "-" is standard input, or what is given as `stdin`. A text is a file if there is one of that
    name or it looks like one, as "sites.txt" and "./example.com" do. `settings` win over those of
    the sources. `pause` is called every few hundred endpoints. Raises PlanError, which names
    everything that is wrong; writes nothing.
    """
    if isinstance(sources, str | Path | Mapping):
        sources = [sources]
    notes = Notes()
    reading = Reading(notes, environ, pause)
    for number, source in enumerate(sources, 1):
        for said in documents.load(source, number, stdin, notes.tell, pause):
            if isinstance(said, Document):
                reading.documents.all.append(said)
            else:
                reading.lists.append(said)
    plan = reading.plan(settings or {})
    if notes.problems:
        raise PlanError(_in_order(notes.problems))
    return plan


def _in_order(problems: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each once, file by file, by line."""
    files = list(dict.fromkeys(where.partition(":")[0] for where, _ in problems))

    def place(problem: tuple[str, str]) -> tuple[int, int]:
        line = problem[0].rpartition(":")[2]
        return files.index(problem[0].partition(":")[0]), int(line) if line.isdigit() else 0

    return sorted(dict.fromkeys(problems), key=place)
