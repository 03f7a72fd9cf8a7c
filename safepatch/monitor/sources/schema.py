"""The JSON schema of a monitor's .toml file, for editors: made from the structs of plan.py.

`python -m safepatch.monitor.sources.schema` prints it; the package has it as monitor.schema.json.
It says which keys there are, and of which type their values are; what goes together, and whether a
file or a name exists, is only told when the file is read.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from safepatch.monitor.plan import Channel, Options, Restart, Settings, Window
from safepatch.monitor.sources import fields, forms
from safepatch.monitor.sources.said import SAID

Shape = dict[str, Any]

_TEXT: Shape = {"type": "string"}
_DURATION: Shape = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": rf"^\s*{fields.DURATION}$"},
    ]
}
_STATUS: Shape = {
    "anyOf": [
        {"type": "integer", "minimum": 100, "maximum": 599},
        {"type": "string", "pattern": r"^[1-5](\d\d|xx)$|^[1-5]\d\d-[1-5]\d\d$"},
    ]
}
_ITEMS: dict[str, Shape] = {
    "status": _STATUS,
    "events": {"enum": list(fields.EVENTS)},
    "days": {"enum": list(forms.DAYS)},
}
_VARIABLE = {"type": "string", "pattern": r"^([A-Za-z_]\w*)?$"}
_MORE: dict[str, Shape] = {
    "confirm_down": {"minimum": 1, "maximum": 100},
    "confirm_up": {"minimum": 1, "maximum": 100},
    "restarts_stop_at": {"exclusiveMinimum": 0, "maximum": 1},
    "at": {"pattern": r"^(([01]\d|2[0-3]):[0-5]\d(:00)?)?$"},
}


def schema() -> Shape:
    """The schema of a .toml file that `safepatch monitor` reads."""
    structs = (Options, Settings, Channel, Window, Restart)
    _, made = msgspec.json.schema_components(structs)
    tables = {struct.__name__: _table(struct.__name__, made[struct.__name__]) for struct in structs}
    settings = tables["Settings"]
    settings["properties"] = {"lists": _said("Settings", "lists", _or_one(_TEXT))} | (
        settings["properties"]
    )
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "What safepatch monitor watches",
        "type": "object",
        "properties": {
            "monitor": settings,
            "defaults": tables["Options"],
            "endpoints": _named({"anyOf": [_TEXT, _endpoint(tables["Options"])]}),
            "channels": _named(tables["Channel"]),
            "windows": _named(tables["Window"]),
            "restarts": _named(tables["Restart"]),
        },
        "additionalProperties": False,
    }


def _named(table: Shape) -> Shape:
    return {"type": "object", "additionalProperties": table}


def _endpoint(options: Shape) -> Shape:
    address = _said("Endpoint", "address", _TEXT)
    return {**options, "properties": {"address": address, **options["properties"]}}


def _table(struct: str, made: Shape) -> Shape:
    return {
        "type": "object",
        "properties": {
            key: _said(struct, key, _value(key, shape))
            for key, shape in made["properties"].items()
            if key != "name"  # which its table has
        },
        "additionalProperties": False,
    }


def _said(struct: str, key: str, shape: Shape) -> Shape:
    return {"description": SAID[struct][key], **shape}


def _value(key: str, shape: Shape) -> Shape:
    if shape.get("type") == "number" and key in fields.DURATIONS:
        return _DURATION
    if shape.get("type") == "array":
        return _or_one(_ITEMS.get(key, _TEXT))
    if key.endswith("_env") and key != "headers_env":
        return _VARIABLE
    if key == "starttls":  # TOML has no null
        return {"type": "boolean"}
    plain = {name: value for name, value in shape.items() if name != "default"}
    return {**plain, **_MORE.get(key, {})}


def _or_one(item: Shape) -> Shape:
    return {"anyOf": [item, {"type": "array", "items": item}]}


def text() -> str:
    """The schema as the file in the package has it."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(text(), end="")
