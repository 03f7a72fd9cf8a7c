"""Other processes see what the writer writes, and cannot change it."""

import gc
import os
import threading
import time

import psycopg
import pytest

from safepatch.store import ClosedError, ReadOnlyError, Store, StoreError
from safepatch.store.engines import postgres
from safepatch.store.engines import postgres_reading as reading
from safepatch.store.followers import Follower
from safepatch.store.handover import COMING


def shows(follower, store):
    """Whether a follower has come to show what a store has, with its order."""
    follower.wait(store.stats()["sequence"])
    expected = {name: list(documents.items()) for name, documents in store.root.items()}
    return {name: list(documents.items()) for name, documents in follower.root.items()} == expected


def test_it_shows_what_was_there_and_what_comes(store, url):
    with store.transaction():
        store.root["c"].update({"a\0": [1.0], "b": {"x": 1}})
    with Follower(url) as follower:
        assert follower.root == {"c": {"a\0": [1.0], "b": {"x": 1}}}

        with store.transaction():
            store.root["c"]["b"]["x"] = 2
            store.root["d"]["new\\"] = 1
        assert shows(follower, store)
        with store.transaction():
            del store.root["c"]["a\0"]
            del store.root["d"]
        assert shows(follower, store)
        assert follower.root == {"c": {"b": {"x": 2}}}
        with store.transaction():
            store.root["c"]["a\0"] = "again"
        assert shows(follower, store)


def test_it_sees_a_batch_about_as_soon_as_it_is_written(store, follower):
    lags = []
    for number in range(20):
        with store.transaction():
            store.root["c"]["n"] = number
        written = time.monotonic()
        follower.wait(store.stats()["sequence"])
        lags.append(time.monotonic() - written)

    assert sorted(lags)[10] < 0.2
    assert follower.root["c"]["n"] == 19


def test_it_does_not_keep_what_the_server_has_told(store, follower):
    with follower.transaction():  # so that more is told than it takes
        for number in range(20):
            with store.transaction():
                store.root["c"]["n"] = number
    assert shows(follower, store)

    assert not [told for told in gc.get_objects() if type(told) is psycopg.Notify]


def test_a_missing_collection_reads_as_empty(follower):
    assert follower.root == {}
    assert list(follower.root["missing"]) == []
    assert "missing" not in follower.root


@pytest.mark.parametrize(
    "change",
    [
        lambda root: root["c"].update(a=2),
        lambda root: root["c"].pop("a"),
        lambda root: root["c"].setdefault("b", 1),
        lambda root: root["c"].clear(),
        lambda root: root["c"].popitem(),
        lambda root: root["new"].update(a=1),
        lambda root: root.__setitem__("c", {}),
        lambda root: root.__delitem__("c"),
        lambda root: root.pop("c"),
        lambda root: root.popitem(),
        lambda root: root.clear(),
        lambda root: root["c"].__ior__({"b": 1}),
    ],
)
def test_nothing_can_be_changed_here(store, follower, change):
    with store.transaction():
        store.root["c"]["a"] = 1
    follower.wait(1)

    with pytest.raises(ReadOnlyError, match="follows the store"):
        change(follower.root)
    assert follower.root == {"c": {"a": 1}}


def test_it_follows_from_one_writer_to_the_next(store, follower, url):
    with store.transaction():
        store.root["c"].update({"a": 1, "b": 1})
    follower.wait(1)
    store.close()
    with Store(url, every=0) as next_one:
        with next_one.transaction():
            del next_one.root["c"]["a"]
        assert shows(follower, next_one)


def test_it_reads_what_it_missed(store, url, through, proxy, server):
    with Follower(through) as follower:
        assert follower.root == {}
        for number in range(5):
            proxy.cut()
            with store.transaction():
                store.root["c"].update({str(number): number, "n": number})
                store.root["c"].pop(str(number - 2), None)
            assert shows(follower, store)


def test_it_reads_all_again_if_what_was_removed_is_not_known_any_more(
    store, through, proxy, monkeypatch
):
    monkeypatch.setattr(postgres, "_REMOVALS", 5)
    with store.transaction():
        store.root["c"].update({str(number): number for number in range(100)})
    with Follower(through) as follower:
        follower.wait(1)
        proxy.silent = True
        for number in range(100):
            with store.transaction():
                del store.root["c"][str(number)]
        proxy.cut()
        proxy.silent = False
        assert shows(follower, store)
        assert follower.root == {}


def test_it_reads_all_again_if_there_is_less_than_it_has_seen(store, url, server, schema):
    """As after a replica took over that had not got the last batches, and other ones came."""
    with store.transaction():
        store.root["c"]["kept"] = 1
    with Follower(url) as follower:
        with store.transaction():
            store.root["c"]["lost"] = 1
        follower.wait(2)
        store.close()
        server.execute(
            "DELETE FROM safepatch_documents WHERE batch = 2;"
            "UPDATE safepatch_shards SET sequence = 1",
            schema=schema,
        )
        with Store(url, every=0) as again:
            with again.transaction():
                again.root["c"]["other"] = 1
            end = time.monotonic() + 10
            while follower.root != {"c": {"kept": 1, "other": 1}}:
                assert time.monotonic() < end, follower.root
                time.sleep(0.01)


def test_it_serves_on_while_the_server_is_gone_and_tells_how_old_that_is(store, follower, server):
    with store.transaction():
        store.root["c"]["a"] = 1
    follower.wait(1)
    server.stop()
    time.sleep(1.5)

    assert follower.root == {"c": {"a": 1}}
    assert follower.age() > 1
    server.start()
    store.close()
    end = time.monotonic() + 10
    while follower.age() > 1:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_wait_tells_where_it_is_when_it_took_too_long(follower):
    with pytest.raises(TimeoutError, match="shows batch 0, and not 7"):
        follower.wait(7, timeout=0.05)


def test_threads_see_whole_batches_only(store, follower):
    with store.transaction():
        store.root["c"].update({"a": 0, "b": 0})
    follower.wait(1)
    over = threading.Event()

    def move():
        number = 0
        while not over.is_set():
            number += 1
            with store.transaction():
                store.root["c"].update({"a": number, "b": -number, f"{number % 7}": number})
                store.root["c"].pop(f"{(number + 3) % 7}", None)

    writer = threading.Thread(target=move)
    writer.start()
    sums = set()
    seen = set()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        with follower.transaction():
            seen.add(follower.root["c"]["a"])
            list(follower.root["c"].items())
            sums.add(follower.root["c"]["a"] + follower.root["c"]["b"])
    over.set()
    writer.join()

    assert sums == {0}
    assert len(seen) > 5
    assert shows(follower, store)


def test_it_needs_a_store_that_is_there(url):
    with pytest.raises(StoreError, match="there is no store yet"):
        Follower(url).root


def test_it_needs_the_right_number_of_shards(store, url):
    assert store.root == {}

    with pytest.raises(StoreError, match="it is of 1 shards, but 2 are asked for"):
        Follower(url, shard=(0, 2)).root
    with pytest.raises(ValueError, match="shard"):
        Follower(url, shard=(2, 2))


def test_it_needs_no_right_to_write(store, server, schema):
    with store.transaction():
        store.root["c"]["a"] = 1
    server.execute("CREATE ROLE reader LOGIN")
    server.execute("ALTER ROLE reader SET default_transaction_read_only = on")
    server.execute(
        f"GRANT USAGE ON SCHEMA {schema} TO reader;"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader"
    )
    try:
        with Follower(server.url(schema=schema, user="reader")) as follower:
            assert follower.root == {"c": {"a": 1}}
            with store.transaction():
                store.root["c"]["a"] = 2
            assert shows(follower, store)
    finally:
        server.execute("DROP OWNED BY reader; DROP ROLE reader")


def test_it_is_over_when_it_is_closed(store, url):
    assert store.root == {}
    with Follower(url) as follower:
        pass
    follower.close()

    with pytest.raises(ClosedError, match="it was closed"):
        follower.root


def test_who_waits_is_told_that_it_is_over(follower):
    assert follower.root == {}
    closing = threading.Timer(0.1, follower.close)
    closing.start()

    with pytest.raises(ClosedError, match="it was closed"):
        follower.wait(1000, timeout=5)
    closing.join()


def test_a_child_of_a_fork_cannot_use_it_and_the_parent_goes_on(store, follower):
    assert follower.root == {}
    child = os.fork()
    if child == 0:
        try:
            follower.root
        except ClosedError:
            os._exit(0)
        os._exit(1)

    assert os.waitpid(child, 0)[1] == 0
    with store.transaction():
        store.root["c"]["a"] = 1
    assert shows(follower, store)


def test_it_ends_when_the_store_is_handed_over(store, url, tmp_path, caplog):
    with store.transaction():
        store.root["c"]["k"] = 1
    with Follower(url) as follower:
        assert follower.root == {"c": {"k": 1}}

        store.hand_over(tmp_path / "new")
        follower._thread.join(10)

        with pytest.raises(ClosedError, match=r"was handed over to .*new.*; follow that"):
            follower.root
    assert f"a follower of {url!r} ends" in caplog.text
    with pytest.raises(StoreError, match="it was handed over to"):
        Follower(url).root


def test_who_waits_for_a_batch_is_told_that_it_has_ended(store, follower, tmp_path):
    handing_over = threading.Timer(0.3, store.hand_over, [tmp_path / "new"])
    handing_over.start()

    with pytest.raises(ClosedError, match="was handed over to"):
        follower.wait(1000)
    handing_over.join()


@pytest.fixture
def part(store):
    """A part of a store that is being handed over, as it is kept here."""
    with store.transaction():
        store.root[""][COMING] = "old"
        store.root["c"]["first"] = 1


def test_it_ends_when_there_is_a_part_of_a_store_that_is_handed_over(follower, part):
    follower._thread.join(10)

    with pytest.raises(ClosedError, match="it has a part of 'old', which is being handed over"):
        follower.root


def test_one_that_was_refused_shows_all_when_it_is_tried_again(store, url, part):
    follower = Follower(url)
    with pytest.raises(StoreError, match="it has a part of 'old', which is being handed over"):
        follower.root
    with store.transaction():
        del store.root[""][COMING]
        store.root["c"]["last"] = 1

    with follower:
        assert follower.root == {"c": {"first": 1, "last": 1}}


def test_its_age_is_small_from_the_beginning(store, url):
    store.sync()
    with Follower(url) as follower:
        assert follower.age() < 60


def test_its_age_is_small_though_there_is_always_more_to_see(store, follower, monkeypatch):
    monkeypatch.setattr(reading, "head", lambda *_: (-1, ""))
    store.sync()
    time.sleep(1.5)

    assert follower.age() < 1


def test_it_may_be_closed_within_its_own_transaction(store, url):
    store.sync()
    follower = Follower(url)
    with follower.transaction():
        follower.close()
    follower._thread.join(10)

    assert not follower._thread.is_alive()


def test_it_is_closed_though_the_server_does_not_answer(store, follower, server, schema):
    with psycopg.connect(server.url(schema=schema)) as other:
        other.execute("LOCK TABLE safepatch_removed")
        server.execute("UPDATE safepatch_shards SET sequence = 1", schema=schema)
        time.sleep(0.2)
        closing = threading.Thread(target=follower.close)
        closing.start()
        closing.join(5)
        assert not closing.is_alive()
    follower._thread.join(10)
    assert not follower._thread.is_alive()
