"""Let each call that changes a directory fail, one at a time."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import safepatch
from safepatch.decorators import count_calls, fault
from safepatch.store.testing.calls import is_ours
from safepatch.store.testing.recorders import Recorder
from safepatch.store.testing.recording import seeing
from safepatch.store.testing.traces import Trace

Decorator = Callable[[Any], Any]
WRITES = ("write", "pwrite", "writev", "pwritev")
#: What may fail, in `faults` and `check_faults`, if nothing else is asked for.
CALLS = (
    *("open", *WRITES, "sendfile", "copy_file_range", "ftruncate", "truncate"),
    *("fsync", "fdatasync", "rename", "replace", "link", "symlink", "unlink", "remove"),
    *("mkdir", "rmdir"),
)


class Fault:
    """A call that is to fail. `with fault(directory) as trace:` records, and lets it fail.

    `call` is its name in os and `number` says which one it is, from 1, of those about the
    directory; `call` is "" where none is to fail. `str()` says it in words.
    """

    def __init__(
        self,
        call: str,
        number: int = 0,
        how: str = "",
        decorator: Decorator | None = None,
        counted: Iterable[str] = (),
    ) -> None:
        self.call, self.number, self.how, self.decorator = call, number, how, decorator
        self.counted = counted
        self.counts: dict[str, int] | None = None  # calls of the run that counts

    def __str__(self) -> str:
        return f"os.{self.call} number {self.number} {self.how}" if self.call else "no fault"

    @contextlib.contextmanager
    def __call__(self, directory: str | os.PathLike[str]) -> Iterator[Trace]:
        """As `record`, which see."""
        patches: dict[str, safepatch.Patch[Any]] = {}

        def under(see: Recorder, registry: safepatch.Registry) -> None:
            for name in [self.call] if self.call else self.counted:
                if hasattr(os, name):
                    patches[name] = registry.apply(
                        f"os:{name}",
                        self.decorator or count_calls(),
                        name=f"fault {name}",
                        only_if=functools.partial(_is_ours, see, name),
                        aliases="ignore",
                    )

        with seeing(under) as see:
            trace = see.start(os.fspath(directory))
            yield trace
            if not self.call:
                self.counts = {name: p.wrapper.stats().calls for name, p in patches.items()}
            see.stop()


def _is_ours(see: Recorder, name: str, *args: Any, **kwargs: Any) -> bool:
    return is_ours(see, name, args, kwargs)


def faults(
    *,
    calls: Iterable[str] = CALLS,
    errors: Iterable[int] = (errno.EIO, errno.ENOSPC),
    short: bool = True,
) -> Iterator[Fault]:
    """Yield one fault after another, for each call that a program makes to change a directory.

    ::

        for fault in faults():
            ...  # make a new directory
            with fault(directory) as trace:
                program(directory)
            ...  # look what it has become of it, and of trace.states()

    The first is none: with it calls are counted, so the program must do the same in each run. Then
    come, for each of `calls` that it makes, by names in os, and for each call number: each of
    `errors`, once, and from then on each time; and if `short`, writes that write half and say so,
    and writes that write half and fail with the last of `errors`.

    Raises ValueError for a call that os does not have, and RuntimeError if the first is not used as
    shown. Of one thread; the program may have any.
    """
    calls = [*calls]
    for name in {*calls} - {*CALLS}:
        if not hasattr(os, name):
            raise ValueError(f"got calls with {name!r}; give names of functions in os")
    first = Fault("", counted=calls)
    yield first
    if first.counts is None:
        raise RuntimeError("the first fault counts calls; run the program in `with fault(...)`")
    errors = [*errors]
    for name in calls:
        for number in range(1, first.counts.get(name, 0) + 1):
            for how, decorator in _ways(name, number, errors, short):
                yield Fault(name, number, how, decorator)


def _ways(
    name: str, number: int, errors: list[int], short: bool
) -> Iterator[tuple[str, Decorator]]:
    for code in errors:
        error, told = OSError(code, os.strerror(code)), errno.errorcode[code]
        yield f"fails with {told}", fault(error=error, schedule={number})
        later = range(number, 1 << 62)
        yield f"and all later ones fail with {told}", fault(error=error, schedule=later)
    if short and name in WRITES:
        yield "writes half of it", functools.partial(_halved, number, None)
        if errors:
            told = errno.errorcode[errors[-1]]
            error = OSError(errors[-1], os.strerror(errors[-1]))
            yield f"writes half and fails with {told}", functools.partial(_halved, number, error)


class _Struck(Exception):  # noqa: N818
    """This is the call."""


def _halved(number: int, error: OSError | None, wrapped: Any) -> Any:
    """A decorator for functions that write: one call writes the first half of its data."""
    counting = fault(wrapped, error=_Struck, schedule={number})

    @functools.wraps(wrapped)
    def wrapper(file: int, data: Any, *rest: Any) -> Any:
        try:
            return counting(file, data, *rest)
        except _Struck:
            several = wrapped.__name__.endswith("v")
            whole = b"".join(map(bytes, data)) if several else bytes(data)
            half = whole[: len(whole) // 2]
            count = wrapped(file, [half] if several else half, *rest) if half else 0
            if error is not None:
                raise OSError(error.errno, error.strerror) from None
            return count

    return wrapper
