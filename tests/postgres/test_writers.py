"""One writer at a time: what happens when it dies, hangs, or loses the server."""

import gc
import os
import signal
import threading
import time

import psycopg
import pytest
from children import child
from writers import numbers_at, stand_by

from safepatch.store.engines import postgres_tables as tables
from safepatch.store.engines.postgres import Postgres

SECONDS = 5.0  # that a takeover may take on a busy machine; it takes less than one


def test_a_killed_writer_has_lost_nothing_that_it_acknowledged(start, url, read):
    for _ in range(3):
        writer = start(url)
        writer.hear("open")
        writer.count(150)
        acknowledged = writer.kill()
        numbers = within(SECONDS, lambda: read())["numbers"]

        assert numbers["n"] in (acknowledged, acknowledged + 1)
        assert numbers == numbers_at(numbers["n"])


def within(seconds, function):
    """Call until it does not fail, as while the server has yet to notice that a writer died."""
    end = time.monotonic() + seconds
    while True:
        try:
            return function()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def test_a_standby_takes_over_within_seconds_and_has_all_that_was_acknowledged(
    start, url, server, read
):
    writer = start(url)
    writer.hear("open")
    for _ in range(3):
        standby = stand_by(start, url, server)
        writer.count(200)
        acknowledged = writer.kill()
        killed = time.monotonic()
        found = int(standby.hear("open"))
        seconds = time.monotonic() - killed

        assert found in (acknowledged, acknowledged + 1)
        assert seconds < SECONDS
        writer = standby
    writer.count(10)
    acknowledged = writer.kill()
    numbers = within(SECONDS, lambda: read())["numbers"]
    assert numbers["n"] in (acknowledged, acknowledged + 1)
    assert numbers == numbers_at(numbers["n"])


def test_a_standby_waits_for_as_long_as_there_is_a_writer(start, url, server):
    writer = start(url)
    writer.hear("open")
    standby = stand_by(start, url, server)
    writer.count(500)
    time.sleep(1)

    assert standby.lines.empty()
    writer.kill()
    standby.hear("open", SECONDS)


@pytest.mark.parametrize(
    "first",
    [
        "",
        "import gevent; gevent.sleep(0)",
        "from gevent import monkey; monkey.patch_all(); import time; time.sleep(0)",
    ],
    ids=["plain", "gevent", "patched"],
)
def test_a_signal_ends_a_program_that_stands_by(url, store, first):
    assert store.root == {}
    began = time.monotonic()
    child(
        f"""
        {first}
        import signal, sys
        from safepatch.store import Store
        signal.signal(signal.SIGALRM, lambda *_: sys.exit())
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        Store({url!r}, every=0, standby=True).root
        """
    )

    assert time.monotonic() - began < SECONDS


def test_a_standby_in_a_thread_does_not_keep_the_program_from_ending(url, store):
    assert store.root == {}
    child(
        f"""
        import threading, time
        from safepatch.store import Store
        store = Store({url!r}, every=0, standby=True)
        threading.Thread(target=lambda: store.root, daemon=True).start()
        time.sleep(1)
        """
    )


def test_of_several_standbys_one_takes_over(start, url, server):
    writer = start(url)
    writer.hear("open")
    standbys = [stand_by(start, url, server, number) for number in (1, 2, 3)]
    writer.kill()
    end = time.monotonic() + SECONDS
    while all(standby.lines.empty() for standby in standbys):
        assert time.monotonic() < end
    time.sleep(1.5)

    assert sum(not standby.lines.empty() for standby in standbys) == 1


@pytest.mark.parametrize("idle", [[], ["idle"]], ids=["writing", "reading"])
def test_a_writer_that_was_asleep_while_another_took_over_writes_and_serves_nothing(
    start, url, server, schema, idle
):
    first = start(url)
    first.hear("open")
    first.count(50)
    first.kill()
    zombie = within(SECONDS, lambda: opened(start, url, idle))
    if not idle:
        zombie.count(50)
    zombie.signal(signal.SIGSTOP)
    acknowledged = zombie.last
    time.sleep(0.1)
    acknowledged = zombie.last
    standby = stand_by(start, url, server)
    # Its connection lives on, though it does not; so somebody must decide that it is dead.
    server.execute("SELECT pg_terminate_backend(backend) FROM safepatch_shards", schema=schema)
    found = int(standby.hear("open"))
    standby.count(50)
    zombie.signal(signal.SIGCONT)
    cause = zombie.hear("failed", 10)
    standby.count(50)
    last = standby.kill()

    assert cause in ("OperationalError", "AdminShutdown", "IdleSessionTimeout")
    if not idle:
        assert found in (acknowledged, acknowledged + 1)
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT document FROM safepatch_documents WHERE key = 'n'")
        assert row.fetchone()[0] in (last, last + 1)


def opened(start, url, options):
    program = start(url, *options)
    program.hear("open")
    return program


def test_a_writer_whose_row_another_one_took_is_fenced_though_it_is_connected(
    start, url, server, schema
):
    """As it is where a pool of connections stands between, and the lock was let go there."""
    zombie = opened(start, url, [])
    zombie.count(50)
    zombie.signal(signal.SIGSTOP)
    time.sleep(0.1)
    acknowledged = zombie.last
    server.execute("UPDATE safepatch_shards SET writer = gen_random_uuid()", schema=schema)
    before = server.execute("SELECT max(batch) FROM safepatch_documents", schema=schema)
    zombie.signal(signal.SIGCONT)

    assert zombie.hear("failed") == "LockedError"
    after = server.execute("SELECT max(batch) FROM safepatch_documents", schema=schema)
    assert after == before
    assert zombie.last in (acknowledged, acknowledged + 1)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_a_server_that_goes_down_stops_the_writer_and_loses_nothing(start, url, server, read, how):
    writer = start(url)
    writer.hear("open")
    writer.count(200)
    server.stop(how)
    writer.hear("failed")
    server.start()
    numbers = read()["numbers"]

    assert numbers["n"] in (writer.last, writer.last + 1)
    assert numbers == numbers_at(numbers["n"])


def test_a_standby_outlives_a_restart_of_the_server(start, url, server):
    writer = opened(start, url, [])
    writer.count(20)
    standby = stand_by(start, url, server)
    server.stop()
    writer.hear("failed")
    time.sleep(1)
    assert standby.lines.empty()
    server.start()

    assert int(standby.hear("open", 2 * SECONDS)) in (writer.last, writer.last + 1)


def test_a_standby_waits_for_tables_that_are_restored_and_for_their_writer(url, through, proxy):
    standby, opened = Postgres(through, shard=(0, 1), standby=True), []
    waiting = threading.Thread(target=lambda: opened.append(standby.open()), daemon=True)
    lock, unlock = "SELECT pg_advisory_lock(%s)", "SELECT pg_advisory_unlock(%s)"
    with psycopg.connect(url, autocommit=True) as writer:
        tables.create(writer)
        before = tables.lock_of(writer, 0)
        writer.execute(lock, [before])
        waiting.start()
        while standby._number != before:
            time.sleep(0.01)
        writer.execute("DROP TABLE safepatch_shards, safepatch_documents, safepatch_removed")
        proxy.cut()
        time.sleep(0.5)
        assert not tables.are_there(writer)  # which would be in the way of what is restored

        with writer.transaction():
            tables.create(writer)
            writer.execute(lock, [tables.lock_of(writer, 0)])
        writer.execute(unlock, [before])
        time.sleep(0.5)
        assert not opened
    waiting.join(10)

    assert opened == [{}]
    standby.close()


def test_a_writer_whose_network_is_cut_stops_and_another_takes_over(
    start, url, server, through, proxy
):
    writer = start(through)
    writer.hear("open")
    standby = stand_by(start, url, server)
    writer.count(100)
    proxy.cut()
    cause = writer.hear("failed")
    found = int(standby.hear("open", SECONDS))

    assert cause == "OperationalError"
    assert found in (writer.last, writer.last + 1)


def test_reads_stop_soon_when_the_network_swallows_everything(start, url, through, proxy):
    writer = opened(start, url, [])
    writer.count(1)
    writer.kill()
    reader = within(SECONDS, lambda: opened(start, through, ["idle"]))
    time.sleep(0.5)
    proxy.silent = True
    silenced = time.monotonic()
    cause = reader.hear("failed")

    assert cause == "TimeoutError"
    assert time.monotonic() - silenced < 10
    proxy.silent = False


def test_the_child_of_a_fork_does_not_keep_what_its_dead_parent_had(start, url, server):
    """It has the same socket, so that the server would not see the parent's end."""
    writer = opened(start, url, ["fork"])
    child = int(writer.hear("child"))
    try:
        standby = stand_by(start, url, server)
        writer.count(10)
        writer.kill()

        assert int(standby.hear("open", SECONDS)) in (writer.last, writer.last + 1)
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_end_of_the_child_of_a_fork_is_not_that_of_its_parent(store):
    assert store.root == {}
    child = os.fork()
    if child == 0:
        gc.collect()
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0
    with store.transaction():
        store.root["c"]["k"] = 1
