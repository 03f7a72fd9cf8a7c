"""Reading a shard while another process writes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from safepatch.store.engines import postgres_tables as tables
from safepatch.store.engines.postgres_connections import Connection, ask
from safepatch.store.errors import StoreError

PATIENCE = 5.0  # seconds for an answer that takes no time
_HEAD = "SELECT sequence, writer FROM safepatch_shards WHERE shard = $1"
# One statement sees one moment. What was removed and has come again is among both.
_CHANGES = """
SELECT 0, sequence, writer::text, forgotten::text, NULL FROM safepatch_shards
    WHERE shard = %(shard)s
UNION ALL SELECT 1, batch, collection, key, NULL FROM safepatch_removed
    WHERE shard = %(shard)s AND batch > %(since)s
UNION ALL SELECT 2, number, collection, key, document::text FROM safepatch_documents
    WHERE shard = %(shard)s AND batch > %(since)s
ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Changes:
    """What is to be done to come to a batch."""

    sequence: int
    writer: str
    whole: bool  # all documents are given, and there are no others
    removed: list[tuple[str, str]]
    documents: dict[str, dict[str, Any]]  # by collection and key


def subscribe(connection: Connection, shard: int, shards: int) -> None:
    """Have the server tell of batches. Raises StoreError if there is no such store."""
    need_tables(connection)
    tables.need_shards(connection, shards)
    number = tables.lock_of(connection, shard)
    connection.add_notify_handler(lambda _: None)  # psycopg keeps what nobody takes, for ever
    connection.execute(f'LISTEN "{tables.channel(number)}"')


def need_tables(connection: Connection) -> None:
    """Raise StoreError if there is no store."""
    if not tables.are_there(connection):
        raise StoreError(
            "there is no store yet in the first schema of the search path; open it with "
            "Store(...) first"
        )


def head(connection: Connection, shard: int) -> tuple[int, str]:
    """The sequence of the last batch, and who writes; raises TimeoutError without an answer."""
    rows = ask(connection, _HEAD, shard, seconds=PATIENCE)
    if not rows:
        return 0, ""
    sequence, writer = (value.decode() for value in rows[0] if value is not None)
    return int(sequence), writer


def changes(connection: Connection, shard: int, since: int, writer: str) -> Changes:
    """What a shard has, or what has changed since a batch, if that can be told."""
    if writer:
        # The first row is that of the shard.
        rows: list[Any] = connection.execute(_CHANGES, {"shard": shard, "since": since}).fetchall()
        if not rows:
            raise StoreError(f"shard {shard} is not there any more")
        (_, sequence, now, forgotten, _), *rest = rows
        # Another writer may have begun from an older state: that of a replica which took over.
        if now == writer and int(forgotten) <= since <= sequence:
            names = tables.unescaped
            removed = [(names(row[2]), names(row[3])) for row in rest if row[0] == 1]
            documents = _documents(
                (names(row[2]), names(row[3]), row[4]) for row in rest if row[0] == 2
            )
            return Changes(sequence, now, False, removed, documents)
    return _whole(connection, shard)


def _whole(connection: Connection, shard: int) -> Changes:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        sequence, writer = head(connection, shard)
        documents = _documents(tables.read(connection, shard))
    return Changes(sequence, writer, True, [], documents)


def _documents(rows: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, key, document, _ in tables.decoded(rows):
        found.setdefault(name, {})[key] = document
    return found
