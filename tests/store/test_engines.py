"""What every engine promises: all that is tested of collections and transactions, and more."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
import test_durable
from children import ROOT, child
from engines import ENGINES
from test_collections import *  # noqa: F403
from test_durable import *  # noqa: F403
from test_transactions import *  # noqa: F403

from safepatch.store import FailedError, LockedError, NotStorableError, Store, durable
from safepatch.store.transactions import Transaction

del test_what_a_call_wrote_is_in_the_files_when_it_returns  # noqa: F821  # which is of files


class TestThreads(test_durable.TestThreads):
    # These look at calls of `os`; below they are told for any engine.
    test_those_who_wait_for_the_disk_share_a_write = None
    test_who_only_reads_waits_for_what_it_read = None
    test_all_who_wait_are_told_of_a_failed_write = None


@pytest.fixture(params=ENGINES)
def engine(request, tmp_path):
    return ENGINES[request.param](tmp_path)


@pytest.fixture
def directory(engine):
    return engine[0][0]


@pytest.fixture
def opened(engine):
    """Another object for the same store, not opened yet."""
    (path,), options = engine
    return lambda **more: Store(path, **{"every": 0, **options, **more})


@pytest.fixture
def store(opened):
    with opened() as store:
        yield store


@pytest.fixture
def read(store, opened):
    def read():
        store.close()
        with opened() as again:
            return {name: dict(documents) for name, documents in again.root.items()}

    return read


@pytest.fixture
def run(engine):
    """Run source in a child that has the `store` open."""
    (path,), options = engine
    begin = f"""
import os, sys, threading
from safepatch.store import *
store = Store({str(path)!r}, **{{"every": 0, **{options!r}}})
"""
    return lambda source: child(begin + textwrap.dedent(source))


def test_documents_come_back_in_the_order_in_which_they_came(store, opened):
    keys = [f"{n * 37 % 100}" for n in range(100)]
    for key in keys:
        with store.transaction():
            store.root["c"][key] = key
            store.root["d"][key] = key
    with store.transaction():
        del store.root["c"]["37"]
        store.root["c"]["0"] = "changed"
    store.close()

    with opened() as again:
        keys.remove("37")
        assert [*again.root["c"]] == keys
        assert [*reversed(again.root["c"])] == keys[::-1]
        assert [*again.root["c"].values()] == ["changed", *keys[1:]]


@pytest.mark.parametrize(
    "document",
    [
        {"a": [1, 2.5, -0.0, 1e300, True, None, "\x00\n\u2028\U0001f600"], "": {"b": {}}},
        [2**64 - 1, -(2**63), 0, 1.0, 5e-324],
        "text",
        None,
        {"nested": [[[[[]]]]], "order": {"z": 1, "a": 2}},
    ],
)
def test_documents_come_back_as_they_were(store, read, document):
    durable(store)(lambda: store.root["c\x00é"].update({"k\x00é": document}))()

    assert repr(read()) == repr({"c\x00é": {"k\x00é": document}})


@pytest.mark.parametrize(("name", "key"), [("c", "\ud800"), ("\ud800", "k")])
def test_keys_that_are_no_text_are_refused_and_the_store_goes_on(store, read, name, key):
    with pytest.raises(NotStorableError, match="half a character"), store.transaction():
        store.root[name][key] = 1
        assert [*store.root[name].items()] == [(key, 1)]
    assert key not in store.root["c"]
    durable(store)(store.root["c"].__setitem__)("é", 1)

    assert read() == {"c": {"é": 1}}


@pytest.mark.parametrize(("name", "key"), [("c", "\ud800"), ("\ud800", "k")])
def test_what_never_was_on_disk_is_not_removed_from_there(store, read, name, key):
    """No disk would take such a key, whatever is to become of it."""
    store.root[name][key] = 1  # outside of a transaction
    with store.transaction():
        del store.root[name][key]
        store.root["c"]["k"] = 1

    assert read() == {"c": {"k": 1}}


def test_what_comes_later_in_a_batch_wins(store, read):
    kept = store.opened()
    for document in (1, 2, None, 3):
        kept.begin(transaction := Transaction())
        if document is None:
            del store.root["c"]["k"]
        else:
            store.root["c"]["k"] = document
        ticket = kept.commit(transaction)
    kept.commits.wait(ticket)

    assert store.stats()["batches"] == 1
    assert read() == {"c": {"k": 3}}


def test_who_waits_meanwhile_shares_the_next_write_and_readers_wait_too(store):
    writing, go_on = threading.Event(), threading.Event()
    commits = store.opened().commits
    write = commits.write

    def slow(batch):
        writing.set()
        assert go_on.wait(10)
        write(batch)

    commits.write = slow
    put = durable(store)(store.root["c"].__setitem__)
    get = durable(store, reads_only=True)(store.root["c"].get)
    threads = [threading.Thread(target=put, args=(str(n), n)) for n in range(10)]
    reader = threading.Thread(target=get, args=("0",))
    threads[0].start()
    assert writing.wait(10)
    for thread in [*threads[1:], reader]:
        thread.start()
    while store.stats()["commits"] < 10:
        pass
    reader.join(0.05)
    early = not reader.is_alive()
    go_on.set()
    for thread in [*threads, reader]:
        thread.join(10)

    assert (early, store.stats()["batches"], store.stats()["waiting"]) == (False, 2, 0)


def test_a_failed_write_stops_the_store_and_what_was_told_before_is_there(store, opened):
    put = durable(store)(store.root["c"].__setitem__)
    put("a", 1)
    commits = store.opened().commits

    def fails(batch):
        raise OSError("planned")

    write, commits.write = commits.write, fails
    for _ in range(2):
        with pytest.raises(FailedError, match="planned"):
            put("b", 2)
        commits.write = write  # it is not tried again
    store.close()

    with opened() as again:
        assert again.root["c"] == {"a": 1}


def test_one_at_a_time_may_have_it_open_and_the_child_of_a_fork_may_not(store, run, opened):
    with store.transaction():
        store.root["c"]["k"] = 1

    with pytest.raises(LockedError, match="it is open already"):
        opened().root
    told = """
    try:
        store.root
    except LockedError:
        print("refused")
    """
    assert run(told) == "refused"
    store.close()
    printed = run(
        """
        print(store.root)
        users = store.root["c"]
        if not os.fork():
            try:
                store.root
            except ClosedError:
                os._exit(7)
        print(os.waitstatus_to_exitcode(os.wait()[1]))
        durable(store)(lambda: users.update(k=2))()
        print(store.root)
        """
    )
    assert printed == "{'c': {'k': 1}}\n7\n{'c': {'k': 2}}"


def test_changes_outside_of_transactions_are_found_written_and_told(store, read):
    store.root["c"] = {"a": {"n": 1}, "b": {"n": 1}, "d": 1}
    assert len(store.sync()) == 3
    store.root["c"]["a"]["n"] = 2
    del store.root["c"]["d"]
    store.root["c"]["e"] = 5

    assert "d" not in store.root["c"]
    assert sorted(store.root["c"]) == ["a", "b", "e"]
    store.sync()
    assert store.sync() == []
    assert read() == {"c": {"a": {"n": 2}, "b": {"n": 1}, "e": 5}}


def test_compacting_and_verifying_change_nothing(store):
    for n in range(30):
        with store.transaction():
            store.root["c"][str(n)] = {"text": "x" * 1000}
    with store.transaction():
        for n in range(20):
            del store.root["c"][str(n)]
    expected = {name: dict(documents) for name, documents in store.root.items()}

    verified = store.verify()["documents"]
    store.compact()
    with store.transaction():
        store.root["late"]["k"] = 1

    assert verified == {"c": 10}
    assert store.stats()["documents"] == store.verify()["documents"] == {"c": 10, "late": 1}
    assert {**store.root} == {**expected, "late": {"k": 1}}


def test_acknowledged_writes_outlive_a_killed_process(engine, opened):
    (path,), options = engine
    source = f"""
import os, signal, threading
from safepatch.store import Store, durable

store = Store({str(path)!r}, every=0, **{options!r})

@durable(store)
def put(n):
    store.root["pairs"][f"a{{n}}"] = n
    store.root["pairs"][f"b{{n}}"] = n

def many(first):
    for n in range(first, first + 10_000, 4):
        put(n)
        os.write(1, b"%d\\n" % n)
        if n > 200:
            os.kill(os.getpid(), signal.SIGKILL)

threads = [threading.Thread(target=many, args=(first,)) for first in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    killed = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    acknowledged = [int(line) for line in killed.stdout.split()]

    assert (killed.returncode, killed.stderr) == (-signal.SIGKILL, "")
    with opened() as store:
        pairs = store.root["pairs"]
        assert max(acknowledged) > 200
        assert all(pairs[f"{side}{n}"] == n for n in acknowledged for side in "ab")
        assert pairs.keys() == {f"{side}{key[1:]}" for key in pairs for side in "ab"}
        assert store.verify()["documents"] == {"pairs": len(pairs)}
