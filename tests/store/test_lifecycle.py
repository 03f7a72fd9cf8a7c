"""Opening and closing: by one at a time, and nothing before the first use."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from children import ROOT, child

from safepatch.store import (
    ClosedError,
    FailedError,
    LockedError,
    Store,
    StoreError,
    directories,
    durable,
)


def test_making_a_store_touches_no_disk(directory):
    store = Store(directory)
    durable(store)(print)
    store.transaction()

    assert not directory.exists()

    assert store.root == {}
    assert directory.exists()
    store.close()


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.root,
        lambda store: durable(store)(lambda: None)(),
        lambda store: store.sync(),
        lambda store: store.stats(),
        lambda store: store.__enter__(),
    ],
)
def test_the_first_use_opens_it_with_all_directories(tmp_path, use):
    store = Store(tmp_path / "a" / "b")
    use(store)

    assert (tmp_path / "a" / "b").is_dir()
    store.close()


def test_a_second_opener_is_refused_in_this_process_and_in_another(store, directory):
    assert store.root == {}

    with pytest.raises(LockedError, match="it is open already"):
        Store(directory).root
    printed = child(
        f"""
        from safepatch.store import *
        try:
            Store({str(directory)!r}).root
        except LockedError as error:
            print(type(error).__name__, isinstance(error, OSError))
        """
    )

    assert printed == "LockedError True"
    store.root["c"]["k"] = 1  # and the first one goes on
    store.sync()


def test_who_was_refused_leaves_nothing_locked(store, directory):
    assert store.root == {}
    with pytest.raises(LockedError):
        Store(directory).root
    store.close()

    with Store(directory) as again:
        assert again.root == {}


def test_a_closed_store_is_refused_until_it_is_opened_again(store):
    store.root["c"]["k"] = 1
    store.close()
    store.close()

    with pytest.raises(ClosedError, match="it was closed"):
        store.root
    with pytest.raises(ClosedError):
        durable(store)(lambda: None)()
    with store:
        assert store.root == {"c": {"k": 1}}


def test_closing_while_a_transaction_looks_at_the_root_keeps_neither_waiting(directory):
    printed = child(
        f"""
        import threading, time
        from safepatch.store import *
        store = Store({str(directory)!r}, every=0)
        store.root["c"]["k"] = 1
        inside = threading.Event()
        def run():
            try:
                with store.transaction():
                    store.root["c"]["k"] = 2
                    inside.set()
                    while "closed" not in repr(store):
                        time.sleep(0.001)
                    store.root["c"]["k"] = 3
            except ClosedError as error:
                print(error)
        thread = threading.Thread(target=run)
        thread.start()
        inside.wait()
        store.close()
        thread.join()
        with store:
            print(store.root)
        """,
        timeout=10,
    )

    told, root = printed.splitlines()
    assert "it was closed" in told
    assert root == "{'c': {'k': 1}}"


def test_who_is_interrupted_before_it_writes_keeps_nobody_waiting(directory):
    printed = child(
        f"""
        from safepatch.store import *
        store = Store({str(directory)!r}, every=0)
        put = durable(store)(store.root["c"].__setitem__)
        put("k", 1)
        def interrupted():
            raise KeyboardInterrupt
        store.opened().commits._write_next = interrupted  # as the first thing that it does
        try:
            put("k", 2)
        except KeyboardInterrupt:
            print("interrupted")
        del store.opened().commits._write_next
        try:
            put("k", 3)
        except FailedError as error:
            print(error)
        store.close()
        with store:
            print(store.root)
        """,
        timeout=10,
    )

    interrupted, told, root = printed.splitlines()
    assert interrupted == "interrupted"
    assert "KeyboardInterrupt" in told
    assert root == "{'c': {'k': 1}}"


def test_writes_outside_of_transactions_are_kept_by_close_sync_and_the_end_of_the_program(
    directory,
):
    child(
        f"""
        from safepatch.store import Store
        store = Store({str(directory)!r})
        store.root["c"]["k"] = {{"n": [1]}}
        """
    )

    with Store(directory) as store:
        assert store.root == {"c": {"k": {"n": [1]}}}
        store.root["c"]["k"]["n"].append(2)
        assert store.sync() == [("c", "k")]
        assert store.sync() == []
        del store.root["c"]["k"]
        store.root["d"]["l"] = 1
    with Store(directory) as store:
        assert store.root == {"d": {"l": 1}}


def test_the_child_of_a_fork_is_refused_and_does_not_keep_the_parents_lock(directory):
    printed = child(
        f"""
        import os, time
        from safepatch.store import *
        store = Store({str(directory)!r}, every=0)
        store.root["c"]["k"] = 1
        read, write = os.pipe()
        if not os.fork():
            try:
                store.root
            except ClosedError as error:
                os.write(write, str(error).encode())
            time.sleep(1)
            os._exit(0)
        print(os.read(read, 1000).decode())
        store.close()
        with store:
            print(store.root)
        """
    )

    assert "the process that this one was forked from" in printed
    assert "{'c': {'k': 1}}" in printed


def test_links_lead_to_one_store(tmp_path):
    (tmp_path / "link.db").symlink_to("file.db")
    with Store(f"sqlite:///{tmp_path}/file.db", every=0), pytest.raises(LockedError):
        Store(f"sqlite:///{tmp_path}/link.db", every=0).opened()


def test_who_follows_a_link_stays_where_it_led_when_the_store_was_opened(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to("one")
    with Store(tmp_path / "current" / "state", every=0, segment=1) as store:
        for number in range(4):
            with store.transaction():
                store.root["c"]["n"] = number
            (tmp_path / "current").unlink()
            (tmp_path / "current").symlink_to("two")

    assert os.listdir(tmp_path / "two") == []
    with Store(tmp_path / "one" / "state") as store:
        assert store.root == {"c": {"n": 3}}


def test_a_store_whose_directory_was_replaced_stops_before_it_writes_into_the_other_one(tmp_path):
    old = Store(tmp_path / "state", every=0, segment=2000)
    acknowledged = 0
    with old.transaction():
        old.root["c"]["n"] = 0
    (tmp_path / "state").rename(tmp_path / "moved")
    with Store(tmp_path / "state", every=0) as new:
        new.root["new"]["n"] = 1
        with pytest.raises(FailedError, match="is not the one that was opened"):
            for number in range(1, 1000):
                with old.transaction():
                    old.root["c"]["n"] = number
                acknowledged = number
    with contextlib.suppress(StoreError):
        old.close()

    with Store(tmp_path / "state") as new:
        assert new.root == {"new": {"n": 1}}
    with Store(tmp_path / "moved") as moved:
        assert moved.root["c"]["n"] in (acknowledged, acknowledged + 1)


def test_what_others_left_unfinished_in_the_directory_stays(directory):
    with Store(directory, every=0) as store:
        store.root["c"]["k"] = 1
    (directory / "backup.tmp").mkdir()
    (directory / "notes.tmp").write_text("mine")

    with Store(directory, every=0) as store:
        assert store.root == {"c": {"k": 1}}
    assert {"backup.tmp", "notes.tmp"} <= set(os.listdir(directory))


@pytest.mark.parametrize("mode", ["journal", "snapshot"])
def test_a_loop_that_lacks_what_it_needs_is_refused_when_it_is_opened(directory, mode):
    printed = child(
        f"""
        import os
        os.environ["GEVENT_LOOP"] = "libuv-cffi"
        from gevent import monkey; monkey.patch_all()
        from safepatch.store import *
        store = Store({str(directory)!r}, mode={mode!r})
        try:
            store.root
        except StoreError as error:
            print(error, os.path.exists(store.path))
        """
    )

    assert "set GEVENT_LOOP=libev-cext" in printed
    assert printed.endswith("False")


@pytest.mark.parametrize("place", ["{0}", "sqlite:///{0}.db"])
def test_a_child_forked_while_it_is_being_opened_does_not_keep_it_either(directory, place):
    printed = child(
        f"""
        import os, threading, time
        from safepatch.store import *
        opening, forked = threading.Event(), threading.Event()
        def migrate(root):
            opening.set()
            forked.wait()
        store = Store({place.format(directory)!r}, every=0, migrations=[migrate])
        thread = threading.Thread(target=store.opened)
        thread.start()
        opening.wait()
        read, write = os.pipe()
        process = os.fork()
        if not process:
            try:
                store.root
            except ClosedError as error:
                os.write(write, str(error).encode())
            time.sleep(20)
            os._exit(0)
        print(os.read(read, 1000).decode())
        forked.set()
        thread.join()
        store.close()
        with store:
            print(store.root)
        os.kill(process, 9)
        """,
        *("-W", "ignore::DeprecationWarning"),  # of forks amid threads, since Python 3.12
    )

    assert "the process that this one was forked from" in printed
    assert printed.endswith("{}")


def test_a_child_forked_while_files_are_merged_or_looked_at_does_not_keep_that_lock(directory):
    directory.mkdir()
    read, write = os.pipe()
    with directories.locked(directory, "compacting"):
        process = os.fork()
        if not process:
            os.write(write, b"runs")
            time.sleep(20)
            os._exit(0)
    try:
        os.read(read, 4)
        with directories.locked(directory, "compacting"):
            pass
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def test_a_transaction_that_a_fork_cut_in_two_ends_in_the_parent_alone(directory):
    printed = child(
        f"""
        import os
        from safepatch.store import *
        store = Store({str(directory)!r}, every=0)
        put = store.root["c"].__setitem__
        @durable(store)
        def fork(*arguments):
            put(*arguments)
            return os.fork()
        read, write = os.pipe()
        try:
            process = fork("k", 1)
        except ClosedError as error:
            os.write(write, str(error).encode())
            os._exit(0)
        os.waitpid(process, 0)
        print(os.read(read, 1000).decode())
        durable(store)(put)("l", 2)
        store.close()
        with store:
            print(store.root)
        """
    )

    told, root = printed.splitlines()
    assert "it is of the process that was forked" in told
    assert root == "{'c': {'k': 1, 'l': 2}}"


def test_a_child_may_open_a_store_that_its_parent_only_made(directory):
    printed = child(
        f"""
        import os
        from safepatch.store import *
        store = Store({str(directory)!r})
        if not os.fork():
            store.root["c"]["k"] = 1
            store.close()
            os._exit(0)
        os.wait()
        print(store.root)
        """
    )

    assert printed == "{'c': {'k': 1}}"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "fast"}, "'journal' or 'snapshot'"),
        ({"every": -1}, "every=-1"),
        ({"every": "often"}, "every='often'"),
        ({"segment": float("nan")}, "segment=nan"),
        ({"keep": -0.5}, "keep=-0.5"),
    ],
)
def test_wrong_options_are_refused_when_it_is_made(directory, options, told):
    with pytest.raises(ValueError, match=told):
        Store(directory, **options)


@pytest.mark.parametrize("migrations", [print, [1], iter([print])])
def test_what_are_no_migrations_are_refused_when_it_is_made(directory, migrations):
    with pytest.raises(TypeError, match=r"got migrations=.*; give a list of functions"):
        Store(directory, migrations=migrations)


async def coroutine(root):
    pass


def generator(root):
    yield


@pytest.mark.parametrize("step", [coroutine, generator])
def test_a_migration_whose_work_is_done_after_the_call_is_refused(directory, step):
    with pytest.raises(
        TypeError, match=rf"got the migration .*{step.__name__}', a {step.__name__}"
    ):
        Store(directory, migrations=[print, step])


def test_a_path_of_bytes_is_refused(directory):
    with pytest.raises(TypeError, match="give it as a text"):
        Store(os.fsencode(directory))


def test_an_unknown_address_is_refused_when_the_store_is_made():
    with pytest.raises(ValueError, match=r"give a directory, sqlite:///FILE"):
        Store("mysql://localhost/db")


def test_an_image_of_a_plain_root_is_written_to_no_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ValueError, match="images are written to a directory"):
        Store("sqlite:///state.db", mode="snapshot")


@pytest.mark.parametrize("address", ["{}state", "sqlite:///{}state.db"])
def test_a_relative_path_is_from_where_the_store_was_made(tmp_path, monkeypatch, address):
    there, elsewhere, copy = tmp_path / "there", tmp_path / "elsewhere", tmp_path / "copy"
    there.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(there)
    store = Store(address.format(""), every=0)

    monkeypatch.chdir(elsewhere)
    with store:
        with store.transaction():
            store.root["c"]["k"] = 1
        monkeypatch.chdir("/")
        store.backup(copy)  # closes the journal, so that the next one begins a file
        with store.transaction():
            store.root["c"]["l"] = 2
        store.hand_over(str(there / "new"))

    assert not [*elsewhere.iterdir()]
    with Store(address.split("{")[0] + str(copy), every=0) as again:
        assert again.root == {"c": {"k": 1}}
    with Store(there / "new", every=0) as new:
        assert new.root == {"c": {"k": 1, "l": 2}}


def test_a_file_in_the_place_of_the_directory_is_told(tmp_path):
    (tmp_path / "state").write_text("")

    with pytest.raises(FileExistsError, match=r"state.: there is something else of that name"):
        Store(tmp_path / "state").root


def test_importing_safepatch_does_not_import_the_store():
    printed = child("import safepatch, sys; print('safepatch.store' in sys.modules)")

    assert printed == "False"


def test_importing_the_store_imports_no_gevent():
    printed = child("import safepatch.store, sys; print('gevent' in sys.modules)")

    assert printed == "False"


class TestMigrations:
    @staticmethod
    def add_names(root):
        for user in root["users"].values():
            user["name"] = "?"

    @staticmethod
    def count(root):
        root["counts"]["users"] = len(root["users"])

    def test_each_is_called_once_in_order(self, store, directory):
        store.root["users"] = {"a": {}, "b": {}}
        store.close()

        for _ in range(2):
            with Store(directory, migrations=[self.add_names]) as migrated:
                assert migrated.root["users"] == {"a": {"name": "?"}, "b": {"name": "?"}}
                migrated.root["users"].pop("b", None)
                migrated.root["users"]["b"] = {"name": "?"}
        with Store(directory, migrations=[self.add_names, self.count]) as migrated:
            assert migrated.root["counts"] == {"users": 2}
        with Store(directory, migrations=[self.add_names, self.count]) as migrated:
            assert list(migrated.root) == ["users", "counts"]

    def test_one_that_fails_changes_nothing_and_leaves_the_store_closed(self, store, directory):
        store.root["users"] = {"a": {}}
        store.close()

        def fail(root):
            root["users"]["a"]["half"] = True
            raise LookupError

        with pytest.raises(LookupError):
            Store(directory, migrations=[self.count, fail]).root

        with Store(directory, migrations=[self.count]) as store:
            assert store.root == {"users": {"a": {}}, "counts": {"users": 1}}

    def test_a_program_that_knows_fewer_is_refused(self, directory):
        with Store(directory, migrations=[self.count]):
            pass

        with pytest.raises(StoreError, match="1 migrations, but 0 are given"):
            Store(directory).root

    def test_the_store_itself_cannot_be_used_within_one(self, directory):
        def migrate(root):
            with store.transaction():
                root["c"]["k"] = 1

        store = Store(directory, migrations=[migrate])
        with pytest.raises(StoreError, match="a migration is in a transaction already"):
            store.root


@pytest.mark.parametrize("address", ["sqlite:///copy.db", "postgresql:///app", "sqlite:copy.db"])
def test_a_backup_goes_to_no_address(directory, tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    with Store(directory) as store:
        store.root["c"]["k"] = 1
        with pytest.raises(ValueError, match="give a"):
            store.backup(address)

    assert not list(tmp_path.glob("*:*"))


def test_the_program_ends_with_all_stores_closed_though_one_cannot_keep_all_it_has(tmp_path):
    source = f"""
from safepatch.store import Store
stores = [Store({str(tmp_path)!r} + "/" + str(number)) for number in range(8)]
for number, store in enumerate(stores):
    store.root["c"]["k"] = object() if number in (2, 5) else number
"""
    ran = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert "NotStorableError" in ran.stderr
    for number in range(8):
        with Store(tmp_path / str(number)) as store:
            assert store.root == ({} if number in (2, 5) else {"c": {"k": number}})


def test_a_signals_handler_is_refused_to_close_amid_the_write_that_it_interrupts(directory):
    printed = child(
        f"""
        import signal
        import safepatch
        from safepatch.store import Store, StoreError
        store = Store({str(directory)!r}, every=0)
        store.root["c"]["k"] = 0
        store.sync()

        def handler(*_):
            try:
                store.close()
            except StoreError as error:
                print(str(error).partition(",")[0])

        def interrupted(wrapped):
            def fdatasync(file):
                signal.raise_signal(signal.SIGTERM)
                return wrapped(file)
            return fdatasync

        signal.signal(signal.SIGTERM, handler)
        with safepatch.patch("os:fdatasync", interrupted), store.transaction():
            store.root["c"]["k"] = 1
        store.root["c"]["k"] = 2
        store.close()
        """
    )

    assert {*printed.splitlines()} == {
        "cannot wait for the disk amid the write that would be waited for"
    }
    with Store(directory) as store:
        assert store.root == {"c": {"k": 2}}


def test_nothing_is_left_open(directory):
    def descriptors():
        return {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                if os.path.exists(f"/proc/self/fd/{fd}")}  # fmt: skip

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc here")
    with Store(directory) as store:
        store.root["c"]["k"] = 1
        store.compact()
        store.backup(directory.with_name("copy"))
        store.verify()

    assert not [name for name in descriptors() if str(directory.parent) in name]


def test_others_cannot_keep_a_store_closed_by_taking_its_lock(tmp_path):
    """Who may read a file may lock it."""
    before = os.umask(0)
    try:
        with Store(tmp_path / "state"):
            pass
    finally:
        os.umask(before)

    assert (tmp_path / "state" / "lock").stat().st_mode & 0o777 == 0o600
