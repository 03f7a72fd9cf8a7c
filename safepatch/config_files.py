"""Where a configuration is: found without importing what it takes to understand it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safepatch import started_in
from safepatch.errors import ConfigError

VARIABLE = "SAFEPATCH_CONFIG"


def here() -> Path:
    """The current directory. Raises ConfigError if it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError("the current directory was removed; go to one that there is") from error


def absolute(path: str | os.PathLike[str]) -> Path:
    """A path, a relative one from the current directory, whose removal raises ConfigError."""
    return Path(path) if os.path.isabs(path) else here() / path


def find(
    directory: str | os.PathLike[str] | None = None, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """The file that configures a program started in a directory, by default the current one.

    That is the one that SAFEPATCH_CONFIG names, which need not be there; or else the nearest
    safepatch.toml, or pyproject.toml with a table [tool.safepatch], in the directory or above it.
    Without a directory, a relative path that was there when safepatch was imported is taken from
    where the program was then. Raises ConfigError for one from a current directory that was
    removed.
    """
    if named := environ.get(VARIABLE):
        folder = started_in.directory if named == started_in.config else ""
        return absolute(Path(directory or folder, os.path.expanduser(named)))
    try:
        start = Path(directory or ".").absolute()
    except FileNotFoundError:  # a current directory that was removed
        return None
    for above in (start, *start.parents):
        if _is_file(above / "safepatch.toml"):
            return above / "safepatch.toml"
        if _is_file(above / "pyproject.toml") and _concerns_us(above / "pyproject.toml"):
            return above / "pyproject.toml"
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be looked into
        return False


def _concerns_us(pyproject: Path) -> bool:
    """Whether it has our table; also if it cannot be read, so that who loads it says so."""
    try:
        content = pyproject.read_bytes()
        if b"safepatch" not in content:
            return False
        import tomllib  # late, because most programs have no such file

        return "safepatch" in tomllib.loads(content.decode("utf-8-sig")).get("tool", {})
    except (OSError, ValueError, RecursionError):
        return True
