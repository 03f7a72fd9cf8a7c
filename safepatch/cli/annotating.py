"""Drift as GitHub and GitLab show it beside the lines of a change.

GitHub reads workflow commands from what a step prints:
https://docs.github.com/actions/reference/workflow-commands-for-github-actions
GitLab reads a report that a job keeps:
https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safepatch import config
from safepatch.drifts import Drift


def github(drifts: Iterable[Drift], file: Path) -> list[str]:
    """A workflow command for each; notes are notices."""
    shown, places = _in_repository(file, "GITHUB_WORKSPACE"), places_in(file)
    return [
        f"::{'notice' if drift.note else 'error'} file={_property(shown)},"
        f"{_line(line_of(places, drift.patches))}"
        f"title={_property(f'safepatch: {drift.target}')}::{_data(_told(drift))}"
        for drift in drifts
    ]


def gitlab(drifts: Iterable[Drift], file: Path) -> list[dict[str, Any]]:
    """An entry of the code quality report for each; notes are of severity "info"."""
    shown, places = _in_repository(file, "CI_PROJECT_DIR"), places_in(file)
    return [
        {
            "description": f"{drift.target}: {_told(drift)}",
            "check_name": f"safepatch/{drift.kind}",
            # Two findings with the same one are shown once; it must not change from run to run.
            "fingerprint": hashlib.sha256(_identity(drift).encode()).hexdigest(),
            "severity": "info" if drift.note else "major",
            "location": {"path": shown, "lines": {"begin": line_of(places, drift.patches) or 1}},
        }
        for drift in drifts
    ]


def _line(number: int | None) -> str:
    return f"line={number}," if number else ""  # an annotation without one is of the whole file


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


def places_in(file: Path) -> dict[str, int]:
    """The lines where the patches in a file are written."""
    return config.lines(file.read_text(encoding="utf-8-sig"))


def line_of(places: Mapping[str, int], patches: Iterable[str]) -> int | None:
    """The line where the first of these patches is written, if one is."""
    return min((places[name] for name in patches if name in places), default=None)
