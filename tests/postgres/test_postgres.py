"""A store in PostgreSQL keeps what it promises."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepatch.__main__ import main
from safepatch.store import (
    ClosedError,
    CorruptError,
    FailedError,
    LockedError,
    Store,
    StoreError,
    durable,
)
from safepatch.store.engines import postgres
from safepatch.store.engines import postgres_tables as tables
from safepatch.store.values import encode


def test_what_was_written_is_there_again(store, read):
    documents = {
        "dict": {"b": 1, "a": [1, 2.0, -0.0, 1e300, None, True, {"": ""}]},
        "list": [],
        "text": '\0 \x1f \x7f \\ " / \u2028 \U0001f600 é',
        "integers": [2**64 - 1, -(2**63), 0],
        "floats": [0.1, 5e-324, 1.7976931348623157e308, 1e16, 100.0],
        "none": None,
        "true": True,
        "deep": [[[[[[{"a": [[[[]]]]}]]]]]],
    }
    with store.transaction():
        store.root["c"] = documents
        store.root["other\0\\0"]["key\0\\\\0 \n\t'\"{},"] = 1
        store.root["c"]["x" * 100_000] = "a long key"
    store.close()
    found = read()

    assert found == {
        "c": {**documents, "x" * 100_000: "a long key"},
        "other\0\\0": {"key\0\\\\0 \n\t'\"{},": 1},
    }
    assert repr(found["c"]["dict"]) == repr(documents["dict"])
    assert repr(found["c"]["floats"]) == repr(documents["floats"])


@settings(max_examples=25)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**63), 2**64 - 1)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
        max_size=5,
    )
)
def test_any_document_comes_back_as_it_was_to_the_last_bit(documents):
    part = next(tables.slices([[("c", key, encode(value)) for key, value in documents.items()]]))
    rows = zip(part["collections"], part["keys"], part["documents"], strict=True)
    found = {tables.unescaped(key): data for _, key, _, data in tables.decoded(rows)}

    assert found == {
        tables.unescaped(tables.escaped(key)): encode(value) for key, value in documents.items()
    }
    assert list(map(tables.unescaped, part["keys"])) == list(documents)


def test_documents_keep_the_order_in_which_they_came(store, read):
    for key in "dbca":
        with store.transaction():
            store.root["c"][key] = 1
    with store.transaction():
        store.root["c"]["d"] = 2
    with store.transaction():
        del store.root["c"]["b"]
    with store.transaction():
        store.root["c"].update({"z": 1, "b": 1, "y": 1})
    order = list(store.root["c"])
    store.close()

    assert list(read()["c"]) == order == list("dcazby")


def test_what_is_removed_stays_removed(store, read):
    with store.transaction():
        store.root["c"].update({"a": 1, "b": 2})
    with store.transaction():
        del store.root["c"]["a"]
        store.root["d"]["never"] = 1
        del store.root["d"]["never"]
    store.close()

    assert read() == {"c": {"b": 2}}


def test_sql_can_look_into_documents(store, server, schema):
    with store.transaction():
        store.root["users"]["me@example.com"] = {"options": {"newsletter": True}}
    found = server.execute(
        "SELECT key FROM safepatch_documents"
        " WHERE collection = 'users' AND (document -> 'options' ->> 'newsletter')::boolean",
        schema=schema,
    )

    assert found == [("me@example.com",)]


def test_making_a_store_asks_no_server():
    store = Store("postgresql://127.0.0.1:1/none")

    with pytest.raises(StoreError, match="cannot connect to PostgreSQL"):
        store.root


@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("postgresql://host/db?nonsense=1", {}),
        ("postgresql://host/db", {"shard": (2, 2)}),
        ("postgresql://host/db", {"shard": (-1, 2)}),
        ("postgresql://host/db", {"shard": 1}),
        ("postgresql://host/db", {"shard": (0, 1.0)}),
        ("state", {"shard": (0, 2)}),
        ("state", {"standby": True}),
    ],
)
def test_what_cannot_work_is_told_at_once(address, options):
    with pytest.raises(ValueError, match=r"nonsense|shard="):
        Store(address, **options)


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@127.0.0.1:1/db", "postgres://127.0.0.1:1/db?password=secret"]
)
def test_passwords_are_not_shown(url):
    store = Store(url)
    with pytest.raises(StoreError) as raised:
        store.root

    assert "secret" not in f"{store!r}{raised.value}"
    store.close()
    with pytest.raises(ClosedError) as closed:
        store.root
    assert "secret" not in f"{store!r}{closed.value}"


def test_a_second_opener_is_told_who_has_it(store, url, server, schema):
    assert store.root == {}

    with pytest.raises(LockedError, match=r"'safepatch store' at 127\.0\.0\.1") as raised:
        Store(url).root
    backend = server.execute("SELECT backend FROM safepatch_shards", schema=schema)[0][0]

    assert f"server process is {backend}" in str(raised.value)
    with store.transaction():  # and the first one goes on
        store.root["c"]["k"] = 1


def test_in_copies_of_a_database_each_is_told_who_has_that_one(server, monkeypatch):
    """Their tables, and so their locks, have the same numbers."""
    monkeypatch.setattr(postgres, "_GRACE", -1)
    one, two = [server.url().replace("/postgres", f"/{name}") for name in ("one", "two")]
    server.execute("CREATE DATABASE one")
    with Store(one, every=0) as store:
        assert store.root == {}
    server.execute("CREATE DATABASE two TEMPLATE one")
    with Store(one, every=0) as first, Store(two, every=0) as second:
        for store, url in ((first, one), (second, two)):
            backend = store.opened().engine._connection.info.backend_pid
            with pytest.raises(LockedError, match=f"server process is {backend}"):
                Store(url).root
    server.execute("DROP DATABASE one")
    server.execute("DROP DATABASE two")


def test_it_can_be_opened_again_as_soon_as_it_was_closed(url, monkeypatch):
    monkeypatch.setattr(postgres, "_GRACE", -1)
    for number in range(20):
        with Store(url, every=0) as store, store.transaction():
            store.root["c"]["n"] = number


def test_it_can_be_opened_again_when_the_server_has_yet_to_see_that_somebody_was_killed(store, url):
    assert store.root == {}
    store.close()
    with psycopg.connect(url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [tables.lock_of(other, 0)])
        other.commit()
        timer = threading.Timer(0.3, other.execute, ["SELECT pg_advisory_unlock_all()"])
        timer.start()
        with Store(url) as again:
            assert again.root == {}
        timer.join()


def test_tables_of_another_schema_are_another_store(store, server):
    server.execute("CREATE SCHEMA beside")
    assert store.root == {}

    with Store(server.url(schema="beside")) as beside:
        assert beside.root == {}
    server.execute("DROP SCHEMA beside CASCADE")


def test_a_server_that_may_lose_what_it_acknowledges_is_refused(server, url):
    server.stop()
    server.start("fsync=off")

    with pytest.raises(StoreError, match="fsync=off"):
        Store(url).root
    server.stop()


def test_a_database_that_cannot_hold_all_text_is_refused(server):
    server.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")

    with pytest.raises(StoreError, match="LATIN1"):
        Store(server.url().replace("/postgres", "/latin")).root
    server.execute("DROP DATABASE latin")


@pytest.mark.parametrize(("set_to", "used"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_commits_wait_for_the_disk_whatever_is_set_for_the_role(server, url, set_to, used):
    server.execute(f"ALTER ROLE safepatch SET synchronous_commit = {set_to}")
    try:
        with Store(url, every=0) as store:
            connection = store.opened().engine._connection
            found = connection.execute("SHOW synchronous_commit").fetchone()
    finally:
        server.execute("ALTER ROLE safepatch RESET ALL")

    assert found == (used,)


def test_a_role_that_is_set_to_give_up_on_slow_statements_is_not_given_up_on(server, url):
    server.execute("ALTER ROLE safepatch SET statement_timeout = 30")
    server.execute("ALTER ROLE safepatch SET default_transaction_isolation = 'serializable'")
    try:
        with Store(url, every=0) as store:
            connection = store.opened().engine._connection
            found = [
                connection.execute(f"SHOW {name}").fetchone()[0]
                for name in ("statement_timeout", "default_transaction_isolation")
            ]
    finally:
        server.execute("ALTER ROLE safepatch RESET ALL")

    assert found == ["0", "read committed"]


# -- when something is wrong


def fails(store):
    """Write, and see that the store stops; why."""
    with pytest.raises(FailedError) as raised, store.transaction():
        store.root["c"]["after"] = 1
    with pytest.raises(FailedError), store.transaction():
        pass
    return raised.value.__cause__


def test_who_lost_the_connection_writes_nothing_more(store, server, schema, read):
    with store.transaction():
        store.root["c"]["before"] = 1
    server.execute("SELECT pg_terminate_backend(backend) FROM safepatch_shards", schema=schema)
    cause = fails(store)
    store.close()

    assert isinstance(cause, psycopg.OperationalError)
    assert read() == {"c": {"before": 1}}


def test_a_write_tells_why_the_connection_was_lost_if_that_was_noticed_before(
    store, server, schema
):
    assert store.root == {}
    server.execute("SELECT pg_terminate_backend(backend) FROM safepatch_shards", schema=schema)
    noticed = store._kept.engine._lost()

    assert isinstance(noticed, psycopg.OperationalError)
    assert fails(store) is noticed


def test_a_lost_connection_is_noticed_though_nothing_is_written(store, server, schema):
    assert store.root == {}
    server.execute("SELECT pg_terminate_backend(backend) FROM safepatch_shards", schema=schema)
    end = time.monotonic() + 10
    with pytest.raises(FailedError):
        while time.monotonic() < end:
            with store.transaction(reads_only=True):
                time.sleep(0.01)

    assert store.stats()["failure"]
    store.close()


def test_whoever_was_replaced_writes_nothing_though_it_is_connected(store, server, schema, read):
    with store.transaction():
        store.root["c"]["before"] = 1
    server.execute("UPDATE safepatch_shards SET writer = gen_random_uuid()", schema=schema)
    cause = fails(store)
    store.close()

    assert isinstance(cause, (LockedError, StoreError))
    assert read() == {"c": {"before": 1}}


def test_a_pool_that_gives_us_another_connection_is_no_way_in(store, server, schema):
    """Since the lock is another connection's."""
    assert store.root == {}
    server.execute("UPDATE safepatch_shards SET backend = backend + 1", schema=schema)

    assert isinstance(fails(store), StoreError)
    assert server.execute("SELECT count(*) FROM safepatch_documents", schema=schema) == [(0,)]
    store.close()


def trigger(server, schema, body, when="true"):
    server.execute(
        f"CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {body}; RETURN new; END $$",
        schema=schema,
    )
    server.execute(
        "CREATE TRIGGER complain BEFORE INSERT ON safepatch_documents"
        f" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION complain()",
        schema=schema,
    )


@pytest.mark.parametrize("setting", ["", "%20-cclient_min_messages%3Derror"])
def test_a_warning_of_the_server_is_a_failure(url, server, schema, setting):
    """It warns when it has not waited for a replica, and commits all the same."""
    store = Store(url + setting, every=0)
    assert store.root == {}
    trigger(server, schema, "RAISE WARNING 'canceling wait for synchronous replication'")

    assert "canceling wait for synchronous replication" in str(fails(store))
    store.close()


def test_opening_fails_if_the_server_has_not_waited_for_a_replica(server, url, store):
    """What is read then may be lost when that replica takes over."""
    store.close()
    waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

    def cancel():
        while not server.execute(waiting):
            time.sleep(0.01)

    server.stop()
    try:
        server.start("synchronous_standby_names=away")
        canceling = threading.Thread(target=cancel, daemon=True)
        canceling.start()
        with pytest.raises(StoreError, match="canceling wait for synchronous"):
            Store(url, every=0).root
        canceling.join()
    finally:
        server.stop()


def test_a_transaction_of_several_statements_is_written_as_a_whole_or_not(
    store, server, schema, read, monkeypatch
):
    monkeypatch.setattr(tables, "_SLICE", 10)
    with store.transaction():
        store.root["c"].update({str(number): "x" * 20 for number in range(5)})
    trigger(server, schema, "RAISE EXCEPTION 'no'", "new.key = 'bad'")
    with pytest.raises(FailedError), store.transaction():
        store.root["c"].update({"new": "x" * 20, "newer": "x" * 20, "bad": 1})
    store.close()

    assert read() == {"c": {str(number): "x" * 20 for number in range(5)}}


def test_what_json_escapes_takes_about_as_long_as_other_text(store):
    def seconds(text):
        before = time.process_time()
        with store.transaction():
            store.root["c"]["k"] = text
        return time.process_time() - before

    # As JSON one of these characters is six.
    assert seconds("\0" * (1 << 20)) < 5 * seconds("x" * (6 << 20))


def test_too_large_a_transaction_is_refused_and_the_store_goes_on(store, monkeypatch):
    assert store.opened().most == postgres.Postgres.most < 1 << 30
    monkeypatch.setattr(store.opened(), "most", 1000)

    with pytest.raises(StoreError, match="at once"), store.transaction():
        store.root["c"]["k"] = "x" * 2000
    with store.transaction():
        store.root["c"]["k"] = "x"

    assert store.root == {"c": {"k": "x"}}


@pytest.mark.parametrize("text", ["123456789012345678901", "1e999", '"\\ud800"'])
def test_what_no_store_has_written_is_refused(store, server, schema, url, text):
    with store.transaction():
        store.root["c"]["k"] = 1
    store.close()
    server.execute("UPDATE safepatch_documents SET document = %s::json", text, schema=schema)

    with pytest.raises(CorruptError, match="'c', 'k'"):
        Store(url).root
    found = server.execute("SELECT document::text FROM safepatch_documents", schema=schema)
    assert found == [(text,)]


# -- the rest


def test_a_backup_is_a_store_in_a_directory(store, tmp_path):
    with store.transaction():
        store.root["c"].update({"a\0\\": [1.0], "b": {}})
    store.backup(tmp_path / "backup")
    with store.transaction():
        store.root["c"]["later"] = 1

    with Store(tmp_path / "backup") as copy:
        assert copy.root == {"c": {"a\0\\": [1.0], "b": {}}}
        with copy.transaction():
            copy.root["c"]["more"] = 1
    with Store(tmp_path / "backup") as copy:
        assert list(copy.root["c"]) == ["a\0\\", "b", "more"]
    with pytest.raises(FileExistsError):
        store.backup(tmp_path / "backup")


def test_verify_reads_what_the_server_has(store, server, schema):
    with store.transaction():
        store.root["c"].update({"a": 1, "b": 2})
        store.root["d"]["a"] = 1

    assert store.verify() == {"bytes": 3, "documents": {"c": 2, "d": 1}}
    server.execute("UPDATE safepatch_documents SET document = '1e999'", schema=schema)
    with pytest.raises(CorruptError):
        store.verify()


def test_stats_tell_the_sequence_of_the_last_batch(store, read):
    for number in range(3):
        with store.transaction():
            store.root["c"]["k"] = number
    store.compact()
    stats = store.stats()

    assert (stats["sequence"], stats["shard"], stats["shards"]) == (3, 0, 1)


def test_migrations_run_once(url):
    ran = []
    for _ in range(2):
        with Store(url, every=0, migrations=[ran.append]) as store:
            assert store.root == {}

    assert len(ran) == 1


def test_removals_are_not_kept_for_ever(store, server, schema, monkeypatch, url):
    monkeypatch.setattr(postgres, "_REMOVALS", 10)
    for number in range(50):
        with store.transaction():
            store.root["c"][str(number)] = number
        with store.transaction():
            del store.root["c"][str(number)]
    found = server.execute("SELECT count(*) FROM safepatch_removed", schema=schema)

    assert 0 < found[0][0] <= 20
    store.close()
    with Store(url, every=0) as again:
        assert again.root == {}
    assert server.execute("SELECT count(*) FROM safepatch_removed", schema=schema) == [(0,)]


def test_durable_functions_are_on_the_servers_disk_when_they_return(store, server, schema):
    @durable(store)
    def put(key):
        store.root["c"][key] = 1

    put("a")

    assert server.execute("SELECT key FROM safepatch_documents", schema=schema) == [("a",)]


def test_the_tables_are_made_once_though_two_come_first_at_once(server, url, read):
    with ThreadPoolExecutor() as pool, psycopg.connect(url) as first:
        first.execute("SELECT pg_advisory_xact_lock(%s)", [tables._MAKING])
        second = pool.submit(read)
        while not server.execute("SELECT pid FROM pg_locks WHERE NOT granted"):
            assert not second.done()
        first.execute(tables._CREATE)
        first.commit()

        assert second.result(10) == {}


def test_a_store_is_in_the_first_schema_of_the_search_path(server, schema, url):
    with Store(url, every=0) as store:
        store.root["c"]["k"] = 1
    server.execute(f"CREATE SCHEMA {schema}_first")

    with Store(server.url(schema=f"{schema}_first,{schema}"), every=0) as other:
        assert other.root == {}


@pytest.mark.parametrize("command", ["inspect", "verify", "dump"])
def test_where_there_is_no_store_a_command_makes_none(server, schema, url, command, capsys):
    assert main(["store", command, url]) == 2

    assert "there is no store yet" in capsys.readouterr().err
    query = "SELECT count(*) FROM pg_tables WHERE schemaname = %s"
    with psycopg.connect(url) as connection:
        assert connection.execute(query, [schema]).fetchone() == (0,)


SECRETS = [
    "postgresql://u:S3cret@h/d",
    "postgresql://u:a:S3#cr?et@h/d",
    "postgresql://u@h/d?password=S3cret",
    "postgresql+psycopg://u:S3cret@h/d",
    "mysql://u:S3cret@h/d",
    "postgresql://u:S3cret@[::1/d",
    "postgresql://u@h/d?password=S3cret%zz",
]


@pytest.mark.parametrize("address", SECRETS)
def test_no_message_has_the_password(address):
    try:
        told = repr(Store(address))
    except ValueError as error:
        told = str(error)

    assert "***" in told
    assert "S3" not in told
