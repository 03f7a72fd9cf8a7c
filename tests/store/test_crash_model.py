"""What the model says a crash may leave, written out for a few calls."""

import os
from random import Random

import pytest

from safepatch.store.testing import record
from safepatch.store.testing.disks import ROOT, Disk, subsets
from safepatch.store.testing.files import File, contents


def left(directory, work, **options):
    """All states that a crash may leave, in the order they come in, but for what is the same."""
    with record(directory) as trace:
        work(trace)
    found = []
    for state in trace.states(**options):
        if state.files not in found:
            found.append(state.files)
    return found


@pytest.fixture
def file(tmp_path):
    """Open for writing; its name and its 4 bytes are synced."""
    path = tmp_path / "file"
    path.write_bytes(b"abcd")
    file = os.open(path, os.O_RDWR)
    yield file
    os.close(file)


def only(states):
    assert all([*state] == ["file"] for state in states)
    return sorted(state["file"] for state in states)


def test_what_is_appended_is_lost_cut_anywhere_or_zeros_from_anywhere_on(tmp_path, file):
    states = left(tmp_path, lambda trace: os.pwrite(file, b"ef", 4))

    assert only(states) == sorted([b"abcd", b"abcde", b"abcde\0", b"abcd\0\0", b"abcdef"])


def test_what_is_overwritten_is_there_up_to_any_byte(tmp_path, file):
    states = left(tmp_path, lambda trace: os.pwrite(file, b"xyz", 0))

    assert only(states) == sorted([b"abcd", b"xbcd", b"xycd", b"xyzd"])


def test_each_block_is_lost_apart_from_others(tmp_path, file):
    states = left(tmp_path, lambda trace: os.pwrite(file, b"wxyz", 0), block=2)

    assert b"abyz" in only(states)


def test_of_several_writes_any_number_may_be_lost(tmp_path, file):
    def work(trace):
        os.pwrite(file, b"1", 0)
        os.pwrite(file, b"2", 0)
        os.pwrite(file, b"3", 2)

    assert only(left(tmp_path, work)) == sorted([b"abcd", b"1bcd", b"2bcd", b"2b3d"])


def test_what_is_truncated_may_still_be_there_or_be_zeros(tmp_path, file):
    states = left(tmp_path, lambda trace: os.ftruncate(file, 2))

    assert only(states) == sorted([b"abcd", b"ab", b"ab\0\0"])


@pytest.mark.parametrize("sync", [os.fsync, os.fdatasync])
def test_what_is_synced_is_safe(tmp_path, file, sync):
    def work(trace):
        os.pwrite(file, b"ef", 4)
        getattr(os, sync.__name__)(file)
        trace.note("synced")
        os.pwrite(file, b"g", 6)

    with record(tmp_path) as trace:
        work(trace)
    states = [state.files for state in trace.states() if state.notes]

    assert only(states) == sorted([b"abcdef", b"abcdefg", b"abcdef\0"])


def test_a_sync_of_everything_makes_everything_safe(tmp_path, file):
    with record(tmp_path) as trace:
        os.pwrite(file, b"ef", 4)
        (tmp_path / "other").mkdir()
        os.sync()
        trace.note("synced")

    states = [state.files for state in trace.states() if state.notes]
    assert states == [{"file": b"abcdef", "other": None}]


def test_what_is_written_through_is_safe(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    file = os.open(path, os.O_WRONLY | os.O_DSYNC)
    with record(tmp_path) as trace:
        os.write(file, b"ab")
        trace.note("written")
    os.close(file)

    assert [state.files for state in trace.states() if state.notes] == [{"file": b"ab"}]


def test_after_a_failed_sync_a_later_one_saves_only_what_is_written_again():
    file = File(b"", 4)
    file.write(1, 0, b"lost")
    file.fail(2)
    file.sync()

    assert b"" in contents(file, 100, Random(0))
    assert b"\0\0\0\0" in contents(file, 100, Random(0))

    file.write(3, 0, b"lost")
    file.sync()
    assert contents(file, 100, Random(0))[-1] == b"lost"
    assert b"\0\0\0\0" not in contents(file, 100, Random(0))


def test_what_is_written_again_as_it_was_stays_beside_what_was_cut_off():
    file = File(b"aabbccdd", 2)
    file.truncate(1, 4)
    file.write(2, 0, b"aabb")

    assert {content[:4] for content in contents(file, 1000, Random(0))} == {b"aabb"}


# Names.


def test_a_new_name_may_be_lost_though_its_file_is_synced(tmp_path):
    def work(trace):
        with open(tmp_path / "new", "wb") as file:
            file.write(b"a")
            file.flush()
            os.fsync(file.fileno())
        trace.note("synced")

    with record(tmp_path) as trace:
        work(trace)

    states = [state.files for state in trace.states() if state.notes]
    assert states == [{}, {"new": b"a"}]


def test_a_name_is_safe_when_its_directory_is_synced(tmp_path):
    directory = os.open(tmp_path, os.O_RDONLY)
    with record(tmp_path) as trace:
        (tmp_path / "new").touch()
        os.fsync(directory)
        trace.note("synced")
    os.close(directory)

    assert [state.files for state in trace.states() if state.notes] == [{"new": b""}]


def test_a_rename_happens_as_a_whole_or_not_at_all(tmp_path):
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")

    states = left(tmp_path, lambda trace: os.rename(tmp_path / "a", tmp_path / "b"))

    assert states == [{"a": b"new", "b": b"old"}, {"b": b"new"}]


def test_names_are_lost_in_any_combination(tmp_path):
    (tmp_path / "old").write_bytes(b"")

    def work(trace):
        (tmp_path / "new").touch()
        (tmp_path / "old").unlink()

    states = left(tmp_path, work)

    assert sorted(map(sorted, states)) == [[], ["new"], ["new", "old"], ["old"]]


def test_what_is_done_to_one_name_happens_in_order(tmp_path):
    def work(trace):
        (tmp_path / "a").touch()
        os.rename(tmp_path / "a", tmp_path / "b")
        os.rename(tmp_path / "b", tmp_path / "c")

    assert sorted(map(sorted, left(tmp_path, work))) == [[], ["a"], ["b"], ["c"]]


def test_what_is_in_a_lost_directory_is_lost(tmp_path):
    def work(trace):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "file").touch()
        directory = os.open(tmp_path / "new", os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        trace.note("synced")

    with record(tmp_path) as trace:
        work(trace)

    states = [state.files for state in trace.states() if state.notes]
    assert states == [{}, {"new": None, f"new{os.sep}file": b""}]


def test_a_rename_to_another_directory_is_safe_when_that_is_synced(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "into").mkdir()
    directory = os.open(tmp_path / "into", os.O_RDONLY)
    with record(tmp_path) as trace:
        os.rename(tmp_path / "a", tmp_path / "into" / "a")
        os.fsync(directory)
        trace.note("synced")
    os.close(directory)

    states = [state.files for state in trace.states() if state.notes]
    assert states == [{"into": None, f"into{os.sep}a": b"1"}]


def test_a_step_that_is_safe_makes_those_safe_that_it_needs():
    disk = Disk(512)
    disk.files = {1: File(b"", 512), 2: File(b"", 512)}
    disk.names = {(ROOT, "a"): 1, (ROOT, "into"): 3}
    disk.change(3, {(ROOT, "a"): None, (3, "a"): 1})
    disk.change(ROOT, {(ROOT, "a"): 2})
    disk.sync(ROOT)

    assert disk.steps == []
    assert disk.names == {(ROOT, "a"): 2, (ROOT, "into"): 3, (3, "a"): 1}


# How many.


def test_the_extremes_come_first_and_the_rest_by_chance_that_a_seed_decides():
    disk = Disk(512)
    for number in range(40):
        disk.change(ROOT, {(ROOT, str(number)): None})
    file = File(b"", 16)
    for number in range(100):
        file.write(number + 1, number * 16, b"x" * 16)

    some = subsets(disk, 50, Random("1"))
    assert [len(steps) for steps in some[:2]] == [0, 40]
    assert len({*some}) == len(some) == 50
    assert some == subsets(disk, 50, Random("1")) != subsets(disk, 50, Random("2"))
    found = contents(file, 50, Random("1"))
    assert found[:2] == [b"", b"x" * 1600]
    assert len({*found}) == len(found) == 50
    assert found == contents(file, 50, Random("1")) != contents(file, 50, Random("2"))


def test_no_moment_has_more_states_than_the_limit(tmp_path):
    with record(tmp_path) as trace:
        for name in "abcdef":
            (tmp_path / name).write_bytes(b"0123456789" * 10)

    states = [*trace.states(limit=30)]

    assert len(states) <= 30
    assert states[0].files == {}
    assert states[1].files == dict.fromkeys("abcdef", b"0123456789" * 10)


def test_a_state_comes_once_for_each_number_of_notes(tmp_path, file):
    with record(tmp_path) as trace:
        os.pwrite(file, b"e", 4)
        trace.note(1)
        trace.note(2)

    states = [(state.files["file"], state.notes) for state in trace.states()]

    assert len(states) == 9
    for notes in ([], [1], [1, 2]):
        assert [content for content, made in states if made == notes] == [
            b"abcd",
            b"abcde",
            b"abcd\0",
        ]


def test_the_same_set_of_seen_states_serves_several_traces(tmp_path, file):
    with record(tmp_path) as trace:
        os.pwrite(file, b"e", 4)

    seen = set()
    assert len([*trace.states(seen=seen)]) == 3
    assert [*trace.states(seen=seen)] == []


def test_thousands_of_states_a_second_are_built(tmp_path, file):
    import time

    with record(tmp_path) as trace:
        for number in range(20):
            os.pwrite(file, b"0123456789" * 20, 4 + number * 200)
            os.fdatasync(file)

    began = time.process_time()
    count = len([*trace.states(limit=1000)])

    assert count >= 20 * 400 - 19  # all cuts, short and with zeros; a synced end is two's
    assert count / (time.process_time() - began) > 3000
