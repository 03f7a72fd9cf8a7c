"""`safepatch store` compact, repair and restore."""

import io
import json
import os
import re
import sys
from datetime import datetime

import histories
import pytest
from histories import USERS, damage, shell

from safepatch.store import Store

LAST = datetime.fromtimestamp(1_800_000_003).astimezone().isoformat(timespec="milliseconds")


# compact


def test_compact_says_how_much_smaller_it_is(run, state):
    code, printed, complaints = run("compact", state, "--keep", "0")

    assert (code, complaints) == (0, "")
    assert re.fullmatch(r"\d+ bytes before, \d+ bytes now\n", printed)
    assert [path.name for path in state.glob("*.log")] == ["image-0000000000000003.log"]
    assert histories.state(state) == {"users": USERS}


def test_compact_keeps_what_it_is_told_to(run, state):
    run("compact", state, "--keep", "60")

    assert run("restore", state, "--at", "1", "--to", "new")[0] == 0


def test_compact_removes_nothing_that_can_be_restored_unless_it_is_told_to(run, state):
    before = histories.contents(state)

    code, printed, complaints = run("compact", state)

    assert (code, printed.strip()) == (2, "")  # older clicks write a space
    assert complaints.startswith("safepatch: say with --keep SECONDS of what time `restore` is to")
    assert histories.contents(state) == before


def test_compact_works_whatever_migrations_were_made(run, tmp_path):
    with Store(tmp_path / "state", migrations=[lambda root: root["a"].update(b=1)]):
        pass

    assert run("compact", "state", "--keep", "0")[0] == 0


# repair


def test_repair_says_what_it_took_out_and_where_it_is(run, state):
    name = damage(state)
    size = (state / name).stat().st_size

    code, printed, complaints = run("repair", state, "--yes")

    assert (code, complaints) == (0, "")
    assert printed == (
        f"{state}/{name}: {size} bytes: frame 0 is damaged, but frame 1 after it is intact\n"
        f"took out 3 batches, {size} bytes, and left 0 batches\n"
        f"what was taken out is in {state}/removed-1\n"
    )
    assert histories.state(state) == {}


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_repair_asks_and_changes_nothing_without_a_yes(run, state, monkeypatch, answer):
    damage(state)
    before = histories.contents(state)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))

    code, printed, complaints = run("repair", state)

    assert (code, printed.strip()) == (2, "")  # older clicks write a space
    assert "would take out 3 batches, " in complaints
    assert "and leave 0 batches\n--salvage would leave also what is intact" in complaints
    assert complaints.endswith("safepatch: nothing was changed; --yes agrees\n")
    assert histories.contents(state) == before


def test_repair_goes_on_after_a_yes(run, state, monkeypatch):
    damage(state)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    assert run("repair", state)[0] == 0
    assert run("verify", state)[0] == 0


def test_repair_salvages_if_it_is_told_to(run, state):
    damage(state)

    code, printed, _ = run("repair", state, "--salvage", "--yes")

    assert (code, "took out 1 batch, " in printed) == (0, True)
    assert ", and left 2 documents\n" in printed
    assert [*histories.state(state)["users"]] == ["bob@example.com", "eve@example.com"]


def test_repair_says_that_salvaging_left_nothing(run, state):
    """All documents in one image that is damaged: no batch is lost, and everything is."""
    run("compact", state, "--keep", "0")
    [image] = state.glob("image-*")
    with open(image, "r+b") as file:
        file.seek(60)
        file.write(b"????")

    code, printed, _ = run("repair", state, "--salvage", "--yes")

    assert code == 0
    assert "took out 0 batches, " in printed
    assert ", and left 0 documents\n" in printed


def test_repair_salvages_what_comes_after_a_missing_file(run, tmp_path):
    state = tmp_path / "state"
    histories.make(state, [[[("users", key, 1)]] for key in "abcdef"])
    _, missing, last = sorted(state.glob("*.log"))
    missing.unlink()
    size = last.stat().st_size

    code, printed, _ = run("repair", state, "--salvage", "--yes")

    assert (code, printed) == (
        0,
        f"{last}: {size} bytes: it begins with batch 4 where 2 was to come\n"
        f"took out 2 batches, {size} bytes, and left 4 documents\n"
        f"what was taken out is in {state}/removed-1\n",
    )
    assert run("verify", state)[0] == 0
    assert run("repair", state, "--salvage") == (0, "nothing is damaged\n", "")


def test_repair_as_json(run, state):
    damage(state)

    told = json.loads(run("repair", state, "--yes", "--json")[1])

    assert (told["sequence"], told["lost"], told["kept_in"]) == (0, 3, f"{state}/removed-1")
    assert [cut["start"] for cut in told["cuts"]] == [0]


def test_repair_of_a_store_that_is_in_order(run, state):
    assert run("repair", state) == (0, "nothing is damaged\n", "")
    assert run("repair", state, "--json") == (0, "null\n", "")


# restore


@pytest.mark.parametrize("at", ["3", "2027-01-15T08:00:03+00:00", "2030-01-01"])
def test_restore_says_what_it_restored(run, state, at):
    assert run("restore", state, "--at", at, "--to", "new") == (
        0, f"restored 3 batches, the last of {LAST}: 3 documents in new\n", "",
    )  # fmt: skip
    assert histories.state("new") == {"users": USERS}


def test_restore_to_a_time_takes_what_was_written_until_then(run, state):
    told = run("restore", state, "--at", "2027-01-15T08:00:02.5Z", "--to", "new", "--json")[1]

    assert json.loads(told) == {
        "sequence": 2, "seconds": 1_800_000_002.0, "documents": {"users": 2},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("20300101", "cannot restore 20300101 batches: there are 3, "),
        ("4", "cannot restore 4 batches: there are 3, the last of 2027"),
        ("yesterday", "got --at 'yesterday'; give a time such as 2026-03-01T12:00:00+01:00, or "),
        ("2020-01-01", "cannot restore 2020-01-01T00:00:00"),
    ],
)
def test_what_cannot_be_restored_is_told(run, state, at, said):
    code, printed, complaints = run("restore", state, "--at", at, "--to", "new")

    assert (code, printed.strip()) == (2, "")  # older clicks write a space
    assert complaints.startswith(f"safepatch: {said}")
    assert not os.path.exists("new")


def test_restore_writes_over_nothing(run, state):
    assert "already; name a new place\n" in run("restore", state, "--at", "1", "--to", state)[2]


@pytest.mark.parametrize("command", [["repair"], ["restore", "--at", "1", "--to", "new"]])
def test_what_is_for_directories_is_refused_for_engines(run, tmp_path, command):
    name, *more = command

    assert f"`{name}` is for stores in directories" in run(name, "sqlite:///x", *more)[2]


# Terminals.


def test_bars_and_colours_are_no_part_of_what_is_printed(state, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")

    ran = shell("store dump state; store verify state", tmp_path)

    first, *_ = ran.stdout.splitlines()
    assert json.loads(first)["key"] == "ann@example.com"
    assert "reading" in ran.stderr
    assert ran.returncode == 0
