"""A crash of a repair or a restore loses nothing, and leaves nothing half done."""

import re
from pathlib import Path

import histories
import pytest
from test_repairing import BATCHES, files, flip

from safepatch.store.engines.journal.frames import HEADER
from safepatch.store.testing import check_crashes
from safepatch.store.tools.repairing import repair
from safepatch.store.tools.restoring import restore

LIMIT = 40  # states for each moment


@pytest.fixture
def damaged(tmp_path):
    """Damage in the middle of the second of three files; and what each file has."""
    directory = tmp_path / "state"
    histories.make(directory, BATCHES)
    second = files(directory)[1]
    flip(second, second.stat().st_size - HEADER.size - 1)
    return directory


def need_kept(before, directory):
    """All bytes that were there still are, in one file or another."""
    kept = histories.contents(Path(directory))
    for name, data in before.items():
        tails = [path for path in kept if re.search(rf"{name}\.from-\d+$", path)]
        assert data in kept.values() or any(data.endswith(kept[path]) for path in tails), name


def test_a_repair_that_crashed_can_be_made_again_and_nothing_is_lost(damaged):
    before = histories.contents(damaged)

    def workload(directory, note):
        repair(directory)
        note("repaired")

    def check(directory, notes):
        need_kept(before, directory)
        again = repair(directory)
        need_kept(before, directory)
        assert histories.state(directory) == expected
        assert again is None or not notes

    expected = {}
    for batch in BATCHES[:3]:
        expected = histories.after(expected, batch)

    assert check_crashes(workload, check, start=damaged, limit=LIMIT) > 10


def test_salvage_that_crashed_can_be_made_again_and_nothing_is_lost(damaged):
    before = histories.contents(damaged)

    def workload(directory, note):
        repair(directory, salvage=True)
        note("repaired")

    def check(directory, notes):
        need_kept(before, directory)
        again = repair(directory, salvage=True)
        need_kept(before, directory)
        assert again is None or not notes
        assert histories.state(directory)["users"] == {
            "a": {"value": 0}, "b": {"value": 4}, "c": {"value": 5},
        }  # fmt: skip

    assert check_crashes(workload, check, start=damaged, limit=LIMIT) > 10


def test_a_restored_store_is_there_as_a_whole_or_not_at_all(tmp_path):
    start = tmp_path / "start"
    histories.make(start / "state", BATCHES)
    before = histories.contents(start / "state")

    def workload(directory, note):
        restore(f"{directory}/state", f"{directory}/made", at=2)
        note("restored")

    def check(directory, notes):
        assert histories.contents(Path(directory, "state")) == before
        if notes or Path(directory, "made").exists():
            assert histories.state(f"{directory}/made") == {
                "users": {"a": {"value": 0}, "b": {"value": 1}}
            }

    assert check_crashes(workload, check, start=start, limit=LIMIT) > 5
