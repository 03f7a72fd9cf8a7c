"""Patches that installed packages offer by name, as entry points of the group safepatch.patches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from safepatch.errors import TargetError
from safepatch.patches import Patch

_GROUP = "safepatch.patches"


def names() -> set[str]:
    """All names that are offered; loads nothing."""
    from importlib.metadata import entry_points

    return {entry_point.name for entry_point in entry_points(group=_GROUP)}


def load(name: str) -> Any:
    """The declared patch, or patches, offered under a name, for one registry to adopt; or None.

    Raises TargetError where two packages offer different ones, and what loading raises.
    """
    recipe = find(name)
    return None if recipe is None else declared(recipe)


def find(name: str) -> Any:
    """What is offered under a name: declared patches, or a function that returns them; or None.

    Raises TargetError where two packages offer different ones, and what loading raises.
    """
    from importlib.metadata import entry_points

    # By what they offer: a distribution that is found twice on the path is not two.
    found = {entry.value: entry for entry in entry_points(group=_GROUP, name=name)}
    if len(found) > 1:
        raise TargetError(
            f"the name {name!r} is offered more than once, by {' and '.join(found)}; "
            "register() the one that is meant",
            target=name,
        )
    for entry_point in found.values():
        return entry_point.load()
    return None


def declared(recipe: Any, /, **options: Any) -> Any:
    """The declared patch, or patches, of a recipe; only a function takes options."""
    if callable(recipe) and not isinstance(recipe, Patch):
        return _patches(recipe(**options), f"{recipe!r} returned")
    recipe = _patches(recipe, "there is")
    if options:
        raise TypeError(f"{recipe!r} takes no options: it is declared already")
    if isinstance(recipe, Patch):  # made once, and perhaps in use by another registry
        return recipe.anew()
    return [patch.anew() for patch in recipe]


def _patches(found: Any, told: str) -> Any:
    """A declared patch or several, as they were found; raises TypeError for anything else."""
    if isinstance(found, Patch):
        return found
    patches = list(found) if isinstance(found, Iterable) else []
    if not patches or not all(isinstance(one, Patch) for one in patches):
        raise TypeError(
            f"{told} {found!r}, which is no recipe; make declared patches with safepatch.patch()"
        )
    return patches
