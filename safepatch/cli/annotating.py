"""Drift as GitHub and GitLab show it beside the lines of a change.

GitHub reads workflow commands from what a step prints:
https://docs.github.com/actions/reference/workflow-commands-for-github-actions
GitLab reads a report that a job keeps:
https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safepatch.drifts import Drift


def github(drifts: Iterable[Drift], file: Path) -> list[str]:
    """A workflow command for each; notes are notices."""
    shown = _in_repository(file, "GITHUB_WORKSPACE")
    return [
        f"::{'notice' if drift.note else 'error'} file={_property(shown)},"
        f"line={line_of(file, drift.patches)},"
        f"title={_property(f'safepatch: {drift.target}')}::{_data(_told(drift))}"
        for drift in drifts
    ]


def gitlab(drifts: Iterable[Drift], file: Path) -> list[dict[str, Any]]:
    """An entry of the code quality report for each; notes are of severity "info"."""
    shown = _in_repository(file, "CI_PROJECT_DIR")
    return [
        {
            "description": f"{drift.target}: {_told(drift)}",
            "check_name": f"safepatch/{drift.kind}",
            # Two findings with the same one are shown once; it must not change from run to run.
            "fingerprint": hashlib.sha256(_identity(drift).encode()).hexdigest(),
            "severity": "info" if drift.note else "major",
            "location": {"path": shown, "lines": {"begin": line_of(file, drift.patches)}},
        }
        for drift in drifts
    ]


def _identity(drift: Drift) -> str:
    """Of patches at one target each may be no longer needed; else a target has one of a kind."""
    patches = drift.patches if drift.kind == "until" else ()
    return " ".join([drift.kind, drift.target, *patches])


def _told(drift: Drift) -> str:
    return f"{drift.message} (patches: {', '.join(drift.patches)})"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _in_repository(file: Path, variable: str) -> str:
    """A file as the service knows it, from the top of the repository."""
    top = os.environ.get(variable) or os.getcwd()
    return Path(os.path.relpath(file.resolve(), Path(top).resolve())).as_posix()


def line_of(file: Path, patches: Iterable[str]) -> int:
    """The line where the first of these patches is written, or 1."""
    tables = {
        ("tool", "safepatch", "patches", name) for name in patches
    } | {("patches", name) for name in patches}  # fmt: skip
    above: tuple[str, ...] = ()
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        keys = _keys(text)
        if text.lstrip().startswith("["):
            above, here = keys, keys
        else:
            here = above + keys
        if any(here[: len(table)] == table for table in tables):
            return number
    return 1


def _keys(text: str) -> tuple[str, ...]:
    """The keys that one line of TOML leads to, as far as the line tells by itself."""
    try:
        table: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # a line of a longer value
        return ()
    keys = []
    while isinstance(table, dict) and len(table) == 1:
        [(key, table)] = table.items()
        keys.append(key)
    return tuple(keys)
