"""The options that several commands have, and what they tell of their exit codes."""

from __future__ import annotations

from pathlib import Path

import click

import safepatch
from safepatch import config as configuration
from safepatch import lock as locking
from safepatch.config import Config

_PATH = click.Path(dir_okay=False, path_type=Path)
_ERROR = "2  an error: a wrong command, configuration, lock file or target"

config = click.option(
    "--config",
    type=_PATH,
    help="The configuration, instead of the nearest safepatch.toml or pyproject.toml.",
)
lock = click.option(
    "--lock",
    "lock_file",
    type=_PATH,
    help="The lock file, instead of safepatch.lock beside the configuration.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def exits(found: str = "") -> str:
    """The exit codes of a command, below its help; `found` is what it ends with 1 for."""
    codes = ["0  all is well", *([f"1  {found}"] if found else []), _ERROR]
    return "\b\nExit codes:\n  " + "\n  ".join(codes)


def loaded(config: Path | None, lock_file: Path | None) -> tuple[Config, Path]:
    """The configuration, which must be there, and where its lock file is."""
    found = configuration.load(config)
    require(found)
    return found, lock_file or locking.beside(found)


def require(found: Config) -> None:
    """Raises ConfigError if there is no configuration."""
    if found.file is None:
        raise safepatch.ConfigError(
            "nothing is configured here: there is no safepatch.toml and no pyproject.toml with a "
            "table [tool.safepatch] in this directory or above; name the file with --config"
        )
