"""Connections to PostgreSQL: they end soon when the other side is gone, and no fork shares one."""

from __future__ import annotations

import contextlib
import os
import select
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from safepatch.decorators.waiting import hub
from safepatch.store.engines.addresses import shown
from safepatch.store.errors import StoreError
from safepatch.store.threads import Worker, native

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
except ModuleNotFoundError as error:
    if error.name != "psycopg":
        raise
    raise ModuleNotFoundError(
        "a store in PostgreSQL needs 'psycopg'; install it with "
        "pip install 'safepatch-py[postgres]'",
        name=error.name,
    ) from error

R = TypeVar("R")
Connection = psycopg.Connection[Any]
Error = psycopg.Error

# A writer whose network is cut must stop before the server gives up on it, and lets another one in:
# so what this side waits for, about six seconds, is half of what the server does.
_CLIENT = {
    "connect_timeout": 10,
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 6000,
    "application_name": "safepatch store",
}
_SERVER = {
    "tcp_keepalives_idle": "6",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "12000",
    # What a server may end by itself is not to be ended for being slow.
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_isolation": "read committed",
    "client_min_messages": "notice",  # for its warnings are taken for failures
}
_open: weakref.WeakSet[Connection] = weakref.WeakSet()
_left: list[Connection] = []  # of the parent; never collected, since that would warn


def parameters(url: str) -> dict[str, Any]:
    """What an address says, with defaults for the rest. Raises ValueError."""
    try:
        return _CLIENT | {"client_encoding": "utf8"} | conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Its own text may have the password in it.
        raise ValueError(
            f"cannot read the address of the store {shown(url)!r}; give it as libpq has it, with "
            "special characters in its parts as %XX"
        ) from None


def connect(url: str, server: str = "read-write") -> Connection:
    """A connection that commits each statement. Raises StoreError where the server will not do.

    `server` is of which kind it must be, if the address does not say; see `target_session_attrs`.
    """
    wanted = {"target_session_attrs": server} | parameters(url)
    while True:
        forks = _forks
        connection = _connect(wanted)
        _open.add(connection)
        if forks == _forks:
            return connection
        # A child has it, too, and does not know; with a goodbye the server ends it for both.
        connection.close()


def _connect(wanted: dict[str, Any]) -> Connection:
    try:
        connection = psycopg.connect(make_conninfo("", **wanted), autocommit=True)
    except psycopg.Error as error:
        raise StoreError(f"cannot connect to PostgreSQL: {error}") from error
    try:
        _settle(connection)
    except psycopg.Error as error:
        connection.close()
        raise StoreError(f"cannot prepare a connection to PostgreSQL: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _settle(connection: Connection) -> None:
    connection.execute("SET statement_timeout = 0")
    # Settings that older servers do not have are left out.
    connection.execute(
        "SELECT set_config(name, wanted, false) FROM pg_settings"
        " JOIN unnest(%s::text[], %s::text[]) AS given(name, wanted) USING (name)",
        [list(_SERVER), list(_SERVER.values())],
    )
    # `remote_apply` promises more, and `on` nothing less than all others.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') <> 'remote_apply'"
    )
    row: Any = connection.execute(
        "SELECT current_setting('fsync'), current_setting('server_encoding')"
    ).fetchone()
    if row[0] != "on":
        raise StoreError(
            "cannot use a PostgreSQL that runs with fsync=off: a power cut takes what was "
            "acknowledged, and more; set fsync=on in postgresql.conf, and restart it"
        )
    if row[1] != "UTF8":
        raise StoreError(
            f"cannot use a database whose encoding is {row[1]}; make one with "
            "createdb --encoding=UTF8 --template=template0"
        )


def ask(
    connection: Connection, statement: str, *values: object, seconds: float
) -> list[list[bytes | None]]:
    """The rows of a statement, as text; blocks its thread.

    Raises an error of psycopg if the connection is lost, and TimeoutError, as plain execution
    would not, if there is no answer in time.
    """
    raw = connection.pgconn
    raw.send_query_params(statement.encode(), [f"{value}".encode() for value in values])
    poll = select.poll()
    poll.register(raw.socket, select.POLLIN)
    while raw.is_busy():
        if not poll.poll(seconds * 1000):
            raise TimeoutError(f"the server has not answered for {seconds:g} seconds")
        raw.consume_input()
    rows: list[list[bytes | None]] = []
    while (result := raw.get_result()) is not None:
        if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
            raise psycopg.OperationalError(result.get_error_message())
        columns = range(result.nfields)
        rows += [[result.get_value(row, column) for column in columns]
                 for row in range(result.ntuples)]  # fmt: skip
    return rows


@contextlib.contextmanager
def no_warnings_from(connection: Connection) -> Iterator[None]:
    """Raise StoreError if the server warns, as it does if it has not waited for a replica."""
    told: list[str] = []

    def note(diagnostic: Any) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            told.append(diagnostic.message_primary)

    connection.add_notice_handler(note)
    try:
        yield
    finally:
        connection.remove_notice_handler(note)
    if told:
        raise StoreError(f"the server warned: {'; '.join(told)}")


def listen(connection: Connection, seconds: float) -> None:
    """Return when the server has told something, or some time has passed; blocks its thread."""
    raw = connection.pgconn
    if raw.notifies() is None:
        poll = select.poll()
        poll.register(raw.socket, select.POLLIN)
        poll.poll(seconds * 1000)
        raw.consume_input()
    while raw.notifies() is not None:
        pass


def blocking(function: Callable[[], R]) -> R:
    """Call what must not let other greenlets run, though gevent has made all waiting do that.

    A second one would open the same store, while the first one does.
    """
    if hub() is None:
        return function()
    done = native("_thread", "allocate_lock")()
    done.acquire()
    results: list[R] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)
        finally:
            done.release()

    worker = Worker()
    worker.do(run)
    worker.end()
    done.acquire()
    for error in errors:
        raise error
    return results[0]


def forget(connection: Connection) -> None:
    """In the child of a fork: close the socket, without a goodbye to the server. Idempotent.

    It would take the child for the parent, and end what is the parent's. And a socket that a child
    has is open as long as the child runs, so that a parent that dies would keep its lock.
    """
    if connection in _open:
        _open.discard(connection)
        _left.append(connection)
        with contextlib.suppress(Exception):
            os.close(connection.pgconn.socket)


def _forget_all() -> None:
    for connection in [*_open]:
        forget(connection)


def _count() -> None:
    global _forks
    _forks += 1


_forks = 0
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_count, after_in_parent=_count, after_in_child=_forget_all)
