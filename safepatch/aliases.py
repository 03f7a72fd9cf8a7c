"""Who else holds the original, under a name that patching the site does not reach.

Only namespaces are read, never attributes: asking a lazy module for one would import things.
"""

from __future__ import annotations

import gc
from types import CellType, FrameType, FunctionType, ModuleType
from typing import Any

from safepatch import callers, kinds, targets
from safepatch.sites import Site, inert, modules, namespace

Holder = tuple[Any, str]


def reached_by(aliases: str, site: Site, name: str, target: Any) -> tuple[list[Holder], str | None]:
    """The holders that the patch `name` reaches with `aliases`, and what to warn of the others."""
    original, warning = site.stack.original, None
    if aliases == "rebind":
        found, lost = everywhere(original, site)
        if lost:
            warning = f"patch {name!r} cannot reach {', '.join(lost)}; they keep the original"
        return found, warning
    missed = in_modules(original, site)
    if not targets.by_place(target):  # the reference that was passed in is no trouble
        mine = callers.caller().f_globals
        missed = [(owner, held) for owner, held in missed if vars(owner) is not mine]
    if missed:
        warning = (
            f"patch {name!r} does not reach {', '.join(written(missed))}, which "
            "took the original before; apply earlier, or use aliases='rebind' or 'ignore'"
        )
    return [], warning


def in_modules(original: Any, site: Site) -> list[Holder]:
    """The module globals that hold the original, or what is left of a patch of it, but for the
    site itself and for the C module that defines it.

    Costs a few milliseconds with a thousand modules.
    """
    found: list[Holder] = []
    faces = inert(original)
    wanted = {id(original), *map(id, faces)}
    own = site.home()  # site.owner goes when another thread undoes the last patch there
    is_python = type(original) is FunctionType
    twin = None if is_python else getattr(original, "__module__", None)
    lives_in = _lives_in(original)  # "_io", for one that says "io"
    for name, module, space in modules():
        if module is not own and (name == twin or module is lives_in):
            continue
        # The values are taken in one step, since other threads may be importing.
        if not wanted.isdisjoint(map(id, [*space.values()])):
            for attribute, value in space.copy().items():
                if id(value) in wanted and not (module is own and attribute == site.name):
                    found.append((module, attribute))
    return list({(id(module), name): (module, name) for module, name in found}.values())


def written(holders: list[Holder]) -> list[str]:
    """Holders as string targets."""
    return [
        f"{owner.__module__}:{owner.__qualname__}.{name}"
        if isinstance(owner, type)
        else f"{owner.__name__}:{name}"
        for owner, name in holders
    ]


def everywhere(original: Any, site: Site) -> tuple[list[Holder], list[str]]:
    """All module globals and class attributes that hold the original, and, described, whatever
    else holds it (dicts, lists, default arguments, closures), which cannot be re-pointed.

    Asks the garbage collector; costs some ten milliseconds.
    """
    holders, own = in_modules(original, site), site.home()
    spaces = {id(space) for _, _, space in modules()}
    lost: set[str] = set()
    things = [original, *inert(original)]
    wanted = set(map(id, things))
    for referrer in [referrer for thing in things for referrer in gc.get_referrers(thing)]:
        if id(referrer) in spaces or referrer is things:
            continue
        # Classes, and modules that sys.modules does not know.
        owners = _referrers(referrer, (type, ModuleType)) if type(referrer) is dict else []
        if owners:
            holders += [
                (owner, name)
                for owner in owners
                if owner is own or owner is not _lives_in(original)
                for name, value in namespace(owner).copy().items()
                if id(value) in wanted and not (owner is own and name == site.name)
            ]
        else:
            lost.update(_described(referrer))
    return holders, sorted(lost)


def _lives_in(original: Any) -> Any:
    """The module that a C function is of."""
    return None if type(original) is FunctionType else getattr(original, "__self__", None)


def _described(referrer: Any) -> list[str]:
    """Say what an object that refers to the original is, for people; nothing if it is ours."""
    if type(referrer) is CellType:
        functions = [
            function for closure in _referrers(referrer, tuple) for function in _functions(closure)
        ]
        return [f"a variable captured by {name}" for name in functions]
    if type(referrer) is tuple:
        return [f"a default argument of {name}" for name in _functions(referrer)] or ["a tuple"]
    if type(referrer) is dict:
        if _referrers(referrer, FrameType):  # somebody's local variables
            return []
        if any(map(kinds.dispatched, _referrers(referrer, FunctionType))):  # what one of ours shows
            return []
        return [f"a dict with the keys {', '.join(map(repr, list(referrer)[:3]))} ..."]
    if issubclass(type(referrer), (FrameType, ModuleType)) or _ours(type(referrer).__module__):
        return []
    return [f"an object of type {type(referrer).__qualname__}"]


def _functions(held: Any) -> list[str]:
    """The functions whose closure or default arguments a tuple is."""
    return [
        f"{function.__module__}:{function.__qualname__}"
        for function in _referrers(held, FunctionType)
        if (function.__closure__ is held or function.__defaults__ is held)
        and not _ours(function.__module__)
    ]


def _referrers(thing: Any, kind: type | tuple[type, ...]) -> list[Any]:
    # By type(): isinstance() would ask a proxy for its class, which may run anything.
    return [referrer for referrer in gc.get_referrers(thing) if issubclass(type(referrer), kind)]


def _ours(module: str | None) -> bool:
    return str(module).partition(".")[0] == "safepatch"
