"""Retries over retries: those above learn how often those below have tried already.

A retry that fails for good marks the exception with the number of attempts that were made. Marks
are numbered, so that one from before the present attempt counts for nothing: an exception object
may be raised again long after.
"""

from __future__ import annotations

import contextlib
import itertools
import os

#: The number of the latest mark. A plain variable, because it is read before each first attempt.
#: Two threads that mark at the same time may set it one too low; then an old mark on an exception
#: object that both share could count once too often.
latest = 0
_numbers = itertools.count(1)
#: In the exception's own dict, where no `__setattr__` can refuse it. Plain data, to be pickled.
_MARK = "_safepatch_attempts"


def mark(error: BaseException, attempts: int) -> None:
    """Tell those above that so many attempts were made, and that this is what came of them."""
    global latest
    latest = next(_numbers)
    # An error of ours must not take the place of one that lets nobody see its attributes.
    with contextlib.suppress(Exception):
        # Numbers of another process mean nothing here, and pickled exceptions come from there.
        vars(error)[_MARK] = (os.getpid(), latest, attempts)


def attempts_below(error: BaseException, since: int) -> int:
    """How many attempts a call came to that began when `latest` was `since`: 1, or what a retry
    below said of this exception, or of the one that it was raised from."""
    with contextlib.suppress(Exception):
        for one in (error, error.__cause__ or error):
            pid, number, attempts = vars(one).get(_MARK, (0, 0, 1))
            if number > since and pid == os.getpid():
                return int(attempts)
    return 1
