"""examples/counter over HTTP: it counts right, or says that it did not count."""

import pytest
from children import run_python
from served import EXAMPLES, need, served

need("gevent", "bottle", "msgspec")


@pytest.fixture
def counter(tmp_path):
    with served("counter", tmp_path) as app:
        yield app


def drive(url, requests=300, clients=10):
    """What drive.py of the example tells, in lines."""
    drive = str(EXAMPLES / "counter" / "drive.py")
    return run_python(drive, str(requests), str(clients), url).splitlines()


def told(lines):
    """Answers by status, the highest count, and how many different counts."""
    *answers, counts = lines
    statuses = {int(line.split()[2]): int(line.split()[0]) for line in answers}
    highest, different = (int(word) for word in counts.replace(",", "").split() if word.isdigit())
    return statuses, highest, different


def test_the_count_is_exact(counter):
    assert drive(counter.url + "/inc") == [
        "300 answers 200",
        "the highest count is 300, of 300 different ones",
    ]


def test_what_was_answered_outlives_a_kill(counter, tmp_path):
    drive(counter.url + "/inc")
    counter.kill()

    with served("counter", tmp_path) as again:
        assert again.ask("/inc") == (200, 301)


def test_a_yield_miscounts_in_a_plain_dict(counter):
    statuses, highest, different = told(drive(counter.url + "/plain"))

    assert statuses == {200: 300}
    assert highest < 300
    assert different == highest


def test_a_yield_in_a_transaction_conflicts_instead_of_miscounting(counter):
    statuses, highest, different = told(drive(counter.url + "/conflict"))

    assert set(statuses) == {200, 409}
    assert statuses[200] == highest == different
    assert sum(statuses.values()) == 300


def test_a_yield_where_none_is_allowed_is_an_error_even_of_a_single_client(counter):
    assert drive(counter.url + "/strict", 20, clients=1) == [
        "20 answers 500",
        "the highest count is 0, of 0 different ones",
    ]


def test_a_yield_where_none_is_allowed_counts_nothing(counter):
    statuses, highest, _ = told(drive(counter.url + "/strict"))

    assert set(statuses) == {409, 500}
    assert highest == 0
