"""`safepatch store`: the files of a store made smaller, mended, and as they were."""

from __future__ import annotations

import contextlib
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from safepatch.cli import options, printing
from safepatch.cli.storing import batches, errors, need_directory, path, store
from safepatch.cli.telling import counted

if TYPE_CHECKING:
    from safepatch.store.tools.repairing import Repair

__all__ = ["store"]  # with these commands, too


@store.command(epilog=options.exits())
@path
@click.option(
    "--keep",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Keep for `restore` what is not older; as the program gives it to Store(). "
    "0 removes all that is not needed to open the store.",
)
def compact(path: str, keep: float | None) -> None:
    """Make a store no larger than it must be.

    For directories --keep must be given, since what is removed cannot be restored any more.
    """
    with errors(), printing.working("compacting"):
        from safepatch.store import StoreError
        from safepatch.store.engines import addresses
        from safepatch.store.tools import transferring

        transferring.need_there(path)
        more = {}
        if addresses.is_directory(path):
            if keep is None:
                raise StoreError(
                    "say with --keep SECONDS of what time `restore` is to be possible still: as "
                    "given to Store(keep=...), which is 0 if nothing was given"
                )
            more = {"keep": keep}
        before = _size(path)
        with transferring.opened(path, **more) as kept:
            kept.compact()
        after = _size(path)
    printing.line(f"{before} bytes before, {after} bytes now" if before else "compacted")


def _size(path: str) -> int:
    """The bytes of a directory's files; 0 if it is none."""
    if not os.path.isdir(path):
        return 0
    with os.scandir(path) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


@store.command(epilog=options.exits())
@path
@click.option("--salvage", is_flag=True, help="Take all that can be read, of different times too.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@options.as_json
def repair(path: str, salvage: bool, yes: bool, as_json: bool) -> None:
    """Take what is damaged out of a store, so that it opens.

    It has the state then that it had before the damage. What is taken out is moved into a new
    directory within that of the store. With --salvage it has what can be read of later times too,
    which together is a state that it never had.
    """
    with errors():
        from safepatch.store.tools import repairing

        need_directory(path, "repair")
        done = repairing.repair(path, salvage=salvage, agree=lambda found: yes or _agree(found))
    if as_json:
        cuts = [cut._asdict() for cut in done.cuts] if done else []
        printing.as_json(done and {**done._asdict(), "cuts": cuts, "salvaged": salvage})
    elif done is None:
        printing.line("nothing is damaged")
    else:
        _print_repair(done, "took", "left")
        printing.line(f"what was taken out is in {done.kept_in}")


def _agree(found: Repair) -> bool:
    with contextlib.redirect_stdout(sys.stderr):
        _print_repair(found, "would take", "leave")
        if found.lost and found.salvaged is None:
            printing.line("--salvage would leave also what is intact after the damage")
    with contextlib.suppress(click.Abort):
        if click.confirm(f"Move that to {found.kept_in}?", err=True):
            return True
    printing.complain("nothing was changed; --yes agrees")
    sys.exit(2)


def _print_repair(found: Repair, took: str, left: str) -> None:
    for cut in found.cuts:
        part = f" from byte {cut.start}" if cut.start else ""
        printing.line((cut.path, "bold"), f"{part}: {counted(cut.bytes, 'byte')}: {cut.why}")
    # What is left is told, for an image that is lost is no batch, and may be all documents.
    rest = batches(found.sequence)
    if found.salvaged is not None:
        documents = (len(kept) for name, kept in found.salvaged[0].items() if name)
        rest = counted(sum(documents), "document")
    lost = f"{batches(found.lost)}, {counted(found.bytes, 'byte')}"
    printing.line(f"{took} out {lost}, and {left} {rest}")


@store.command(epilog=options.exits())
@path
@click.option(
    "--at", required=True, metavar="TIME|SEQUENCE",
    help="A time in ISO 8601, local if it has no zone, or a number of batches as `inspect` tells.",
)  # fmt: skip
@click.option("--to", "target", required=True, metavar="DIRECTORY", help="Where nothing is yet.")
@options.as_json
def restore(path: str, at: str, target: str, as_json: bool) -> None:
    """Make a new store of what one was at a time, or after a number of batches.

    How far back that can be is the `keep` of Store().
    """
    with errors(), printing.progress("reading") as told:
        from safepatch.store.tools import restoring

        need_directory(path, "restore")
        need_directory(target, "restore --to")
        done = restoring.restore(path, target, at=_moment(at), told=told)
    if as_json:
        printing.as_json(done._asdict())
    else:
        many = counted(sum(done.documents.values()), "document")
        last = f", the last of {restoring.shown(done.seconds)}" if done.sequence else ""
        printing.line(f"restored {batches(done.sequence)}{last}: {many} in {target}")


def _moment(at: str) -> int | datetime:
    if at.isascii() and at.isdecimal():
        return int(at)
    try:
        return datetime.fromisoformat(at)
    except ValueError:
        raise ValueError(
            f"got --at {at!r}; give a time such as 2026-03-01T12:00:00+01:00, or a number of "
            "batches"
        ) from None
