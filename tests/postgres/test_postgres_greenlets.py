"""Under gevent the loop goes on while PostgreSQL is waited for."""

import pytest
from children import child

PATCHED = "from gevent import monkey; monkey.patch_all()"
EARLY_AND_NOT_AT_ALL = pytest.mark.parametrize(
    "patching", [PATCHED, "import gevent"], ids=["patched", "unpatched"]
)


@EARLY_AND_NOT_AT_ALL
def test_greenlets_share_batches_and_the_loop_goes_on(url, read, patching):
    printed = child(
        f"""
        {patching}
        import gevent, time
        from safepatch.store import Store, durable
        store = Store({url!r}, every=0)

        @durable(store)
        def count(key):
            documents = store.root["c"]
            documents[key] = documents.get(key, 0) + 1

        gaps = []
        def tick():
            while True:
                before = time.monotonic()
                gevent.sleep(0.001)
                gaps.append(time.monotonic() - before)
        count("first")
        ticking = gevent.spawn(tick)
        def loop(key):
            for _ in range(100):
                count(key)
        gevent.joinall([gevent.spawn(loop, str(n)) for n in range(20)], raise_error=True)
        ticking.kill()
        stats = store.stats()
        print(stats["commits"], stats["batches"] < 1000, len(gaps) > 10)
        store.close()
        """
    )

    assert printed == "2001 True True"
    assert read() == {"c": {"first": 1, **{str(n): 100 for n in range(20)}}}


@EARLY_AND_NOT_AT_ALL
def test_greenlets_that_come_first_at_once_open_one_store(url, patching):
    printed = child(
        f"""
        {patching}
        import gevent
        from safepatch.store import Store, durable
        store = Store({url!r}, every=0)

        @durable(store)
        def put(key):
            store.root["c"][key] = 1

        gevent.joinall([gevent.spawn(put, str(n)) for n in range(10)], raise_error=True)
        print(sorted(store.root["c"]))
        store.close()
        """
    )

    assert printed == str([str(n) for n in range(10)])


@EARLY_AND_NOT_AT_ALL
def test_a_lost_connection_is_noticed_though_nothing_is_written(url, patching):
    printed = child(
        f"""
        {patching}
        import gevent, time, psycopg
        from safepatch.store import FailedError, Store, durable
        store = Store({url!r}, every=0)

        @durable(store, reads_only=True)
        def look():
            return len(store.root)

        look()
        with psycopg.connect({url!r}) as other:
            other.execute("SELECT pg_terminate_backend(backend) FROM safepatch_shards")
        end = time.monotonic() + 10
        try:
            while time.monotonic() < end:
                look()
                gevent.sleep(0.01)
        except FailedError as error:
            print(type(error).__name__)
        store.close()
        """
    )

    assert printed == "FailedError"


def test_a_place_that_was_handed_over_to_is_watched(url, tmp_path):
    printed = child(
        f"""
        {PATCHED}
        import gevent, psycopg
        from safepatch.store import FailedError, Store
        store = Store("{tmp_path}/old", every=0)
        store.hand_over({url!r})
        with psycopg.connect({url!r}) as other:
            other.execute("SELECT pg_terminate_backend(backend) FROM safepatch_shards")
        try:
            with gevent.Timeout(10, False):
                while True:
                    with store.transaction(reads_only=True):
                        gevent.sleep(0.01)
        except FailedError as error:
            print(type(error).__name__)
        store.close()
        """
    )

    assert printed == "FailedError"


@EARLY_AND_NOT_AT_ALL
def test_a_follower_keeps_up_and_shows_greenlets_whole_batches(url, patching):
    printed = child(
        f"""
        {patching}
        import gevent, time
        from safepatch.store import Store, durable
        from safepatch.store.followers import Follower
        store = Store({url!r}, every=0)

        @durable(store)
        def put(number):
            store.root["c"].update({{"a": number, "b": -number}})

        put(0)
        follower = Follower({url!r})
        follower.root
        def write():
            for number in range(300):
                put(number)
        writing = gevent.spawn(write)
        seen = set()
        while not writing.dead:
            documents = follower.root["c"]
            seen.add(documents["a"])
            assert documents["a"] + documents["b"] == 0
            gevent.sleep(0.001)
        deadline = time.monotonic() + 10
        while follower.sequence < store.stats()["sequence"]:
            gevent.sleep(0.01)
            assert time.monotonic() < deadline
        follower.wait(store.stats()["sequence"])
        print(follower.root, len(seen) > 3)
        follower.close()
        store.close()
        """
    )

    assert printed == "{'c': {'a': 299, 'b': -299}} True"


def test_all_is_on_disk_when_a_program_ends_without_closing(url, read):
    child(
        f"""
        {PATCHED}
        import gevent
        from safepatch.store import Store
        store = Store({url!r}, every=0)
        store.root["c"]["outside"] = 1
        """
    )

    assert read() == {"c": {"outside": 1}}
