"""`safepatch store`: looking after the files of a store.

What needs an extra is imported when a command runs, so that the others do without it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from safepatch.cli import options, printing, querying
from safepatch.cli.telling import counted

if TYPE_CHECKING:
    from safepatch.store.tools.surveying import File, Survey

path = click.argument("path", metavar="STORE")


@click.group(epilog=options.exits("something is damaged, of `inspect` and `verify`"))
def store() -> None:
    """Look into the files of a store, and after them.

    STORE is what was given to Store(): a directory, sqlite:///FILE or postgresql://HOST/DATABASE.
    A store that is open is left alone; only `inspect` looks at it, if it is a directory.
    """


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """Where the store is at work: what it complains of is told in one line, with exit code 2."""
    complaints: tuple[type[Exception], ...] = (ModuleNotFoundError, FileExistsError, ValueError)
    try:
        from safepatch.store import StoreError

        complaints += (StoreError,)
        yield
    except complaints as error:
        printing.complain("\n".join([str(error), *_notes(error)]))
        sys.exit(2)
    except KeyboardInterrupt as error:
        printing.complain("\n".join(["interrupted", *_notes(error)]))
        sys.exit(130)  # as shells have it; 1 says what was found


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def need_directory(path: str, command: str) -> None:
    """Raises StoreError for an address of an engine."""
    from safepatch.store import StoreError
    from safepatch.store.engines.addresses import is_directory, shown

    if not is_directory(path):
        raise StoreError(
            f"`{command}` is for stores in directories, and {shown(path)!r} is none; an engine has "
            "tools of its own for that"
        )


@store.command(epilog=options.exits("something is damaged"))
@path
@options.as_json
@click.pass_context
def inspect(context: click.Context, path: str, as_json: bool) -> None:
    """Tell what is in a store.

    That is its files, batches, times, sizes, collections, and what is damaged. Nothing is changed,
    and a directory may be open.
    """
    with errors(), printing.progress("reading") as told:
        from safepatch.store.engines import addresses
        from safepatch.store.tools import reading, surveying, transferring

        transferring.need_there(path)
        if not addresses.is_directory(path):
            with transferring.opened(path) as kept:
                numbers = kept.stats()
            found = None
        elif reading.has_snapshots(path):
            numbers, found = surveying.snapshot(path), None
        else:
            found = surveying.survey(path, told)
            numbers = _numbers(found)
    if as_json:
        printing.as_json({"store": addresses.shown(path), **numbers})
    elif found is None:
        if "written" in numbers:
            numbers["written"] = _time(numbers["written"])
        printing.table(("what", "is"), [(name, str(value)) for name, value in numbers.items()])
    else:
        _print_survey(found)
    context.exit(int(bool(found and found.damaged)))


def _numbers(found: Survey) -> dict[str, Any]:
    return {
        "open": found.is_open,
        "sequence": found.sequence,
        "documents": found.documents,
        "torn": found.torn,
        "files": [file._asdict() for file in found.files],
    }


def _print_survey(found: Survey) -> None:
    rows = [
        (
            os.path.basename(file.path), _batches(file), _time(file.begun), _time(file.ended),
            counted(file.size, "byte"), "" if file.needed else "kept for restore",
        )
        for file in found.files
    ]  # fmt: skip
    if rows:
        printing.table(("file", "batches", "first of", "last of", "size", ""), rows)
    if found.documents:
        many = [
            (querying.shown(name), counted(each, "document"))
            for name, each in found.documents.items()
        ]
        printing.table(("collection", "documents"), many)
    state = "open" if found.is_open else "not open"
    printing.line(f"{batches(found.sequence)}, {state}")
    print_damage(found)


def print_damage(found: Survey) -> None:
    """What is wrong, a line each."""
    if found.torn:
        what = "are being written" if found.is_open else "a crash left; opening takes them away"
        printing.line(f"{counted(found.torn, 'byte')} at the end {what}")
    for file in found.damaged:
        printing.line(
            (os.path.basename(file.path), "bold"), f" at byte {file.intact}: ",
            ("damaged", "red"), f": {file.damage}",
            "" if file.needed else " (not needed to open the store)",
        )  # fmt: skip


def _batches(file: File) -> str:
    if file.kind == "image":
        return f"all before {file.first}"
    return f"{file.first} to {file.next - 1}" if file.next > file.first else "none"


def _time(seconds: float | None) -> str:
    return "" if not seconds else datetime.fromtimestamp(seconds).isoformat(" ", "milliseconds")


@store.command(epilog=options.exits("something is damaged"))
@path
@options.as_json
@click.pass_context
def verify(context: click.Context, path: str, as_json: bool) -> None:
    """Read all of a store, and tell what is damaged."""
    with errors(), printing.progress("reading") as told:
        from safepatch.store import CorruptError, snapshots
        from safepatch.store.engines import addresses
        from safepatch.store.tools import reading, surveying, transferring

        transferring.need_there(path)
        wrong, found = [], None
        if addresses.is_directory(path) and not reading.has_snapshots(path):
            with reading.held(path):
                found = surveying.survey(path, told, held=True)
            wrong = [f"{file.path} at byte {file.intact}: {file.damage}" for file in found.damaged]
        else:
            try:
                if addresses.is_directory(path):
                    with reading.held(path):
                        snapshots.read(path)
                else:
                    with transferring.opened(path) as kept:
                        kept.verify()
            except CorruptError as error:
                wrong = [str(error)]
    if as_json:
        printing.as_json(wrong)
    elif found is not None:
        print_damage(found)
        many = counted(len(found.files), "file")
        rest = f"{len(wrong)} damaged" if wrong else "all intact"
        if not found.files:  # as in a copy that came to nothing
            rest = "for there are none: nothing was ever written, or all of it is gone"
        printing.line(f"{many} read, {rest}")
    else:
        printing.line(*(wrong or ["all was read, and is intact"]))
    context.exit(int(bool(wrong)))


def batches(number: int) -> str:
    return f"{number} batch{'' if number == 1 else 'es'}"
