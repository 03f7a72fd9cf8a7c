"""The process that runs `compacting`, begun and waited for as nothing of gevent's can be."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import signal
import sys

from safepatch.store.threads import native

logger = logging.getLogger("safepatch.store")
_PATH = str(pathlib.Path(__file__).parents[4])  # where the package is found


def begin(directory: str, before: int, keep: float) -> int | None:
    """The process that merges what is older than a batch; None if there can be none."""
    command = [
        sys.executable, "-m", "safepatch.store.engines.journal.compacting",
        directory, str(before), str(keep),
    ]  # fmt: skip
    path = os.pathsep.join(filter(None, [_PATH, os.environ.get("PYTHONPATH")]))
    # Not subprocess, which forks under gevent: that takes longer the more documents there are. What
    # gevent puts in the place of these needs a loop that runs.
    spawn = native("os", "posix_spawn")
    try:
        process: int = spawn(sys.executable, command, {**os.environ, "PYTHONPATH": path})
    except (OSError, TypeError) as error:  # TypeError: where Python is embedded it has no name
        # All that was to be kept is; it is tried again when the next file is full.
        logger.error(
            "%s: cannot merge files, for starting %r failed: %s", directory, sys.executable, error
        )
        return None
    return process


def is_over(process: int, directory: str) -> bool:
    try:
        ended, status = native("os", "waitpid")(process, os.WNOHANG)
    except ChildProcessError:  # somebody else, such as a loop, has waited for it
        return True
    if status:
        logger.error("%s: merging files failed; see standard error", directory)
    return bool(ended)


def end(process: int) -> None:
    # Where SIGCHLD is ignored, or somebody else waits for it, it may be gone already.
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(process, signal.SIGTERM)
        native("os", "waitpid")(process, 0)
