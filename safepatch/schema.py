"""The JSON schema of a configuration, for editors: made from the real signatures.

`python -m safepatch.schema` prints it; the package has it as safepatch.schema.json. It says which
keys there are, and of which type their values are; that a number must be above 0, or a requirement
is none, is only told when the configuration is read.
"""

from __future__ import annotations

import inspect
import json

from safepatch import catalogue, config_tables, shapes
from safepatch.shapes import Shape

_NAME = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_DEFINITIONS: dict[str, Shape] = {
    "reference": {"type": "string", "pattern": rf"^{_NAME}:{_NAME}$"},
    "object": {
        "type": "object",
        "description": "The object of that name.",
        "required": ["object"],
        "properties": {"object": shapes.REFERENCE},
        "additionalProperties": False,
    },
}
_SAID = {
    "target": "What is patched: 'package.module:function' or 'package.module:Class.method'.",
    "decorators": "What is put on the target, innermost first.",
    "recipe": "A patch that a package offers, or 'module:function', instead of a target.",
    "with": "The options of the recipe.",
    "enabled": "Whether apply_all() applies it.",
    "depends_on": "Functions that the patch relies on, to be watched as the target is.",
    "until": "A requirement, or a function, that says when the patch is no longer needed.",
    "requires": "The versions of packages for which the patch is meant: 'requests>=2.31,<3'.",
    "signature": "The parameters that the target must have: '(host, port, family=0)'.",
    "fingerprint": "What safepatch.fingerprint(target) must give.",
    "guard": "Functions that are given the original, and return a reason not to patch, or None.",
    "on_mismatch": "What to do when a guard says no.",
    "aliases": "What to do about those who hold the original under another name.",
    "scope": "Who sees the patch: the process, or this context of contextvars.",
    "only_from": "A package: only calls with a frame of it in their stack see the patch.",
    "only_if": "A function that is asked at each call.",
    "fail_open": "What the decorators raise themselves gives way to the original's result.",
    "when": "Whether to wait until the module is imported, or to import it.",
}


def schema() -> Shape:
    """The schema of safepatch.toml, and of the table [tool.safepatch] in pyproject.toml."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "safepatch.toml, or [tool.safepatch] in pyproject.toml",
        "type": "object",
        "properties": {
            "patches": {
                "type": "object",
                "propertyNames": {"pattern": r"^[^:.\u0000-\u001f\u007f-\u009f]+$"},
                "additionalProperties": {"$ref": "#/definitions/patch"},
            }
        },
        "additionalProperties": False,
        "definitions": {**_DEFINITIONS, "decorator": _decorator(), "patch": _patch()},
    }


def _patch() -> Shape:
    target, recipe = config_tables.TARGET, config_tables.RECIPE
    known = {
        **target,
        "decorators": {
            "type": "array",
            "minItems": 1,
            "items": {"$ref": "#/definitions/decorator"},
        },
        **recipe,
        **config_tables.COMMON,
    }
    return {
        "type": "object",
        "properties": {key: _described(wanted, _SAID.get(key)) for key, wanted in known.items()},
        "dependencies": {
            **{key: ["target", "decorators"] for key in target},
            **{key: {"not": {"required": ["target"]}} for key in recipe},
        },
        "additionalProperties": False,
    }


def _decorator() -> Shape:
    text = {
        "type": "string",
        "description": "A decorator, with or without arguments: 'ttl_cache(ttl=60)'.",
    }
    own = {
        "type": "object",
        "description": "Any decorator, as 'module:callable'; with options, it is called with them.",
        "required": ["use"],
        "properties": {"use": shapes.REFERENCE},
    }
    return {"anyOf": [*map(_ours, catalogue.names()), own, {"enum": catalogue.names()}, text]}


def _ours(name: str) -> Shape:
    function = catalogue.find(name)
    options = catalogue.option_shapes(function)
    return {
        "type": "object",
        "description": (inspect.getdoc(function) or "").partition("\n")[0],
        "required": ["use", *catalogue.required_options(function)],
        "properties": {
            "use": {"const": name},
            **{option: _or_object(wanted) for option, wanted in options.items()},
        },
        "additionalProperties": False,
    }


def _or_object(wanted: Shape) -> Shape:
    """A shape, or an object instead, which any option may be."""
    either = _written(wanted).get("anyOf", [_written(wanted)])
    if {} in either:
        return {}
    return {"anyOf": [*(one for one in either if one != shapes.OBJECT), shapes.OBJECT]}


def _described(wanted: Shape, text: str | None) -> Shape:
    wanted = _written(wanted)
    # What stands beside a "$ref" does not count, so that it goes into a list of its own.
    apart = {"allOf": [wanted]} if "$ref" in wanted else wanted
    return {"description": text, **apart} if text else wanted


def _written(wanted: Shape) -> Shape:
    """A shape without null, which TOML does not have."""
    either = [one for one in wanted.get("anyOf", ()) if one != {"type": "null"}]
    return either[0] if len(either) == 1 else {"anyOf": either} if either else wanted


def text() -> str:
    """The schema as the file in the package has it."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(text(), end="")
