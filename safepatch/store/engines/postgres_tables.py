"""The tables that documents are kept in, and what is said to them.

Documents are `json`, which keeps the text as it came, so that what comes back is what was stored,
and SQL can look into it. `jsonb` would change the order of keys and the form of numbers, and has
no NUL characters. In collections and keys, which are `text`, a backslash is written twice and a NUL
as backslash and 0. An index takes no long keys, so a hash stands for both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from safepatch.store.documents import Root
from safepatch.store.engines.postgres_connections import Connection
from safepatch.store.errors import CorruptError, StoreError
from safepatch.store.values import Op, checksum, decode, encode

to_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode
from_json: Callable[[str], Any] = msgspec.json.Decoder().decode

_CREATE = """
CREATE TABLE safepatch_shards (
    shard integer PRIMARY KEY,
    shards integer NOT NULL,     -- how many there are
    writer uuid NOT NULL,        -- who may write: of each time that a store is opened another one
    backend integer NOT NULL,    -- the process of the server that holds the writer's lock
    sequence bigint NOT NULL,    -- of the last batch
    forgotten bigint NOT NULL    -- the last batch whose removals may be missing below
);
CREATE TABLE safepatch_documents (
    shard integer NOT NULL,
    id bytea NOT NULL,           -- a hash of collection and key
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    document json NOT NULL,
    batch bigint NOT NULL,       -- that wrote it last
    number bigint GENERATED ALWAYS AS IDENTITY,  -- the order in which documents came
    PRIMARY KEY (shard, id)
);
CREATE INDEX ON safepatch_documents (shard, batch);
CREATE TABLE safepatch_removed (
    shard integer NOT NULL,
    batch bigint NOT NULL,
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL
);
CREATE INDEX ON safepatch_removed (shard, batch);
"""
_MAKING = 0x5AFE9A7C << 16  # the number of a lock, any, the same for all

# A statement is a transaction of its own, and does nothing of this if another writer has come.
# Arrays go as binary, for as text psycopg escapes each quote and backslash in Python.
_WRITE = """
WITH fence AS (
    UPDATE safepatch_shards SET sequence = %(sequence)s
    WHERE shard = %(shard)s AND writer = %(writer)s AND backend = pg_backend_pid()
    RETURNING shard, sequence
), gone AS (
    DELETE FROM safepatch_documents USING fence
    WHERE safepatch_documents.shard = fence.shard AND id = ANY(%(gone)b::bytea[])
    RETURNING fence.shard, sequence, collection, key
), noted AS (
    INSERT INTO safepatch_removed (shard, batch, collection, key) SELECT * FROM gone
), put AS (
    INSERT INTO safepatch_documents (shard, id, collection, key, document, batch)
    SELECT shard, id, collection, key, document, sequence
    FROM fence, unnest(%(ids)b::bytea[], %(collections)b::text[], %(keys)b::text[],
        %(documents)b::text[]::json[]) WITH ORDINALITY AS new(id, collection, key, document, place)
    ORDER BY place
    ON CONFLICT (shard, id) DO UPDATE SET document = excluded.document, batch = excluded.batch
)
SELECT pg_notify(%(channel)s, sequence::text) FROM fence
"""
_SLICE = 32 << 20  # bytes of documents in a statement, about

Slice = dict[str, list[Any]]


def create(connection: Connection) -> None:
    """Make the tables, if they are not there."""
    if not are_there(connection):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MAKING])
            if not are_there(connection):
                connection.execute(_CREATE)


def are_there(connection: Connection) -> bool:
    """Whether there are tables in the first schema of the search path; others have other stores."""
    # Not to_regclass(), which, within a transaction, does not see what others make meanwhile.
    found = _one(
        connection,
        "SELECT count(*) FROM pg_tables"
        " WHERE schemaname = current_schema() AND tablename = 'safepatch_removed'",
    )
    return bool(found)


def lock_of(connection: Connection, shard: int) -> int:
    """The number of the lock of a shard, of these tables and no others."""
    number = "SELECT ('safepatch_documents'::regclass::oid::bigint << 32) + %s"
    lock: int = _one(connection, number, shard)
    return lock


def channel(lock: int) -> str:
    """Where the sequences of batches are told."""
    return f"safepatch_{lock}"


def _one(connection: Connection, statement: str, *values: object) -> Any:
    row: Any = connection.execute(statement, values).fetchone()
    return row[0]


def need_shards(connection: Connection, shards: int) -> None:
    """Raise StoreError if the store is one of more shards, or of fewer."""
    other: Any = connection.execute(
        "SELECT shards FROM safepatch_shards WHERE shards <> %s LIMIT 1", [shards]
    ).fetchone()
    if other is not None:
        raise StoreError(f"it is of {other[0]} shards, but {shards} are asked for")


def take_over(connection: Connection, shard: int, shards: int, writer: str) -> int:
    """Become the writer, who must hold the lock; the sequence of the last batch.

    Raises StoreError. Waits for what the writer before has under way.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MAKING])
        need_shards(connection, shards)
        row: Any = connection.execute(
            "INSERT INTO safepatch_shards VALUES (%s, %s, %s, pg_backend_pid(), 0, 0)"
            " ON CONFLICT (shard) DO UPDATE SET writer = excluded.writer,"
            " backend = excluded.backend, forgotten = safepatch_shards.sequence RETURNING sequence",
            [shard, shards, writer],
        ).fetchone()
        # Who follows reads all again when there is another writer.
        connection.execute("DELETE FROM safepatch_removed WHERE shard = %s", [shard])
    sequence: int = row[0]
    return sequence


def write(connection: Connection, part: Slice, about: dict[str, Any]) -> bool:
    """Write a slice; whether it was written, which it is not if another writer has come."""
    return connection.execute(_WRITE, {**part, **about}).fetchone() is not None


def slices(batch: Sequence[Sequence[Op]]) -> Iterator[Slice]:
    """What there is to write in the end, for one statement or several."""
    last = {(name, key): document for ops in batch for name, key, document in ops}
    size, part = 0, _slice()
    for (name, key), document in last.items():
        if document is None:
            part["gone"].append(identity(name, key))
            continue
        text = to_json(decode(document)).decode()
        if size and size + len(text) > _SLICE:
            yield part
            size, part = 0, _slice()
        size += len(text)
        part["ids"].append(identity(name, key))
        part["collections"].append(escaped(name))
        part["keys"].append(escaped(key))
        part["documents"].append(text)
    yield part


def _slice() -> Slice:
    return {"ids": [], "collections": [], "keys": [], "documents": [], "gone": []}


def read(connection: Connection, shard: int) -> Iterator[tuple[str, str, str]]:
    """All documents of a shard, as JSON, in the order in which they came."""
    statement = (
        "COPY (SELECT collection, key, document FROM safepatch_documents"
        " WHERE shard = %s ORDER BY number) TO STDOUT"
    )
    with connection.cursor() as cursor, cursor.copy(statement, [shard]) as copy:
        for collection, key, document in copy.rows():
            yield unescaped(collection), unescaped(key), document


def decoded(rows: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, Any, bytes]]:
    """Documents, and them as bytes. Raises CorruptError for what a store would not have written."""
    for collection, key, text in rows:
        try:
            document = from_json(text)
            yield collection, key, document, encode(document)
        except (msgspec.DecodeError, OverflowError) as error:
            where = f"safepatch_documents: {collection!r}, {key!r}"
            raise CorruptError(where, 0, str(error), "SQL shows of it") from error


def fill(root: Root, rows: Iterable[tuple[str, str, str]]) -> None:
    """Put documents into a root, as they were written."""
    for collection, key, document, data in decoded(rows):
        documents = root[collection]
        dict.__setitem__(documents, key, document)
        documents.sums[key] = checksum(data)


def forget(connection: Connection, shard: int, writer: str, until: int) -> None:
    """Forget removals up to a batch."""
    connection.execute(
        "WITH fence AS (UPDATE safepatch_shards SET forgotten = %s"
        " WHERE shard = %s AND writer = %s RETURNING shard, forgotten)"
        " DELETE FROM safepatch_removed USING fence"
        " WHERE safepatch_removed.shard = fence.shard AND batch <= forgotten",
        [until, shard, writer],
    )


def identity(collection: str, key: str) -> bytes:
    """What stands for a document in the index."""
    return blake2b(f"{len(collection)} {collection}{key}".encode(), digest_size=16).digest()


def escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\0", "\\0")


def unescaped(name: str) -> str:
    if "\\" not in name:
        return name
    return re.sub(r"\\(.)", lambda found: "\0" if found[1] == "0" else found[1], name)
