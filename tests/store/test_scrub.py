"""Documents changed outside of transactions are found, told, and kept."""

import logging
import time

import pytest

from safepatch.store import NotStorableError, Store, durable


@pytest.fixture
def filled(store):
    store.root["c"] = {str(n): {"n": [n]} for n in range(500)}
    store.sync()
    return store


def test_all_kinds_of_changes_are_found_and_kept(filled, read):
    documents = filled.root["c"]
    documents["1"]["n"].append(9)
    documents["2"] = "replaced"
    del documents["3"]
    filled.root["new"]["k"] = 1

    found = filled.sync()

    assert sorted(found) == [("c", "1"), ("c", "2"), ("c", "3"), ("new", "k")]
    assert filled.sync() == []
    content = read()
    assert (content["c"]["1"], content["c"]["2"]) == ({"n": [1, 9]}, "replaced")
    assert "3" not in content["c"]
    assert content["new"] == {"k": 1}


def test_what_a_transaction_changed_is_not_found(filled):
    durable(filled)(lambda: filled.root["c"]["1"]["n"].append(2))()

    assert filled.sync() == []


def test_after_opening_nothing_is_found_and_a_change_is(filled, directory):
    filled.close()

    with Store(directory, every=0) as again:
        assert again.sync() == []
        again.root["c"]["7"]["n"] = "changed"
        assert again.sync() == [("c", "7")]


def test_a_change_through_a_reference_that_outlived_its_transaction_is_found(filled):
    kept = durable(filled)(lambda: filled.root["c"]["1"])()
    kept["n"] = "late"

    assert filled.sync() == [("c", "1")]


def test_what_cannot_be_stored_is_named_and_all_else_is_kept(filled, directory):
    filled.root["c"]["1"]["n"] = {1, 2}
    filled.root["c"]["2"]["n"] = 22

    with pytest.raises(NotStorableError, match=r"root\['c'\]\['1'\]\['n'\]"):
        filled.sync()

    del filled.root["c"]["1"]
    filled.close()
    with Store(directory, every=0) as again:
        assert again.root["c"]["2"] == {"n": 22}


def test_closing_tells_what_cannot_be_stored_and_lets_others_open(filled, directory):
    filled.root["c"]["1"]["n"] = {1, 2}
    filled.root["c"]["2"]["n"] = 22

    with pytest.raises(NotStorableError):
        filled.close()

    with Store(directory, every=0) as again:
        assert (again.root["c"]["1"], again.root["c"]["2"]) == ({"n": [1]}, {"n": 22})


def test_it_runs_every_so_often_and_says_which(directory, caplog):
    with caplog.at_level(logging.WARNING), Store(directory, every=0.01) as store:
        store.root["users"]["me"] = {}
        deadline = time.monotonic() + 10
        while not store.stats()["found_by_scrub"] and time.monotonic() < deadline:
            time.sleep(0.005)
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.005)

    assert "changed outside of transactions, and committed: users/me" in caplog.text


def test_documents_that_an_open_transaction_holds_are_left_to_it(filled):
    with filled.transaction():
        filled.root["c"]["1"]["n"] = "not yet"
        found = [key for part in filled.opened().scrub() for key in part]

    assert found == []
