"""Code of others that runs within a command: modules of targets, probes, decorators."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import safepatch


@contextlib.contextmanager
def may_run() -> Iterator[None]:
    """Where code of others may run: what it prints is no part of our answer and goes to stderr, and
    it does not end the command, whose exit code would say what nobody has looked at."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except SystemExit as error:
        raise safepatch.PatchError(
            f"something that was imported or asked ended with {error!r}; is a program among the "
            "modules? Start it only under `if __name__ == '__main__'`"
        ) from error
