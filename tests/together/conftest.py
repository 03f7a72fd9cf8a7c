"""What each test here needs."""

import os
import sys

import pytest

# Before ddtrace is imported, here and in child processes: it is not to look for an agent.
os.environ |= {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "0",
    "DD_REMOTE_CONFIGURATION_ENABLED": "0",
    "DD_TRACE_STARTUP_LOGS": "0",
}

from plays import Play


@pytest.fixture
def play():
    """Makes a play, and in the end takes away by force what other tools leave."""
    plays = []

    def make(place):
        plays.append(Play(place()))
        return plays[-1]

    yield make
    for made in plays:
        made.clear()
        sys.modules.pop(getattr(made.place.owner, "__name__", None), None)
