"""Starts safepatch in every Python process of a `safepatch run`; imported in those alone."""

from __future__ import annotations

import atexit
import os
import sys

_started = False


def start() -> None:
    """Patch this process as the run that it belongs to wants it; once, and without raising.

    What goes wrong here, the runner has not seen: another directory, another environment, a module
    that is imported already. It is said on stderr, and the program runs unpatched; or it ends with
    exit code 2, if the run is strict.
    """
    global _started
    text = os.environ.get("SAFEPATCH_RUN")
    if _started or not text:
        return
    _started = True
    strict = False
    try:
        from safepatch import runs

        run = runs.read(text)
        strict = run.strict
        _patch(run)
    except Exception as error:
        _say(f"process {os.getpid()} runs {'not' if strict else 'unpatched'}: {error}")
        if strict:
            os._exit(2)  # SystemExit would be told as an error of `site`


def _patch(run: object) -> None:
    from safepatch import figures, registry, runs

    assert isinstance(run, runs.Run)
    if run.spool is None:
        runs.apply(run, registry.default)
        return
    spool = figures.Spool(run.spool)
    try:
        runs.apply(run, registry.default, lambda handles: figures.count(handles, spool))
    except Exception as error:
        spool.tell(registry.default, str(error))
        raise
    spool.tell(registry.default)
    atexit.register(spool.tell, registry.default)


def _say(text: str) -> None:
    if sys.stderr is not None:  # as under pythonw
        print(f"safepatch: {text}", file=sys.stderr)
