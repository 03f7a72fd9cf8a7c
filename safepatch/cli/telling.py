"""What the commands have to tell, as data and as words."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import safepatch
from safepatch import lock as locking
from safepatch import startup
from safepatch.cli import completing
from safepatch.config import Config, Configured
from safepatch.drifts import Drift, unified_diff
from safepatch.errors import nearest
from safepatch.lock import Lock, LockError


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def shown(path: str | os.PathLike[str]) -> str:
    """A path, from the current directory if it is below."""
    return str(path).removeprefix(f"{os.getcwd()}{os.sep}")


def absent(lock: Lock) -> list[str]:
    return [target for target, locked in lock.targets.items() if locked.look is None]


def listed(config: Config) -> list[dict[str, Any]]:
    """What is configured, in the order of the file, then what is offered and not configured."""
    rows = [_configured_row(patch) for patch in config.patches.values()]
    return rows + [
        _offered_row(name, distribution)
        for name, distribution in sorted(completing.offered().items())
        if name not in config.patches
    ]


def _configured_row(patch: Configured) -> dict[str, Any]:
    return {
        "name": patch.name,
        "state": "enabled" if patch.enabled else "disabled",
        "targets": list(patch.targets),
        "origin": shown(patch.origin),
    }


def _offered_row(name: str, distribution: str) -> dict[str, Any]:
    try:
        targets, state = _offered_targets(name), "offered"
    except Exception as error:  # whatever the package's code raises
        targets, state = [], f"broken: {error!r}"
    return {
        "name": name,
        "state": state,
        "targets": targets,
        "origin": f"offered by {distribution}",
    }


def _offered_targets(name: str) -> list[str]:
    """A registry of its own looks offered names up, and declares them there alone."""
    told = safepatch.Registry().explain(name).to_dict()
    return list(dict.fromkeys(each["target"] for each in told["others"] + told["sites"]))


def explained(config: Config, target: str | None, applied: bool) -> Any:
    """Explain a target, with what is configured declared there, or applied."""
    enabled = [patch for patch in config.patches.values() if patch.enabled]
    if target is not None and (":" in target or "." in target):
        safepatch.explain(target)  # imports its module, so that its own line is told as well
    startup.register(enabled)
    if applied:
        with warnings.catch_warnings():
            for told_below in (safepatch.AliasWarning, safepatch.GuardWarning):
                warnings.simplefilter("ignore", told_below)
            startup.apply(enabled)
            _import_those_of(patch for patch in enabled if target in (None, patch.name))
    return safepatch.explain() if target is None else safepatch.explain(target)


def _import_those_of(patches: Iterable[Configured]) -> None:
    """What waits is applied then; where that fails, explain() says why."""
    for target in {target for patch in patches for target in patch.targets}:
        with contextlib.suppress(Exception, SystemExit):
            safepatch.fingerprint(target)


def since(file: Path, config: Config) -> list[Drift]:
    """What has drifted from a lock file that is about to be written anew, if it can be read."""
    try:
        drifts = locking.drift(locking.read(file), config, strict=True)
        return [*map(locking.without_advice, drifts)]
    except LockError:
        return []


def drift_dict(drift: Drift) -> dict[str, Any]:
    """All but the sources, which are long; `diff` has them."""
    seen = {
        name: None if look is None else {**look._asdict(), "source": None}
        for name, look in (("locked", drift.locked), ("found", drift.found))
    }
    for look in filter(None, seen.values()):
        del look["source"]
    return {**drift._asdict(), **seen}


def summary(drifts: Sequence[Drift], locked: int) -> str:
    drifted = {drift.target for drift in drifts if not drift.note}
    many = f"{counted(locked, 'target')} locked"
    return f"{many}, {len(drifted)} to look at" if drifted else f"{many}, nothing has drifted"


def differences(lock: Lock, what: Iterable[str]) -> list[dict[str, Any]]:
    """The locked targets that differ from what is installed, of those that are meant."""
    found = []
    for target in _meant(lock, what):
        drifts = [
            drift for drift in locking.drift(Lock({target: lock.targets[target]})) if not drift.note
        ]
        if drifts:
            found.append(_difference(target, drifts))
    return found


def _difference(target: str, drifts: Sequence[Drift]) -> dict[str, Any]:
    first, shown = drifts[0], list[str]()
    if first.locked is not None and first.found is not None:
        shown = unified_diff(target, first.locked, first.found)
    return {
        "target": target,
        "patches": list(first.patches),
        "messages": [each.message for each in drifts if each.kind != "source" or not shown],
        "diff": shown,
    }


def _meant(lock: Lock, what: Iterable[str]) -> list[str]:
    """Targets that were named, or that patches of these names rely on; all if none was."""
    names = {name for locked in lock.targets.values() for name in locked.patches}
    what = [*what]
    for word in what:
        if word not in lock.targets and word not in names:
            hint, _ = nearest(word, word, [*lock.targets, *names], "see `safepatch list`")
            raise LockError(f"{word!r} is not locked; {hint}", file=lock.file, targets=(word,))
    return [
        target
        for target, locked in lock.targets.items()
        if not what or target in what or {*locked.patches} & {*what}
    ]
