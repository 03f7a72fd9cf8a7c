"""The directory with a monitor's state, and what of it is the engine's own: statuses, silences."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from safepatch.monitor.statuses import Status
from safepatch.store import LockedError, Store

_PLAIN = {"state", "since", "checked", "passing"}
_UNSAID = {field.name: field.default for field in msgspec.structs.fields(Status)}


class MonitorError(Exception):
    """A monitor cannot do what it was asked to; `.facts` is a dict of what it is about, such as
    "state" or "listen"."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts


def open_store(directory: str | os.PathLike[str]) -> Store:
    """The store in a state directory, which is made if there is none, for its owner alone.

    Raises MonitorError if it cannot be, or another monitor has it open; CorruptError for damage.
    """
    path = Path(directory)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(f"it may not be written to by user {os.getuid()}")
        _close_to_others(path / "store")
    except OSError as error:
        raise MonitorError(
            f"cannot keep state in {str(path)!r}: {error}; give another directory, or its "
            "permissions to the user that this runs as",
            state=str(path),
        ) from error
    store = Store(path / "store")
    try:
        store.opened()
    except LockedError as error:
        raise MonitorError(
            f"cannot use the state directory {str(path)!r}: another monitor does; stop that, or "
            "give this one a directory of its own",
            state=str(path),
        ) from error
    return store


def not_served(listen: str, error: OSError) -> str:
    """Why the pages cannot be served there, and what to do."""
    port, told = listen.rpartition(":")[2], error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        told = f"port {port} is taken, perhaps by another monitor; `ss -ltnp` tells by whom"
    elif error.errno == errno.EACCES:
        told = f"port {port} is not for this user; those below 1024 are for root"
    elif error.errno == errno.EADDRNOTAVAIL or (error.errno or 0) < 0:  # those of getaddrinfo
        told = "this machine does not have that address"
    return (
        f"cannot serve the pages at {listen!r}: {told}; give another address by --listen or by "
        "`listen` in [monitor], such as '127.0.0.1:8788', or '' for no pages"
    )


def _close_to_others(path: Path) -> None:
    """Have a directory that only its owner can look into: it has keys of ours.

    The one around it may be anybody's, as the one that systemd makes for a service.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)


class Statuses:
    """Statuses as documents of a store: what is not as in a new one, without the last result.

    Of what is up, and nothing else can be said of, as nearly all is, the document is the time since
    when: a dict for each of 50,000 would take 12 MB more.
    """

    def __init__(self, root: Any) -> None:
        self._documents = root["statuses"]
        self.dirty: set[str] = set()  # to be written before long

    def load(self, name: str) -> Status:
        """The status of an endpoint as it was, or a new one."""
        document = self._documents.get(name)
        if isinstance(document, float):
            return Status(state="up", since=document, checked=document, passing=1)
        return msgspec.convert(document, Status) if document else Status()

    def write(self, name: str, status: Status) -> None:
        """Write one, within a transaction."""
        self.dirty.discard(name)
        said = {
            field: list(value) if isinstance(value, tuple) else value
            for field, unsaid in _UNSAID.items()
            if (value := getattr(status, field)) != unsaid and field != "result"
        }
        is_plain = status.state == "up" and not said.keys() - _PLAIN
        self._documents[name] = status.since if is_plain else said

    def forget(self, names: Iterable[str]) -> None:
        """Remove some, within a transaction."""
        for name in names:
            self.dirty.discard(name)
            self._documents.pop(name, None)

    def strangers(self, names: Iterable[str]) -> list[str]:
        """What there are documents of, and is not among the names."""
        return [*{*self._documents}.difference(names)]
