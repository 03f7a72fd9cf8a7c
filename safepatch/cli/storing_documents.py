"""`safepatch store`: the documents of a store, out of it and into another one."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, BinaryIO

import click

from safepatch.cli import options, printing, querying
from safepatch.cli.storing import errors, path
from safepatch.cli.storing_files import store
from safepatch.cli.telling import counted

__all__ = ["store"]  # with these commands, too

_FEW = 10_000  # names

overwrite = click.option(
    "--overwrite", is_flag=True, help="Write over documents of the same keys; keep the others."
)


@store.command(epilog=options.exits())
@path
@click.argument("collection")
@click.argument("key", required=False)
def get(path: str, collection: str, key: str | None) -> None:
    """Print a document as JSON, or all of a collection by their keys."""
    with errors(), _documents(path, collection) as documents:
        if key is None:
            _print_object(documents)
        else:
            printing.as_json(documents[_known(key, documents, f"document in {collection!r}")])


@contextlib.contextmanager
def _documents(path: str, collection: str) -> Any:
    from safepatch.store.tools.transferring import contents

    with contextlib.ExitStack() as stack:
        with printing.progress("reading") as told:
            found = stack.enter_context(contents(path, told))
        yield found[_known(collection, {name: found[name] for name in found if name}, "collection")]


def _known(name: str, names: Mapping[str, Any], what: str) -> str:
    """Raises StoreError for a name that is not there."""
    from safepatch.errors import nearest
    from safepatch.store import StoreError

    if name not in names:
        near = names if len(names) <= _FEW else ()  # for looking at more takes seconds
        hint, _ = nearest(name, name, near, f"there are {len(names)}")
        raise StoreError(f"there is no {what} named {name!r}; {hint}")
    return name


def _print_object(documents: Mapping[str, Any]) -> None:
    """Piece by piece, for it may be large."""
    between = "{\n"
    for key, document in documents.items():
        print(f"{between}  {json.dumps(key)}: {json.dumps(document)}", end="")
        between = ",\n"
    print("\n}" if documents else "{}")


@store.command(epilog=options.exits())
@path
@click.argument("collection")
@click.option(
    "--where", "where", multiple=True, metavar="CONDITION",
    help="Only documents for which this holds: 'age>=18', 'options.newsletter=true', 'tags.0'.",
)  # fmt: skip
@click.option(
    "--select", metavar="PATHS", help="A table of these instead: '@key,name,address.city'."
)
@click.option("--sort", metavar="PATH", help="In the order of what is there.")
@click.option("--reverse", is_flag=True, help="The last first, with --sort.")
@click.option("--limit", type=click.IntRange(min=0), metavar="NUMBER", help="Not more than these.")
@click.option("--count", is_flag=True, help="Print only how many there are.")
@options.as_json
def query(
    path: str,
    collection: str,
    where: tuple[str, ...],
    select: str | None,
    sort: str | None,
    reverse: bool,
    limit: int | None,
    count: bool,
    as_json: bool,
) -> None:
    """Print the documents of a collection for which conditions hold, a line of JSON each.

    A condition is PATH, for what has something there, or PATH, one of = != < <= > >=, and a value,
    as JSON or as a text. A path leads by keys and positions, with dots between; @key is the key.
    """
    with errors(), _documents(path, collection) as documents:
        if reverse and sort is None:
            raise ValueError("got --reverse without --sort, which says of what order")
        found: Iterable[tuple[str, Any]] = querying.chosen(
            documents, map(querying.condition, where)
        )
        if sort is not None:
            found = querying.in_order(found, sort)
            found = reversed(found) if reverse else found
        found = itertools.islice(found, limit)
        if count:
            print(sum(1 for _ in found))
        elif select is not None:
            _print_selected(found, select.split(","), as_json)
        elif as_json:
            printing.as_json([{"key": key, "document": document} for key, document in found])
        else:
            for key, document in found:
                print(json.dumps({"key": key, "document": document}))


def _print_selected(found: Iterable[tuple[str, Any]], paths: list[str], as_json: bool) -> None:
    rows = [[querying.at(path, key, document) for path in paths] for key, document in found]
    if as_json:
        given = [zip(paths, row, strict=True) for row in rows]
        printing.as_json(
            [{path: value for path, value in row if value is not querying.MISSING} for row in given]
        )
    elif rows:
        printing.table(paths, [[querying.shown(value) for value in row] for row in rows])


@store.command(epilog=options.exits())
@path
@click.argument("file", default="-")
def dump(path: str, file: str) -> None:
    """Write all documents as lines of JSON, to FILE or the standard output.

    Each has "collection", "key" and "document". The collection "" is what the store notes for
    itself. A file that is there already is replaced when all is written.
    """
    with errors(), printing.progress("reading") as told:
        from safepatch.store.tools import transferring

        with transferring.contents(path, told) as stored, _output(path, file) as output:
            total = sum(map(len, stored.values()))
            for done, line in enumerate(transferring.lines(stored), 1):
                output.write(line)
                if told is not None:
                    told(done, total)
    if file != "-":
        printing.line(f"dumped {counted(total, 'document')}")


@contextlib.contextmanager
def _output(path: str, file: str) -> Iterator[IO[bytes]]:
    """Where to write what is in a store; a file is as it was until all is written."""
    from safepatch.store.tools import reading

    if file == "-":
        with click.open_file(file, "wb") as output:
            yield output
        return
    reading.need_elsewhere(path, file)
    if os.path.exists(file) and not os.path.isfile(file):  # such as a pipe
        with open(file, "wb") as opened:
            yield opened
        return
    new = f"{os.path.realpath(file)}.{os.getpid()}.tmp"
    try:
        with open(new, "xb") as opened:
            yield opened
        os.replace(new, os.path.realpath(file))
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        raise


@store.command(epilog=options.exits())
@path
@click.argument("file", type=click.File("rb"), default="-")
@overwrite
def load(path: str, file: BinaryIO, overwrite: bool) -> None:
    """Read lines of JSON, as `dump` writes them, into a new or an empty store.

    All lines are read before the first one is written. Of several lines of a document the last one
    counts.
    """
    with errors(), contextlib.ExitStack() as stack:
        from safepatch.store.engines import addresses
        from safepatch.store.tools import transferring

        if not file.seekable():
            spooled: BinaryIO = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(file, spooled)
            spooled.seek(0)
            file = spooled
        with printing.progress("checking") as told:
            transferring.need_lines(file, told)
        with printing.progress("loading") as told:
            many = transferring.fill(path, transferring.ops(file, told), overwrite=overwrite)
    printing.line(f"loaded {counted(many, 'document')} into {addresses.shown(path)}")


@store.command(epilog=options.exits())
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@overwrite
def copy(source: str, target: str, overwrite: bool) -> None:
    """Copy all documents into a new or an empty store, which may be of another engine."""
    with errors(), printing.progress("copying") as told:
        from safepatch.store.engines import addresses
        from safepatch.store.tools import transferring

        many = transferring.copy(source, target, told=told, overwrite=overwrite)
    names = f"from {addresses.shown(source)} to {addresses.shown(target)}"
    printing.line(f"copied {counted(many, 'document')} {names}")
