"""State as plain dicts and lists in one process, with the durability of a database."""

from importlib import import_module as _import

for _name in ("crc32c", "msgspec", "orjson"):
    try:
        _import(_name)
    except ImportError as _error:
        raise ImportError(
            f"safepatch.store needs {_name!r}; install it with pip install 'safepatch-py[store]'",
            name=_name,
        ) from _error

from safepatch.store.decorating import durable
from safepatch.store.errors import (
    ClosedError,
    ConflictError,
    CorruptError,
    FailedError,
    LockedError,
    NotStorableError,
    ReadOnlyError,
    StoreError,
    SwitchError,
)
from safepatch.store.store import Store
from safepatch.store.switches import no_switch

__all__ = [
    "ClosedError",
    "ConflictError",
    "CorruptError",
    "FailedError",
    "LockedError",
    "NotStorableError",
    "ReadOnlyError",
    "Store",
    "StoreError",
    "SwitchError",
    "durable",
    "no_switch",
]
