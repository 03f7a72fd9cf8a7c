"""Addresses of stores: a directory, or an engine and where that keeps its documents."""

from __future__ import annotations

import os
import re


def is_directory(path: str) -> bool:
    """Whether a store's path is a directory, and no address of an engine.

    Raises ValueError for what is hardly meant as a directory: nothing, as of a variable that is not
    set, and an address without its slashes.
    """
    if not path or re.match(r"(sqlite|postgres(ql)?):(?!//)", path):
        raise ValueError(
            f"got the store {path!r}; give a directory, such as './state', sqlite:///FILE or "
            "postgresql://HOST/DATABASE"
        )
    return "://" not in path


def is_postgres(path: str) -> bool:
    """Whether it is an address of PostgreSQL."""
    return path.startswith(("postgresql://", "postgres://"))


def sqlite_file(path: str) -> str | None:
    """The file that an address names as others write it: three slashes before a relative path."""
    file = path.removeprefix("sqlite:///")
    return None if file in (path, "", ":memory:") else file


def absolute(path: str) -> str:
    """A path or an address that means the same after a change of the working directory."""
    if is_directory(path):
        return os.path.abspath(path)
    file = sqlite_file(path)
    return f"sqlite:///{os.path.abspath(file)}" if file else path


def shown(path: str) -> str:
    """A path or an address for messages: without its password."""
    return re.sub(r"(://[^:/@]*:)[^/]*@|([?&]password=)[^&]*", _without, path)


def _without(found: re.Match[str]) -> str:
    return f"{found[1]}***@" if found[1] else f"{found[2]}***"
