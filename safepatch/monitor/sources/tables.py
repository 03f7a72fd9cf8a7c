"""What tables of a .toml file say, as values of the fields of plan.py.

Each key is looked at by itself, so that all that is wrong is told at once.
"""

from __future__ import annotations

import datetime
import functools
import math
import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, get_origin

import msgspec

from safepatch.monitor.plan import Options
from safepatch.monitor.sources import fields
from safepatch.monitor.sources.addresses import nearest, shown

Tell = Callable[[str, str], None]  # the key below the table, and what is wrong with it

#: Words of other monitors, and what is said for them here.
MEANT = {
    "url": "address",
    "host": "address",
    "target": "address",
    "keyword": "contains",
    "retries": "confirm_down",
    "group": "tags",
    "tag": "tags",
    "password": "password_env",
    "token": "bearer_env",
    "expect": "status",
    "every": "interval",
    "notify": "alerts",
    "insecure": "verify",
    "regex": "matches",
    "webhook": "url",
    "to": "mail",
    "cmd": "command",
    "email": "mail",
    "duration": "seconds",
    "timezone": "zone",
    "ip": "address",
}
_WANTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    dict: "a table",
    tuple: "a text, or a list of texts",
}
_USUAL = {"timeout": Options().timeout, "retry_after": Options().retry_after}
_LISTS = ("tags", "alerts", "maintenance", "depends_on", "events", "days", "private", "endpoints")
_FILES = ("ca", "certificate", "key")


@functools.cache
def known(struct: type) -> dict[str, Any]:
    """The fields that can be said of it, and their types."""
    named = {field.name: field.type for field in msgspec.structs.fields(struct)}
    named.pop("name", None)  # which its table has
    return named


def values(
    struct: type, table: Mapping[str, Any], tell: Tell, folder: Path, also: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What a table says, by field, without what is wrong, which is told.

    `also` are keys that are looked at elsewhere. Files are looked for from `folder` on.
    """
    types = known(struct)
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key in also:
            continue
        if key not in types:
            tell(str(key), f"there is no such key{_meant(str(key), [*types, *also])}")
            continue
        try:
            read = _read(key, value, types[key])
            if key in _FILES and read:
                read = _file(read, folder)
            elif key == "command" and read:
                read = (_program(read[0], folder), *read[1:])
        except ValueError as error:
            tell(key, str(error))
            continue
        if wrong := fields.wrong(struct, key, read):
            tell(key, wrong)
        else:
            found[key] = read
    return found


def _meant(key: str, words: list[str]) -> str:
    low = key.lower().replace("-", "_")
    if low in words:
        return f"; did you mean {low!r}?"
    return f"; did you mean {MEANT[low]!r}?" if MEANT.get(low) in words else nearest(low, words)


def is_address(key: object) -> bool:
    """Whether that key was probably meant to be "address"."""
    return MEANT.get(str(key)) == "address" or "did you mean" in nearest(str(key), ["address"])


def _read(key: str, value: Any, wanted: Any) -> Any:
    """A value of that type, from how people write it. Raises ValueError, if it is none."""
    is_list = get_origin(wanted) is tuple
    is_time = wanted is float and key in fields.DURATIONS
    if is_time and isinstance(value, str):
        return _duration(value)
    if is_list and isinstance(value, str | int) and not isinstance(value, bool):
        value = _alone(key, value)
    elif is_list and key == "status" and isinstance(value, list | tuple):
        value = [str(one) if type(one) is int else one for one in value]
    elif key in ("start", "end") and isinstance(value, datetime.date):  # or a date and time
        value = value.isoformat()
    elif key == "at" and isinstance(value, datetime.time | str):
        value = str(value).removesuffix(":00") if str(value).count(":") == 2 else value
    try:
        read = msgspec.convert(value, wanted)
    except (msgspec.ValidationError, RecursionError):
        raise ValueError(_not(key, value, wanted)) from None
    if isinstance(read, float) and not math.isfinite(read):
        raise ValueError(f"{value!r} is no number to go by")
    return read


def _duration(text: str) -> float:
    read = fields.seconds(text)
    if read is not None:
        return read
    hint = "; write a number of seconds, or '30s', '5m', '2h', '14d'"
    if text.strip().isdigit():
        hint = f"; did you mean {text.strip()} or '{text.strip()}s'?"
    elif found := re.fullmatch(r"\s*(\d+)\s*(s|m(?!o)|h|d|w)[a-z]*\s*", text.lower()):
        hint = f"; did you mean '{found[1]}{found[2]}'?"
    raise ValueError(f"{shown(text)} is no time{hint}")


def _alone(key: str, value: str | int) -> list[Any]:
    """One text where a list of one is meant."""
    if key == "command" and isinstance(value, str) and len(value.split()) > 1:
        words = ", ".join(f'"{word}"' for word in value.split())
        raise ValueError(f"{shown(value)} is one word for the system; did you mean [{words}]?")
    if key in _LISTS and isinstance(value, str) and "," in value:
        words = ", ".join(f'"{word.strip()}"' for word in value.split(","))
        raise ValueError(f"{shown(value)} is one text; did you mean [{words}]?")
    return [str(value)] if key == "status" else [value]


def _not(key: str, value: Any, wanted: Any) -> str:
    kind = get_origin(wanted) or wanted
    said = _WANTED.get(kind, "true or false" if key == "starttls" else "what it can be")
    if wanted is float and key in fields.DURATIONS:
        said = "a number of seconds, or a text such as '30s'"
    elif kind is dict and key != "json":
        said = "a table of texts"
    hint = "; did you mean 'any'?" if key == "private" and value is True else ""
    return f"{shown(value)} is not {said}{hint}"


def _file(name: str, folder: Path) -> str:
    path = folder / os.path.expanduser(name)
    if not path.is_file():
        raise ValueError(f"there is no file {str(path)!r}{near_file(path)}")
    if not os.access(path, os.R_OK):
        raise ValueError(f"the file {str(path)!r} may not be read; see its permissions")
    return str(path.absolute())


def near_file(path: Path) -> str:
    """The question whether a file beside it was meant, or ""."""
    try:
        hint = nearest(path.name, os.listdir(path.parent))
    except OSError:
        return f"; there is no folder {str(path.parent)!r}" if not path.parent.is_dir() else ""
    return hint if "did you mean" in hint else ""


def _program(name: str, folder: Path) -> str:
    if "/" in name or name.startswith("~"):
        path = folder / os.path.expanduser(name)
        if not path.is_file():
            raise ValueError(f"there is no program {str(path)!r}{near_file(path)}")
        if not os.access(path, os.X_OK):
            raise ValueError(f"{str(path)!r} may not be run; chmod +x it")
        return str(path.absolute())
    if not shutil.which(name):
        raise ValueError(f"there is no program {name!r} on the PATH")
    return name


class Shared:
    """Makes Options, the same object for all that say the same.

    `base` is what holds where nothing is said, and `said` which keys of it somebody has said.
    """

    def __init__(self, base: Options, said: Collection[str] = ()) -> None:
        self.base = base
        self.said = said
        self._made: dict[bytes, Options] = {}

    def options(self, said: Mapping[str, Any]) -> Options:
        """The base with what is said instead; a usual time gives way to a shorter interval."""
        if not said:
            return self.base
        all_said = {*self.said, *said}
        usual = {key: _USUAL[key] for key in _USUAL if key not in all_said}
        made = timely(msgspec.structs.replace(self.base, **usual, **said), all_said)
        try:
            return self._made.setdefault(msgspec.msgpack.encode(made), made)
        except (OverflowError, UnicodeEncodeError):  # numbers and texts that few would say
            return made


def timely(options: Options, said: Collection[str]) -> Options:
    """Options whose times that nobody has said are not longer than the interval."""
    longer = {
        key: options.interval
        for key in _USUAL
        if key not in said and getattr(options, key) > options.interval
    }
    return msgspec.structs.replace(options, **longer) if longer else options
