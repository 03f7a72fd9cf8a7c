"""Targets that are watched: what stands there is the same object after a test as before."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import safepatch

_MISSING = object()


class Standing(NamedTuple):
    """What stands in an owner's namespace under a name; `_MISSING` if nothing does."""

    owner: Any
    name: str
    value: Any


class Watched:
    """Targets, each with what may stand there: before the tests, and put there by fixtures of
    wider scopes since, outermost last."""

    def __init__(self, targets: list[str]) -> None:
        self.targets = targets
        self._may_stand: dict[str, list[Standing]] = {target: [] for target in targets}

    def standing(self) -> dict[str, Standing | None]:
        return {target: look(target) for target in self.targets}

    def accept(self, before: dict[str, Standing | None] | None = None) -> None:
        """Take what stands there for right, where it is something else than before."""
        for target, found in self.standing().items():
            if found is not None and (before is None or before[target] != found):
                self._may_stand[target].append(found)

    def left(self, put_back: bool) -> list[str]:
        """What stands there that may not, in words."""
        told = []
        for target, found in self.standing().items():
            if found is None or self._may(target, found):
                continue
            patched = _is_patched(target)  # which removes a dead face that a mock has put back
            found = look(target) or found
            if not self._may(target, found) and not self._is_new(target, found, patched):
                told.append(self._told(target, found, put_back))
        return told

    def _may(self, target: str, found: Standing) -> bool:
        allowed = self._may_stand[target]
        for position, one in enumerate(allowed):
            if _same(one, found):
                del allowed[position + 1 :]  # what wider fixtures had put there is gone
                return True
        return False

    def _is_new(self, target: str, found: Standing, patched: bool) -> bool:
        """Whether to take it for right from now on: patches of ours are looked after elsewhere,
        and its module may have been imported during the test, or once more."""
        allowed = self._may_stand[target]
        if allowed and allowed[-1].owner is not found.owner:
            allowed.clear()
        if patched or not allowed:
            allowed.append(found)
            return True
        return False

    def _told(self, target: str, found: Standing, put_back: bool) -> str:
        allowed = self._may_stand[target]
        right = allowed[-1]
        told = f"the test left {target} as {_written(found.value)}, was {_written(right.value)}"
        if not put_back:
            allowed.append(found)  # told once
            return told
        if right.value is _MISSING:
            delattr(found.owner, found.name)
        else:
            setattr(found.owner, found.name, right.value)
        return f"{told}; it is put back now"


def look(target: str) -> Standing | None:
    """What stands at a target, read from namespaces; None if its module is not imported."""
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner: Any = sys.modules.get(module)
    for step in owners:
        owner = _space(owner).get(step)
    if owner is None:
        return None
    return Standing(owner, name, _space(owner).get(name, _MISSING))


def _space(owner: Any) -> Any:
    return vars(owner) if isinstance(owner, (type, ModuleType)) else {}


def _same(one: Standing, other: Standing) -> bool:
    if one.owner is not other.owner:
        return False
    if one.value is other.value:
        return True
    # A module that was reloaded has the same code in new functions.
    functions = type(one.value) is type(other.value) is FunctionType
    return functions and one.value.__code__ == other.value.__code__


def _is_patched(target: str) -> bool:
    """Whether patches of ours stand there, and nothing else over the original."""
    try:
        sites = safepatch.explain(target).to_dict()["sites"]
    except safepatch.PatchError:
        return False
    return any(
        site["lines"] and not any(line["foreign"] for line in site["lines"]) for site in sites
    )


def _written(value: Any) -> str:
    if value is _MISSING:
        return "nothing at all"
    kind = type(value)
    text = repr(value)
    where = getattr(value, "__module__", None) or kind.__module__
    text = text if len(text) <= 80 else f"{text[:77]}..."
    return f"{text} ({kind.__module__}.{kind.__qualname__} of {where})"
