"""`safepatch store`: what each command prints, where, and with which exit code."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys

import histories
import pytest
from children import ROOT, child
from histories import USERS, damage, shell

from safepatch.cli import storing_documents
from safepatch.cli.storing import store as group
from safepatch.store import Store
from safepatch.store.tools import surveying, transferring


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


# All of them.

NEEDS = {
    "get": ["users"],
    "query": ["users"],
    "copy": ["new"],
    "restore": ["--at", "1", "--to", "new"],
    "compact": ["--keep", "0"],
}
NOT_LOAD = sorted({*group.commands} - {"load"})


def test_help_of_each_command_tells_its_exit_codes(run):
    for command in group.commands:
        code, printed, complaints = run(command, "--help")

        assert (code, complaints) == (0, "")
        assert "2  an error" in printed


@pytest.mark.parametrize("command", sorted({*group.commands} - {"inspect"}))
def test_a_store_that_is_open_is_refused_in_one_line(run, state, command):
    with Store(state, every=0) as store:
        before = histories.contents(state)
        store.root["users"]["open"] = 1
        (state.parent / "file").write_text("")
        more = ["file"] if command == "load" else NEEDS.get(command, [])

        code, printed, complaints = run(
            command, state, *["file" if x == "../file" else x for x in more]
        )

        assert (code, printed) == (2, "")
        assert re.fullmatch(r"safepatch: cannot open '.*state': it is open already.*\n", complaints)
        assert histories.contents(state) == before


@pytest.mark.parametrize("command", NOT_LOAD)
def test_where_no_store_is_none_is_made(run, tmp_path, command):
    (tmp_path / "empty").mkdir()
    for place, found in (("empty", "no file there is of a store"), ("none", "no such directory")):
        code, printed, complaints = run(command, place, *NEEDS.get(command, []))

        assert (code, printed) == (2, "")
        assert complaints.startswith(f"safepatch: there is no store at '{place}': ")
        assert found in complaints
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty"]


def test_a_file_in_the_place_of_a_store_is_told_of(run, tmp_path):
    (tmp_path / "file.db").touch()

    code, _, complaints = run("verify", "file.db")

    assert code == 2
    assert "it is a file; name a directory, or 'sqlite:///file.db' if SQLite wrote it" in complaints


def test_an_empty_file_is_no_store_of_sqlite(run, tmp_path):
    (tmp_path / "file.db").touch()

    code, _, complaints = run("inspect", "sqlite:///file.db")

    assert (code, "the file 'file.db' is empty" in complaints) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["file.db"]


@pytest.mark.parametrize("has_locks", [True, False])
@pytest.mark.parametrize("command", ["verify", "dump", "restore", "inspect"])
def test_a_store_on_a_disk_that_cannot_be_written_to_is_read(state, tmp_path, command, has_locks):
    """As in a snapshot of a file system, which is a backup of many."""
    if not has_locks:
        for name in ("lock", "compacting"):
            (state / name).unlink(missing_ok=True)

    code, printed, complaints = read_only(tmp_path, command, state, *NEEDS.get(command, []))

    assert (code, complaints) == (0, "")
    assert ("eve@example.com" in printed) is (command == "dump")


def test_a_store_that_is_open_by_another_mount_is_left_alone_by_one_that_only_reads(tmp_path):
    with Store(tmp_path / "state") as store:
        store.sync()

        code, _, complaints = read_only(tmp_path, "dump", tmp_path / "state")

        assert (code, "it is open already" in complaints) == (2, True)


def read_only(tmp_path, command, state, *more):
    """Run a command where a store can be read, and nothing written to it."""
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed, which makes mounts for a test")
    begin = ["unshare", "-rm", "sh", "-c", MOUNTED, str(state)]
    if (tried := subprocess.run([*begin, "true"], capture_output=True, text=True)).returncode:
        pytest.skip(f"this machine lets nobody mount: {tried.stderr.strip()}")
    arguments = [sys.executable, "-m", "safepatch", "store", command, str(state), *more]
    ran = subprocess.run(
        [*begin, *arguments],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return ran.returncode, ran.stdout, ran.stderr


MOUNTED = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@pytest.mark.parametrize("command", ["get", "query", "dump", "copy"])
def test_of_a_damaged_store_nothing_is_served(run, state, command):
    name = damage(state)

    code, printed, complaints = run(command, state, *NEEDS.get(command, []))

    assert (code, printed) == (2, "")
    assert f"{name}' at byte 0: frame 0 is damaged" in complaints


@pytest.mark.parametrize("command", ["get", "query", "dump", "copy", "verify", "inspect"])
def test_what_only_reads_changes_no_file(run, state, command):
    """Nor does it take away what a crash has left."""
    with (state / "journal-0000000000000000.log").open("r+b") as file:
        file.truncate(120)
    before = histories.contents(state)

    assert run(command, state, *NEEDS.get(command, []))[0] == 0

    assert histories.contents(state) == before


@pytest.mark.parametrize("missing", ["msgspec", "crc32c"])
def test_what_the_extra_brings_is_named_with_what_to_install(tmp_path, missing):
    source = f"""
        import sys
        sys.modules[{missing!r}] = None
        from safepatch.__main__ import main
        sys.stderr = sys.stdout
        print(main(["store", "get", "state", "users"]))
    """

    assert child(source) == (
        f"safepatch: safepatch.store needs {missing!r}; install it with "
        "pip install 'safepatch-py[store]'\n2"
    )


def test_other_commands_do_not_import_what_the_store_needs():
    source = """
        import sys
        from safepatch.__main__ import main
        main(["store", "--help"]), main(["list"])
        print({"msgspec", "orjson", "crc32c", "rich.progress", "safepatch.store"} & {*sys.modules})
    """

    assert child(source).splitlines()[-1] == "set()"


# inspect, verify


def test_inspect_tells_files_batches_times_and_collections(run, state):
    assert run("inspect", state) == (
        0,
        "journal-0000000000000000.log  0 to 2  2027-01-15 08:00:01.000  2027-01-15 08:00:03.000  "
        f"{(state / 'journal-0000000000000000.log').stat().st_size} bytes\n"
        "users  3 documents\n"
        "3 batches, not open\n",
        "",
    )


def test_inspect_prints_a_name_on_its_line_whatever_is_in_it(run, tmp_path):
    with Store(tmp_path / "odd", every=0) as store, store.transaction():
        store.root["two\n\x1b[2Jlines"]["key"] = 1

    printed = run("inspect", tmp_path / "odd")[1].splitlines()

    assert printed[1:] == ['"two\\n\\u001b[2Jlines"  1 document', "1 batch, not open"]


def test_inspect_as_json(run, state):
    told = json.loads(run("inspect", state, "--json")[1])

    assert {name: told[name] for name in ("sequence", "documents", "open", "torn")} == {
        "sequence": 3, "documents": {"users": 3}, "open": False, "torn": 0,
    }  # fmt: skip
    assert told["files"][0]["begun"] == 1_800_000_001


def test_inspect_looks_at_a_store_that_is_open_and_does_not_disturb_it(run, state):
    with Store(state, every=0) as store:
        with store.transaction():
            store.root["users"]["new"] = 1

        code, printed, _ = run("inspect", state)

        assert code == 0
        assert "journal-0000000000000003.log  3 to 3" in printed
        assert printed.endswith("users  4 documents\n4 batches, open\n")
        with store.transaction():
            store.root["users"]["newer"] = 1


@pytest.mark.parametrize("error", [FileNotFoundError(), None])
def test_inspect_looks_again_at_what_changes_meanwhile(run, state, monkeypatch, error):
    """A file was merged and removed, or a batch was written, while it looked."""
    real, calls = surveying._survey, []

    def changing(*arguments):
        calls.append(arguments)
        if len(calls) == 1 and error is not None:
            raise error
        found = real(*arguments)
        damaged = [file._replace(damage="half a batch") for file in found.files]
        return found._replace(files=damaged) if len(calls) == 1 else found

    monkeypatch.setattr(surveying, "_survey", changing)
    with Store(state, every=0) as store:
        store.root  # opens it

        assert run("inspect", state)[0] == 0
    assert len(calls) == 2


def test_inspect_tells_what_a_crash_left(run, state):
    path = state / "journal-0000000000000000.log"
    path.write_bytes(path.read_bytes()[:-30])

    code, printed, _ = run("inspect", state)

    assert code == 0
    assert re.search(r"\n\d+ bytes at the end a crash left; opening takes them away\n", printed)


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_damage_is_told_with_exit_code_1(run, state, command):
    name = damage(state)

    code, printed, complaints = run(command, state)

    assert (code, complaints) == (1, "")
    assert f"{name} at byte 0: damaged: frame 0 is damaged, but frame 1 after it" in printed


def test_verify_says_that_all_is_intact(run, state):
    assert run("verify", state) == (0, "1 file read, all intact\n", "")
    assert run("verify", state, "--json") == (0, "[]\n", "")


def test_verify_calls_nothing_intact_where_nothing_is(run, state):
    for file in state.glob("*.log"):
        file.unlink()

    code, printed, _ = run("verify", state)

    assert code == 0
    assert printed == (
        "0 files read, for there are none: nothing was ever written, or all of it is gone\n"
    )


def test_query_asks_whether_two_signs_were_meant(run, state):
    code, printed, complaints = run("query", state, "users", "--where", "a==b")

    assert (code, printed) == (2, "")
    assert complaints.startswith("safepatch: got --where 'a==b'; write one '=', or a text")
    assert run("query", state, "users", "--where", 'a="=b"', "--count") == (0, "0\n", "")


def test_query_takes_brackets_without_end_for_a_text(run, state):
    assert run("query", state, "users", "--where", f"a={'[' * 100_000}", "--count") == (
        0,
        "0\n",
        "",
    )


def test_damage_that_does_not_keep_the_store_from_opening_is_told_as_that(run, tmp_path):
    histories.make(tmp_path / "old", [[[("a", "b", 1)]], "compact"])
    path = tmp_path / "old" / "journal-0000000000000000.log"
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    code, printed, _ = run("verify", "old")

    assert (code, printed.splitlines()[-1]) == (1, "2 files read, 1 damaged")
    assert "(not needed to open the store)" in printed


# get, query


def test_get_prints_a_document(run, state):
    code, printed, complaints = run("get", state, "users", "ann@example.com")

    assert (code, complaints) == (0, "")
    assert json.loads(printed) == USERS["ann@example.com"]


def test_get_prints_a_collection(run, state):
    assert json.loads(run("get", state, "users")[1]) == USERS


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["user"], "there is no collection named 'user'; did you mean 'users'?"),
        (["users", "ann"], "there is no document in 'users' named 'ann'; "),
        ([""], "there is no collection named ''; "),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest_name(run, state, asked, said):
    code, printed, complaints = run("get", state, *asked)

    assert (code, printed) == (2, "")
    assert complaints.startswith(f"safepatch: {said}")


def test_among_very_many_no_nearest_name_is_looked_for(run, state, monkeypatch):
    monkeypatch.setattr(storing_documents, "_FEW", 2)

    assert run("get", state, "users", "ann@example.co")[2].endswith("; there are 3\n")


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ([], "abe"),
        (["options.newsletter=true"], "a"),
        (["options.newsletter!=true"], "b"),
        (["options"], "ab"),
        (["age>=10"], "a"),
        (["age<31"], "b"),
        (["age<=31", "age>9"], "a"),
        (["age=true"], ""),
        (["age>text"], ""),
        (["name=Ann"], "a"),
        (['name="Ann"'], "a"),
        (["tags.1=b"], "e"),
        (["tags.2"], ""),
        (["@key>b"], "be"),
        (["name.first"], ""),
    ],
)
def test_query_prints_the_documents_for_which_conditions_hold(run, state, conditions, found):
    where = [word for condition in conditions for word in ("--where", condition)]

    code, printed, complaints = run("query", state, "users", *where)

    assert (code, complaints) == (0, "")
    assert "".join(line["key"][0] for line in lines(printed)) == found
    assert [line["document"] for line in lines(printed)] == [
        USERS[line["key"]] for line in lines(printed)
    ]


def test_query_selects_sorts_and_counts(run, state):
    select = ["--select", "@key,age", "--sort", "age"]

    assert run("query", state, "users", *select)[1] == (
        "bob@example.com  9\nann@example.com  31\neve@example.com\n"
    )
    assert run("query", state, "users", *select, "--reverse", "--limit", "1")[1] == (
        "eve@example.com\n"
    )
    assert json.loads(run("query", state, "users", *select, "--json")[1])[1:] == [
        {"@key": "ann@example.com", "age": 31},
        {"@key": "eve@example.com"},
    ]
    assert run("query", state, "users", "--where", "age", "--count")[1] == "2\n"


def test_a_dot_in_a_key_is_written_with_a_backslash(run, tmp_path):
    with Store(tmp_path / "state") as store:
        store.root["a"]["b"] = {"c.d": 1}

    assert run("query", "state", "a", "--where", "c\\.d=1", "--count")[1] == "1\n"


# dump, load, copy


def test_what_was_dumped_and_loaded_is_the_same(run, state):
    assert run("dump", state, "file")[1] == "dumped 3 documents\n"
    assert run("load", "new", "file")[1] == "loaded 3 documents into new\n"

    assert histories.state("new") == {"users": USERS}
    assert run("dump", "new")[1] == run("dump", state)[1]


def test_dump_prints_lines_of_json(run, state):
    printed = run("dump", state)[1]

    assert lines(printed) == [
        {"collection": "users", "key": key, "document": document} for key, document in USERS.items()
    ]


def test_what_migrations_were_made_goes_along(run, tmp_path):
    def migrate(root):
        root["users"]["a"] = 1

    with Store(tmp_path / "state", migrations=[migrate]):
        pass

    for source, target in (("state", "new"), ("state", "copied")):
        if target == "copied":
            run("copy", source, target)
        else:
            run("dump", source, "file")
            run("load", target, "file")
        with Store(target, migrations=[lambda root: pytest.fail("called again")]) as store:
            assert store.root["users"] == {"a": 1}


def test_load_refuses_a_store_that_has_documents(run, state):
    run("dump", state, "file")
    before = histories.contents(state)

    code, printed, complaints = run("load", state, "file")

    assert (code, printed) == (2, "")
    assert "it has documents already (users); name a new store, or allow it with --ov" in complaints
    assert histories.state(state) == {"users": USERS}
    assert [*before] == [*histories.contents(state)]


def test_load_overwrites_if_it_is_told_to(run, state, tmp_path):
    line = {"collection": "users", "key": "ann@example.com", "document": 1}
    (tmp_path / "file").write_text(json.dumps(line))

    assert run("load", state, "file", "--overwrite")[0] == 0
    assert histories.state(state) == {"users": {**USERS, "ann@example.com": 1}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "cannot load line 2: JSON is malformed"),
        ("{}", "cannot load line 2: Object missing required field `collection`"),
        ('{"collection": "a", "key": "b", "document": 1e999}', "cannot load line 2: "),
        ('{"collection": "a", "key": "b", "document": [99999999999999999999999]}', "cannot load "),
        ('{"collection": "a", "key": 1, "document": 1}', "cannot load line 2: Expected `str`"),
        (
            '{"collection": "", "key": "a", "document": 1}',
            "cannot load line 2: the document 'a' is",
        ),
        ('{"collection": "", "key": "migrations", "document": ""}', "cannot load line 2: the docu"),
        ('{"collection": "", "key": "migrations", "document": -1}', "cannot load line 2: the docu"),
    ],
)
def test_of_lines_that_cannot_be_loaded_none_is(run, tmp_path, text, said):
    (tmp_path / "file").write_text(f'{{"collection": "a", "key": "b", "document": 1}}\n{text}\n')

    code, printed, complaints = run("load", "new", "file")

    assert (code, printed) == (2, "")
    assert complaints.startswith(f"safepatch: {said}")
    assert not (tmp_path / "new").exists()


def test_load_makes_no_store_among_other_files(run, tmp_path):
    (tmp_path / "file").write_text("")

    assert "there are files of something else, such as 'file'" in run("load", ".", "file")[2]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_copy_copies_to_a_new_store(run, state):
    assert run("copy", state, "new")[1] == f"copied 3 documents from {state} to new\n"
    assert histories.state("new") == {"users": USERS}


def test_a_store_of_snapshots_becomes_one_with_a_journal(run, tmp_path):
    with Store(tmp_path / "old", mode="snapshot") as store:
        store.root["users"] = USERS

    assert run("copy", "old", "new")[0] == 0
    assert histories.state("new") == {"users": USERS}
    assert run("get", "old", "users", "eve@example.com")[0] == 0
    assert run("verify", "old") == (0, "all was read, and is intact\n", "")
    assert json.loads(run("inspect", "old", "--json")[1])["entries"] == {"users": 3}


def test_a_root_that_has_no_collections_is_refused(run, tmp_path):
    with Store(tmp_path / "old", mode="snapshot") as store:
        store.root["count"] = 7

    assert "root['count'] is of type int; its snapshot.json can be read" in run("dump", "old")[2]


def test_a_store_of_snapshots_that_is_open_is_left_alone(run, tmp_path):
    with Store(tmp_path / "old", mode="snapshot") as store:
        store.sync()
        for command in (["verify"], ["get", "users"], ["dump"]):
            assert "it is open already" in run(command[0], "old", *command[1:])[2]
        assert "open         True\n" in run("inspect", "old")[1]


def test_a_damaged_snapshot_is_told(run, tmp_path):
    with Store(tmp_path / "old", mode="snapshot"):
        pass
    (tmp_path / "old" / "snapshot.json").write_text("{")

    code, printed, _ = run("verify", "old")

    assert code == 1
    assert "at byte 1: it is no JSON" in printed
    assert "see what an editor shows of it" in printed  # `repair` is not for snapshots


# In processes of their own.


def test_a_reader_that_goes_away_is_no_error_to_be_told(tmp_path):
    with Store(tmp_path / "state") as store:
        store.root["many"] = {str(number): "x" * 100 for number in range(5000)}

    ran = shell("store dump state | head -n 1", tmp_path)

    assert (len(ran.stdout.splitlines()), ran.stderr) == (1, "")


def test_lines_can_come_through_a_pipe(tmp_path, state):
    ran = shell("store dump state | store load new", tmp_path)

    assert (ran.stdout, ran.stderr) == ("loaded 3 documents into new\n", "")
    assert histories.state(tmp_path / "new") == {"users": USERS}


@pytest.mark.parametrize("address", ["", "sqlite:state.db", "postgresql:state"])
def test_what_is_hardly_meant_as_a_directory_is_refused(run, state, address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir(tmp_path))
    for command in (["copy", state], ["restore", state, "--at", "1", "--to"], ["inspect"]):
        code, _, complaints = run(*command, address)

        assert (code, f"got the store {address!r}; give a directory" in complaints) == (2, True)
    with pytest.raises(ValueError, match="give a directory"):
        Store(address)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_dump_does_not_replace_the_stores_own_files(run, state, tmp_path):
    run("copy", state, f"sqlite:///{tmp_path}/state.db")
    for store, file in (
        (state, state / "journal-0000000000000000.log"),
        (state, state / "new"),
        (f"sqlite:///{tmp_path}/state.db", tmp_path / "state.db"),
        (f"sqlite:///{tmp_path}/state.db", tmp_path / "state.db-wal"),
    ):
        before = run("dump", store)

        code, printed, complaints = run("dump", store, file)

        assert (code, printed) == (2, "")
        assert "it is the store's own; name another place" in complaints
        assert run("dump", store) == before


def test_nothing_is_written_into_the_store_that_is_read(run, state):
    before = histories.contents(state)
    for command in (["copy", state, state / "new"], ["restore", state, "--at", "1", "--to"]):
        place = [] if command[0] == "copy" else [state / "new"]

        code, _, complaints = run(*command, *place)

        assert (code, "the store's own; name another place" in complaints) == (2, True)
    code, _, _ = run("copy", state, f"sqlite:///{state}/new.db")
    assert (code, histories.contents(state)) == (2, before)


@pytest.mark.parametrize(
    "wrong", [["--where", ""], ["--where", "=1"], ["--where", "age>="], ["--reverse"]]
)
def test_a_query_that_means_nothing_is_refused(run, state, wrong):
    code, printed, complaints = run("query", state, "users", *wrong)

    assert (code, printed, complaints.startswith("safepatch: got --")) == (2, "", True)


def test_a_text_that_is_not_printable_keeps_to_its_cell(run, tmp_path):
    with Store(tmp_path / "state", every=0) as store:
        store.root["c"]["a\nb\x1b[2J"] = {"is": "é"}

    _, printed, _ = run("query", tmp_path / "state", "c", "--select", "@key,is")

    assert printed == '"a\\nb\\u001b[2J"  é\n'


def test_a_dump_that_is_cut_off_leaves_the_file_as_it_was(run, state, tmp_path, monkeypatch):
    file = tmp_path / "dumped"
    file.write_text("before")

    def interrupted(stored, wrapped=transferring.lines):
        yield from itertools.islice(wrapped(stored), 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(transferring, "lines", interrupted)
    code, _, complaints = run("dump", state, file)

    assert (code, complaints) == (130, "safepatch: interrupted\n")
    assert (file.read_text(), [*tmp_path.glob("*.tmp")]) == ("before", [])


def test_a_copy_that_is_cut_off_is_said_to_be_a_part(run, state, tmp_path, monkeypatch):
    monkeypatch.setattr(transferring, "_BATCH", 1)
    copied = []

    def interrupted(*document, wrapped=transferring.op):
        copied.append(document)
        if len(copied) == 3:
            raise KeyboardInterrupt
        return wrapped(*document)

    monkeypatch.setattr(transferring, "op", interrupted)
    code, _, complaints = run("copy", state, tmp_path / "new")

    assert code == 130
    assert re.fullmatch(
        r"safepatch: interrupted\n'.*/new' has a part only, \d+ documents; remove it\n", complaints
    )


def test_a_line_that_is_nested_too_deeply_is_told_with_its_number(run, tmp_path):
    deep = "[" * 100_000 + "]" * 100_000
    (tmp_path / "lines").write_text(f'{{"collection": "c", "key": "k", "document": {deep}}}\n')

    code, _, complaints = run("load", tmp_path / "new", tmp_path / "lines")

    assert (code, "cannot load line 1: " in complaints) == (2, True)
