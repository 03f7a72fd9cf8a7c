"""A server dies for good, and its replica takes over: so does a standby of the store."""

import signal
import time

import pytest
from postgres_servers import Replica, Server, programs
from writers import numbers_at, stand_by

from safepatch.store.followers import Follower

pytestmark = pytest.mark.skipif(programs() is None, reason="no PostgreSQL server is installed")


@pytest.fixture
def primary():
    server = Server()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def replica(primary):
    server = Replica(primary)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def url(primary, replica):
    return f"postgresql://safepatch@127.0.0.1:{primary.port},127.0.0.1:{replica.port}/postgres"


def test_nothing_acknowledged_is_lost_if_commits_wait_for_the_replica(start, url, primary, replica):
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.execute("SELECT pg_reload_conf()")
    writer = start(url)
    writer.hear("open")
    standby = stand_by(start, url, primary)
    writer.count(200)
    with Follower(url) as follower:
        primary.stop(signal.SIGQUIT)
        writer.hear("failed")
        acknowledged = writer.kill()
        replica.promote()
        found = int(standby.hear("open"))

        assert found in (acknowledged, acknowledged + 1)
        shows_what_is_told_by(standby, follower)


def test_what_the_replica_had_not_got_is_gone_for_all_alike(start, url, primary, replica):
    writer = start(url)
    writer.hear("open")
    standby = stand_by(start, url, primary)
    writer.count(200)
    had = writer.last
    replica.catch_up()
    replica.stop()
    writer.count(200)
    with Follower(url) as follower:
        shown = follower.root["numbers"]["n"]
        primary.stop(signal.SIGQUIT)
        replica.start()
        replica.promote()
        found = int(standby.hear("open"))

        assert had <= found < shown
        shows_what_is_told_by(standby, follower)


def shows_what_is_told_by(writer, follower):
    """Kill the writer; the follower must come to what that has written last."""
    writer.hear("n")
    acknowledged = writer.kill()
    end = time.monotonic() + 10
    while (n := follower.root["numbers"]["n"]) not in (acknowledged, acknowledged + 1):
        assert time.monotonic() < end, f"it shows {n}, and not {acknowledged}"
        time.sleep(0.02)
    assert follower.root["numbers"] == numbers_at(n)
