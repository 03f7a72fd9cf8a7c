"""What is configured: [tool.safepatch] in pyproject.toml, safepatch.toml, or $SAFEPATCH_CONFIG."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safepatch import config_tables, expressions
from safepatch.catalogue import Wrong
from safepatch.config_files import VARIABLE, absolute, find, here
from safepatch.config_lines import lines
from safepatch.errors import ConfigError, nearest
from safepatch.patches import Patch
from safepatch.shapes import shown

__all__ = [
    "Config",
    "ConfigError",
    "Configured",
    "find",
    "from_expression",
    "here",
    "lines",
    "load",
]


class Configured(NamedTuple):
    """A patch that is configured; `make` gives what `safepatch.register(name, ...)` takes.

    `make` imports what is named, and raises ConfigError where that goes wrong. `targets` are, of a
    recipe, those of its parts; of one that is not enabled there are none, since it is not looked
    for. `origin` says where it is written.
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


def load(path: str | os.PathLike[str] | None = None) -> Config:
    """Read a file, by default the one that `find()` finds, and check all of it.

    Raises ConfigError, which names everything that is wrong. Imports the recipes that are named,
    to know their targets, and nothing else; applies nothing.
    """
    file = find() if path is None else absolute(path)
    if file is None:
        return Config(None, {})
    text = _read(file, path is None and VARIABLE in os.environ)
    prefix, table = _our_table(file, text)
    problems = [(f"{prefix}{key}", text) for key, text in _wrong(table)]
    if problems:
        raise error_of(file, problems)
    places = lines(text)
    patches = {
        name: _configured(
            name, patch, file, f"{prefix}patches.{_quoted(name)}", f"{file}:{places.get(name, 1)}"
        )
        for name, patch in table.get("patches", {}).items()
    }
    return Config(file, patches)


def _read(file: Path, is_named: bool) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # as editors on Windows save it
    except FileNotFoundError as error:
        why = f"; {VARIABLE} names it" if is_named else ""
        raise ConfigError(f"{file}: there is no such file{why}", file=file) from error
    except OSError as error:
        raise ConfigError(f"{file}: this cannot be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: this is no UTF-8: {error}", file=file) from error


def _our_table(file: Path, text: str) -> tuple[str, dict[str, Any]]:
    """What keys of ours begin with in that file, and the table with them."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError names line and column
        raise ConfigError(f"{file}: this is no TOML: {error}", file=file) from error
    if file.name != "pyproject.toml" and "tool" not in document:
        return "", document
    tool = document.get("tool")
    table = tool.get("safepatch") if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        raise error_of(file, [("tool.safepatch", "there is no such table")])
    return "tool.safepatch.", table


def _wrong(table: dict[str, Any]) -> Iterator[Wrong]:
    for key in table:
        if key != "patches":
            hint, _ = nearest(key, key, ["patches"], "there is patches")
            yield key, f"there is no such key; {hint}"
    patches = table.get("patches", {})
    if not isinstance(patches, dict):
        yield "patches", f"{shown(patches)} is not a table of patches"
        return
    for name, patch in patches.items():
        place = f"patches.{_quoted(name)}"
        if isinstance(patch, dict):
            for key, text in config_tables.wrong(name, patch):
                yield f"{place}{key and '.'}{key}", text
        else:
            yield place, f"{shown(patch)} is not a table"


def _quoted(name: str) -> str:
    if re.fullmatch("[A-Za-z0-9_-]+", name):
        return name
    return json.dumps(name, ensure_ascii=not name.isprintable())  # TOML quotes as JSON does


def error_of(file: Path | None, problems: Iterable[Wrong]) -> ConfigError:
    """One error for all that is wrong, a line for each."""
    problems = tuple((key, " ".join(text.split())) for key, text in problems)
    told = [": ".join(filter(None, problem)) for problem in problems]
    message = told[0] if len(told) == 1 else "\n  ".join([f"{len(told)} things are wrong", *told])
    where = f"{file}: " if file else ""
    return ConfigError(where + message, file=file, key=problems[0][0], problems=problems)


def _configured(name: str, table: dict[str, Any], file: Path, key: str, place: str) -> Configured:
    def make() -> Any:
        try:
            declared = config_tables.declare(name, table)
        except Exception as error:
            raise told(error) from error
        for part in config_tables.parts(declared):
            part.declared_at = place
            part.blame = _blaming(name, table, part.decorators, told)
        return declared

    def told(error: Exception) -> ConfigError:
        below = getattr(error, "key", "") or getattr(error, "option", "")
        return error_of(file, [(f"{key}{below and '.'}{below}", str(error))])

    enabled = table.get("enabled", True)
    return Configured(
        name,
        config_tables.targets(name, table) if enabled or "target" in table else (),
        make,
        enabled,
        tuple(table.get("depends_on", ())),
        table.get("until"),
        f"{file}, [{key}]",
    )


def _blaming(
    name: str, table: dict[str, Any], made: Sequence[Any], told: Callable[[Exception], ConfigError]
) -> Callable[[Any, Exception], ConfigError]:
    """How it is told what a decorator of a patch did when that was applied."""
    return lambda decorator, error: told(config_tables.blamed(name, table, made, decorator, error))


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

    def make() -> Any:
        try:
            declared: Patch[Any] = config_tables.declare(name, table)
        except Exception as error:
            raise told(error) from error
        declared.blame = _blaming(name, table, declared.decorators, told)
        return declared

    def told(error: Exception) -> ConfigError:
        return error_of(None, [(text, str(error))])

    return Configured(name, (target,), make, origin=f"the patch {text!r}")
