"""That sources have changed is seen once for each change, and not before it is whole."""

import os

import pytest

from safepatch.monitor.sources.watching import Watch


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Clock:
    """Times of files, so that none waits for the next tick of the disk's."""

    now = 1_000_000


def write(path, text):
    path.write_text(text)
    Clock.now += 1
    os.utime(path, (Clock.now, Clock.now))


def looks(watch, count):
    return [watch.changed() for _ in range(count)]


def test_what_stays_as_it_is_has_not_changed(folder):
    write(folder / "sites.txt", "a.example\n")

    assert looks(Watch(["sites.txt", "b.example", "-", {}]), 5) == [False] * 5


def test_a_change_is_told_once_when_two_looks_see_the_same(folder):
    write(folder / "sites.txt", "a.example\n")
    watch = Watch("sites.txt")

    write(folder / "sites.txt", "b.example\n")

    assert looks(watch, 4) == [False, True, False, False]


def test_a_file_that_is_being_written_is_told_when_it_is_whole(folder):
    write(folder / "sites.txt", "a.example\n")
    watch = Watch("sites.txt")

    seen = []
    for end in range(4):
        write(folder / "sites.txt", "b.example\n" * end)
        seen += looks(watch, 1)

    assert seen == [False] * 4
    assert looks(watch, 2) == [True, False]


def test_a_file_that_another_one_replaces_has_changed(folder):
    """Even if it has the same size and time, as after `cp -p` and `mv`."""
    write(folder / "sites.txt", "a.example\n")
    watch = Watch("sites.txt")

    (folder / "new.txt").write_text("b.example\n")
    os.utime(folder / "new.txt", (Clock.now, Clock.now))
    os.replace(folder / "new.txt", folder / "sites.txt")

    assert looks(watch, 3) == [False, True, False]


def test_a_file_that_is_gone_for_a_moment_has_not_changed_for_that(folder):
    write(folder / "sites.txt", "a.example\n")
    watch = Watch("sites.txt")

    os.rename(folder / "sites.txt", folder / "sites.txt~")
    gone = looks(watch, 2)
    os.rename(folder / "sites.txt~", folder / "sites.txt")

    assert gone == [False, False]
    assert looks(watch, 3) == [False] * 3


def test_a_file_that_stays_away_has_changed_and_again_when_it_is_back(folder):
    write(folder / "sites.txt", "a.example\n")
    watch = Watch("sites.txt")

    (folder / "sites.txt").unlink()
    gone = looks(watch, 5)
    write(folder / "sites.txt", "b.example\n")

    assert gone == [False, False, True, False, False]
    assert looks(watch, 3) == [False, True, False]


def test_files_that_a_document_names_are_looked_after_and_those_it_names_later(folder):
    write(folder / "a.txt", "a.example\n")
    write(folder / "b.txt", "b.example\n")
    write(folder / "monitor.toml", '[monitor]\nlists = "a.txt"\n')
    watch = Watch([folder / "monitor.toml"])

    write(folder / "a.txt", "c.example\n")
    assert looks(watch, 3) == [False, True, False]
    write(folder / "b.txt", "c.example\n")
    assert looks(watch, 3) == [False, False, False]
    write(folder / "monitor.toml", '[monitor]\nlists = ["b.txt"]\n')
    assert looks(watch, 3) == [False, True, False]
    write(folder / "b.txt", "d.example\n")
    assert looks(watch, 3) == [False, True, False]
    assert watch.files == (folder / "monitor.toml", folder / "b.txt")


@pytest.mark.parametrize("text", ["lists = [", "monitor = 3 # lists", "[monitor]\nlists = [3]"])
def test_a_document_that_is_wrong_is_looked_after_all_the_same(folder, text):
    write(folder / "monitor.toml", text)
    watch = Watch("monitor.toml")

    write(folder / "monitor.toml", "")

    assert looks(watch, 2) == [False, True]


def test_a_file_that_is_not_there_yet_is_waited_for(folder):
    watch = Watch("sites.txt")
    assert looks(watch, 3) == [False] * 3

    write(folder / "sites.txt", "a.example\n")

    assert looks(watch, 3) == [False, True, False]
