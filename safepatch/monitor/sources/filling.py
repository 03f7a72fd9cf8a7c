"""Texts with ${NAME} for a value of the environment, so that secrets are in no file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from safepatch.monitor.sources.addresses import nearest

#: The keys in whose texts ${NAME} is filled in.
KEYS = ("url", "mail", "command", "headers")
_REFERENCE = re.compile(r"\$\{([^}]*)\}")


def fill(
    table: Mapping[str, Any], environ: Mapping[str, str], tell: Callable[[str, str], None]
) -> tuple[dict[str, Any], set[str]]:
    """A table with the values, without keys for which one is missing, which is told.

    Also the keys that have values of the environment, which are not to be shown.
    """
    filled, secret = dict(table), set()
    for key in KEYS:
        if key not in table:
            continue
        names = {*_names(table[key])}
        if key != "command" and (bare := _bare(table[key])):
            tell(key, f"'${bare}' stands for itself; did you mean '${{{bare}}}'?")
        missing = sorted(name for name in names if name not in environ)
        for name in missing:
            tell(key, unset(name, environ))
        if missing:
            del filled[key]
        elif names:
            filled[key] = _filled(table[key], environ)
            secret.add(key)
    return filled, secret


def _names(value: object) -> list[str]:
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(parts, Iterable):
        return []
    texts = [parts] if isinstance(parts, str) else [one for one in parts if isinstance(one, str)]
    return [name for text in texts for name in _REFERENCE.findall(text)]


def _bare(value: object) -> str:
    """A name without its braces, which is probably meant to be filled in."""
    parts = value.values() if isinstance(value, Mapping) else [value]
    text = " ".join(one for one in parts if isinstance(one, str))
    found = re.search(r"\$([A-Z][A-Z0-9_]{2,})", text)
    return found[1] if found else ""


def _filled(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: environ[found[1]], value)
    if isinstance(value, Mapping):
        return {key: _filled(part, environ) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(part, environ) for part in value]
    return value


def unset(name: str, environ: Mapping[str, str]) -> str:
    """That a variable is not set, and which is that was meant."""
    hint = nearest(name, environ)
    hint = hint if "did you mean" in hint else "; set it first"
    return f"the environment variable {name!r} is not set{hint}"
