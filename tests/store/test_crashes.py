"""The store keeps its word whenever it crashes, whatever fails, and whichever byte is damaged."""

import contextlib
import functools
import os
import threading

import pytest
from ledgers import (
    COUNT,
    FAILING,
    FEW,
    LIMIT,
    STEP,
    after,
    check,
    commit,
    compactions,
    compactions_beside,
    contents,
    found,
    opened,
    place,
)

import safepatch
from safepatch.decorators import fault
from safepatch.store import Store, StoreError
from safepatch.store.testing import check_crashes, check_faults, record


def load(directory, note):
    """Several journals, which are merged as they grow."""
    with opened(directory, segment=200) as store, compactions():
        commit(store, note, range(COUNT))


def load_and_compact(directory, note, count=COUNT):
    with compactions():
        for begin in range(0, count, 3):
            with opened(directory) as store:
                commit(store, note, range(begin, begin + 3))
                store.compact()


WORKLOADS = [load, load_and_compact]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_nothing_that_was_acknowledged_is_lost_by_a_crash(workload):
    assert check_crashes(workload, check, limit=LIMIT) > 100


@pytest.mark.parametrize("workload", WORKLOADS)
def test_nothing_is_lost_by_a_crash_of_recovery(workload):
    assert check_crashes(workload, check, limit=LIMIT // 2, recovery_limit=LIMIT // 2) > 100


def test_nothing_is_lost_by_a_crash_while_files_are_merged_and_commits_go_on():
    def workload(directory, note):
        slow = safepatch.patch("os:fsync", fault(delay=0.002))  # what merging waits for
        with compactions_beside() as made:
            with slow, opened(directory, segment=150) as store:
                commit(store, note, range(4 * COUNT))
            sequences.extend(each.result(60) for each in made)

    sequences = []

    assert check_crashes(workload, check, limit=LIMIT // 2, recovery_limit=3) > 100
    assert len({*sequences}) > 1  # it has happened, and commits came in between


def recover_and_compact(directory, notes):
    with compactions(), opened(directory) as store:
        store.compact()
    check(directory, notes)


def test_nothing_is_lost_by_a_crash_of_recovery_and_compaction():
    """And by one of what comes after it."""
    workload, limit = load_and_compact, LIMIT // 3

    assert check_crashes(workload, recover_and_compact, limit=limit, recovery_limit=limit) > 100


def test_what_several_threads_commit_at_once_is_not_lost():
    """Each has documents of its own, and notes how far it came."""

    def workload(directory, note):
        def work(number):
            for count in range(1, COUNT + 1):
                with store.transaction():
                    store.root["counts"][str(number)] = count
                note((number, count))

        with opened(directory, segment=300) as store, compactions():
            threads = [threading.Thread(target=work, args=[number]) for number in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def check_counts(directory, notes):
        counts = found(directory).get("counts", {})
        for number, count in notes:
            assert counts.get(str(number), 0) >= count

    assert check_crashes(workload, check_counts, limit=LIMIT) > 100


def read_and_write(directory, note):
    """One thread writes, another notes what it has read."""

    def write():
        for count in range(1, COUNT + 1):
            with store.transaction():
                store.root["counts"]["one"] = count

    def read():
        seen = 0
        while seen < COUNT:
            with store.transaction(reads_only=True):
                now = store.root["counts"].get("one", 0)
            if now != seen:
                seen = now
                note(seen)

    slow = safepatch.patch("os:fdatasync", fault(delay=0.002))  # so that there is time to read
    with opened(directory) as store, slow:
        threads = [threading.Thread(target=target) for target in (write, read)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def check_what_was_read(directory, notes):
    assert found(directory).get("counts", {}).get("one", 0) >= max(notes, default=0)


def test_what_was_read_under_durable_is_not_lost():
    """Also if somebody else wrote it, who was not told yet."""
    check_crashes(read_and_write, check_what_was_read, limit=LIMIT)


def test_an_image_of_a_snapshot_is_the_last_one_or_the_one_before():
    def workload(directory, note):
        with Store(place(directory), mode="snapshot", every=0) as store:
            for count in range(1, 7):
                store.root["count"] = {"is": [count] * count}
                store.sync()
                note(count)

    def check_count(directory, notes):
        with Store(place(directory), mode="snapshot", every=0) as store:
            count = len(store.root.get("count", {"is": []})["is"])
            assert store.root == ({"count": {"is": [count] * count}} if count else {})
        assert count >= max(notes, default=0)

    assert check_crashes(workload, check_count, limit=LIMIT, recovery_limit=5) > 100
    check_faults(workload, check_count, raises=(StoreError, OSError), calls=FAILING, limit=FEW)


def test_a_backup_is_whole_or_not_there():
    """Also one that is tried again after an error."""

    def workload(directory, note):
        with opened(directory) as store:
            for begin in (0, 2, 4):
                commit(store, note, range(begin, begin + 2))
                try:
                    store.backup(os.path.join(directory, "copy"))
                except FileExistsError:
                    pass
                else:
                    note(("copy", begin + 2))

    def check_copy(directory, notes):
        check(directory, [note for note in notes if isinstance(note, int)])
        copied = [note[1] for note in notes if isinstance(note, tuple)]
        copy = os.path.join(directory, "copy")
        if copied:
            assert os.path.exists(copy)
        if os.path.exists(copy):
            with Store(copy, every=0) as store:
                assert contents(store) in [after(count) for count in copied or (2, 4, 6)]

    assert check_crashes(workload, check_copy, limit=LIMIT) > 100

    check_faults(trying_again, check_copy, raises=(StoreError, OSError), calls=FAILING, limit=FEW)


def test_a_backup_has_nothing_of_one_that_was_broken_off(tmp_path):
    def back_up(store):
        store.backup(tmp_path / "copy")

    with opened(tmp_path / "one") as store, compactions():
        commit(store, lambda number: None, range(3))
        store.compact()
        commit(store, lambda number: None, range(3, 5))
        failing = fault(error=OSError(5, "Input/output error"), schedule={2})
        with safepatch.patch("os:rename", failing), pytest.raises(OSError, match="Input/output"):
            back_up(store)

    with opened(tmp_path / "two") as store:
        commit(store, lambda number: None, range(1))
        back_up(store)

    with Store(tmp_path / "copy", every=0) as store:
        assert contents(store) == after(1)


def test_a_backup_of_a_snapshot_is_whole_or_not_there():
    def workload(directory, note):
        with Store(place(directory), mode="snapshot", every=0) as store:
            store.root["key"] = [1, 2, 3]
            store.backup(os.path.join(directory, "copy"))
            note("copied")

    def check_copy(directory, notes):
        copy = os.path.join(directory, "copy")
        assert os.path.exists(copy) or not notes
        if os.path.exists(copy):
            with Store(copy, mode="snapshot", every=0) as store:
                assert store.root == {"key": [1, 2, 3]}

    assert check_crashes(workload, check_copy, limit=LIMIT) > 20


def trying_again(directory, note):
    with opened(directory) as store:
        commit(store, note, range(2))
    for _ in range(2):
        try:
            with opened(directory) as store:
                store.backup(os.path.join(directory, "copy"))
        except (OSError, StoreError):
            continue
        note(("copy", 2))
        return


# Killed, started again, and then the power fails.


class Killed(BaseException):
    """A process that is killed: others find what it wrote, and the disk may not have it yet."""


def killed_and_started_again(directory, call, number):
    """Kill a store in a call; open it again, in the same recording, and go on.

    The trace, with notes of what was found and committed, and whether there was such a call.
    """
    calls = 0

    def kill(wrapped):
        def wrapper(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls >= number:  # a process that is dead does nothing any more
                raise Killed
            return wrapped(*args, **kwargs)

        return wrapper

    with record(directory) as trace:
        store = opened(directory)
        try:
            with safepatch.patch(f"os:{call}", kill), compactions():
                commit(store, trace.note, range(3))
                store.compact()
                commit(store, trace.note, range(3, 5))
        except Killed:
            store.forget()
        else:
            store.close()
        with opened(directory) as store, compactions():
            holds = contents(store)
            trace.note(holds)
            store.compact()
            for count in range(2):
                with store.transaction():
                    store.root["again"][str(count)] = count
                trace.note({**holds, "again": {str(n): n for n in range(count + 1)}})
                store.compact()
    return trace, calls >= number


@pytest.mark.parametrize(
    "call", ["write", "pwrite", "fdatasync", "fsync", "open", "rename", "unlink"]
)
def test_what_was_found_after_a_kill_is_not_lost_by_a_crash(call, tmp_path, no_syncs):
    killed, number = True, 1 - STEP
    crashed = tmp_path / "crashed"
    while killed:
        number += STEP
        home = tmp_path / str(number)
        home.mkdir()
        trace, killed = killed_and_started_again(home, call, number)
        for state in trace.states(limit=LIMIT):
            told = [note for note in state.notes if isinstance(note, dict)]
            if told:
                state.write(crashed)
                check_again(found(crashed), told[-1], f"killed in os.{call} {number}; {state}")
    assert number > 1


def check_again(holds, told, words):
    """What was told is there, and perhaps one commit more."""
    holds, told = dict(holds), dict(told)
    more, again = holds.pop("again", {}), told.pop("again", {})
    assert holds == told, words
    assert again.items() <= more.items(), words


# Faults.


def test_nothing_is_lost_when_a_call_fails():
    with compactions():
        states = check_faults(
            functools.partial(load_and_compact, count=6),
            check,
            raises=(StoreError, OSError),
            calls=FAILING,
            limit=FEW,
        )

    assert states > 100


def test_what_was_found_after_a_failed_sync_is_not_lost_by_a_crash():
    """It can be read then, the mark of a file that was closed as well, and may not be on disk."""

    def workload(directory, note):
        for _ in range(3):
            with contextlib.suppress(OSError, StoreError), opened(directory) as store:
                counts = store.root["counts"]
                with store.transaction():
                    counts["n"] = count = counts.get("n", 0) + 1
                    counts["text"] = "x" * 1000  # more than a block
                note(count)

    def check_count(directory, notes):
        assert found(directory).get("counts", {}).get("n", 0) >= max(notes, default=0)

    assert check_faults(workload, check_count, calls=("fdatasync", "fsync"), limit=LIMIT) > 100


def test_the_store_stops_at_the_first_failed_write(tmp_path):
    with opened(tmp_path) as store:
        commit(store, lambda number: None, range(2))
        failing = fault(error=OSError(5, "Input/output error"), schedule={1})
        with safepatch.patch("os:fdatasync", failing), pytest.raises(StoreError):
            commit(store, lambda number: None, [2])
        with pytest.raises(StoreError, match="stopped"):
            commit(store, lambda number: None, [3])


def test_no_descriptor_is_left_open_when_opening_fails(tmp_path):
    with opened(tmp_path) as store:
        commit(store, lambda number: None, range(2))
    before = len(os.listdir("/proc/self/fd"))

    failures = number = 0
    for call in ("open", "write", "pwrite", "fsync", "fdatasync", "unlink", "ftruncate"):
        for number in range(1, 6):
            failing = fault(error=OSError(5, "Input/output error"), schedule={number})
            store = opened(tmp_path)
            with safepatch.patch(f"os:{call}", failing):
                try:
                    store.opened()
                except (OSError, StoreError):
                    failures += 1
            store.close()

    assert failures > 1
    assert len(os.listdir("/proc/self/fd")) == before
    assert found(tmp_path)
