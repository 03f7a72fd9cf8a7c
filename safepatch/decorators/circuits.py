"""What a circuit breaker knows of the calls of a function."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Literal

from safepatch.decorators.locks import give_lock
from safepatch.decorators.refusing import CircuitOpenError

State = Literal["closed", "open", "half-open"]


class Circuit:
    """A call has a number, by which its outcome is known to be late or not.

    While closed, all calls have that of `turn`, and `failed` counts; open, `turn` is 0, and `probe`
    is the number of the last call let through, until it is over. None after `opened` is late.
    """

    def __init__(
        self,
        name: str,
        failures: int,
        reset_after: float,
        fails: Callable[[BaseException], bool],
        clock: Callable[[], float],
    ) -> None:
        self.name, self.failures, self.reset_after = name, failures, reset_after
        self.fails, self.clock = fails, clock
        self.turn = self.last = 1
        self.failed = self.probe = self.opened = 0
        #: When the next call may go through; while there is a probe, when it is given up.
        self.retry_at = -math.inf
        self.lock: Any
        give_lock(self)

    def admit(self) -> int:
        """Give the number for a call that is not known to be let through, or refuse it."""
        now = self.clock()
        with self.lock:
            if self.turn:
                return self.turn
            wait = self.retry_at - now
            if wait <= 0:
                self.retry_at = now + self.reset_after
                self.last = self.probe = self.last + 1
                _note_probe(self)
                return self.probe
            if (self, self.probe) in _probes.get():
                return self.probe
        raise CircuitOpenError(self.name, wait)

    def succeed(self, turn: int) -> None:
        with self.lock:
            if turn == self.turn:
                self.failed = 0
            # Of any probe, not only the last: a function that always takes longer than a probe may
            # would never get its breaker closed.
            elif self.turn == 0 and turn > self.opened:
                self.close()

    def fail(self, turn: int, error: BaseException) -> None:
        """Take note of an exception, which may be none that counts."""
        if self.fails(error):
            now = self.clock()
            with self.lock:
                if turn == self.turn:
                    self.failed += 1
                    if self.failed >= self.failures:
                        self._open(now)
                elif turn == self.probe:
                    self._open(now)
        elif isinstance(error, Exception):
            self.succeed(turn)
        else:
            with self.lock:
                if turn == self.probe:
                    self.probe, self.retry_at = 0, -math.inf

    def _open(self, now: float) -> None:
        self.turn = self.probe = 0
        self.opened = self.last
        self.retry_at = now + self.reset_after

    def close(self) -> None:
        with self.lock:
            self.failed = self.probe = 0
            self.last = self.turn = self.last + 1

    def state(self) -> State:
        now = self.clock()
        with self.lock:
            if self.turn:
                return "closed"
            return "half-open" if self.probe or now >= self.retry_at else "open"


#: Probes that began in this context, in which they may call their function again, as in recursion.
#: They stay when they are over, for then their numbers are those of no probe any more.
_probes: ContextVar[tuple[tuple[Circuit, int], ...]] = ContextVar("probes", default=())


def _note_probe(breaker: Circuit) -> None:
    running = [(other, turn) for other, turn in _probes.get() if other.probe == turn]
    _probes.set((*running, (breaker, breaker.probe)))
