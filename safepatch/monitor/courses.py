"""How a check goes: what it has seen so far, its one deadline, and what becomes of its failures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent

from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools

#: Characters of a message or warning, in which there may be what somebody else wrote.
LONGEST = 2000

#: What a check was waiting for, in the phase that it did not get through.
WAITING = {
    "dns": "the answer of DNS",
    "connect": "the connection",
    "tls": "the TLS handshake",
    "first_byte": "the first byte of an answer",
    "total": "the rest of the answer",
}


class CheckError(Exception):
    """A check found something wrong: `error` is one of results.ERRORS, the text a sentence."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message


def printable(text: str, most: int) -> str:
    """A text that somebody else wrote, cut, and without what would move a terminal's cursor."""
    text = text[:most]
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


class Course:
    """What one check has seen so far. Belongs to the greenlet that checks.

    `phase` is the one it is in, which is what it is waiting for where time runs out.
    """

    __slots__ = ("_clock", "_since", "began", "facts", "phase", "phases", "warnings")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.began = self._since = clock()
        self.phase = "total"
        self.facts: dict[str, Any] = {}
        self.phases: dict[str, float] = {}
        self.warnings: list[str] = []

    def enter(self, phase: str) -> None:
        """Begin a phase."""
        self.phase = phase
        self._since = self._clock()

    def leave(self) -> None:
        """End the phase. One that comes again, after a redirect, adds up."""
        took = self._clock() - self._since
        self.phases[self.phase] = self.phases.get(self.phase, 0.0) + took
        self.phase = "total"

    def late(self, seconds: float) -> str:
        """The message for a check that had no more time."""
        where = f" from {self.facts['address']}" if "address" in self.facts else ""
        done = ", ".join(f"{phase} took {took:.3g} s" for phase, took in self.phases.items())
        return (
            f"no answer{where} within {seconds:g} s: waiting for {WAITING[self.phase]}"
            f"{f' ({done})' if done else ''}"
        )

    def end(self) -> None:
        """Note the time that all took together."""
        self.phases["total"] = self._clock() - self.began


def follow(
    endpoint: Endpoint, tools: Tools, walk: Callable[[Endpoint, Tools, Course], None]
) -> Result:
    """Go through a check, which raises CheckError where something is wrong; what it came to.

    The deadline is one for all that it does, however slowly it is answered. Raises no Exception;
    those that are not CheckError are logged, and are "internal". What ends the greenlet passes.
    """
    course = Course(tools.clock)
    at = tools.time()
    error = message = ""
    seconds = endpoint.options.timeout
    deadline: Any = gevent.Timeout.start_new(seconds)
    try:
        walk(endpoint, tools, course)
    except CheckError as failed:
        error, message = failed.error, failed.message
    except gevent.Timeout as late:
        if late is not deadline:
            raise
        error, message = "timeout", course.late(seconds)
    except Exception as failure:
        logging.getLogger("safepatch.monitor").exception("cannot check %s", endpoint.name)
        error, message = "internal", f"the check itself failed: {type(failure).__name__}: {failure}"
    finally:
        deadline.close()
        deadline = None  # which makes a cycle with its traceback; see Answer.end
    course.end()
    return Result(
        name=endpoint.name,
        at=at,
        error=error,
        message=printable(message, LONGEST),
        phases=course.phases,
        facts=course.facts,
        warnings=tuple([printable(warning, LONGEST) for warning in course.warnings]),
    )
