"""How numbers and times are told to people."""

import pytest

from safepatch.monitor.web import words


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"),
        (3660, "1 h 1 min"), (86400, "1 d"), (90000, "1 d 1 h"), (400 * 86400, "1 y 35 d"),
    ],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds, expected):
    assert words.duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "-"), (0.0, "0 ms"), (0.00001, "<0.1 ms"), (0.00042, "0.4 ms"),
        (0.00095, "1 ms"), (0.0384, "38 ms"),
        (0.9994, "999 ms"), (0.9996, "1.00 s"), (1.25, "1.25 s"),
    ],
)  # fmt: skip
def test_short_times_are_told_in_the_unit_that_fits(seconds, expected):
    assert words.took(seconds) == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [(1.0, "100 %"), (0.9999999, "99.999 %"), (0.9876, "98.7 %"), (0.0, "0.0 %"), (None, "-")],
)
def test_shares_are_cut_and_not_rounded_up(share, expected):
    assert words.percent(share) == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [(0.0, "never"), (99.0, "just now"), (40.0, "1 min ago"), (200.0, "just now")],
)
def test_times_are_told_from_now(at, expected):
    assert words.ago(at, now=100.0) == expected


@pytest.mark.parametrize("at", [1e300, float("nan"), float("inf"), -1e18])
def test_times_that_are_none_are_empty(at):
    assert words.iso(at) == words.when(at) == ""


def test_texts_are_cut_to_a_length():
    assert words.clip("x" * 300, 10) == "xxxxxxxxx…"
    assert words.clip("short", 10) == "short"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET https://me:secret@host/a@b answers 500", "GET https://***@host/a@b answers 500"),
        ("smtp://user%40x:p@ss@host", "smtp://***@host"),
        ("mail me@example.com", "mail me@example.com"),
        ("https://host/?q=a@b", "https://host/?q=a@b"),
    ],
)
def test_users_and_passwords_of_urls_are_left_out(text, expected):
    assert words.discreet(text) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("latency", {"median": 0.081, "mad": 0.009}, "81 ms, mostly within 27 ms of it"),
        ("size", [18000, 22000], "18,000 to 22,000 bytes"),
        ("certificate", {"issuer": "X", "not_after": 1.5}, "issuer X, not after 1.5"),
        ("words", ["a", "b"], "a, b"),
        ("edited", True, "yes"),
        ("nested", {"a": [{"b": None}]}, "a b None"),
    ],
)
def test_facts_of_any_shape_are_text(key, value, expected):
    assert words.fact(value, key) == expected
