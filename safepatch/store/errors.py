"""What goes wrong with a store."""

from __future__ import annotations


class StoreError(Exception):
    """Something about a store; the others are children of this one."""


class ConflictError(StoreError):
    """A transaction touched a document that another one, which waits for something, holds.

    `.collection` and `.key` name it. The transaction was rolled back, and may be tried again.
    """

    def __init__(self, collection: str, key: str) -> None:
        self.collection, self.key = collection, key
        super().__init__(
            f"document {key!r} of {collection!r} is held by a transaction that has yielded and is "
            "not over; do no I/O between touching a document and the end of its transaction, or "
            "try again later, as with @retry(on=ConflictError)"
        )


class CorruptError(StoreError):
    """Files are damaged in a way that a crash does not explain; nothing was changed.

    `.file`, and `.offset` in bytes, tell where, `.found` what. Of a database there is no offset but
    0. `tool` says what can be asked where ours does not help.
    """

    def __init__(self, file: object, offset: int, found: str, tool: str = "") -> None:
        self.file, self.offset, self.found = str(file), offset, found
        place = f" at byte {offset}" if offset or not tool else ""
        ours = "`safepatch store repair` can keep, which keeps also what it takes out"
        super().__init__(
            f"cannot read {self.file!r}{place}: {found}; go back to a backup, or see what "
            f"{tool or ours}"
        )


class LockedError(StoreError, BlockingIOError):
    """The store is open already, in another process or in this one."""


class FailedError(StoreError):
    """A write failed, so that memory and disk may differ; nothing more is accepted.

    The cause says why. What was acknowledged before is on disk. Open the store again to go on from
    there: whether the last changes are among it, only that will show.
    """


class ClosedError(StoreError, ValueError):
    """The store was closed, or belongs to the process that this one was forked from."""


class NotStorableError(StoreError, TypeError):
    """A value in a document cannot be stored as it is; the transaction was rolled back.

    `.collection`, `.key` and `.path`, a list of keys and positions, tell where it is.
    """

    def __init__(self, collection: str, key: str, path: list[str | int], found: str) -> None:
        self.collection, self.key, self.path = collection, key, path
        steps = "".join(f"[{step!r}]" for step in [collection, key, *path])
        super().__init__(
            f"cannot store root{steps}: {found}; documents are dicts with keys of type str, lists, "
            "str, int of 64 bits, finite float, bool and None"
        )


class ReadOnlyError(StoreError, TypeError):
    """A transaction that only reads was about to write."""


class SwitchError(StoreError, RuntimeError):
    """Code under @no_switch let another greenlet run; what it had read may be out of date."""
