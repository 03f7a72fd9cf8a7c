"""What the shell can complete: names and targets. What goes wrong there completes nothing."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import click

from safepatch import config

OFFERED = "safepatch.patches"


def offered() -> dict[str, str]:
    """The patches that installed packages offer by name, each with its distribution."""
    return {
        entry.name: entry.dist.name if entry.dist else "?" for entry in entry_points(group=OFFERED)
    }


def names(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Patches, configured or offered."""
    return _beginning(typed, [*_configured(context), *offered()])


def names_and_targets(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    configured = _configured(context)
    targets = [target for patch in configured.values() for target in patch.targets]
    return _beginning(typed, [*configured, *targets])


def _configured(context: click.Context) -> dict[str, config.Configured]:
    try:
        return config.load(context.params.get("config")).patches
    except Exception:
        return {}


def _beginning(typed: str, words: Any) -> list[str]:
    return sorted({word for word in words if word.startswith(typed)})
