"""Documents in a file of SQLite: more than fit into memory, and open to other tools."""

import contextlib
import gc
import json
import logging
import os
import random
import shutil
import sqlite3
import textwrap
import threading
from importlib.util import find_spec

import pytest
from children import child
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safepatch.store import ClosedError, CorruptError, FailedError, Store, StoreError, durable
from safepatch.store.transactions import Transaction

MANY, FEW = 300, 20


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def opened(file):
    return lambda **options: Store(f"sqlite:///{file}", every=0, **options)


@pytest.fixture
def store(opened):
    with opened(in_memory=FEW) as store:
        yield store


@pytest.fixture
def large(store):
    """A store of many documents, of which few are in memory."""
    for n in range(0, MANY, 100):
        with store.transaction():
            store.root["c"].update({str(m): {"n": m, "tags": ["a"]} for m in range(n, n + 100)})
    store.opened().tick()  # which makes room
    return store


def in_memory(store):
    return store.stats()["in_memory"]


def query(file, sql, *values):
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(sql, values).fetchall()


def look_at_others(store, but=()):
    """Read many documents, so that others leave memory."""
    for n in range(MANY):
        if str(n) not in but:
            store.root["c"][str(n)]


class TestMoreThanFitsIntoMemory:
    def test_few_documents_are_in_memory_and_all_are_there(self, large):
        collection = large.root["c"]

        assert in_memory(large) <= FEW
        assert len(collection) == MANY
        assert [*collection] == [str(n) for n in range(MANY)]
        assert "7" in collection
        assert "x" not in collection
        assert collection["7"] == {"n": 7, "tags": ["a"]}
        assert collection.get("x") is None
        with pytest.raises(KeyError):
            collection["x"]
        assert sum(document["n"] for document in collection.values()) == sum(range(MANY))
        assert [key for key, document in collection.items() if document["n"] > 297] == [
            "298",
            "299",
        ]
        assert in_memory(large) <= FEW

    def test_opening_reads_no_documents(self, large, opened):
        large.close()

        with opened() as again:
            assert again.stats()["documents"] == {"c": MANY}
            assert in_memory(again) == 0

    def test_a_transaction_that_only_reads_may_look_at_all(self, large):
        with large.transaction(reads_only=True):
            total = sum(document["n"] for document in large.root["c"].values())

        assert (total, in_memory(large) <= FEW) == (sum(range(MANY)), True)

    def test_what_a_transaction_holds_stays_until_its_end(self, large):
        with large.transaction():
            for document in large.root["c"].values():
                document["n"] += 1
            assert in_memory(large) >= MANY
        del document
        large.opened().tick()  # which is done every so often

        assert in_memory(large) <= FEW
        assert large.root["c"]["7"]["n"] == 8

    def test_what_a_transaction_has_only_looked_at_is_not_removed_by_it(self, large):
        with large.transaction():
            large.root["numbers"].update({str(n): n for n in range(MANY)})
        with large.transaction():
            assert sum(large.root["numbers"].values()) == sum(range(MANY))
            for n in range(MANY):
                assert f"missing {n}" not in large.root["c"]  # which makes room

        assert large.verify()["documents"] == {"c": MANY, "numbers": MANY}

    def test_a_failed_transaction_brings_back_what_was_not_in_memory(self, large):
        with pytest.raises(ZeroDivisionError), large.transaction():
            collection = large.root["c"]
            collection["new"] = 1
            collection["7"]["n"] = 0
            del collection["8"]
            collection["9"] = 0
            assert len(collection) == MANY
            look_at_others(large, but="8")
            1 / 0

        assert len(collection) == MANY
        assert "new" not in collection
        assert [collection[key]["n"] for key in "789"] == [7, 8, 9]
        assert [*collection] == [str(n) for n in range(MANY)]

    def test_what_the_program_refers_to_stays_the_same_object(self, large):
        document, part = large.root["c"]["7"], large.root["c"]["8"]["tags"]
        look_at_others(large)
        document["n"] = "changed"
        part.append("b")

        assert large.root["c"]["7"] is document
        assert large.root["c"]["8"]["tags"] is part
        large.sync()
        assert large.verify()["documents"] == {"c": MANY}

    def test_what_was_changed_outside_of_transactions_is_written_before_it_leaves(
        self, large, file, caplog
    ):
        with caplog.at_level(logging.WARNING, "safepatch.store"):
            large.root["c"]["7"]["n"] = "changed"
            look_at_others(large, but="7")

        assert "changed outside of transactions, and committed: c/7" in caplog.text
        durable(large)(lambda: None)()
        look_at_others(large, but="7")
        assert large.root["c"]["7"]["n"] == "changed"
        assert large.stats()["found_by_scrub"] == 1

    def test_what_was_removed_outside_of_transactions_is_gone_and_found(self, large, file):
        del large.root["c"]["7"]
        look_at_others(large, but="7")

        assert "7" not in large.root["c"]
        assert len([*large.root["c"]]) == len(large.root["c"]) == MANY - 1
        assert large.sync() == [("c", "7")]
        assert query(file, "SELECT count(*) FROM documents WHERE key = '7'") == [(0,)]

    def test_what_is_not_yet_on_disk_stays(self, large):
        kept = large.opened()
        kept.begin(transaction := Transaction())
        large.root["c"]["7"]["n"] = "changed"
        del large.root["c"]["8"]
        large.root["c"]["new"] = 1
        ticket = kept.commit(transaction)  # and nobody waits for it, so nobody writes it
        look_at_others(large, but="8")

        assert large.root["c"]["7"]["n"] == "changed"
        assert "8" not in large.root["c"]
        assert next(reversed(large.root["c"])) == "new"
        assert len([*large.root["c"]]) == len(large.root["c"]) == MANY
        assert "8" not in dict(large.root["c"].items())
        assert "8" not in large.root["c"]
        kept.commits.wait(ticket)
        look_at_others(large, but="8")
        assert large.root["c"]["7"]["n"] == "changed"
        assert len([*large.root["c"]]) == len(large.root["c"]) == MANY

    def test_what_gets_to_disk_while_all_are_looked_at_is_seen_once(self, large):
        kept, rows = large.opened(), large.opened().engine._rows
        kept.begin(transaction := Transaction())
        large.root["c"]["new"] = 1
        ticket = kept.commit(transaction)
        last = rows.last

        def on_disk_now(name):
            kept.commits.wait(ticket)
            return last(name)

        rows.last = on_disk_now
        for keys in ([*large.root["c"]], [*reversed(large.root["c"])][::-1]):
            assert keys == [*map(str, range(MANY)), "new"]

    def test_a_document_that_cannot_be_stored_stays_and_is_told_by_sync(self, large):
        large.root["c"]["7"]["n"] = {1, 2}
        look_at_others(large, but="7")

        assert large.root["c"]["7"]["n"] == {1, 2}
        with pytest.raises(StoreError, match=r"root\['c'\]\['7'\]\['n'\]"):
            large.sync()
        large.root["c"]["7"]["n"] = 7

    def test_what_changes_while_all_are_looked_at_is_seen_as_it_is(self, large):
        """A page was read, with what then changed, and left memory again."""
        looking = iter(large.root["c"].items())
        seen = dict([next(looking)])
        with large.transaction():
            large.root["c"]["150"]["n"] = "changed"
            del large.root["c"]["151"]
        look_at_others(large, but=("150", "151"))
        seen.update(looking)

        assert seen["150"]["n"] == "changed"
        assert "151" not in seen
        assert len(seen) == MANY - 1

    def test_all_collections_share_the_bound(self, large):
        for name in "xyz":
            with large.transaction():
                large.root[name].update({str(n): n for n in range(FEW)})
        for name in "xyzxyz":
            for key in large.root[name]:
                large.root[name][key]

        assert in_memory(large) <= FEW


def test_any_sequence_of_changes_leaves_what_a_dict_has(tmp_path):
    choose = random.Random(7)
    model = {}
    with Store(f"sqlite:///{tmp_path}/state.db", every=0, in_memory=5) as store:
        collection = store.root["c"]
        for step in range(400):
            key = str(choose.randrange(40))
            actions = choose.choices(["set", "del", "change", "read", "undo"], k=3)
            with contextlib.suppress(KeyError), contextlib.ExitStack() as stack:
                if choose.random() < 0.7:
                    stack.enter_context(store.transaction())
                for action in actions:
                    if action == "set":
                        collection[key] = {"n": step}
                        model.setdefault(key, {})["n"] = step
                    elif action == "del" and key in model:
                        del collection[key], model[key]
                    elif action == "change" and key in model:
                        collection[key]["n"] = model[key]["n"] = -step
                    elif action == "read":
                        assert collection.get(key) == model.get(key)
            if step % 20 == 0:
                assert dict(collection) == model
                assert len(collection) == len(model)
                store.sync()
        store.close()
        with store:
            assert store.root == {"c": model}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), inner
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_any_document_comes_back_from_disk_as_it_was(store, document):
    expected = repr(document)
    with store.transaction():
        store.root["c"]["k"] = document
    del document
    gc.collect()
    store.root["c"].let_go("k", [])

    assert repr(store.root["c"]["k"]) == expected


class TestOtherTools:
    def test_documents_are_json_in_a_table(self, large, file):
        found = query(
            file,
            "SELECT key, json_extract(document, '$.n') FROM documents WHERE collection = ? "
            "AND json_extract(document, '$.n') > 297",
            "c",
        )

        assert found == [("298", 298), ("299", 299)]
        assert json.loads(query(file, "SELECT document FROM documents")[0][0])["tags"] == ["a"]

    def test_what_they_change_while_it_is_closed_is_read(self, large, file, opened):
        large.close()
        query(file, "UPDATE documents SET document = '[1]', crc = NULL WHERE key = '7'")
        query(file, "DELETE FROM documents WHERE key = '8'")

        with opened() as again:
            assert again.root["c"]["7"] == [1]
            assert len(again.root["c"]) == MANY - 1

    def test_the_file_is_set_up_to_have_a_commit_on_disk_when_it_is_over(self, store, file):
        writer = store.root["c"].root.kept.engine._writer

        assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
        assert query(file, "PRAGMA journal_mode") == [("wal",)]

    def test_only_one_connection_may_write(self, store):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            store.opened().engine._rows._connection.execute("DELETE FROM documents")


class TestDamage:
    def test_a_changed_document_is_refused_when_it_is_read_and_by_verify(self, large, file, opened):
        large.close()
        query(file, "UPDATE documents SET document = replace(document, '7', '8') WHERE key = '7'")

        with opened() as again:
            assert again.root["c"]["6"]["n"] == 6
            with pytest.raises(CorruptError, match="document '7' of 'c' is damaged: its checksum"):
                again.root["c"]["7"]
            with pytest.raises(CorruptError, match="document '7' of 'c'"):
                again.verify()

    def test_pages_that_are_no_pages_are_refused(self, large, file, opened):
        large.close()
        data = bytearray(file.read_bytes())
        data[4096:] = b"\xff" * (len(data) - 4096)
        file.write_bytes(data)

        with pytest.raises(CorruptError, match="state"), opened() as again:
            again.verify()

    @pytest.mark.parametrize(
        "content", [b"no database at all", b"SQLite format 3\0" + b"\1" * 4096]
    )
    def test_what_is_no_database_is_refused_and_left_as_it_was(self, file, opened, content):
        file.write_bytes(content)

        for _ in range(2):
            with pytest.raises(CorruptError, match=r"database; go back to a backup, .*sqlite3"):
                opened().root
        assert file.read_bytes() == content

    def test_a_database_of_somebody_else_is_refused_and_left_as_it_was(self, file, opened):
        query(file, "CREATE TABLE documents (id)")
        before = file.read_bytes()

        with pytest.raises(StoreError, match="it is a database of another program"):
            opened().root
        assert file.read_bytes() == before

    def test_a_newer_shape_is_refused(self, large, file, opened):
        large.close()
        query(file, "PRAGMA user_version = 2")

        with pytest.raises(StoreError, match="a newer version of safepatch"):
            opened().root

    def test_a_full_disk_stops_the_store_and_what_was_told_is_there(self, large, opened):
        engine = large.opened().engine
        pages = engine._writer.execute("PRAGMA page_count").fetchone()[0]
        engine._writer.execute(f"PRAGMA max_page_count = {pages}")
        put = durable(large)(large.root["more"].__setitem__)
        told = []
        with pytest.raises(FailedError, match="full"):
            for n in range(100):
                put(str(n), "x" * 1000)
                told.append(str(n))
        engine._writer.execute("PRAGMA max_page_count = 100000")
        with pytest.raises(FailedError, match="full"):
            put("later", 1)
        large.close()

        with opened() as again:
            assert [*again.root["more"]] == told
            assert len(again.root["c"]) == MANY

    def test_after_an_error_of_compact_nothing_is_written(self, large):
        large.opened().engine._writer.close()
        with pytest.raises(sqlite3.ProgrammingError):
            large.compact()

        with pytest.raises(FailedError, match="a write to"):
            durable(large)(large.root["c"].__setitem__)("k", 1)


def test_a_file_as_it_is_while_it_is_open_has_all_that_was_told(large, file, tmp_path):
    """Copied with its log, and with no closing: as after a kill."""
    (tmp_path / "copy").mkdir()
    for path in file.parent.glob("state.db*"):
        shutil.copy(path, tmp_path / "copy")

    with Store(f"sqlite:///{tmp_path}/copy/state.db") as copy:
        assert copy.root == large.root


def test_a_log_that_was_cut_anywhere_leaves_whole_transactions(store, file, tmp_path):
    for n in range(6):
        with store.transaction():
            store.root["c"].update({f"a{n}": n, f"b{n}": n})
    log = file.with_name("state.db-wal").read_bytes()
    store_file = file.read_bytes()
    counts = []
    for cut in range(0, len(log) + 1, 1999):
        copy = tmp_path / f"{cut}.db"
        copy.write_bytes(store_file)
        copy.with_name(f"{cut}.db-wal").write_bytes(log[:cut])
        with Store(f"sqlite:///{copy}", every=0) as cut_off:
            keys = {*cut_off.root["c"]}
        counts.append(len(keys))
        assert keys == {f"{side}{n}" for side in "ab" for n in range(len(keys) // 2)}

    assert counts == sorted(counts)


class TestLookingAfterIt:
    def test_a_backup_that_cannot_be_made_is_told_as_the_stores_own_error(self, store):
        with pytest.raises(StoreError, match="unable to open"):
            store.backup("/proc/backup.db")

    def test_a_backup_is_a_store_of_its_own_and_is_of_one_moment(self, large, tmp_path):
        stop = threading.Event()

        @durable(large)
        def both(n):
            large.root["left"]["n"] = large.root["right"]["n"] = n

        def many():
            n = 0
            while not stop.is_set():
                both(n := n + 1)

        thread = threading.Thread(target=many)
        thread.start()
        (tmp_path / "backups").mkdir()
        (tmp_path / "backups" / "one.db.tmp").write_text("left by a crash")
        large.backup(tmp_path / "backups" / "one.db")
        stop.set()
        thread.join()

        with Store(f"sqlite:///{tmp_path}/backups/one.db") as copy:
            assert len(copy.root["c"]) == MANY
            assert copy.root["left"] == copy.root["right"]
            assert copy.verify()["documents"]["c"] == MANY
        with pytest.raises(FileExistsError, match="backups"):
            large.backup(tmp_path / "backups" / "one.db")

    def test_compact_gives_room_back(self, large, file):
        with large.transaction():
            large.root["c"]["large"] = "x" * 1_000_000
        with large.transaction():
            del large.root["c"]["large"]
        large.compact()
        stats = large.stats()

        assert stats["file_bytes"] < 200_000
        assert stats["log_bytes"] == 0
        assert len(large.root["c"]) == MANY

    def test_reading_from_a_closed_store_is_refused(self, large):
        collection = large.root["c"]
        large.close()

        with pytest.raises(ClosedError, match="the store is closed"):
            collection["7"]
            collection["200"]

    def test_nothing_but_the_file_is_left_by_closing(self, large, file):
        large.close()

        assert sorted(os.listdir(file.parent)) == ["state.db", "state.db-lock"]


@pytest.mark.parametrize(
    "address", ["sqlite://", "sqlite:///", "sqlite://file.db", "sqlite:///:memory:"]
)
def test_an_address_without_a_file_is_refused_when_the_store_is_made(address):
    with pytest.raises(ValueError, match="sqlite:///FILE"):
        Store(address)


def test_three_slashes_are_of_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store("sqlite:///a/state.db") as store:
        assert store.root == {}

    assert (tmp_path / "a" / "state.db").exists()


def test_the_child_of_a_fork_cannot_read_through_what_it_got(file):
    printed = child(
        f"""
        import os
        from safepatch.store import *
        store = Store("sqlite:///{file}", every=0, in_memory=1)
        for n in range(9):
            with store.transaction():
                store.root["c"][str(n)] = n
        collection = store.root["c"]
        if not os.fork():
            try:
                [*collection.values()]
            except ClosedError:
                os._exit(7)
        print(os.waitstatus_to_exitcode(os.wait()[1]))
        with store.transaction():
            store.root["c"]["k"] = 1
        store.close()
        with store:
            print(len(store.root["c"]), store.verify()["documents"])
        """
    )

    assert printed == "7\n10 {'c': 10}"


def test_threads_that_read_outside_and_change_inside_lose_nothing(large):
    errors = []

    @durable(large)
    def increment(key):
        large.root["c"][key]["n"] += 1

    def change(seed):
        choose = random.Random(seed)
        for _ in range(150):
            increment(str(choose.randrange(MANY)))

    def read(seed):
        choose = random.Random(seed)
        try:
            for _ in range(600):
                assert large.root["c"][str(choose.randrange(MANY))]["tags"] == ["a"]
            assert len([*large.root["c"].values()]) == MANY
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=function, args=(seed,))
        for seed in range(3)
        for function in (change, read)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert sum(document["n"] for document in large.root["c"].values()) == sum(range(MANY)) + 450


@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
def test_greenlets_share_writes_and_count_exactly_with_little_memory(file, patch):
    printed = child(
        textwrap.dedent(
            f"""
            {patch}
            import gevent
            from safepatch.store import *
            store = Store("sqlite:///{file}", every=0, in_memory=3)

            @durable(store)
            def increment(key):
                counters = store.root["counters"]
                counters[key] = counters.get(key, 0) + 1

            def many(n):
                for _ in range(10):
                    increment(str(n % 20))

            gevent.joinall([gevent.spawn(many, n) for n in range(100)], raise_error=True)
            print(store.stats()["batches"] < 500, store.stats()["in_memory"] <= 20)
            store.close()
            with store:
                print({{*store.root["counters"].values()}}, len(store.root["counters"]))
            """
        )
    )

    assert printed == "True True\n{50} 20"


def test_what_takes_the_place_of_what_was_removed_is_seen_once(opened):
    with opened(in_memory=100) as store:
        c = store.root["c"]
        with store.transaction():
            c.update(dict.fromkeys("01234", 1))
        c["m"] = c["n"] = 1  # there before it begins, and not yet on disk
        seen = []
        for key in c:
            seen.append(key)
            if key == "0":
                with store.transaction():
                    del c["3"], c["4"]
            elif key == "m":
                store.sync()

    assert seen == ["0", "1", "2", "m", "n"]


@pytest.mark.parametrize("backwards", [False, True])
def test_one_that_goes_and_comes_again_is_seen_once(opened, backwards):
    """While it is still to be removed from the disk, and then to be written there again."""
    with opened(in_memory=3) as store:
        c = store.root["c"]
        with store.transaction():
            c.update({str(n): 1 for n in range(450)})
        commits = store.opened().commits
        write, may_write = commits.write, [threading.Event(), threading.Event()]
        waiting = iter(may_write)

        def slow(batch):
            assert next(waiting).wait(10)
            write(batch)

        def change(action):
            def run():
                with store.transaction():
                    action()

            thread = threading.Thread(target=run)
            thread.start()
            while commits.appended - commits.durable != len(threads) + 1:
                pass
            threads.append(thread)

        threads = []
        commits.write = slow
        change(lambda: c.pop("210"))
        change(lambda: c.update({"210": 2}))
        seen = []
        for key in reversed(c) if backwards else c:
            seen.append(key)
            if len(seen) == (1 if backwards else 220):
                may_write[0].set()
                threads[0].join()
        may_write[1].set()
        threads[1].join()
        commits.write = write

    assert (len(seen), seen.count("210")) == (450, 1)


def test_a_change_by_one_thread_as_another_one_reads_is_found(opened, monkeypatch):
    from safepatch.store.engines import on_demand

    with opened() as store:
        store.root["c"]["k"] = {"n": 1}
    read, changed = threading.Event(), threading.Event()

    def slow(*document, wrapped=on_demand.encoded):
        read.set()
        changed.wait(0.2)  # none comes, since the other one waits to read
        return wrapped(*document)

    with opened() as store:
        c = store.root["c"]
        monkeypatch.setattr(on_demand, "encoded", slow)
        reading = threading.Thread(target=lambda: c["k"])
        reading.start()
        read.wait()
        c["k"]["n"] = 2
        changed.set()
        reading.join()
        monkeypatch.undo()

        assert store.sync() == [("c", "k")]


def test_a_sync_finds_what_another_thread_is_about_to_take_out_of_memory(opened, monkeypatch):
    from safepatch.store.engines import on_demand

    looking, go_on = threading.Event(), threading.Event()

    def slow(document, wrapped=on_demand.is_alone):
        if document[0] is new:
            looking.set()
            go_on.wait(10)
        return wrapped(document)

    with opened(in_memory=1) as store:
        c = store.root["c"]
        new = c["new"] = [[1]]  # which somebody else refers to
        monkeypatch.setattr(on_demand, "is_alone", slow)
        making_room = threading.Thread(target=lambda: [c.get(str(n)) for n in range(5)])
        making_room.start()
        looking.wait()
        found = []
        syncing = threading.Thread(target=lambda: found.extend(store.sync()))
        syncing.start()
        syncing.join(0.1)
        go_on.set()
        syncing.join()
        making_room.join()

    assert found == [("c", "new")]


def test_a_log_that_somebody_has_switched_off_is_used_again(store, opened, file):
    """Without it a commit may be lost in a power failure, and who reads holds up who writes."""
    store.root["c"]["k"] = 1
    store.close()
    assert query(file, "PRAGMA journal_mode = DELETE") == [("delete",)]

    with opened() as again:
        assert query(file, "PRAGMA journal_mode") == [("wal",)]
        assert again.root == {"c": {"k": 1}}


def test_a_file_that_was_moved_is_not_made_again(store, file, tmp_path):
    store.root["c"]["k"] = 1
    store.sync()
    file.rename(tmp_path / "moved.db")

    for look in (store.verify, lambda: store.backup(tmp_path / "backup.db")):
        with pytest.raises(StoreError, match="is not the one that was opened"):
            look()

    assert not file.exists()
    assert not (tmp_path / "backup.db").exists()
    (tmp_path / "moved.db").rename(file)


@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_is_acknowledged_that_goes_to_a_file_of_another_name(store, file, replaced):
    with store.transaction():
        store.root["c"]["k"] = 1
    file.rename(file.with_name("moved.db"))
    if replaced:
        file.write_bytes(b"of somebody else")
    with (
        pytest.raises(FailedError, match="is not the one that was opened: that was moved"),
        store.transaction(),
    ):
        store.root["c"]["k"] = 2
    store.close()
    file.with_name("moved.db").replace(file)  # which has its log beside it again

    with Store(f"sqlite:///{file}") as again:
        assert again.root == {"c": {"k": 1}}
