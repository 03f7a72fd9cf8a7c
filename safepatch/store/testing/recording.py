"""Record what is done to a directory."""

from __future__ import annotations

import builtins
import contextlib
import functools
import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import safepatch
from safepatch.decorators import replace
from safepatch.store.testing.calls import HANDLERS
from safepatch.store.testing.recorders import Recorder
from safepatch.store.testing.traces import Trace

Under = Callable[[Recorder, safepatch.Registry], object]
MODULES: dict[str, Any] = {"os": os, "builtins": builtins, "io": io}


@contextlib.contextmanager
def record(directory: str | os.PathLike[str]) -> Iterator[Trace]:
    """Record the calls that change what is in a directory, from all threads of this process.

    ::

        with record("state") as trace:
            app.save("5")
            trace.note("saved 5")
        for state in trace.states():
            state.write("crashed")
            ...

    What is there at first counts as synced. The functions of `os` that change files are seen, and
    `open()`, wherever it is looked up as a builtin or in `io`, and so tempfile, shutil, pathlib
    and the like. At the end the directory is compared with what the calls must have left there;
    UnseenError is raised if somebody changed it otherwise, as sqlite3, mmap and other processes do.

    Meanwhile `os.fsync()`, `os.fdatasync()` and `os.sync()` do not reach the disk, for any file of
    this process. Safe with threads and greenlets; recordings of different directories may overlap.

    **Assumes** that a path leads to the same file before and after a call, and that functions of
    `os` are looked up when they are called: who did `from os import write` before is not seen.
    """
    with seeing() as see:
        trace = see.start(os.fspath(directory))
        yield trace
        see.stop()


@contextlib.contextmanager
def seeing(under: Under = lambda see, registry: None) -> Iterator[Recorder]:
    """A recorder with its patches applied; `under` applies more, which it sees the outcome of."""
    see = Recorder()
    with safepatch.Registry() as registry:
        _without_syncs(registry)
        under(see, registry)
        for target, handler in HANDLERS.items():
            module, _, name = target.partition(":")
            if hasattr(MODULES[module], name):
                registry.apply(
                    target, _seen(see, name, handler), name=f"see {module} {name}", aliases="ignore"
                )
        yield see


def _seen(see: Recorder, name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    def decorator(wrapped: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return handler(see, name, wrapped, *args, **kwargs)

        return wrapper

    return decorator


@contextlib.contextmanager
def without_syncs() -> Iterator[None]:
    """Let no `os.fsync()`, `os.fdatasync()` and `os.sync()` of this process reach the disk.

    Makes loops over states quick, where a program that recovers would wait for the disk each time.
    `check_crashes` and `check_faults` do it themselves.
    """
    with safepatch.Registry() as registry:
        _without_syncs(registry)
        yield


def _without_syncs(registry: safepatch.Registry) -> None:
    """Nothing that a test writes needs to outlive the machine, and disks are slow."""
    for name, instead in (("fsync", _looks), ("fdatasync", _looks), ("sync", _does_nothing)):
        registry.apply(f"os:{name}", replace(instead), name=f"no {name}", aliases="ignore")


def _looks(fd: Any) -> None:
    os.fstat(fd if isinstance(fd, int) else fd.fileno())  # what is closed cannot be synced


def _does_nothing() -> None:
    pass
