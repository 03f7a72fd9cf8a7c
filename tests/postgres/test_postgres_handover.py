"""Handing over to PostgreSQL and back, live."""

import threading

import pytest

from safepatch.store import FailedError, LockedError, Store, StoreError


@pytest.mark.parametrize("file", ["{}/journal", "sqlite:///{}/state.db"])
def test_there_and_back_while_transactions_go_on(url, tmp_path, file):
    file = file.format(tmp_path)
    stop, count = threading.Event(), 0
    with Store(file, every=0, in_memory=10) as store:

        def many():
            nonlocal count
            while not stop.is_set():
                with store.transaction():
                    store.root["c"][str(count % 300)] = {"n": count}
                    store.root["counts"]["n"] = count + 1
                count += 1

        with store.transaction():
            store.root["c"].update({str(n): {"n": n} for n in range(500)})
        thread = threading.Thread(target=many)
        thread.start()
        store.hand_over(url)
        there = count
        store.hand_over(tmp_path / "back")
        stop.set()
        thread.join()
        expected = {name: dict(documents) for name, documents in store.root.items()}

    assert count > there
    assert expected["counts"] == {"n": count}
    with Store(tmp_path / "back", every=0) as back:
        assert back.root == expected
    for gone in (file, url):
        with pytest.raises(StoreError, match="it was handed over to"):
            Store(gone).root


def test_the_new_place_is_watched(url, server, tmp_path):
    with Store(tmp_path / "old", every=0) as store:
        store.root["c"]["k"] = 1
        store.hand_over(url)
        with store.transaction():
            store.root["c"]["l"] = 2
        server.stop()
        with pytest.raises(FailedError), store.transaction():
            store.root["c"]["m"] = 3


@pytest.mark.parametrize("options", [{"standby": True}, {"shard": (0, 2)}])
def test_a_standby_or_a_shard_can_leave(url, tmp_path, options):
    with Store(url, every=0, **options) as store:
        store.root["c"]["k"] = 1
        store.hand_over(tmp_path / "new")

    with Store(tmp_path / "new", every=0) as again:
        assert again.root == {"c": {"k": 1}}


def test_a_new_place_that_is_open_is_not_waited_for(server, url):
    server.execute("CREATE SCHEMA other")
    other = server.url(schema="other")
    with Store(url, every=0, standby=True) as store, Store(other, every=0) as busy:
        busy.sync()
        with pytest.raises(LockedError):
            store.hand_over(other)
