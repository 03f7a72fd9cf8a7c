"""What was learned, as a file that people read and edit: read whole, written slice by slice."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import gevent

from safepatch.monitor.learning.profiles import Profile
from safepatch.monitor.learning.tables import UnreadableError, chunks, parse, profile_of
from safepatch.monitor.sources.lines import decode

Look = tuple[int, int, int] | None


def read(
    path: Path, pause: Callable[[], None]
) -> tuple[dict[str, Profile] | None, list[tuple[str, str]]]:
    """The profiles in a file, by name, and what is wrong with it; None, if there is no such file.

    What can be read is read. `pause` is called every few hundred tables. Raises OSError.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None, []
    problems: list[tuple[str, str]] = []
    text = decode(data, str(path), lambda where, message: problems.append((where, message)))
    profiles: dict[str, Profile] = {}
    for number, (line, name, said, is_ours) in enumerate(_tables(text, path, problems), 1):
        if number % 200 == 0:
            pause()
        if not isinstance(said, dict):
            problems.append((f"{path}:{line}", f"{name!r} is no table"))
            continue
        profiles[name], wrong = profile_of(name, said, is_ours)
        problems += [(f"{path}:{line}", f"{name!r}: {why}") for why in wrong]
    return (None if problems and not profiles else profiles), problems


def _tables(
    text: str, path: Path, problems: list[tuple[str, str]]
) -> Iterator[tuple[int, str, Any, bool]]:
    """The tables of a file: line, name, what it says, and whether that is as it was written."""
    wrong = []
    for line, chunk in chunks(text):
        try:
            yield line, *parse(chunk)
        except UnreadableError as error:
            wrong.append((line, str(error)))
    if not wrong:
        return
    try:  # it may be that a person has written what looks like a table within a text
        whole = tomllib.loads(text)
    except (ValueError, RecursionError):
        for line, why in (_placed(*each) for each in wrong):
            problems.append((f"{path}:{line}", f"this is no TOML: {why}"))
    else:
        yield from ((wrong[0][0], name, said, False) for name, said in whole.items())


def _placed(begins: int, error: str) -> tuple[int, str]:
    """The line of the file that an error of a table means, which counts from its own first one."""
    found = re.search(r" \(at line (\d+), column \d+\)$", error)
    return (begins + int(found[1]) - 1, error[: found.start()]) if found else (begins, error)


def set_aside(path: Path) -> Path:
    """Copy a file beside it, under a name that there is not, and give that."""
    number = 1
    while (aside := path.with_name(f"{path.name}.wrong-{number}")).exists():
        number += 1
    shutil.copy2(path, aside)
    return aside


def look(path: Path) -> Look:
    """What tells one file from another that is in its place later; None, if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def write(path: Path, slices: Iterable[bytes]) -> Look:
    """Put a file into its place, whole or not at all, by threads of the hub's pool.

    Others run while a slice is written. It is for its owner alone, unless somebody has given the
    file before it to others. Raises OSError.
    """
    apply = gevent.get_hub().threadpool.apply
    beside = path.with_name(f"{path.name}.new")
    file: IO[bytes] = apply(_begin, (beside, path))
    try:
        for one in slices:
            apply(file.write, (one,))
        apply(_finish, (file,))
        os.replace(beside, path)
    except BaseException:
        file.close()
        beside.unlink(missing_ok=True)
        raise
    apply(_note, (path.parent,))
    return look(path)


def _begin(beside: Path, path: Path) -> IO[bytes]:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.fchmod(descriptor, mode)
    return os.fdopen(descriptor, "wb")


def _finish(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _note(folder: Path) -> None:
    """Have it on the disk that the folder has another file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
