"""Registering what is configured: all of it, or nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from safepatch import config_files, groups, kill_switch
from safepatch.errors import ConfigError, PatchError
from safepatch.registry import Registry, default

if TYPE_CHECKING:
    from safepatch.config import Configured

#: The patches that were registered here, and where they are written.
_origins: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def register(configured: Iterable[Configured], registry: Registry = default) -> list[str]:
    """Register patches that are configured, all or none; gives the names that this added.

    Those that were registered by this before are left as they are. Raises ConfigError for what
    cannot be imported or made, and for a name that the program itself has registered.
    """
    made = _made([one for one in configured if not _is_registered(one, registry)])
    added: list[str] = []
    try:
        for one, patches in made:
            if _register(one, patches, registry):
                added.append(one.name)
    except BaseException:
        for name in added:
            registry.unregister(name)
        raise
    return added


def _made(configured: list[Configured]) -> list[tuple[Configured, Any]]:
    """Each with the patches that it declares; one error for all of which that goes wrong."""
    made, errors = [], []
    for one in configured:
        try:
            made.append((one, one.make()))
        except ConfigError as error:
            errors.append(error)
    if len(errors) > 1:
        from safepatch.config import error_of

        problems = [problem for error in errors for problem in error.problems]
        raise error_of(errors[0].file, problems) from errors[0]
    if errors:
        raise errors[0]
    return made


def _is_registered(one: Configured, registry: Registry) -> bool:
    handle = registry.named(one.name)
    return handle is not None and handle in _origins


def _register(one: Configured, patches: Any, registry: Registry) -> bool:
    try:
        handle = registry.register(one.name, patches)
    except PatchError as error:
        if _is_registered(one, registry):
            return False  # another thread was first
        raise ConfigError(f"{one.origin}: {error}", key=one.name) from error
    handle.declared_at = handle.parts[0].declared_at
    _origins[handle] = one.origin
    return True


def apply(configured: Iterable[Configured]) -> None:
    """Apply patches that are registered, for a tool: all or none, from where they are written."""
    handles = [handle for one in configured if (handle := default.named(one.name)) is not None]
    try:
        parts = [part for handle in handles for part in handle.parts]
        groups.apply_each(parts, "warn", by_tool=True)
    except BaseException as error:
        tell_origin(error, default)
        raise


def tell_origin(error: BaseException, registry: Registry) -> None:
    """Have an error about the target of a configured patch say where that is written."""
    target = getattr(error, "target", None)
    handles = [handle for handle in registry.handles() if handle in _origins]
    for handle in handles if isinstance(error, PatchError) and isinstance(target, str) else ():
        if any(part.text == target for part in handle.parts):
            error.args = (f"{_origins[handle]}: {error}",)
            return


# What the default registry asks for.


def names() -> list[str]:
    """The names that are configured; none if that cannot be read."""
    try:
        return [*_configured()]
    except ConfigError:
        return []


def register_configured(registry: Registry, name: str | None = None) -> list[str]:
    """Register what is configured and enabled; or, enabled or not, what has one name."""
    try:
        patches = _configured()
        if name is None:
            return register([one for one in patches.values() if one.enabled], registry)
        return register([patches[name]] if name in patches else [], registry)
    except ConfigError as error:
        if "*" not in kill_switch.disabled():
            raise
        # Who switches everything off wants a program that starts.
        logging.getLogger("safepatch").warning(
            "what is configured is left out, since SAFEPATCH_DISABLE names everything: %s", error
        )
        return []


def _configured() -> dict[str, Configured]:
    if config_files.find() is None:
        return {}
    from safepatch import config  # late, because most programs have no such file

    return config.load().patches
