"""What is configured: [tool.safepatch] in pyproject.toml, safepatch.toml, or $SAFEPATCH_CONFIG."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safepatch import config_tables, expressions
from safepatch.catalogue import Wrong
from safepatch.errors import ConfigError, nearest

__all__ = ["Config", "ConfigError", "Configured", "find", "from_expression", "load"]

_VARIABLE = "SAFEPATCH_CONFIG"


class Configured(NamedTuple):
    """A patch that is configured; `make` gives what `safepatch.register(name, ...)` takes.

    `targets` are those of the parts, for a recipe; of one that is not enabled there are none,
    since it is not looked for. `origin` says where it is written.
    """

    name: str
    targets: tuple[str, ...]
    make: Callable[[], Any]
    enabled: bool = True
    depends_on: tuple[str, ...] = ()
    until: str | None = None
    origin: str = ""


class Config(NamedTuple):
    """What a file configures, by name; `file` is None if there is none."""

    file: Path | None
    patches: dict[str, Configured]


def find(
    directory: str | os.PathLike[str] | None = None, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """The file that configures a program started in a directory, by default the current one.

    That is the one that SAFEPATCH_CONFIG names, which need not be there; or else the nearest
    safepatch.toml, or pyproject.toml with a table [tool.safepatch], in the directory or above it.
    """
    start = Path(directory or ".").absolute()
    if named := environ.get(_VARIABLE):
        return start / named
    for folder in (start, *start.parents):
        if _is_file(folder / "safepatch.toml"):
            return folder / "safepatch.toml"
        if _is_file(folder / "pyproject.toml") and _concerns_us(folder / "pyproject.toml"):
            return folder / "pyproject.toml"
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be looked into
        return False


def _concerns_us(pyproject: Path) -> bool:
    """Whether it has our table; also if it cannot be read, so that `load` says so."""
    try:
        text = pyproject.read_bytes()
        return b"safepatch" in text and "safepatch" in tomllib.loads(text.decode()).get("tool", {})
    except (OSError, ValueError):
        return True


def load(path: str | os.PathLike[str] | None = None) -> Config:
    """Read a file, by default the one that `find()` finds, and check all of it.

    Raises ConfigError, which names everything that is wrong. Imports the recipes that are named,
    to know their targets, and nothing else; applies nothing.
    """
    file = find() if path is None else Path(path).absolute()
    if file is None:
        return Config(None, {})
    prefix, table = _our_table(file, _read(file))
    problems = [
        *_wrong_keys(table),
        *(
            (f"patches.{_quoted(name)}{key and '.'}{key}", text)
            for name, patch in _patches(table).items()
            for key, text in _wrong_patch(name, patch)
        ),
    ]
    if problems:
        raise error_of(file, [(f"{prefix}{key}", text) for key, text in problems])
    return Config(
        file,
        {
            name: _configured(name, patch, file, f"{prefix}patches.{_quoted(name)}")
            for name, patch in _patches(table).items()
        },
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        named = f"{_VARIABLE} names it" if os.environ.get(_VARIABLE) else "it was to be read"
        raise ConfigError(f"{file}: there is no such file, and {named}", file=file) from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}", file=file) from error
    except ValueError as error:  # TOMLDecodeError names the line; UnicodeDecodeError the place
        raise ConfigError(f"{file}: this is no TOML: {error}", file=file) from error


def _our_table(file: Path, document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What keys of ours begin with in that file, and the table with them."""
    if file.name != "pyproject.toml" and "tool" not in document:
        return "", document
    table = document.get("tool", {}).get("safepatch")
    if not isinstance(table, dict):
        raise error_of(file, [("tool.safepatch", "there is no such table")])
    return "tool.safepatch.", table


def _wrong_keys(table: dict[str, Any]) -> Iterable[Wrong]:
    for key in table:
        if key != "patches":
            hint, _ = nearest(key, key, ["patches"], "there is 'patches'")
            yield key, f"there is no such key; {hint}"
    if not isinstance(table.get("patches", {}), dict):
        yield "patches", f"{table['patches']!r} is not a table of patches"


def _patches(table: dict[str, Any]) -> dict[str, Any]:
    patches = table.get("patches", {})
    return patches if isinstance(patches, dict) else {}


def _wrong_patch(name: str, table: Any) -> Iterable[Wrong]:
    if not isinstance(table, dict):
        return [("", f"{table!r} is not a table")]
    return config_tables.wrong(name, table)


def _quoted(name: str) -> str:
    is_bare = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    return name if is_bare else f'"{name}"'


def error_of(file: Path | None, problems: list[Wrong]) -> ConfigError:
    """One error for all that is wrong."""
    where = f"{file}: " if file else ""
    told = [": ".join(filter(None, problem)) for problem in problems]
    text = f"{len(told)} things are wrong\n  " + "\n  ".join(told) if told[1:] else told[0]
    return ConfigError(where + text, file=file, key=problems[0][0], problems=tuple(problems))


def _configured(name: str, table: dict[str, Any], file: Path, key: str) -> Configured:
    enabled = table.get("enabled", True)
    if "target" in table:
        targets: tuple[str, ...] = (table["target"],)
    else:
        targets = config_tables.targets(config_tables.declare(name, table)) if enabled else ()
    return Configured(
        name,
        targets,
        _maker(name, table, file, key),
        enabled,
        tuple(table.get("depends_on", ())),
        table.get("until"),
        f"{file}, [{key}]",
    )


def _maker(name: str, table: dict[str, Any], file: Path | None, key: str) -> Callable[[], Any]:
    def make() -> Any:
        try:
            return config_tables.declare(name, table)
        except Exception as error:
            raise error_of(file, [(key, str(error))]) from error

    return make


def from_expression(text: str) -> Configured:
    """A patch written in one line, "socket:getaddrinfo=ttl_cache(ttl=60), log_calls".

    Its name is the target's, with "-" for ":" and ".". Raises ConfigError for what cannot be read,
    and for decorators and options that there are not.
    """
    target, uses = expressions.parse_patch(text)
    name = target.replace(":", "-").replace(".", "-")
    table = {"target": target, "decorators": uses}
    problems = [*config_tables.wrong(name, table)]
    if problems:
        raise error_of(None, [(text, problem) for _, problem in problems])
    return Configured(
        name, (target,), _maker(name, table, None, text), origin=f"the patch {text!r}"
    )
