"""What each test here needs."""

import sys

import pytest
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
