"""Functions that fail as told, and time that passes as told."""

import dataclasses

from safepatch.decorators import retry


class WorkError(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    number: int


class Time:
    """A clock, and a sleep that only moves it."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def failing(*outcomes, takes=0.0, **options):
    """A function under retry that raises or returns one outcome after the other."""
    time_ = Time()
    left = list(outcomes)
    calls = []

    def work(*args, **kwargs):
        calls.append((args, kwargs))
        time_.now += takes
        outcome = left.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    options = {"sleep": time_.sleep, "clock": time_.clock, "random": lambda: 0.0} | options
    return retry(work, **{"on": WorkError} | options), calls, time_


def notes(error):
    return getattr(error, "__notes__", [])
