"""A store can be restored as it was after any batch, or at any time, as far back as is kept."""

import os
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import histories
import pytest
from hypothesis import given, settings

from safepatch.store import CorruptError, LockedError, Store, StoreError
from safepatch.store.engines.journal import compacting
from safepatch.store.tools.restoring import restore


@pytest.fixture(autouse=True, scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patched:
        histories.quickly(patched)
        patched.setattr("safepatch.store.engines.journal.journal.time", histories.Clock())
        yield


@pytest.fixture
def source(tmp_path):
    """Five batches, the first two of them merged into an image."""
    batches = [[[("users", key, number)]] for number, key in enumerate("abcab")]
    histories.make(tmp_path / "state", [*batches[:2], "compact", *batches[2:]])
    return str(tmp_path / "state")


@given(histories.HISTORIES)
@settings(max_examples=25)
def test_each_state_of_a_history_can_be_restored(history):
    with tempfile.TemporaryDirectory() as folder:
        states = histories.make(Path(folder) / "state", history)
        before = histories.contents(Path(folder) / "state")
        for sequence, state in enumerate(states):
            made = restore(f"{folder}/state", f"{folder}/{sequence}", at=sequence)

            assert made.sequence == sequence
            assert histories.state(f"{folder}/{sequence}") == state
        assert histories.contents(Path(folder) / "state") == before


@given(histories.HISTORIES.filter(lambda history: any(type(step) is list for step in history)))
@settings(max_examples=15)
def test_the_state_at_each_time_can_be_restored(history):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        clock = histories.Clock()
        patched.setattr("safepatch.store.engines.journal.journal.time", clock)
        begun = clock.now
        states = histories.make(Path(folder) / "state", history)
        for sequence, state in [*enumerate(states)][1:]:
            for later in (0, 0.5):
                at = datetime.fromtimestamp(begun + sequence + later, UTC)
                made = restore(f"{folder}/state", f"{folder}/made", at=at)

                assert made.sequence == sequence
                assert made.seconds == begun + sequence
                assert histories.state(f"{folder}/made") == state
                shutil.rmtree(f"{folder}/made")


def test_a_time_without_a_zone_is_local(source, tmp_path):
    made = restore(source, str(tmp_path / "first"), at=4)
    at = datetime.fromtimestamp(made.seconds)

    assert restore(source, str(tmp_path / "second"), at=at).sequence == 4


def test_the_restored_store_goes_on_with_the_batch_that_comes_then(source, tmp_path):
    restore(source, str(tmp_path / "made"), at=3)

    with Store(tmp_path / "made") as store:
        assert store.stats()["sequence"] == 3


def test_how_many_documents_there_are_is_told(source, tmp_path):
    assert restore(source, str(tmp_path / "made"), at=3).documents == {"users": 3}


def test_what_has_not_come_yet_is_refused(source, tmp_path):
    with pytest.raises(StoreError, match="cannot restore 6 batches: there are 5, the last of 20"):
        restore(source, str(tmp_path / "made"), at=6)

    assert not (tmp_path / "made").exists()


def test_what_is_not_kept_is_refused_with_the_oldest_that_is(source, tmp_path):
    os.unlink(f"{source}/journal-0000000000000000.log")

    message = "the first 1 batches: the oldest state that is kept is of 2 batches, at 20"
    with pytest.raises(StoreError, match=message):
        restore(source, str(tmp_path / "made"), at=1)
    with pytest.raises(StoreError, match=r"cannot restore 2001-01-01T.*: the oldest state"):
        restore(source, str(tmp_path / "made"), at=datetime(2001, 1, 1, 12, tzinfo=UTC))


def test_the_time_of_the_oldest_state_is_told_where_no_image_is_kept(tmp_path):
    histories.make(tmp_path / "state", [[[("users", key, 1)]] for key in "abcdef"])
    min((tmp_path / "state").glob("*.log")).unlink()

    with pytest.raises(StoreError, match="the oldest state that is kept is of 2 batches, at 20"):
        restore(str(tmp_path / "state"), str(tmp_path / "made"), at=1)


def test_a_time_before_the_first_batch_is_refused(source, tmp_path):
    with pytest.raises(StoreError, match="the oldest state that is kept is of 0 batches"):
        restore(source, str(tmp_path / "made"), at=datetime(2001, 1, 1, tzinfo=UTC))


def test_nothing_can_be_restored_of_a_store_that_was_never_written(tmp_path):
    with Store(tmp_path / "state"):
        pass

    with pytest.raises(StoreError, match="nothing was written yet"):
        restore(str(tmp_path / "state"), str(tmp_path / "made"), at=datetime.now(UTC))


def test_a_store_that_is_open_is_refused(source, tmp_path):
    with Store(source), pytest.raises(LockedError):
        restore(source, str(tmp_path / "made"), at=1)


@pytest.mark.parametrize("name", ["made", "made.tmp"])
def test_nothing_is_written_over(source, tmp_path, name):
    (tmp_path / name).mkdir()

    with pytest.raises(FileExistsError, match=f"{name}' already; name a new place"):
        restore(source, str(tmp_path / "made"), at=1)


def test_damage_after_the_time_does_no_harm(source, tmp_path):
    path = tmp_path / "state" / "journal-0000000000000002.log"
    path.write_bytes(path.read_bytes()[:-25] + b"?" * 25)

    assert restore(source, str(tmp_path / "made"), at=3).sequence == 3


def test_damage_before_the_time_is_refused(source, tmp_path):
    path = tmp_path / "state" / "journal-0000000000000002.log"
    data = path.read_bytes()
    path.write_bytes(data[:30] + b"?" + data[31:])

    with pytest.raises(CorruptError):
        restore(source, str(tmp_path / "made"), at=4)
    assert not (tmp_path / "made").exists()


def test_where_a_newer_image_is_damaged_an_older_one_will_do(source, tmp_path):
    path = tmp_path / "state" / "image-0000000000000002.log"
    path.write_bytes(b"?" * len(path.read_bytes()))

    at = datetime.fromtimestamp(restore(source, str(tmp_path / "first"), at=1).seconds, UTC)
    assert restore(source, str(tmp_path / "second"), at=at).sequence == 1


def test_no_store_is_made_where_none_is(tmp_path):
    with pytest.raises(StoreError, match=r"there is no store at .*: no file there is of a store"):
        restore(str(tmp_path), str(tmp_path / "made"), at=1)

    assert [*tmp_path.iterdir()] == []


def test_a_store_of_snapshots_has_no_history(tmp_path):
    with Store(tmp_path / "state", mode="snapshot"):
        pass

    with pytest.raises(StoreError, match="is a store in snapshot mode"):
        restore(str(tmp_path / "state"), str(tmp_path / "made"), at=0)


# What is kept.


def test_files_are_kept_as_long_as_something_later_needs_them(tmp_path):
    """An image that is old enough goes only if a newer one is old enough too."""
    batches = [[[("users", "a", number)]] for number in range(3)]
    history = [batches[0], "compact", batches[1], "compact", batches[2]]
    histories.make(tmp_path / "state", history, keep=60)

    assert len([*(tmp_path / "state").glob("image-*")]) == 2
    assert restore(str(tmp_path / "state"), str(tmp_path / "made"), at=0).sequence == 0
    os.utime(tmp_path / "state" / "image-0000000000000001.log", (0, 0))
    histories.make(tmp_path / "state", ["compact"], keep=60)

    assert sorted(path.name for path in (tmp_path / "state").glob("*.log")) == [
        "image-0000000000000001.log",
        "image-0000000000000002.log",
        "image-0000000000000003.log",
        "journal-0000000000000001.log",
        "journal-0000000000000002.log",
    ]


def test_the_time_of_an_empty_state_is_kept_with_it(tmp_path):
    batches = [[[("users", "a", 1)]], [[("users", "a", None)]]]
    histories.make(tmp_path / "state", [*batches, "compact"], keep=0)

    assert (
        restore(
            str(tmp_path / "state"), str(tmp_path / "made"), at=datetime.now(UTC).replace(year=2090)
        ).sequence
        == 2
    )


def test_files_are_not_merged_across_a_gap(tmp_path):
    batches = [[[("users", key, 1)]] for key in "abcdef"]
    histories.make(tmp_path / "state", batches)
    first, second, *_ = sorted((tmp_path / "state").glob("*.log"))
    second.unlink()

    with pytest.raises(CorruptError, match="begins with batch 4 where 2 was to come"):
        compacting.compact(str(tmp_path / "state"), 6)
    assert first.exists()


def test_what_is_to_be_kept_stays_also_if_the_clock_was_wrong_for_one_image(tmp_path):
    with Store(tmp_path / "state", every=0, keep=3600) as store:
        for number in range(3):
            with store.transaction():
                store.root["c"]["n"] = number
            store.compact()
            images = sorted((tmp_path / "state").glob("image-*"))
            if number == 1:
                os.utime(images[-1], (time.time() - 7200,) * 2)

    assert len(images) == 3
