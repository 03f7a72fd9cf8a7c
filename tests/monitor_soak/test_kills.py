"""Nothing is lost, and nothing is told twice, over twenty kills."""

import pytest

pytest.importorskip("httptools", reason="a monitor needs the extra `monitor`")

import hubs
from killed import outages


@pytest.mark.parametrize("seed", range(2))
def test_twenty_kills_at_any_moment_lose_nothing_and_tell_nothing_twice(tmp_path, seed):
    try:
        outages(tmp_path, 10, seed)
    finally:
        hubs.end()
