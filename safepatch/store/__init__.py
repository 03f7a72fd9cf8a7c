"""State as plain dicts and lists in one process, with the durability of a database."""

try:
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
except ModuleNotFoundError as error:
    if error.name not in ("crc32c", "msgspec", "orjson"):
        raise
    raise ModuleNotFoundError(
        f"safepatch.store needs {error.name!r}; install it with pip install 'safepatch-py[store]'",
        name=error.name,
    ) from error

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
