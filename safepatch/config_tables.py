"""The table of one patch in a configuration: what is wrong with it, and the patches it declares."""

from __future__ import annotations

import contextlib
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from safepatch import catalogue, expressions, offers, references, shapes
from safepatch.catalogue import Use, Wrong
from safepatch.errors import ConfigError, PatchError, nearest
from safepatch.options import Options
from safepatch.patches import Patch
from safepatch.registry import default, wrong_name

Table = Mapping[str, Any]

#: The options of `safepatch.apply`, but the name, which is the table's.
OPTIONS: dict[str, shapes.Shape] = {
    option: shapes.shape(hint, shapes.REFERENCE)
    for option, hint in typing.get_type_hints(Options).items()
    if option != "name"
}
#: What a table with a target of its own may say; all of it needs the first two.
TARGET: dict[str, shapes.Shape] = {
    "target": shapes.REFERENCE,
    "decorators": {"type": "array", "items": {}},
    **OPTIONS,
}
#: What one that uses a recipe may say instead.
RECIPE: dict[str, shapes.Shape] = {"recipe": {"type": "string"}, "with": {"type": "object"}}
#: What each may say besides.
COMMON: dict[str, shapes.Shape] = {
    "enabled": {"type": "boolean"},
    "depends_on": {"type": "array", "items": shapes.REFERENCE},
    "until": {"type": "string"},
}
_ALL = {**TARGET, **RECIPE, **COMMON}


def uses_recipe(table: Table) -> bool:
    """Whether a table names a recipe, or stands for the one of its own name."""
    return "recipe" in table or not TARGET.keys() & table.keys()


def wrong(name: str, table: Table) -> Iterator[Wrong]:
    """What is wrong with a table: pairs of a key, below the table's, and a sentence."""
    no_name = wrong_name(name)
    if no_name is not None:
        yield "", no_name
    sound, known = {}, {**COMMON, **(RECIPE if uses_recipe(table) else TARGET)}
    for key, value in table.items():
        if key not in known:
            yield key, _unknown(key)
        elif not shapes.fits(value, known[key]):
            yield key, f"{shapes.shown(value)} is not {shapes.told(known[key])}"
        else:
            sound[key] = value
    if "until" in sound and not references.is_reference(sound["until"]):
        yield from _refused("until", requires=sound["until"])
    if not uses_recipe(table):
        yield from _missing(table)
        yield from _wrong_decorators(sound.get("decorators", ()))
        yield from _wrong_values(sound)
    # One that is switched off need not be installed.
    elif sound.keys() == table.keys() and table.get("enabled", True):
        yield from _wrong_recipe(name, table)


def _unknown(key: str) -> str:
    if key == "name":
        return "the name of a patch is that of its table; leave this out"
    if key in RECIPE:
        return "this goes with a recipe, and here is a target; leave out one of them"
    if key in TARGET:
        return "this goes with a target, and here is a recipe; leave out one of them"
    hint, _ = nearest(key, key, _ALL, f"there are {', '.join(_ALL)}")
    return f"there is no such key; {hint}"


def _missing(table: Table) -> Iterator[Wrong]:
    unknown = [key for key in table if key not in _ALL]
    for key in ("target", "decorators"):
        # What is only misspelt has been told of.
        if not table.get(key) and not any(nearest(one, one, [key], "")[1] for one in unknown):
            yield key, "this is missing; a patch has a target, and decorators to put on it"


def _wrong_decorators(entries: Any) -> Iterator[Wrong]:
    for place, entry in enumerate(entries):
        try:
            for option, text in catalogue.wrong(as_use(entry)):
                yield f"decorators[{place}]{option and '.'}{option}", text
        except ConfigError as error:
            yield f"decorators[{place}]", str(error)


def _wrong_values(sound: Table) -> Iterator[Wrong]:
    options = {key: value for key, value in sound.items() if key in OPTIONS}
    for key in options:
        if _names_objects(key):
            options[key] = lambda *args: None  # to be imported when the patch is made
    alone = [said for key, value in options.items() for said in _refused(key, **{key: value})]
    yield from alone or _refused("", **{"when": "import", **options})


def _refused(key: str, **options: Any) -> Iterator[Wrong]:
    """What `patch` itself has against options; to declare a patch changes nothing."""
    try:
        default.patch("safepatch:apply", lambda wrapped: wrapped, **options)
    except Exception as error:
        yield key or getattr(error, "option", ""), str(error)


def _names_objects(option: str) -> bool:
    """Whether an option wants an object, or several, which a configuration names."""
    wanted = OPTIONS[option]
    return shapes.REFERENCE in (wanted, *wanted.get("anyOf", ()))


def as_use(entry: Any) -> Use:
    """A decorator as it stands in a configuration: text, or a table {use = "name", ...}."""
    if isinstance(entry, Use):
        return entry
    if isinstance(entry, str):
        uses = expressions.parse_decorators(entry)
        if len(uses) != 1:
            raise ConfigError(f"{entry!r} is not one decorator; make each a text of its own")
        return uses[0]
    if not isinstance(entry, dict) or not isinstance(entry.get("use"), str):
        raise ConfigError(
            f"{shapes.shown(entry)} is no decorator; "
            "write 'name', or {use = 'name', option = value}"
        )
    options = {key: _tuples(value) for key, value in entry.items() if key != "use"}
    return Use(entry["use"], (), options, called=bool(options))


def _tuples(value: Any) -> Any:
    """An array as a tuple, since that is what many an option takes, as `isinstance` does."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _wrong_recipe(name: str, table: Table) -> Iterator[Wrong]:
    try:
        recipe = _find_recipe(name, table)
    except Exception as error:
        yield "recipe" if "recipe" in table else "", str(error)
        return
    options, said, label = table.get("with", {}), [], f"the recipe {_recipe(name, table)!r}"
    if callable(recipe) and not isinstance(recipe, Patch):
        said = [*catalogue.wrong_options(recipe, label, options)]
    yield from ((f"with.{option}", text) for option, text in said)
    if not said:
        try:
            offers.declared(recipe, **options)
        except Exception as error:
            told = [(f"with.{key}", text) for key, text in _wrong_values_of(recipe, label, options)]
            yield from told or [("with" if options else "", str(error))]


def _wrong_values_of(recipe: Any, label: str, options: Table) -> list[Wrong]:
    """The options that may have made a recipe fail; its type hints may be of any kind."""
    try:
        return [*catalogue.wrong_shapes(recipe, label, options)]
    except Exception:
        return []


def _recipe(name: str, table: Table) -> str:
    wanted: str = table.get("recipe", name)
    return wanted


def _find_recipe(name: str, table: Table) -> Any:
    wanted = _recipe(name, table)
    if references.is_reference(wanted):
        return references.load(wanted)
    found = offers.find(wanted)
    if found is None:
        offered = sorted(offers.names())
        hint, _ = nearest(wanted, wanted, offered, f"there are {', '.join(offered)}")
        start = "" if "recipe" in table else "there is no target, and "
        raise ConfigError(f"{start}no package offers a recipe {wanted!r}; {hint}")
    return found


def declare(name: str, table: Table) -> Any:
    """Declare what a table says, for `safepatch.register(name, ...)`; imports what it names.

    Raises ConfigError, with the key below the table's, for what goes wrong in there.
    """
    if uses_recipe(table):
        made = offers.declared(_find_recipe(name, table), **table.get("with", {}))
        return made if isinstance(made, Patch) else [*made]
    options: dict[str, Any] = {"when": "import", "name": name}
    decorators = []
    for place, entry in enumerate(table["decorators"]):
        use = as_use(entry)
        with _telling(f"decorators[{place}]", f"to call {use.use!r}"):
            decorators.append(catalogue.make(use))
    for key in OPTIONS.keys() & table.keys():
        with _telling(key, f"to import {table[key]!r}"):
            options[key] = _loaded(table[key]) if _names_objects(key) else table[key]
    return default.patch(table["target"], *decorators, **options)


def blamed(
    name: str, table: Table, made: Sequence[Any], decorator: Any, error: Exception
) -> ConfigError:
    """What one of the decorators that a table made did when it was called with a function, told
    with the key below the table's."""
    if uses_recipe(table):
        return ConfigError(_failed(f"a decorator of the recipe {_recipe(name, table)!r}", error))
    place = next(place for place, one in enumerate(made) if one is decorator)
    use = as_use(table["decorators"][place]).use
    told = _failed(f"the decorator {use!r}", error)
    if use not in catalogue.names() and not isinstance(error, PatchError):
        told += "; it is called with a function, and is to return one"
    return ConfigError(told, key=f"decorators[{place}]")


def _failed(what: str, error: Exception) -> str:
    told = str(error) if isinstance(error, PatchError) else f"{type(error).__name__}: {error}"
    return f"{what} failed: {told}"


@contextlib.contextmanager
def _telling(key: str, what: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(str(error), key=key) from error
    except Exception as error:
        raise ConfigError(_failed(what, error), key=key) from error


def _loaded(value: Any) -> Any:
    return [*map(references.load, value)] if isinstance(value, list) else references.load(value)


def parts(declared: Any) -> list[Patch[Any]]:
    """The patches that `declare` gave, one or several."""
    return [declared] if isinstance(declared, Patch) else declared


def targets(name: str, table: Table) -> tuple[str, ...]:
    """The targets of a table, or those of the parts of its recipe."""
    if not uses_recipe(table):
        return (table["target"],)
    return tuple(part.text for part in parts(declare(name, table)))
