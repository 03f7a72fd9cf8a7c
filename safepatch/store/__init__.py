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
    _missing = error.name

    # Only when it is asked for, for `safepatch.store.testing` is of use without.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        raise ModuleNotFoundError(
            f"safepatch.store needs {_missing!r}; install it with "
            "pip install 'safepatch-py[store]'",
            name=_missing,
        )


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
