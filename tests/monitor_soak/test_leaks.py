"""What the soak would call a leak, in samples that nobody has taken."""

import pytest
from soak_leaks import leaks

_WELL = {
    "rss": 80 << 20, "fds": 16, "threads": 3, "greenlets": 230, "store": 400_000,
    "history": 1_000_000, "done": 0, "lateness": {"median": 0.002},
}  # fmt: skip


def samples(count=100, **grow):
    """So many, of which some things grow so much each time; faults come and go meanwhile."""
    made = []
    for number in range(count):
        sample = {**_WELL, "done": 100 * number, "fds": 16 + 50 * (number % 3)}
        made.append(sample | {name: sample[name] + each * number for name, each in grow.items()})
    return made


def test_what_comes_and_goes_is_no_leak():
    assert leaks(samples()) == []


@pytest.mark.parametrize(
    ("name", "each"),
    [("rss", 400_000), ("fds", 1), ("threads", 0.2), ("greenlets", 3), ("store", 200_000)],
)
def test_what_grows_all_the_time_is_a_leak(name, each):
    assert [f"{name} grew"] == [" ".join(one.split()[:2]) for one in leaks(samples(**{name: each}))]


def test_what_is_too_much_at_any_time_is_one():
    found = samples()
    found[50] = {**found[50], "greenlets": 5000}

    assert leaks(found) == ["greenlets came to 5000"]


def test_a_history_that_takes_more_than_the_checks_is_one():
    assert "the history grew" in leaks(samples(history=100_000))[0]


def test_checks_that_are_late_are_told():
    found = [{**each, "lateness": {"median": 2.0}} for each in samples()]

    assert leaks(found) == ["checks were 2.00 s late in the median"]
