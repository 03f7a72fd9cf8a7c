"""Mistakes planted in the store are found; or what finds none proves nothing."""

import contextlib
import functools
import itertools

import pytest
from ledgers import after, check, commit, compactions, found, opened
from test_crashes import check_what_was_read, load, load_and_compact, read_and_write

import safepatch
from safepatch.decorators import replace
from safepatch.store import CorruptError, StoreError, commits, directories, keeping
from safepatch.store.engines.journal import compacting, files, frames, journal
from safepatch.store.testing import NotCrashSafe, check_crashes, check_faults, damages, flips


def with_mistake(function, *mistakes):
    """Call a function with patches, which lie above those that record, so that these see less."""

    @functools.wraps(function)
    def wrapper(*args):
        with contextlib.ExitStack() as stack:
            for owner, name, decorator in mistakes:
                stack.enter_context(safepatch.patch((owner, name), decorator))
            return function(*args)

    return wrapper


def does_nothing(wrapped):
    return lambda *args: None


NO_SYNC_OF_DATA = (directories.os, "fdatasync", does_nothing)
NO_SYNC_OF_FILES = (directories.os, "fsync", does_nothing)
NO_SYNC_OF_DIRECTORIES = (directories, "sync_directory", does_nothing)


def without_rename(wrapped):
    """Written in place, with no temporary file."""

    def put(path, parts):
        with open(path, "wb") as file:
            file.writelines(parts)
            file.flush()
            directories.os.fsync(file.fileno())
        directories.sync_directory(directories.os.path.dirname(path))

    return put


def unlinked_first(wrapped):
    """What an image is to replace goes before it is there."""

    def put_image(directory, sequence, state, seconds):
        old = [file for file in files.listed(directory, "journal") if file.first < sequence]
        directories.unlink([file.path for file in old], directory)
        wrapped(directory, sequence, state, seconds)

    return put_image


@pytest.mark.parametrize(
    "mistake",
    [
        NO_SYNC_OF_DATA,
        NO_SYNC_OF_DIRECTORIES,
        (keeping.Kept, "commit", lambda wrapped: lambda *args: wrapped(*args) and 0),
    ],
    ids=["no fdatasync", "no sync of directories", "acknowledged before the write"],
)
def test_mistakes_in_commits_are_found(mistake):
    with pytest.raises(NotCrashSafe):
        check_crashes(with_mistake(load, mistake), check)


def uncounted(wrapped):
    return lambda *args: 0


def test_that_checksums_are_not_looked_at_is_found():
    mistake = (frames, "_crc", uncounted)
    with pytest.raises(NotCrashSafe):
        check_crashes(with_mistake(load, mistake), with_mistake(check, mistake))


@pytest.mark.parametrize(
    "mistakes",
    [
        [NO_SYNC_OF_FILES, NO_SYNC_OF_DIRECTORIES],
        [NO_SYNC_OF_FILES],
        [(directories, "put", without_rename)],
        [(compacting, "put_image", unlinked_first)],
    ],
    ids=["no sync at all", "no fsync", "written in place", "old files removed first"],
)
def test_mistakes_in_compaction_are_found(mistakes):
    with pytest.raises(NotCrashSafe):
        check_crashes(with_mistake(load_and_compact, *mistakes), check)


def test_that_readers_do_not_wait_is_found():
    def hasty(wrapped):
        def commit(self, transaction):
            ticket = wrapped(self, transaction)
            return ticket if transaction.touched else 0

        return commit

    with pytest.raises(NotCrashSafe):
        for _ in range(10):  # a busy machine may leave the reader no time
            check_crashes(
                with_mistake(read_and_write, (keeping.Kept, "commit", hasty)), check_what_was_read
            )


def goes_on(directory, note):
    with compactions(), opened(directory) as store:
        for number in range(4):
            try:
                commit(store, note, [number])
            except (OSError, StoreError):
                continue


@contextlib.contextmanager
def carefree(self):
    yield


def test_that_a_failed_write_does_not_stop_the_store_is_found():
    mistakes = [
        (commits.Commits, "need_working", does_nothing),
        (journal.Journal, "_writing", replace(carefree)),
    ]

    with pytest.raises(NotCrashSafe):
        check_faults(
            with_mistake(goes_on, *mistakes), lambda directory, notes: check(directory, [])
        )


def damaged(directory):
    """Whether each damage is refused, or leaves one of the states that the store had."""
    with opened(directory) as store:
        commit(store, lambda number: None, range(8))
    wrong = 0
    for state in itertools.islice(damages(directory, flips), 0, None, 5):
        state.write(directory / "damaged")
        try:
            wrong += found(directory / "damaged") not in [after(8), after(7)]
        except CorruptError:
            continue
        except Exception:
            wrong += 1
    return wrong


@pytest.mark.parametrize(
    "mistake",
    [(frames, "_crc", uncounted), (frames.Frames, "_need_torn", does_nothing)],
    ids=["no checksum", "what follows is not looked at"],
)
def test_mistakes_in_reading_are_found_by_damage(mistake, tmp_path, no_syncs):
    (tmp_path / "right").mkdir()
    (tmp_path / "wrong").mkdir()

    assert damaged(tmp_path / "right") == 0
    assert with_mistake(damaged, mistake)(tmp_path / "wrong") > 0
