"""The uptime monitor: many sites watched from one core, from nothing but a list of addresses."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safepatch.monitor.checks import check
    from safepatch.monitor.engine.keeping import MonitorError
    from safepatch.monitor.monitor import Monitor
    from safepatch.monitor.results import Result
    from safepatch.monitor.sources import PlanError

__all__ = ["Monitor", "MonitorError", "PlanError", "Result", "check"]

_HOMES = {
    "Monitor": "safepatch.monitor.monitor",
    "MonitorError": "safepatch.monitor.engine.keeping",
    "PlanError": "safepatch.monitor.sources",
    "Result": "safepatch.monitor.results",
    "check": "safepatch.monitor.checks",
}
_NEEDED = (
    "apprise",
    "cryptography",
    "dns",
    "flask",
    "gevent",
    "httptools",
    "idna",
    "msgspec",
    "regex",
)


# Only when it is asked for, because parts of it are of use without the extra, and cheap to import.
def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    try:
        # What needs most, so that it is missed now, and not by a check.
        importlib.import_module("safepatch.monitor.checks.http")
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        raise ModuleNotFoundError(
            f"safepatch.monitor needs {error.name!r}; install it with "
            "pip install 'safepatch-py[monitor]'",
            name=error.name,
        ) from error
