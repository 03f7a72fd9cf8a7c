"""Monkey patching made harmless: ordinary decorators put on other people's functions, at places
that are named, guarded and undoable in any order.

PYTEST_DONT_REWRITE: whoever imports this before pytest is not warned that its asserts stay plain.
"""

from typing import Any

from safepatch import started_in  # noqa: F401 - notes where that is
from safepatch.errors import (
    AliasWarning,
    ConfigError,
    GuardError,
    GuardWarning,
    PatchError,
    TargetError,
    UnsupportedTargetError,
)
from safepatch.patches import Patch
from safepatch.registry import Registry, default

__version__ = "0.1.0"


def _configuration() -> Any:
    from safepatch import startup  # late, because it takes tomllib, and most programs never ask

    return startup


default.reads(_configuration)

apply = default.apply
patch = default.patch
register = default.register
apply_all = default.apply_all
undo = default.undo
undo_all = default.undo_all
live = default.live
explain = default.explain
fingerprint = default.fingerprint

__all__ = [
    "AliasWarning",
    "ConfigError",
    "GuardError",
    "GuardWarning",
    "Patch",
    "PatchError",
    "Registry",
    "TargetError",
    "UnsupportedTargetError",
    "apply",
    "apply_all",
    "explain",
    "fingerprint",
    "live",
    "patch",
    "register",
    "undo",
    "undo_all",
]
