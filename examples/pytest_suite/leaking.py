"""Tests that go wrong on purpose, to see what is said: `pytest leaking.py`."""

from __future__ import annotations

import exchange

import safepatch
from safepatch.decorators import replace


def test_leaves_a_patch_of_ours() -> None:
    safepatch.apply("exchange:fetch_rate", replace(lambda currency: 7.0))


def test_leaves_a_plain_assignment_at_a_target_that_is_watched() -> None:
    exchange.fetch_rate = lambda currency: 7.0


def test_patches_a_name_that_somebody_took_before(patches: safepatch.Registry) -> None:
    patches.apply("time:monotonic", replace(lambda: 42.0), aliases="ignore")

    assert exchange.Exchange().asked == 42.0
