"""Snapshot mode: a plain dict, and a consistent image of it every so often."""

import json
import os
import threading

import pytest
from children import child

from safepatch import patch
from safepatch.store import CorruptError, LockedError, Store, StoreError
from safepatch.store.snapshots import Snapshots


@pytest.fixture
def store(directory):
    with Store(directory, mode="snapshot", every=0) as store:
        yield store


def image(directory):
    return json.loads((directory / "snapshot.json").read_text())


def test_the_root_is_a_plain_dict_that_comes_back(store, directory):
    assert type(store.root) is dict
    store.root["me@example.com"] = {"options": {"newsletter": True}, "visits": [1, 2.5, None]}
    store.close()

    with Store(directory, mode="snapshot") as again:
        assert type(again.root) is dict
        assert again.root == {
            "me@example.com": {"options": {"newsletter": True}, "visits": [1, 2.5, None]}
        }


def test_sync_writes_json_that_anybody_can_read(store, directory):
    store.root["n"] = {"ä": "\n"}
    store.sync()

    assert image(directory) == {"n": {"ä": "\n"}}


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
def test_an_image_is_written_every_so_often_and_at_the_end(directory, patch):
    printed = child(
        f"""
        {patch}
        import time, os
        from safepatch.store import Store
        store = Store({str(directory)!r}, mode="snapshot", every=0.02)
        store.root["n"] = 1
        while not os.path.exists({str(directory / "snapshot.json")!r}):
            time.sleep(0.005)
        print("written")
        store.root["n"] = 2
        """
    )

    assert printed == "written"
    assert image(directory)["n"] == 2


def test_what_is_done_every_so_often_tells_of_failures_but_not_after_closing(directory, caplog):
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def tick(kept):
        begun.release()
        assert go_on.acquire(timeout=10)
        raise OSError("it failed")

    with (
        patch((Snapshots, "tick"), lambda wrapped: tick),
        Store(directory, mode="snapshot", every=0.001) as store,
    ):
        assert begun.acquire(timeout=10)
        go_on.release()
        assert begun.acquire(timeout=10)  # the second time, so that the first was told of
        store.close()
        (ticking,) = [t for t in threading.enumerate() if t.name == "safepatch-store"]
        go_on.release()
        ticking.join(10)

    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [OSError]


def test_images_are_written_also_if_a_thread_of_a_pool_was_the_first_to_use_it(directory):
    """Of whose loop gevent's greenlets would be, and it does not run."""
    printed = child(
        f"""
        from gevent import monkey; monkey.patch_all()
        import gevent, os
        from safepatch.store import Store
        store = Store({str(directory)!r}, mode="snapshot", every=0.02)
        gevent.get_hub().threadpool.apply(lambda: store.root)
        for _ in range(500):
            gevent.sleep(0.01)
            if store.stats()["images"] > 1:
                break
        print(store.stats()["images"] > 1)
        """
    )

    assert printed == "True"


def test_an_image_shows_one_moment_whatever_greenlets_do(directory):
    """They move amounts between two places; the sum is the same in every image."""
    printed = child(
        f"""
        import gevent, json, os
        from safepatch.store import Store
        store = Store({str(directory)!r}, mode="snapshot", every=0)
        root = store.root
        root["accounts"] = {{str(n): 10 for n in range(100)}}
        def move():
            n = 0
            while True:
                accounts = root["accounts"]
                accounts[str(n % 100)] -= 1
                accounts[str((n + 7) % 100)] += 1
                n += 1
                gevent.sleep(0.001)
        movers = [gevent.spawn(move) for _ in range(5)]
        sums = set()
        for _ in range(5):
            store.sync()
            with open({str(directory / "snapshot.json")!r}) as file:
                sums.add(sum(json.load(file)["accounts"].values()))
        print(sums)
        gevent.killall(movers)
        """
    )

    assert printed == "{1000}"


def test_the_loop_goes_on_while_an_image_goes_to_the_disk(directory):
    printed = child(
        f"""
        import gevent, os, time
        from safepatch.store import Store
        fsync = os.fsync
        os.fsync = lambda descriptor: (time.sleep(0.1), fsync(descriptor))
        ticks = 0
        def tick():
            global ticks
            while True:
                gevent.sleep(0.001)
                ticks += 1
        ticker = gevent.spawn(tick)
        store = Store({str(directory)!r}, mode="snapshot", every=0)
        store.root["n"] = 1
        gevent.sleep(0)
        store.sync()
        print(ticks > 20)
        ticker.kill()
        """
    )

    assert printed == "True"


def test_no_image_that_was_made_earlier_comes_after_a_later_one(store, directory, monkeypatch):
    made, written = threading.Event(), threading.Event()
    kept = store.opened()
    make = kept._image

    def slowly():
        image = make()
        if not made.is_set():
            made.set()
            written.wait(0.2)
        return image

    monkeypatch.setattr(kept, "_image", slowly)
    thread = threading.Thread(target=store.sync)
    thread.start()
    made.wait()
    store.root["n"] = 1
    store.sync()
    written.set()
    thread.join()

    assert image(directory) == {"n": 1}


def test_a_write_that_fails_leaves_the_last_image_and_may_be_tried_again(store, directory, patches):
    from safepatch.decorators import fault

    store.root["n"] = 1
    store.sync()
    store.root["n"] = 2
    full = OSError(28, "No space left on device")
    failing = patches.apply("os:fsync", fault(error=full), aliases="ignore")
    with pytest.raises(StoreError, match="No space left on device; the last one is as it was"):
        store.sync()
    failing.undo()

    assert image(directory) == {"n": 1}
    store.sync()
    assert image(directory) == {"n": 2}


@pytest.mark.parametrize(
    "value", [{1: 2}, {1, 2}, object(), 1 << 64, type("Text", (str,), {})("x"), b"x"]
)
def test_what_would_come_back_as_something_else_is_refused(store, directory, value):
    store.root["n"] = 1
    store.sync()
    store.root["bad"] = value

    with pytest.raises(StoreError, match="cannot write a snapshot: "):
        store.sync()

    assert image(directory) == {"n": 1}
    del store.root["bad"]


def test_how_deep_it_may_be_is_told_where_it_is_too_deep(store, directory):
    for depth in (254, 255):
        store.root.clear()
        inner = store.root
        for _ in range(depth - 1):
            inner["k"] = inner = {}
        if depth == 254:
            store.sync()
    with pytest.raises(StoreError, match="not more than 254 of these within one another"):
        store.sync()

    assert str(image(directory)).count("k") == 253
    store.root.clear()


@pytest.mark.parametrize("content", [b"", b'{"n": ', b"[1]", b"\xff"])
def test_a_damaged_image_is_refused_and_left_alone(directory, content):
    directory.mkdir()
    (directory / "snapshot.json").write_bytes(content)

    with pytest.raises(CorruptError, match=r"snapshot\.json"):
        Store(directory, mode="snapshot").root

    assert (directory / "snapshot.json").read_bytes() == content


def test_what_was_left_unfinished_is_removed(directory):
    directory.mkdir()
    (directory / "snapshot.json.tmp").write_bytes(b"half")

    with Store(directory, mode="snapshot") as store:
        assert store.root == {}
        assert not (directory / "snapshot.json.tmp").exists()


def test_one_at_a_time_may_open_it_in_either_mode(store, directory):
    assert store.root == {}

    for mode in ("snapshot", "journal"):
        with pytest.raises(LockedError):
            Store(directory, mode=mode).root


def test_an_image_is_not_written_over_that_of_a_store_that_has_taken_its_place(
    store, directory, tmp_path
):
    store.root["n"] = 1
    store.sync()
    directory.rename(tmp_path / "moved")
    with Store(directory, mode="snapshot") as other:
        other.root["n"] = "of the other"
    store.root["n"] = 2

    for look in (store.sync, store.verify):
        with pytest.raises(StoreError, match="is not the one that was opened"):
            look()
    assert image(directory) == {"n": "of the other"}
    assert image(tmp_path / "moved") == {"n": 1}
    with pytest.raises(StoreError, match="is not the one that was opened"):
        store.close()


def test_images_stay_where_a_link_led_when_the_store_was_opened(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to("one")
    with Store(tmp_path / "current", mode="snapshot", every=0) as store:
        (tmp_path / "current").unlink()
        (tmp_path / "current").symlink_to("two")
        store.root["n"] = 1

    assert os.listdir(tmp_path / "two") == []
    assert image(tmp_path / "one") == {"n": 1}


def test_each_mode_refuses_what_the_other_one_wrote(store, directory, tmp_path):
    store.root["n"] = 1
    store.close()
    with Store(tmp_path / "journal") as journal:
        journal.root["c"]["k"] = 1

    with pytest.raises(StoreError, match="mode='snapshot'"):
        Store(directory).root
    with pytest.raises(StoreError, match="mode='journal'"):
        Store(tmp_path / "journal", mode="snapshot").root
    assert image(directory) == {"n": 1}


def test_backup_verify_stats_and_compact(store, directory, tmp_path):
    store.root["n"] = {"k": 1}
    store.backup(tmp_path / "copy")
    store.root["n"] = {}
    store.compact()
    store.sync()

    assert image(tmp_path / "copy") == {"n": {"k": 1}}
    assert store.verify()["entries"] == 1
    assert store.stats()["image_bytes"] == os.path.getsize(directory / "snapshot.json")
    with pytest.raises(FileExistsError):
        store.backup(tmp_path / "copy")


def test_migrations_are_refused(directory):
    with pytest.raises(ValueError, match="no migrations"):
        Store(directory, mode="snapshot", migrations=[print])
