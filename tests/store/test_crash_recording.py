"""Which calls are seen, and that what is not seen is told."""

import bz2
import contextlib
import dbm.dumb
import io
import json
import logging
import mmap
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading

import pytest

import safepatch
from safepatch.decorators import replace
from safepatch.store.testing import UnseenError, record


def writes(path):
    with open(path, "w", encoding="utf-8") as file:
        print("some", "text", file=file)


def appends(path):
    for _ in range(2):
        with open(path, "a+b", buffering=0) as file:
            file.write(b"more")
            file.seek(0)
            assert file.read()[-4:] == b"more"


def by_descriptor(path):
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(file, b"0123456789")
    os.writev(file, [b"ab", bytearray(b"cd")])
    os.pwrite(file, memoryview(b"xy"), 3)
    os.pwritev(file, [b"zz"], 20)
    os.lseek(file, 1, os.SEEK_SET)
    os.write(os.dup(file), b"!")
    os.ftruncate(file, 21)
    os.truncate(path, 30)
    with os.fdopen(file, "r+b") as opened:
        opened.seek(28)
        opened.write(b"end")
        opened.truncate()


def by_pathlib(path):
    pathlib.Path(path).write_bytes(b"1")
    pathlib.Path(f"{path}.d").mkdir()
    pathlib.Path(f"{path}.d", "touched").touch()
    pathlib.Path(f"{path}.d").rename(f"{path}.e")


def by_tempfile(path):
    directory = os.path.dirname(path)
    with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
        file.write(b"temporary")
    os.replace(file.name, path)
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(b"nameless")
    made, name = tempfile.mkstemp(dir=directory)
    os.write(made, b"mkstemp")
    os.close(made)
    os.link(name, f"{path}.linked")


def by_shutil(path):
    os.makedirs(f"{path}.d/e/f")
    writes(f"{path}.d/one")
    shutil.copytree(f"{path}.d", f"{path}.copy")
    shutil.copyfile(f"{path}.d/one", f"{path}.d/e/two")
    shutil.move(f"{path}.d/e/two", f"{path}.d/e/f/three")
    shutil.rmtree(f"{path}.copy")
    os.makedirs(f"{path}.deep/er")
    os.removedirs(f"{path}.deep/er")


def by_links(path):
    writes(path)
    os.link(path, f"{path}.hard")
    os.symlink(os.path.basename(path), f"{path}.soft")
    appends(f"{path}.hard")
    appends(f"{path}.soft")
    os.rename(path, f"{path}.hard")  # two names of one file: nothing happens
    os.unlink(path)


def by_directory_descriptors(path):
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    name = os.path.basename(path)
    os.mkdir("sub", dir_fd=directory)
    file = os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=directory)
    os.write(file, b"1")
    os.rename(name, "sub/moved", src_dir_fd=directory, dst_dir_fd=directory)
    os.symlink("moved", "sub/link", dir_fd=directory)
    os.unlink("sub/link", dir_fd=directory)
    os.close(directory)
    os.write(file, b"2")  # what it is called now is not asked
    os.close(file)


def by_relative_paths(path):
    with contextlib.chdir(os.path.dirname(path)):
        writes("relative")
        os.rename("relative", "./other")
        os.mkdir("directory/")
        with contextlib.chdir("directory"):
            writes("below")


def names_as_bytes(path):
    writes(os.fsencode(path))
    os.rename(os.fsencode(path), os.fsencode(f"{path}.b"))


def inodes_used_again(path):
    for number in range(5):
        with open(path, "wb") as file:
            file.write(b"%d" % number)
        os.unlink(path)
    writes(path)


def open_while_deleted(path):
    with open(path, "w") as file:
        os.unlink(path)
        file.write("nobody sees it")
        writes(path)


def by_sendfile(path):
    writes(path)
    with open(path, "rb") as source, open(f"{path}.copy", "wb") as target:
        os.sendfile(target.fileno(), source.fileno(), 0, 4)
        os.copy_file_range(source.fileno(), target.fileno(), 2)
        os.posix_fallocate(target.fileno(), 0, 100)


def by_a_log_handler(path):
    handler = logging.FileHandler(path)
    handler.emit(logging.LogRecord("name", 10, "path", 1, "message", (), None))
    handler.close()


def by_dbm_dumb(path):
    with dbm.dumb.open(path, "c") as database:
        database["key"] = "value"


WAYS = [
    *(writes, appends, by_descriptor, by_pathlib, by_tempfile, by_shutil, by_links),
    *(by_directory_descriptors, by_relative_paths, names_as_bytes, inodes_used_again),
    *(open_while_deleted, by_sendfile, by_a_log_handler, by_dbm_dumb),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_all_ways_to_write_are_seen(way, tmp_path):
    with record(tmp_path) as trace:
        way(str(tmp_path / "file"))

    everything = [*trace.states(limit=2)][-1]
    place = tmp_path.parent / "again"
    everything.write(place)
    assert sorted(found(tmp_path)) == sorted(found(place))
    assert len(trace.events) >= 1


def found(directory):
    for path in directory.rglob("*"):
        name = str(path.relative_to(directory))
        if path.is_symlink():
            yield name, os.readlink(path)
        else:
            yield name, path.read_bytes() if path.is_file() else None


def with_sqlite(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("create table t (a)")


def with_mmap(path):
    with open(path, "w+b") as file:
        file.write(bytes(100))
        file.flush()
        with mmap.mmap(file.fileno(), 100) as mapped:
            mapped[:4] = b"some"


def with_another_process(path):
    subprocess.run([sys.executable, "-c", f"open({path!r}, 'w').close()"], check=True)


def with_a_file_object_of_c(path):
    with io.FileIO(path, "w") as file:
        file.write(b"some")


def with_an_open_taken_before(path):
    with bz2.open(path, "w") as file:
        file.write(b"some")


def from_another_directory(path):
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(os.path.dirname(path)), delete=False) as f:
        f.write(b"1")
    os.rename(f.name, path)


UNSEEN = [
    *(with_sqlite, with_mmap, with_another_process, with_a_file_object_of_c),
    *(with_an_open_taken_before, from_another_directory),
]


@pytest.mark.parametrize("way", UNSEEN, ids=lambda way: way.__name__)
def test_what_is_not_seen_is_told(way, tmp_path):
    with pytest.raises(UnseenError, match="'file'") as caught, record(tmp_path):
        way(str(tmp_path / "file"))

    assert caught.value.names == ["file"]


def test_an_error_of_the_program_is_not_hidden_by_what_was_not_seen(tmp_path):
    def work():
        with_mmap(str(tmp_path / "file"))
        raise LookupError

    with pytest.raises(LookupError), record(tmp_path):
        work()


def test_what_happens_elsewhere_is_not_recorded(tmp_path):
    (tmp_path / "here").mkdir()
    with record(tmp_path / "here") as trace:
        for way in WAYS:
            (tmp_path / way.__name__).mkdir()
            way(str(tmp_path / way.__name__ / "file"))

    assert trace.events == []


def test_calls_of_all_threads_are_in_one_order_and_notes_between_them(tmp_path):
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def work(number):
        for count in range(50):
            os.write(file, b"%d" % number)
            trace.note((number, count))

    with record(tmp_path) as trace:
        threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    os.close(file)

    content = (tmp_path / "log").read_bytes()
    assert len(content) == 200
    notes = [event.notes[0] for event in trace.events if event.notes]
    assert len(notes) == 200
    for number in range(4):
        assert [count for other, count in notes if other == number] == [*range(50)]


def test_a_trace_prints_as_the_calls_in_order(tmp_path):
    with record(tmp_path) as trace:
        with open(tmp_path / "a.tmp", "wb") as file:
            file.write(b"12345")
            file.flush()
            os.fsync(file.fileno())
        os.replace(tmp_path / "a.tmp", tmp_path / "a")
        trace.note("saved")

    assert str(trace).splitlines() == [
        "    1  os.open('a.tmp')",
        "    2  os.write('a.tmp', 5 bytes at 0)",
        "    3  os.fsync('a.tmp')",
        "    4  os.replace('a.tmp', 'a')",
        "    5  note('saved')",
    ]


def test_a_state_says_where_it_crashed_and_what_was_lost(tmp_path):
    (tmp_path / "old").touch()
    with record(tmp_path) as trace:
        (tmp_path / "old").unlink()
        (tmp_path / "new").write_bytes(b"12345")

    states = [*trace.states()]

    assert str(states[0]) == (
        "crash after call 3, os.write('new', 5 bytes at 0); "
        "lost: 'new' is not there; 'old' is still there"
    )
    cut = next(state for state in states if state.files.get("new") == b"123")
    assert "'new' has 3 of 5 bytes, and is as written up to byte 3" in str(cut)


def test_nothing_reaches_the_disk_and_closed_files_cannot_be_synced(tmp_path, patches):
    synced = []
    patches.apply("os:fsync", replace(synced.append), aliases="ignore")
    file = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)

    with record(tmp_path):
        os.fsync(file)
        with open(tmp_path / "other", "w") as other:
            os.fsync(other)
        os.close(file)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fsync(file)

    assert synced == []


def test_nothing_stays_patched(tmp_path):
    before = {name: vars(os)[name] for name in ("write", "open", "fsync", "rename")}, open, io.open

    with record(tmp_path):
        assert os.write is not before[0]["write"]

    assert ({name: vars(os)[name] for name in before[0]}, open, io.open) == before
    assert safepatch.live() == []


def test_recordings_of_different_directories_may_overlap(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()

    with record(one) as first, record(two) as second:
        (one / "a").write_bytes(b"1")
        (two / "b").write_bytes(b"2")

    assert [*first.states(limit=2)][-1].files == {"a": b"1"}
    assert [*second.states(limit=2)][-1].files == {"b": b"2"}


def test_a_call_that_fails_changes_nothing(tmp_path):
    with record(tmp_path) as trace:
        for call in (
            lambda: os.rename(tmp_path / "none", tmp_path / "other"),
            lambda: os.unlink(tmp_path / "none"),
            lambda: os.mkdir(tmp_path / "none" / "below"),
            lambda: os.open(tmp_path / "none", os.O_WRONLY),
            lambda: os.truncate(tmp_path / "none", 5),
        ):
            with pytest.raises(FileNotFoundError):
                call()

    assert trace.events == []


def test_what_is_there_at_first_is_safe_and_open_files_are_known(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_bytes(b"1")
    os.link(tmp_path / "sub" / "file", tmp_path / "same")
    os.symlink("sub", tmp_path / "link")
    with open(tmp_path / "same", "ab", buffering=0) as opened, record(tmp_path) as trace:
        os.write(opened.fileno(), b"2")

    states = [state.files for state in trace.states()]

    for content in (b"1", b"12"):
        assert {"sub": None, "sub/file": content, "same": content, "link": "sub"} in states


def test_a_state_replaces_whatever_a_directory_held(tmp_path):
    with record(tmp_path) as trace:
        by_shutil(str(tmp_path / "tree"))
        (tmp_path / "file").write_text("same size")
    state = [*trace.states(limit=2)][-1]
    place = tmp_path.parent / "place"
    state.write(place)
    (place / "file").write_text("same sizE")
    (place / "tree.d" / "one").unlink()
    (place / "tree.d" / "one").mkdir()
    shutil.rmtree(place / "tree.d" / "e")
    (place / "tree.d" / "e").write_text(json.dumps("a file in place of a directory"))
    (place / "more").symlink_to("file")
    (place / "another").mkdir()

    state.write(place)

    assert sorted(found(place)) == sorted(found(tmp_path))
