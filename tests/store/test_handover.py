"""Handing over from one engine to another, live."""

import ast
import errno
import itertools
import textwrap
import threading
from importlib.util import find_spec

import pytest
from children import child
from engines import ENGINES
from served import need

from safepatch.store import FailedError, Store, StoreError, durable
from safepatch.store.engines.journal.journal import Journal
from safepatch.store.handover import HandOver

PAIRS = [*itertools.permutations(["journal", "sqlite"], 2), ("journal", "journal")]


@pytest.fixture(params=PAIRS, ids=" to ".join)
def places(request, tmp_path):
    """What to open a store with, of the old engine and of the new one."""
    return [
        ENGINES[name](tmp_path / side)
        for name, side in zip(request.param, ("old", "new"), strict=True)
    ]


@pytest.fixture
def opened(places):
    def opened(place, **options):
        (path,), more = place
        return Store(path, **{"every": 0, **more, **options})

    return opened


@pytest.fixture
def store(opened, places):
    with opened(places[0]) as store:
        for n in range(0, 500, 100):
            with store.transaction():
                store.root["c"].update({str(m): {"n": m} for m in range(n, n + 100)})
        yield store


@pytest.fixture
def address(places):
    return places[1][0][0]


def plain(store):
    return {name: dict(documents) for name, documents in store.root.items()}


def test_the_new_place_has_all_and_the_object_goes_on_with_it(store, opened, places, address):
    root, collection = store.root, store.root["c"]
    collection["outside"] = 1
    store.hand_over(address)
    with store.transaction():
        collection["7"]["n"] = "changed"
    expected = plain(store)

    assert store.root is root
    assert str(address) in repr(store)
    assert [*collection][:500] == [str(n) for n in range(500)]
    store.close()
    with opened(places[1]) as new:
        assert plain(new) == expected
        assert [*new.root["c"]] == [*expected["c"]]
    with store:  # which opens the new place again
        assert plain(store) == expected


def test_the_old_place_refuses_to_be_opened_and_names_the_new_one(store, opened, places, address):
    store.hand_over(address)

    for _ in range(2):
        with pytest.raises(StoreError, match=r"it was handed over to .*new.*; open that"):
            opened(places[0]).root


def test_transactions_go_on_meanwhile_and_none_is_lost(store, opened, places, address):
    stop, counts = threading.Event(), [0, 0, 0]

    def many(number):
        count = 0
        while not stop.is_set():
            key = str(count * 7 % 600)
            with store.transaction():
                documents = store.root["c"]
                if count % 5:
                    documents[key] = {"by": number, "n": count}
                else:
                    documents.pop(key, None)
                store.root["counts"][str(number)] = count = count + 1
            counts[number] = count

    threads = [threading.Thread(target=many, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    store.hand_over(address)
    after = [*counts]
    while min(now - then for now, then in zip(counts, after, strict=True)) < 5:
        pass
    stop.set()
    for thread in threads:
        thread.join()
    expected = plain(store)
    assert store.sync() == []
    store.close()

    assert expected["counts"] == {str(number): counts[number] for number in range(3)}
    with opened(places[1]) as new:
        assert plain(new) == expected


def test_migrations_that_were_made_are_not_made_again(store, opened, places, address):
    store.close()
    made = []
    steps = [lambda root: made.append(1)]
    with opened(places[0], migrations=steps) as store:
        store.hand_over(address)
    with opened(places[1], migrations=steps):
        assert made == [1]


class PlannedError(Exception):
    pass


def failing(engine, write, *, at):
    """Have the n-th write of an engine fail."""
    calls = itertools.count(1)

    def fails(batch):
        if next(calls) == at:
            raise PlannedError
        write(engine, batch)

    return fails


@pytest.mark.parametrize("at", [1, 2, 4, 5])
def test_a_new_place_that_fails_leaves_the_old_one_as_it_is(
    store, opened, places, address, patches, at
):
    """At the first note, in the middle of copying, and at the switch."""
    from safepatch.store import store as module

    def engine_for(wrapped):
        def wrapper(*args, **kwargs):
            engine = wrapped(*args, **kwargs)
            engine.write = failing(engine, type(engine).write, at=at)
            return engine

        return wrapper

    with store.transaction():
        store.root["c"].clear()
        store.root["c"].update({str(n): n for n in range(600)})
    patch = patches.apply((module, "engine_for"), engine_for, aliases="ignore")
    with pytest.raises(PlannedError):
        store.hand_over(address)
    patch.undo()

    durable(store)(store.root["c"].__setitem__)("later", 1)
    expected = plain(store)
    if at > 1:
        with pytest.raises(StoreError, match=r"it has a part of .*old.* only"):
            opened(places[1]).root
    store.close()
    with opened(places[0]) as again:
        assert plain(again) == expected


def test_an_old_place_that_fails_meanwhile_stops_the_store(store, opened, places, address):
    engine = store.opened().engine
    engine.write = failing(engine, type(engine).write, at=1)
    store.opened().commits.write = engine.write
    expected = plain(store)

    with pytest.raises(FailedError):
        store.hand_over(address)
    store.close()
    with opened(places[0]) as again:
        assert plain(again) == expected


def test_a_place_where_there_is_something_is_refused(store, opened, places, address):
    with opened(places[1]) as there:
        there.root["c"]["k"] = 1

    with pytest.raises(StoreError, match="there is something"):
        store.hand_over(address)
    durable(store)(store.root["c"].__setitem__)("later", 1)
    with opened(places[1]) as there:
        assert plain(there) == {"c": {"k": 1}}


def test_a_store_cannot_be_handed_over_to_itself_or_twice_at_once(store, places, address, tmp_path):
    with pytest.raises(StoreError, match="it is open already"):
        store.hand_over(places[0][0][0])
    commits = store.opened().commits
    write, commits.write = commits.write, lambda batch: write(batch)
    with pytest.raises(StoreError, match="it is being done already"):
        store.hand_over(address)
    commits.write = write


def test_within_a_transaction_it_is_refused(store, address):
    with pytest.raises(StoreError, match="within a transaction"), store.transaction():
        store.hand_over(address)


def test_a_store_of_snapshots_has_no_engine_to_hand_over(tmp_path):
    store = Store(tmp_path / "state", mode="snapshot", every=0)

    with pytest.raises(
        ValueError, match=r"use mode='journal' for .* hand-overs, after `safepatch store copy`"
    ):
        store.hand_over(tmp_path / "new")


def test_a_crash_at_any_write_leaves_all_in_one_place_that_may_be_opened(places):
    """Before and after each write to either engine, the process ends, without closing."""
    (old, _), (new, _) = [(str(place[0][0]), place[1]) for place in places]
    printed = child(
        f"""
        import os
        from safepatch.store import Store, StoreError
        from safepatch.store.engines.sqlite import SQLite
        from safepatch.store.engines.journal.journal import Journal

        DOCUMENTS = {{str(n): n for n in range(3)}}

        def crash(old, new, at):
            calls = 0
            for kind in {{SQLite, Journal}}:
                def write(engine, batch, write=kind.write):
                    nonlocal calls
                    for ending in (False, True):
                        if ending:
                            write(engine, batch)
                        calls += 1
                        if calls == at:
                            os._exit(7)
                kind.write = write
            with Store(old, every=0) as store:
                store.hand_over(new)
                store.root["c"]["later"] = 1
            os._exit(0)

        def state(path):
            try:
                with Store(path, every=0) as store:
                    documents = {{**store.root["c"]}}
                    documents.pop("later", None)
                    return documents == DOCUMENTS if documents else "empty"
            except StoreError as error:
                return "gone" if "handed over to" in str(error) else "part"

        seen = []
        for at in range(1, 20):
            old = {old!r}.replace("/old", f"/old{{at}}")
            new = {new!r}.replace("/new", f"/new{{at}}")
            with Store(old, every=0) as store:
                store.root["c"] = DOCUMENTS
            if not os.fork():
                crash(old, new, at)
            code = os.waitstatus_to_exitcode(os.wait()[1])
            seen.append((state(old), state(new)))
            if not code:
                break
        print(*dict.fromkeys(seen))
        """
    )

    assert printed == "(True, 'empty') (True, 'part') (True, True) ('gone', True)"


@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
def test_under_gevent_the_loop_goes_on_and_documents_that_are_held_are_not_forgotten(tmp_path):
    printed = child(
        textwrap.dedent(
            f"""
            from gevent import monkey; monkey.patch_all()
            import gevent
            from safepatch.store import *
            from safepatch.store.handover import HandOver
            store = Store("{tmp_path}/old", every=0)
            with store.transaction():
                store.root["c"].update({{str(n): n for n in range(1000)}})
            turns, changed, over, copied = 0, 0, False, []
            part = HandOver.part
            HandOver.part = lambda *args: copied.append(args) or part(*args)

            def turn():
                global turns
                while not over:
                    turns += 1
                    gevent.sleep(0.001)

            def change():
                global changed
                while not over:
                    with store.transaction():
                        store.root["c"][str(10 + changed % 1300)] = -changed
                    changed += 1

            def hold():
                with store.transaction():
                    store.root["c"]["5"]          # and does not change it
                    store.root["d"]["held"] = 1
                    while not copied:
                        gevent.sleep(0)
                    gevent.sleep(0.03)
                try:
                    with store.transaction():
                        store.root["c"]["6"] = "never"
                        gevent.sleep(0.03)
                        1 / 0
                except ZeroDivisionError:
                    pass

            others = [gevent.spawn(turn), gevent.spawn(hold), gevent.spawn(change)]
            gevent.sleep(0)
            store.hand_over("sqlite:///{tmp_path}/new.db")
            gevent.sleep(0.03)
            over = True
            gevent.joinall(others, raise_error=True)
            expected = {{name: dict(documents) for name, documents in store.root.items()}}
            store.close()
            with Store("sqlite:///{tmp_path}/new.db") as new:
                print(turns > 10, changed > 2, expected == new.root, new.root["d"])
            """
        )
    )

    assert printed == "True True True {'held': 1}"


@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
@pytest.mark.parametrize("fails", [False, True])
def test_under_gevent_it_does_not_wait_for_who_holds_documents(tmp_path, fails):
    printed = child(
        textwrap.dedent(
            f"""
            from gevent import monkey; monkey.patch_all()
            import contextlib
            import gevent.event
            from safepatch.store import *
            store = Store("{tmp_path}/old", every=0)
            documents = store.root["c"]
            with store.transaction():
                documents.update(changed=1, removed=1, read=1)
            over = gevent.event.Event()

            def hold():
                with contextlib.suppress(LookupError), store.transaction():
                    documents["changed"] = 2
                    documents["added"] = 2
                    documents["read"]
                    del documents["removed"]
                    with store.transaction():
                        documents["changed"] += 1
                        over.wait()
                    if {fails}:
                        raise LookupError

            holding = gevent.spawn(hold)
            gevent.sleep(0)
            with gevent.Timeout(10):
                store.hand_over("sqlite:///{tmp_path}/new.db")
            over.set()
            holding.join()
            store.close()
            with Store("sqlite:///{tmp_path}/new.db") as new:
                print(new.root)
            """
        )
    )

    before, after = {"changed": 1, "removed": 1, "read": 1}, {"changed": 3, "read": 1, "added": 2}
    assert ast.literal_eval(printed) == {"c": before if fails else after}


@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
def test_under_gevent_who_gives_up_leaves_nothing_under_way(tmp_path):
    printed = child(
        textwrap.dedent(
            f"""
            from gevent import monkey; monkey.patch_all()
            import gevent
            from safepatch.store import *
            from safepatch.store.engines.sqlite import SQLite
            from safepatch.store.threads import native
            happened = []

            def write(engine, batch, wrapped=SQLite.write):
                wrapped(engine, batch)
                if batch[0][0][0] == "c":
                    happened.append("writes")
                    native("time", "sleep")(0.1)
                    happened.append("has written")

            def close(engine, wrapped=SQLite.close):
                happened.append("closed")
                wrapped(engine)

            SQLite.write, SQLite.close = write, close
            store = Store("{tmp_path}/old", every=0)
            with store.transaction():
                store.root["c"]["k"] = 1
            handing_over = gevent.spawn(store.hand_over, "sqlite:///{tmp_path}/new.db")
            while not happened:
                gevent.sleep(0.001)
            handing_over.kill()
            print(*happened, store.root, sep=", ")
            """
        )
    )

    assert printed == "writes, has written, closed, {'c': {'k': 1}}"


def test_what_changes_outside_of_transactions_meanwhile_and_back_is_right(store, opened, places):
    """What is noted of a document is what went to the new place."""
    store.root["c"].update(back=1, gone=1)
    store.sync()
    documents, part = store.root["c"], HandOver.part

    def changed(self, collection, keys):
        documents["back"], documents["new"] = 2, 2
        del documents["gone"]
        copied = part(self, collection, keys)
        documents["back"], documents["gone"] = 1, 1
        documents.pop("new")
        return copied

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HandOver, "part", changed)
        store.hand_over(places[1][0][0])
    store.sync()

    expected = plain(store)
    store.close()
    with opened(places[1]) as new:
        assert plain(new) == expected


@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
@pytest.mark.parametrize("written", [False, True])
def test_under_gevent_who_gives_up_at_the_switch_leaves_one_place_that_goes_on(tmp_path, written):
    printed = child(
        textwrap.dedent(
            f"""
            from gevent import monkey; monkey.patch_all()
            import gevent
            from safepatch.store import *
            from safepatch.store.engines.sqlite import SQLite
            from safepatch.store.threads import native
            switching = []

            def write(engine, batch, wrapped=SQLite.write):
                last = any(op[0] == "" and op[2] is None for ops in batch for op in ops)
                if last and not {written}:
                    switching.append(True)
                    native("time", "sleep")(0.1)
                wrapped(engine, batch)
                if last and {written}:
                    switching.append(True)
                    native("time", "sleep")(0.1)

            SQLite.write = write
            store = Store("{tmp_path}/old", every=0)
            with store.transaction():
                store.root["c"]["k"] = 1
            handing_over = gevent.spawn(store.hand_over, "sqlite:///{tmp_path}/new.db")
            while not switching:
                gevent.sleep(0.001)
            handing_over.kill()
            print(store.path == "sqlite:///{tmp_path}/new.db")
            with store.transaction():
                store.root["c"]["k"] = 2
            store.close()
            try:
                Store("{tmp_path}/old").root
            except StoreError as error:
                print("it was handed over to 'sqlite:////" in str(error))
            with Store("sqlite:///{tmp_path}/new.db") as new:
                print(new.root)
            """
        )
    )

    assert printed.splitlines() == ["True", "True", "{'c': {'k': 2}}"]


def test_after_a_failure_documents_leave_memory_again(tmp_path, monkeypatch):
    monkeypatch.setattr(Journal, "write", _full)
    with Store(f"sqlite:///{tmp_path}/old.db", every=0, in_memory=5) as store:
        store.root["c"] = {f"{number}": number for number in range(500)}

        with pytest.raises(OSError, match="no room"):
            store.hand_over(tmp_path / "new")

        store.opened().tick()
        assert [*store.root["c"].values()] == [*range(500)]
        assert store.stats()["in_memory"] < 300


def _full(self, batch):
    raise OSError(errno.ENOSPC, "no room")


def test_under_gevent_a_damaged_document_is_told_and_none_is_printed(tmp_path):
    need("gevent", "msgspec")
    printed = child(
        f"""
        import gevent, sqlite3
        from safepatch.store import CorruptError, Store
        store = Store("sqlite:///{tmp_path}/old.db", every=0)
        with store:
            store.root["c"] = {{str(number): {{"n": number}} for number in range(5)}}
        db = sqlite3.connect("{tmp_path}/old.db")
        with db:
            db.execute("UPDATE documents SET document = '{{}}' WHERE key = '3'")
        db.close()
        with store:
            def hand_over():
                try:
                    store.hand_over("{tmp_path}/new")
                except CorruptError as error:
                    print("document '3' of 'c'" in str(error))
            gevent.spawn(hand_over).join(10)
        """
    )

    assert printed == "True"


def test_a_switch_that_got_there_though_it_failed_leaves_one_place_that_opens(
    store, opened, places, address, patches
):
    """As where the answer of a server is lost: what it has done is not known."""
    from safepatch.store import store as module

    def engine_for(wrapped):
        def wrapper(*args, **kwargs):
            engine = wrapped(*args, **kwargs)
            engine.write = writing_and_failing(engine, type(engine).write)
            return engine

        return wrapper

    def writing_and_failing(engine, write):
        def fails(batch):
            write(engine, batch)
            if batch[-1][-1:] == [("", "being handed over", None)]:
                raise PlannedError

        return fails

    patch = patches.apply((module, "engine_for"), engine_for, aliases="ignore")
    with pytest.raises(PlannedError):
        store.hand_over(address)
    patch.undo()
    durable(store)(store.root["c"].__setitem__)("later", 1)
    expected = plain(store)
    store.close()

    with pytest.raises(StoreError, match=r"it has a part of .*old.* only"):
        opened(places[1]).root
    with opened(places[0]) as again:
        assert plain(again) == expected


def test_where_it_cannot_be_known_whether_the_switch_got_there_the_store_stops(tmp_path, patches):
    from safepatch.store import store as module

    made = []

    def engine_for(wrapped):
        def wrapper(*args, **kwargs):
            engine = wrapped(*args, **kwargs)
            made.append(engine)
            if len(made) > 1:
                engine.open = lambda: (_ for _ in ()).throw(PlannedError)
            engine.write = failing(engine, type(engine).write, at=3)
            return engine

        return wrapper

    with Store(tmp_path / "old", every=0) as store:
        store.root["c"]["k"] = 1
        store.sync()
        patch = patches.apply((module, "engine_for"), engine_for, aliases="ignore")
        with pytest.raises(FailedError) as raised:
            store.hand_over(tmp_path / "new")
        patch.undo()

        assert "it is not known whether" in str(raised.value.__cause__)
        with pytest.raises(FailedError), store.transaction():
            store.root["c"]["k"] = 2
    with Store(tmp_path / "old", every=0) as again:
        assert again.root == {"c": {"k": 1}}
