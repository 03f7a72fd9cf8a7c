"""until=: what says that a patch is no longer needed, a requirement or a probe of the user's."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import safepatch


def no_longer_needed(until: str) -> str | None:
    """Why a patch is no longer needed, or None while it is.

    `until` is a requirement that will be met then, or "module:probe" of a callable without
    arguments that returns something true then, best a sentence. Raises PatchError if it is
    neither, and if the probe fails.
    """
    if re.fullmatch(r"[\w.]+:[\w.]+", until):
        return _probed(until)
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return _met(Requirement(until))
    except InvalidRequirement as error:
        why = str(error).partition("\n")[0]
        raise safepatch.PatchError(
            f"until={until!r} is neither a requirement ({why}) nor a 'module:probe'; "
            "write it as 'requests>=3' or 'my_app.probes:is_fixed'",
            until=until,
        ) from error


def _met(wanted: Any) -> str | None:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    if wanted.marker is not None and not wanted.marker.evaluate():
        return None
    try:
        is_python = wanted.name.lower() == "python"
        found = platform.python_version().rstrip("+") if is_python else version(wanted.name)
    except PackageNotFoundError:
        return None
    if wanted.specifier.contains(found, prereleases=True):
        return f"{wanted.name} {found} is installed, and until is {str(wanted)!r}"
    return None


def _probed(until: str) -> str | None:
    module, _, path = until.partition(":")
    try:
        probe: Any = import_module(module)
        for name in path.split("."):
            probe = getattr(probe, name)
        said = probe()
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise safepatch.PatchError(
            f"cannot ask until={until!r}: {error!r}; it must be a callable without arguments",
            until=until,
        ) from error
    if not said:
        return None
    return said if isinstance(said, str) else f"{until} says so"
