"""Why a patch may not have worked, looked for when a test has failed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from types import ModuleType, TracebackType
from typing import Any

import safepatch

_SHOWN = 5  # holders of an original that are named
_LOOKED_AT = 32  # patches of the whole run; each takes some milliseconds, at every failing test
_PLUMBING = ("_pytest", "pytest", "pluggy", "safepatch")


def told(
    error: BaseException,
    patches: Iterable[safepatch.Patch[Any]],
    of_run: Iterable[safepatch.Patch[Any]] = (),
) -> str:
    """A line for each thing that is likely; nothing where nothing is.

    The patches are those that were in use in the test; some are undone by now. Of those of the
    whole run it is told only what the modules that failed have to do with, and of the first few.
    """
    near = list(_modules(error.__traceback__))
    lines = [line for patch in dict.fromkeys(patches) for line in _reasons(patch, near)]
    for patch in islice(of_run, _LOOKED_AT):
        holders = [holder for holder in _holders(patch, near) if _module(holder) in near]
        if holders and not patch.reached_holders:
            lines.append(_not_reached(patch.text, holders))
    return "\n".join(dict.fromkeys(lines))


def _modules(traceback: TracebackType | None) -> Iterator[str]:
    """The modules whose code has failed."""
    while traceback is not None:
        yield str(traceback.tb_frame.f_globals.get("__name__"))
        traceback = traceback.tb_next


def _reasons(patch: safepatch.Patch[Any], near: list[str]) -> Iterator[str]:
    """What is wrong with a patch; `near` are the modules whose code has failed."""
    if patch.state in ("skipped", "failed"):
        yield f"{patch.text} was not patched: {patch.name!r} is {patch.state}: {patch.reason}"
    elif patch.state == "pending":
        yield f"{patch.text} is not patched yet: {patch.name!r} {patch.reason}"
    elif patch.superseded:
        yield (
            f"{patch.text} was patched, and somebody put another object there since; "
            "apply() of the patch puts it on top again"
        )
    elif not patch.reached_holders:
        holders = _holders(patch, near)
        if holders:
            yield _not_reached(patch.text, holders)


def _module(holder: str) -> str:
    return holder.partition(":")[0]


def _not_reached(target: str, holders: list[str]) -> str:
    modules = list(dict.fromkeys(map(_module, holders)))
    more = f" and {len(modules) - _SHOWN} more" if len(modules) > _SHOWN else ""
    hold = "still holds" if len(modules) == 1 else "still hold"
    return (
        f"{target} was patched; {', '.join(modules[:_SHOWN])}{more} {hold} the original: "
        f'patch {holders[0]!r} or use aliases="rebind"'
    )


def _holders(patch: safepatch.Patch[Any], near: list[str]) -> list[str]:
    """Who holds the original, as targets: the modules whose code has failed first, then those that
    they import, then all others."""
    try:
        held = _aliases(patch)
    except safepatch.PatchError:
        return []
    found = [alias for alias in held if not _is_plumbing(_module(alias))]
    imported = _imported(name for name in near if not _is_plumbing(name))
    return sorted(
        found, key=lambda alias: (_module(alias) not in near, _module(alias) not in imported)
    )


def _is_plumbing(module: str) -> bool:
    return module.partition(".")[0] in _PLUMBING


def _imported(names: Iterable[str]) -> set[str]:
    """The modules that modules of these names have as globals."""
    found = [sys.modules.get(name) for name in names]
    values = [value for module in found if module is not None for value in vars(module).values()]
    return {value.__name__ for value in values if type(value) is ModuleType}


def _aliases(patch: safepatch.Patch[Any]) -> list[str]:
    if patch.state == "applied":
        return _explained(patch.target)
    # Only of a patched place it is told who else holds the original.
    with safepatch.Registry().patch(patch.target, lambda wrapped: wrapped):
        return _explained(patch.target)


def _explained(target: Any) -> list[str]:
    sites = safepatch.explain(target).to_dict()["sites"]
    return [alias for site in sites for alias in site["aliases"]]
