"""The table of one patch in a configuration: what is wrong with it, and the patches it makes."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from safepatch import catalogue, expressions, offers, references, shapes
from safepatch.catalogue import Use, Wrong
from safepatch.errors import ConfigError, nearest
from safepatch.options import Options
from safepatch.patches import Patch
from safepatch.registry import default

Table = Mapping[str, Any]

#: The options of `safepatch.apply`, but the name, which is the table's.
OPTIONS = {
    option: shapes.shape(hint, shapes.REFERENCE)
    for option, hint in typing.get_type_hints(Options).items()
    if option != "name"
}
_TEXTS = shapes.shape(list[str], shapes.REFERENCE)
#: What each patch may say.
COMMON: dict[str, shapes.Shape] = {
    "enabled": shapes.shape(bool, shapes.REFERENCE),
    "depends_on": {"type": "array", "items": shapes.REFERENCE},
    "until": shapes.shape(str, shapes.REFERENCE),
}
#: What one that uses a recipe may say besides.
RECIPE: dict[str, shapes.Shape] = {"recipe": {"type": "string"}, "with": {"type": "object"}}
#: What one with a target of its own may say besides.
TARGET: dict[str, shapes.Shape] = {
    "target": shapes.REFERENCE,
    "decorators": {"type": "array", "items": {}},
    **OPTIONS,
}


def uses_recipe(table: Table) -> bool:
    """Whether a table names a recipe, or is one of those that stand for the recipe of its name."""
    return "recipe" in table or not ({"target", "decorators"} & table.keys())


def wrong(name: str, table: Table) -> Iterator[Wrong]:
    """What is wrong with a table: pairs of a key, below the table's, and a sentence."""
    if not name or ":" in name or "." in name:
        yield "", f"{name!r} is no name for a patch: leave out ':' and '.'"
    known = {**COMMON, **(RECIPE if uses_recipe(table) else TARGET)}
    sound = []
    for key, value in table.items():
        if key not in known:
            yield key, _unknown(key, known, {**COMMON, **TARGET, **RECIPE})
        elif not shapes.fits(value, known[key]):
            yield key, f"{value!r} is not {shapes.told(known[key])}"
        else:
            sound.append(key)
    yield from _wrong_until(table, sound)
    yield from (_wrong_recipe if uses_recipe(table) else _wrong_patch)(name, table, sound)


def _unknown(key: str, known: Mapping[str, Any], everywhere: Mapping[str, Any]) -> str:
    if key == "name":
        return "the name of a patch is that of its table; leave this out"
    if key in RECIPE:
        return "a patch has either a target, or a recipe, which goes with 'with'"
    if key in everywhere:
        return "a recipe says this itself; give it options in 'with', or give a target"
    hint, _ = nearest(key, key, known, f"there are {', '.join(known)}")
    return f"there is no such key; {hint}"


def _wrong_until(table: Table, sound: list[str]) -> Iterator[Wrong]:
    if "until" in sound and not references.is_reference(table["until"]):
        yield from _refused("until", requires=table["until"])


def _wrong_patch(name: str, table: Table, sound: list[str]) -> Iterator[Wrong]:
    for key in ("target", "decorators"):
        if not table.get(key):
            yield key, "this is missing; a patch has a target, and decorators to put on it"
    if "decorators" in sound:
        for place, written in enumerate(table["decorators"]):
            for option, text in _wrong_use(written):
                yield f"decorators[{place}]{option and '.'}{option}", text
    given = {key: _stand_in(table[key]) if _is_named(key) else table[key] for key in sound}
    given = {key: value for key, value in given.items() if key in OPTIONS}
    alone = [said for key in given for said in _refused(key, **{key: given[key]})]
    yield from alone
    if not alone:
        yield from _refused("", **{"when": "import", **given})


def _refused(key: str, **options: Any) -> Iterator[Wrong]:
    """What `patch` itself has against options; declaring one changes nothing."""
    try:
        default.patch("safepatch:apply", lambda wrapped: wrapped, **options)
    except Exception as error:
        yield getattr(error, "option", key) or key, str(error)


def _is_named(option: str) -> bool:
    """Whether an option's value is an object, which a configuration names as text."""
    return shapes.REFERENCE in (OPTIONS.get(option), *OPTIONS.get(option, {}).get("anyOf", ()))


def _stand_in(value: Any) -> Any:
    return catalogue.names


def _wrong_use(written: Any) -> Iterator[Wrong]:
    try:
        use = as_use(written)
    except ConfigError as error:
        yield error.key, str(error)
    else:
        yield from catalogue.wrong(use)


def as_use(written: Any) -> Use:
    """A decorator as it stands in a configuration: text, or a table {use = "name", ...}."""
    if isinstance(written, Use):
        return written
    if isinstance(written, str):
        uses = expressions.parse_decorators(written)
        if len(uses) != 1:
            raise ConfigError(f"{written!r} is not one decorator; make each a text of its own")
        return uses[0]
    if not isinstance(written, dict) or not isinstance(written.get("use"), str):
        raise ConfigError(
            f'{written!r} is no decorator; write {{use = "name", option = value}}, or a text'
        )
    options = {key: _tuples(value) for key, value in written.items() if key != "use"}
    return Use(written["use"], (), options, called=bool(options))


def _tuples(value: Any) -> Any:
    """An array as a tuple, which is what `isinstance` and many an option take."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _wrong_recipe(name: str, table: Table, sound: list[str]) -> Iterator[Wrong]:
    if not table.get("enabled", True) or not {"recipe", "with"} & table.keys() <= set(sound):
        return  # a package that offers a patch that is switched off need not be there
    try:
        recipe = find_recipe(name, table)
    except Exception as error:
        yield "recipe", str(error)
        return
    options = table.get("with", {})
    said = [(f"with.{option}", text) for option, text in _wrong_options(recipe, name, options)]
    yield from said
    if not said:
        try:
            declare(name, table)
        except Exception as error:
            yield "with", str(error)


def _wrong_options(recipe: Any, name: str, options: Table) -> Iterator[Wrong]:
    if callable(recipe) and not isinstance(recipe, Patch):
        yield from catalogue.wrong_options(recipe, f"the recipe {name!r}", options)


def find_recipe(name: str, table: Table) -> Any:
    """The recipe that a table names; raises ConfigError if nobody has it."""
    wanted = table.get("recipe", name)
    if references.is_reference(wanted):
        return references.load(wanted)
    found = offers.find(wanted)
    if found is None:
        offered = sorted(offers.names())
        hint, _ = nearest(wanted, wanted, offered, f"there are {', '.join(offered)}")
        raise ConfigError(f"no package offers a recipe {wanted!r}; {hint}")
    return found


def declare(name: str, table: Table) -> Any:
    """Declare what a table says, for `safepatch.register(name, ...)`; imports what it names."""
    if uses_recipe(table):
        return offers.declared(find_recipe(name, table), **table.get("with", {}))
    options: dict[str, Any] = {
        key: _loaded(table[key]) if _is_named(key) else table[key]
        for key in OPTIONS
        if key in table
    }
    decorators = [catalogue.make(as_use(written)) for written in table["decorators"]]
    options = {"when": "import", **options, "name": name}
    return default.patch(table["target"], *decorators, **options)


def _loaded(value: Any) -> Any:
    return [*map(references.load, value)] if isinstance(value, list) else references.load(value)


def targets(declared: Any) -> tuple[str, ...]:
    """The targets of declared patches, as text."""
    parts = [declared] if isinstance(declared, Patch) else declared
    return tuple(part.text for part in parts)
