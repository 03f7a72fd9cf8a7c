"""Documents out of a store and into another one, of whatever engine; also as lines of JSON."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import msgspec

from safepatch.store import snapshots
from safepatch.store.engines.addresses import is_directory, is_postgres, shown, sqlite_file
from safepatch.store.engines.journal.files import Told
from safepatch.store.engines.journal.images import grouped
from safepatch.store.errors import StoreError
from safepatch.store.handover import GONE, need_whole
from safepatch.store.keeping import MIGRATIONS
from safepatch.store.store import Store
from safepatch.store.tools.reading import (
    has_snapshots,
    held,
    is_store,
    need_elsewhere,
    need_journal,
    need_store,
    read,
)
from safepatch.store.values import Op, decode, encoded, need_storable

_BATCH = 4 << 20  # bytes of documents that are written at once, about
_ONE_FILE = 1 << 60  # bytes; nothing is merged while documents come in

# Collections by their names; "" is what the store notes for itself, such as its migrations.
Contents = Mapping[str, Mapping[str, Any]]


class Line(msgspec.Struct):
    """A document as a line of JSON. More is allowed in it."""

    collection: str
    key: str
    document: Any


class _Decoded(Mapping[str, Any]):
    """Documents that are decoded when somebody looks at them, so that they take little room."""

    def __init__(self, documents: dict[str, bytes]) -> None:
        self._documents = documents

    def __getitem__(self, key: str) -> Any:
        return decode(self._documents[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._documents)

    def __len__(self) -> int:
        return len(self._documents)


@contextlib.contextmanager
def opened(path: str, **options: Any) -> Iterator[Any]:
    """What does the work of an open store, whatever migrations it went through."""
    kept = Store(path, every=0, **options)._make()
    try:
        yield kept
    finally:
        kept.close()


@contextlib.contextmanager
def contents(path: str, told: Told | None = None) -> Iterator[Contents]:
    """All documents of a store, by collection and key, in a `with` block that keeps others from
    opening it. Of a directory no file is changed, and nothing is made anywhere.

    The collection "" is what the store notes for itself, but not that a directory was handed over:
    its documents are wanted all the same. `told(done, bytes)` is called now and then, while a
    directory is read. Raises LockedError if it is open, StoreError where none is, or only a part of
    one that was to be handed over, and CorruptError.
    """
    need_there(path)
    if not is_directory(path):
        with opened(path) as kept:
            yield {"": kept.root[""], **kept.root}
    elif has_snapshots(path):
        yield _snapshot(path)
    else:
        state = read(path, told)
        state.get("", {}).pop(GONE, None)
        need_whole(_Decoded(state.get("", {})), path)
        yield {name: _Decoded(documents) for name, documents in state.items()}


def need_there(path: str) -> None:
    """Raise StoreError where no store is."""
    if is_directory(path):
        need_store(path)
    elif file := sqlite_file(path):
        if not os.path.isfile(file):
            raise StoreError(f"there is no store at {path!r}: there is no file {file!r}")
        if not os.path.getsize(file):
            raise StoreError(f"there is no store at {path!r}: the file {file!r} is empty")
    elif is_postgres(path):
        from safepatch.store.engines import postgres_connections, postgres_reading

        with contextlib.closing(postgres_connections.connect(path, "any")) as connection:
            postgres_reading.need_tables(connection)


def _snapshot(path: str) -> Contents:
    with held(path):
        root = snapshots.read(path)
    for name, documents in root.items():
        if not isinstance(documents, dict):
            raise StoreError(
                f"cannot take the root of {path!r} for collections of documents: root[{name!r}] is "
                f"of type {type(documents).__name__}; its snapshot.json can be read as it is"
            )
    return root


def lines(stored: Contents) -> Iterator[bytes]:
    """A line of JSON for each document."""
    encode = msgspec.json.Encoder().encode
    for name, documents in stored.items():
        for key, document in documents.items():
            yield encode(Line(name, key, document)) + b"\n"


def need_lines(file: BinaryIO, told: Told | None = None) -> None:
    """Raise StoreError for the first line that is no document; read from the beginning then."""
    for _ in ops(file, told):
        pass
    file.seek(0)


def ops(file: BinaryIO, told: Told | None = None) -> Iterator[Op]:
    """The documents of a file of lines, open as bytes, for `fill`. Of a collection and key the last
    line counts. Raises StoreError, with the number of the line. `told(done, bytes)` is called after
    each."""
    decoder = msgspec.json.Decoder(Line)
    total, done = os.fstat(file.fileno()).st_size, 0
    for number, text in enumerate(file, 1):
        done += len(text)
        if not text.strip():
            continue
        try:
            line = decoder.decode(text)
            yield op(line.collection, line.key, line.document)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, StoreError) as error:
            raise StoreError(f"cannot load line {number}: {error}") from error
        if told is not None:
            told(done, total)


def op(collection: str, key: str, document: Any) -> Op:
    """What is written to have a document. Raises NotStorableError, and StoreError for what is to be
    among what the store notes for itself, and is none of that."""
    is_note = key == MIGRATIONS and type(document) is int and document >= 0
    if not collection and not is_note:
        raise StoreError(
            f"the document {key!r} is in a collection whose name is empty, which the store keeps "
            "for itself; name it"
        )
    data = encoded(collection, key, document)
    need_storable(collection, key, document)
    return collection, key, data


def fill(path: str, documents: Iterable[Op], *, overwrite: bool = False) -> int:
    """Write documents into a store; how many. A batch at a time is in memory, and on disk.

    If it fails midway, what was written so far stays there, and a note of the error says so.
    Raises LockedError if it is open, and StoreError if it has documents already, unless they may be
    overwritten: those of other keys stay then.
    """
    if is_directory(path) and os.path.isdir(path) and (names := os.listdir(path)):
        if not is_store(path):
            raise StoreError(
                f"cannot write into {path!r}: there are files of something else, such as "
                f"{names[0]!r}; name a new or an empty directory"
            )
        need_journal(path)
    count = 0
    with opened(path, segment=_ONE_FILE) as kept:
        root = kept.root
        if not overwrite and (len(root) or root[""]):
            raise StoreError(
                f"cannot write into {shown(path)!r}: it has documents already "
                f"({', '.join(root)}); name a new store, or allow it with --overwrite"
            )
        try:
            for batch in filter(None, grouped(documents, _BATCH)):
                kept.engine.write([batch])
                count += len(batch)
        except BaseException as error:  # Ctrl-C, too
            if count:
                error.add_note(f"{shown(path)!r} has a part only, {count} documents; remove it")
            raise
    return count


def copy(source: str, target: str, *, told: Told | None = None, overwrite: bool = False) -> int:
    """Write all documents of a store into another one, of whatever engine; how many.

    `told(done, documents)` is called after each. Raises what `contents` and `fill` raise, and
    StoreError for a place within the source.
    """
    if place := target if is_directory(target) else sqlite_file(target):
        need_elsewhere(source, place)
    with contents(source) as stored:
        total = sum(map(len, stored.values()))

        def documents() -> Iterator[Op]:
            done = 0
            for name in stored:
                for key, document in stored[name].items():
                    yield op(name, key, document)
                    done += 1
                    if told is not None:
                        told(done, total)

        return fill(target, documents(), overwrite=overwrite)
