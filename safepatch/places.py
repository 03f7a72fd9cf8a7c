"""From the place that a target names to the live site there, or a fresh one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType, MethodType, ModuleType
from typing import Any

from safepatch import kinds, targets
from safepatch.errors import PatchError, TargetError
from safepatch.examine import examine, inside
from safepatch.in_place import InPlace, in_place, untouched
from safepatch.sites import MISSING, Site, has_namespace, look_up, opened, site_at, slot, stack_of
from safepatch.stacks import weakly


def find(place: targets.Place, aliases: str) -> tuple[targets.Place, Site | InPlace]:
    """The site to patch: the place named or, with "rebind" and a Python function, itself."""
    if place.function is not None and aliases != "rebind":
        if not targets.same_function(place):
            raise TargetError(
                f"cannot tell which name of {place.function!r} to patch: {place.text!r} is not "
                "it; give a string target, or use aliases='rebind'",
                target=place.function,
            )
        place = place._replace(function=None)
    site = site_of(place)
    if aliases == "rebind" and isinstance(site, Site):
        site = _shared(site)
        original = site.stack.original
        if type(original) is FunctionType and not _served_anew(place, site, original):
            place = place._replace(function=original)
            return place, site_of(place)
        _refuse_inherited(place, site)
    return place, site


def _shared(site: Site) -> Site:
    """The site whose face stands at a name because a rebinding patch put it there, if one did."""
    stack = stack_of(site.raw)
    if stack is None or not stack.entries or stack.site.face is not site.raw:
        return site
    own = site.home()
    is_held = any(held.owner is own and held.name == site.name for held in stack.site.holders)
    return stack.site if is_held else site


def _served_anew(place: targets.Place, site: Site, original: Any) -> bool:
    """Whether a `__getattr__` makes another function each time, so that nobody has this one."""
    return site.raw is MISSING and getattr(place.owner, place.name, original) is not original


def _refuse_inherited(place: targets.Place, site: Site) -> None:
    owner, name = place.owner, place.name
    if isinstance(owner, type) and site.raw is MISSING:
        for base in owner.__mro__[1:]:
            if name in vars(base):
                instead = f"{base.__module__}:{base.__qualname__}.{name}"
                raise TargetError(
                    f"cannot rebind {place.text!r}: it is inherited, and all of "
                    f"{base.__qualname__!r} would be patched; patch {instead!r}",
                    target=place.target,
                    candidates=(instead,),
                )


def site_of(place: targets.Place) -> Site | InPlace:
    """The live site of a place, or a fresh one."""
    if place.function is not None:
        return in_place(place.function) or InPlace(place.function, _binds(place))
    found = site_at(place.owner, place.name) if has_namespace(place.owner) else None
    return found or examine(place.owner, place.name, place.text, place.target)


def _binds(place: targets.Place) -> str:
    """What a function is bound to where it lives: in a class, or else nothing."""
    raw = look_up(place.owner, place.name) if isinstance(place.owner, type) else MISSING
    stack = stack_of(raw)
    if stack is not None:  # it is patched there by its name as well
        return stack.site.binds  # type: ignore[no-any-return]
    return inside(raw, place.text)[1] if opened(raw) is place.function else ""


def bare(site: Site | InPlace) -> Any:
    """The function below every patch, of the site, of its bases and in place."""
    function = site.stack.original
    if isinstance(site, Site) and site.found is not None:
        function = site.found
    while (stack := kinds.dispatched(function) or kinds.trampolined(function)) is not None:
        function = stack.original
    if type(function) is MethodType:
        return MethodType(untouched(function.__func__), function.__self__)
    return function


def recall(site: Site | InPlace) -> Callable[[], Any]:
    """A way to the original, for when a patch is undone, that keeps nothing alive."""
    weak = site.stack.weak_original
    original = weakly(site.function if isinstance(site, InPlace) else bare(site))

    def find() -> Any:
        try:
            return untouched(original())
        except ReferenceError:
            return weak

    return find


def look_again(place: targets.Place) -> Callable[[], Any]:
    """A way to look at a place that was left, which removes what of ours was put back there."""
    name, is_function = place.name, place.function is not None
    owner = weakly(place.function if is_function else place.owner)

    def look() -> None:
        try:
            if is_function:
                in_place(owner())
            else:
                site_at(owner(), name)
        except ReferenceError:
            pass  # it has gone, and ours with it

    return look


def is_at(patch: Any, target: Any) -> bool:
    """Whether a patch sits, or waits, at a target, however that is spelled; imports nothing."""
    if isinstance(target, str) and target in (patch.name, patch.text):
        return True
    if not (loaded(target) and loaded(patch.target)):
        return False
    try:
        wanted, mine = targets.resolve(target), targets.resolve(patch.target)
        if wanted.function is None and mine.function is None:
            return wanted.owner is mine.owner and wanted.name == mine.name
        return _function_at(wanted) is _function_at(mine)
    except PatchError:
        return False


def loaded(target: Any) -> bool:
    """Whether a target can be looked for without importing its module."""
    if not isinstance(target, str):
        return True
    try:
        return targets.split(target)[0] in sys.modules
    except TargetError:  # written with dots only
        return False


def _function_at(place: targets.Place) -> Any:
    return place.function or site_of(place).stack.original


def reaches(place: targets.Place, site: Site | InPlace) -> bool:
    """Whether what stands where the target leads now is ours, or leads to ours by `__wrapped__`."""
    if _owner_now(place) is not place.owner:
        return False
    return site.installed() or (isinstance(site, Site) and _leads_to(place, site))


def _leads_to(place: targets.Place, site: Site) -> bool:
    standing = slot(place.owner, place.name)
    for _ in range(100):
        if stack_of(standing) is site.stack:
            return True
        standing = getattr(opened(standing), "__wrapped__", None)
        if standing is None:
            return False
    return False


def _owner_now(place: targets.Place) -> Any:
    """The owner that a target written as text leads to by now: its module may have been reloaded,
    or a class replaced. Namespaces are read only; where they do not tell, it is as it was."""
    if not isinstance(place.target, str):
        return place.owner
    try:
        module, path = targets.split(place.target)
    except TargetError:
        return place.owner
    owner: Any = sys.modules.get(module)
    for name in path[:-1]:
        owners = owner.__mro__ if isinstance(owner, type) else (owner,)
        spaces = [vars(one) for one in owners if isinstance(one, (type, ModuleType))]
        owner = next((space[name] for space in spaces if name in space), None)
    return place.owner if owner is None else owner
