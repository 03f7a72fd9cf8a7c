"""safepatch.lock: what the patches rely on, as it was when somebody looked at it last."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import safepatch
from safepatch.drifts import Drift, changes, seen_with
from safepatch.looks import Look, is_installed, look
from safepatch.until import no_longer_needed

if TYPE_CHECKING:
    from safepatch.config import Config, Configured

NAME = "safepatch.lock"
_ABOUT = "Made by `safepatch lock`. Commit it; do not edit it."
_FORMAT = 1
_ADVICE = "look at it, and run `safepatch lock`"


class LockError(safepatch.PatchError, ValueError):
    """A lock file that is not there, cannot be read or cannot be made: `.file`, `.targets`."""

    file: Path | None = None
    targets: tuple[str, ...] = ()


class Locked(NamedTuple):
    """One target: the patches that rely on it, and what was seen; None if it is not installed.

    Recipes have parts for packages that may come.
    """

    patches: tuple[str, ...]
    look: Look | None


class Lock(NamedTuple):
    targets: dict[str, Locked]
    file: Path | None = None


def beside(config: Config) -> Path:
    """Where the lock file of a configuration is."""
    return (config.file.parent if config.file else Path()) / NAME


def relied_on(configured: Iterable[Configured]) -> dict[str, tuple[str, ...]]:
    """The targets and helpers of patches, each with the names of the patches, in order."""
    found: dict[str, set[str]] = {}
    for patch in configured:
        for target in (*patch.targets, *patch.depends_on):
            found.setdefault(target, set()).add(patch.name)
    return {target: tuple(sorted(found[target])) for target in sorted(found)}


def enabled(config: Config) -> list[Configured]:
    return [patch for patch in config.patches.values() if patch.enabled]


def make(config: Config) -> Lock:
    """Look at all that the enabled patches rely on, where the package of it is installed.

    Raises LockError if something cannot be looked at, naming all of that.
    """
    targets, failed = {}, {}
    for target, patches in relied_on(enabled(config)).items():
        try:
            targets[target] = Locked(patches, look(target) if is_installed(target) else None)
        except safepatch.PatchError as error:
            failed[target] = str(error)
    if failed:
        raise LockError("nothing was locked: " + "; ".join(failed.values()), targets=(*failed,))
    return Lock(targets)


def drift(lock: Lock, config: Config | None = None, *, strict: bool = False) -> list[Drift]:
    """What is installed otherwise than it was locked, by target.

    With a configuration, also what is only in it or only in the lock, and which patches are no
    longer needed. A version alone is a note, and with `strict` no longer one.
    """
    found = [each for target in lock.targets for each in _drift_at(target, lock, strict)]
    if config is not None:
        found += [*_disagreements(lock, config), *_not_needed(config)]
    return sorted(found, key=lambda each: each.target)


def without_advice(drift: Drift) -> Drift:
    """What has drifted, for who is locking it, which no advice to lock or to compare is for."""
    message = drift.message.removesuffix(f"; {_ADVICE}").removesuffix(
        f"; {seen_with(drift.target)}"
    )
    return drift._replace(message=message)


def _drift_at(target: str, lock: Lock, strict: bool) -> list[Drift]:
    patches, before = lock.targets[target]
    if before is None:
        return _come(target, patches) if is_installed(target) else []
    try:
        now = look(target)
    except (safepatch.TargetError, safepatch.UnsupportedTargetError) as error:
        return [Drift(target, "gone", str(error), patches, locked=before)]
    return [
        Drift(target, kind, message, patches, kind == "version" and not strict, before, now)
        for kind, message in changes(target, before, now)
    ]


def _come(target: str, patches: tuple[str, ...]) -> list[Drift]:
    message = f"it was not installed when it was locked, and is now; {_ADVICE}"
    return [Drift(target, "new", message, patches)]


def _disagreements(lock: Lock, config: Config) -> list[Drift]:
    wanted = relied_on(enabled(config))
    disabled = {patch.name for patch in config.patches.values() if not patch.enabled}
    return [
        Drift(target, "new", f"it is configured and was not locked; {_ADVICE}", patches)
        for target, patches in wanted.items()
        if target not in lock.targets
    ] + [
        Drift(
            target, "stale", f"it was locked and is no longer configured; {_ADVICE}", locked.patches
        )
        for target, locked in lock.targets.items()
        if target not in wanted and not disabled & {*locked.patches}  # those may stay or go
    ]


def _not_needed(config: Config) -> list[Drift]:
    found = []
    for patch in enabled(config):
        why = no_longer_needed(patch.until) if patch.until is not None else None
        if why is not None:
            message = f"no longer needed: {why}; remove the patch"
            target = ", ".join(patch.targets)
            found.append(Drift(target, "until", message, (patch.name,)))
    return found


def read(path: str | os.PathLike[str]) -> Lock:
    """Read a lock file. Raises LockError if there is none, or if it is damaged."""
    import json

    path = Path(path)
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise LockError(
            f"there is no lock file {str(path)!r}; make it with `safepatch lock`", file=path
        ) from error
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if isinstance(data, dict) and data.get("format", _FORMAT) != _FORMAT:
        raise LockError(
            f"{str(path)!r} has the format {data['format']!r}, and this safepatch "
            f"({safepatch.__version__}) reads {_FORMAT}; use the one that wrote it, or lock anew",
            file=path,
        )
    try:
        return Lock({target: _locked(kept) for target, kept in data["targets"].items()}, path)
    except Exception as error:  # a wrong type or a missing key, anywhere in it
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> LockError:
    what = f"{type(error).__name__}: {error}"
    return LockError(
        f"cannot read the lock file {str(path)!r} ({what}); "
        "take it from version control, or run `safepatch lock`",
        file=path,
    )


def _locked(kept: Mapping[str, Any]) -> Locked:
    if kept.keys() == {"patches"}:
        return Locked(tuple(kept["patches"]), None)
    signature, source = kept["signature"], kept["source"]
    return Locked(
        tuple(kept["patches"]),
        Look(
            kept["distribution"],
            kept["version"],
            None if signature is None else tuple(signature),
            kept["fingerprint"],
            None if source is None else _unpacked(source),
        ),
    )


def write(lock: Lock, path: str | os.PathLike[str]) -> bool:
    """Write a lock file, in one step and only if it says something else; whether it did."""
    path = Path(os.path.realpath(path))  # a link stays one
    before = _raw(path)
    targets = {target: _kept(locked, before.get(target)) for target, locked in lock.targets.items()}
    return _replace(path, _text(targets))


def _kept(locked: Locked, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """How a target is written. A source that is there already stays as it is: another zlib may
    pack the same otherwise."""
    patches, seen = locked
    if seen is None:
        return {"patches": patches}
    source = None if seen.source is None else _packed(seen.source)
    if before is not None:
        was = _locked(before).look
        source = before["source"] if was is not None and was.source == seen.source else source
    return {"patches": patches, **seen._asdict(), "source": source}


def _raw(path: Path) -> dict[str, Any]:
    """What a lock file holds; nothing, if it cannot be read."""
    import json

    try:
        read(path)
        targets: dict[str, Any] = json.loads(path.read_bytes())["targets"]
    except LockError:
        return {}
    return targets


def _text(targets: Mapping[str, Any]) -> str:
    import json

    data = {"about": _ABOUT, "format": _FORMAT, "targets": targets}
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _packed(source: str) -> list[str]:
    import base64
    import zlib

    text = base64.b64encode(zlib.compress(source.encode(), 9)).decode()
    return [text[start : start + 76] for start in range(0, len(text), 76)]


def _unpacked(lines: Iterable[str]) -> str:
    import base64
    import zlib

    return zlib.decompress(base64.b64decode("".join(lines), validate=True)).decode()


def _replace(path: Path, text: str) -> bool:
    """Write a file that is at no moment there in part."""
    data = text.encode()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and path.read_bytes() == data:
            return False
        beside.write_bytes(data)
        if path.exists():
            beside.chmod(path.stat().st_mode)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise LockError(f"cannot write the lock file {str(path)!r}: {error}", file=path) from error
    return True
