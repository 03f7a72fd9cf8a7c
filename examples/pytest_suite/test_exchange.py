"""All that the plugin offers, each in a test of its own."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from exchange import Exchange

import safepatch
from safepatch.decorators import count_calls, fault, replace


# The fixture `patches` is a registry of the test's own, undone at its end.
def test_the_rate_is_asked_for_once(patches: safepatch.Registry) -> None:
    asked = patches.apply("exchange:fetch_rate", count_calls())

    assert Exchange().amount(2, "NOK") == 23
    assert asked.wrapper.stats().calls == 1


# By a name that is configured in pyproject.toml.
@pytest.mark.safepatch("fixed-rate")
def test_the_rate_is_fixed() -> None:
    assert Exchange().amount(2, "NOK") == 20


# By target and decorators; several marks lie over each other, the lowest line innermost.
@pytest.mark.safepatch("time:sleep", replace(lambda seconds: None))
@pytest.mark.safepatch("exchange:fetch_rate", fault(error=OSError, schedule=[True, False]))
def test_it_asks_again_after_a_pause() -> None:
    assert Exchange(pause=3600).patient_amount(2, "NOK") == 23


# For all tests of a class, by the registry of the class.
@pytest.fixture(scope="class")
def no_waiting(class_patches: safepatch.Registry) -> None:
    class_patches.apply("time:sleep", replace(lambda seconds: None), aliases="ignore")


@pytest.mark.usefixtures("no_waiting")
class TestManyAmounts:
    @pytest.mark.parametrize("euros", range(50))
    def test_an_amount_is_that_many_times_the_rate(self, euros: int) -> None:
        assert Exchange().amount(euros, "NOK") == euros * 11.5


# For this test only, while others run in other threads of the process.
def test_a_patch_of_this_test_is_not_seen_by_another_thread(patches: safepatch.Registry) -> None:
    patches.apply("exchange:fetch_rate", replace(lambda currency: 7.0), scope="context")
    seen: list[Any] = []
    other = threading.Thread(target=lambda: seen.append(Exchange().amount(1, "EUR")))
    other.start()
    other.join()

    assert Exchange().amount(1, "EUR") == 7
    assert seen == [1]


# In a fixture of yours.
@pytest.fixture
def silent_bank(patches: safepatch.Registry) -> None:
    patches.apply("exchange:fetch_rate", fault(error=TimeoutError))


def test_an_error_of_the_bank_goes_through(silent_bank: None) -> None:
    with pytest.raises(TimeoutError):
        Exchange().amount(1, "EUR")


def test_nothing_is_left_of_the_tests_above() -> None:
    assert safepatch.live() == []
    assert Exchange().amount(1, "NOK") == 11.5
