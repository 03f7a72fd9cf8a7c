"""Registering what is configured: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from safepatch import config
from safepatch.config import Configured
from safepatch.errors import ConfigError, PatchError
from safepatch.registry import Registry, default

apply_all = default.apply_all
#: Where the patches that were registered here are written.
_origins: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def register(configured: Iterable[Configured], registry: Registry = default) -> list[str]:
    """Register patches that are configured, all or none, and give the names of those.

    Those that were registered by this before are left as they are. Raises ConfigError for what
    cannot be imported or made, and for a name that the program itself has registered.
    """
    missing = [one for one in configured if not _is_registered(one, registry)]
    made = [(one, one.make()) for one in missing]
    done: list[str] = []
    try:
        for one, patches in made:
            if _register(one, patches, registry):
                done.append(one.name)
    except BaseException:
        unregister(done, registry)
        raise
    return done


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
    _origins[handle] = one.origin
    return True


def unregister(names: Iterable[str], registry: Registry = default) -> None:
    """Forget names that `register` gave."""
    for name in names:
        registry.unregister(name)


# What the default registry asks for.


def names() -> list[str]:
    """The names that are configured; none if that cannot be read."""
    try:
        return [*config.load().patches]
    except ConfigError:
        return []


def register_configured(registry: Registry, name: str | None = None) -> list[str]:
    """Register what is configured and enabled, or what is configured under one name."""
    patches = config.load().patches
    if name is None:
        return register([one for one in patches.values() if one.enabled], registry)
    return register([patches[name]] if name in patches else [], registry)
