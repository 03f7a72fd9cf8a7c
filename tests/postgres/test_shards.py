"""Shards: stores that share a database, each with a writer of its own."""

import pytest

from safepatch.store import LockedError, Store, StoreError
from safepatch.store.followers import Follower
from safepatch.store.shards import shard_of


def test_where_something_belongs_never_changes():
    assert [shard_of(name, shards=8) for name in ("users", "me@example.com", "", "é\0")] == [
        5,
        4,
        5,
        6,
    ]
    assert shard_of("users", "me@example.com", shards=1000) == 946
    assert shard_of("a", "b", shards=2**32) != shard_of("ab", "", shards=2**32)


def test_names_are_spread_evenly():
    found = [shard_of(f"user{number}", shards=4) for number in range(4000)]

    assert all(900 < found.count(shard) < 1100 for shard in range(4))


@pytest.mark.parametrize(("names", "shards"), [([], 8), (["a"], 0)])
def test_what_makes_no_sense_is_refused(names, shards):
    with pytest.raises(ValueError, match="shards="):
        shard_of(*names, shards=shards)


def test_each_shard_has_its_documents_and_a_writer_of_its_own(url):
    with Store(url, shard=(0, 2), every=0) as first, Store(url, shard=(1, 2), every=0) as second:
        with first.transaction(), second.transaction():
            first.root["c"]["k"] = "first"
            second.root["c"]["k"] = "second"
        with first.transaction():
            first.root["c"]["more"] = 1
        with pytest.raises(LockedError, match="shard 1 of 2"):
            Store(url, shard=(1, 2)).root
        with Follower(url, shard=(1, 2)) as follower:
            assert follower.root == {"c": {"k": "second"}}
        assert (first.stats()["sequence"], second.stats()["sequence"]) == (2, 1)
        assert first.verify()["documents"] == {"c": 2}

    with Store(url, shard=(0, 2), every=0) as first:
        assert first.root == {"c": {"k": "first", "more": 1}}


def test_another_number_of_shards_is_refused(url):
    with Store(url, shard=(0, 2), every=0) as first:
        assert first.root == {}
        with pytest.raises(StoreError, match="it is of 2 shards, but 3 are asked for"):
            Store(url, shard=(1, 3)).root
    with pytest.raises(StoreError, match="it is of 2 shards, but 1 are asked for"):
        Store(url).root
