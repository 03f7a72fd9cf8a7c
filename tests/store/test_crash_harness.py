"""Crashes and faults of small programs: right ones pass, and each mistake is found."""

import os

import pytest
from programs import Log, save

import safepatch
from safepatch.decorators import fault
from safepatch.store.testing import NotCrashSafe, check_crashes, check_faults, record

TEXTS = ["one", "two", "three"]


def log_workload(*mistakes):
    def workload(directory, note):
        log = Log(directory, *mistakes)
        try:
            for text in TEXTS:
                try:
                    log.append(text, note)
                except OSError:
                    if "goes on after an error" not in mistakes:
                        raise
        finally:
            log.close()

    return workload


def log_check(*mistakes):
    def check(directory, notes):
        log = Log(directory, *mistakes)
        log.close()

        assert log.texts[: len(notes)] == notes
        assert log.texts == [text for text in TEXTS if text in log.texts]

    return check


def test_a_right_log_survives_all_crashes():
    assert check_crashes(log_workload(), log_check(), recovery_limit=20) > 100


@pytest.mark.parametrize("options", [{"limit": 0}, {"block": 0}])
def test_a_check_of_nothing_is_refused(options):
    with pytest.raises(ValueError, match="give 1 or more"):
        check_crashes(log_workload(), log_check(), **options)


def test_a_right_log_survives_all_faults():
    assert check_faults(log_workload(), log_check()) > 50


@pytest.mark.parametrize(
    "mistake",
    ["file not synced", "directory not synced", "no checksum", "acknowledged before sync"],
)
def test_mistakes_of_a_log_are_found_by_crashes(mistake):
    with pytest.raises(NotCrashSafe):
        check_crashes(log_workload(mistake), log_check(mistake))


@pytest.mark.parametrize("mistake", ["sync tried again", "goes on after an error"])
def test_mistakes_of_a_log_are_found_by_faults(mistake):
    check_crashes(log_workload(mistake), log_check(mistake))  # not by crashes

    with pytest.raises(NotCrashSafe):
        check_faults(log_workload(mistake), log_check(mistake))


def save_workload(*mistakes):
    def workload(directory, note):
        path = os.path.join(directory, "state")
        for number in range(3):
            save(path, b"%d" % number * 600, *mistakes)
            note(number)

    return workload


def save_check(directory, notes):
    path = os.path.join(directory, "state")
    try:
        with open(path, "rb") as file:
            found = file.read()
    except FileNotFoundError:
        assert notes == []
        return
    assert found in [b"%d" % number * 600 for number in range(3)]
    assert not notes or found >= b"%d" % notes[-1]


def test_a_right_replacement_survives_all_crashes():
    assert check_crashes(save_workload(), save_check) > 50


def test_a_right_replacement_survives_all_faults():
    assert check_faults(save_workload(), save_check) > 50


@pytest.mark.parametrize(
    "mistake",
    ["truncated in place", "renamed before sync", "file not synced", "directory not synced"],
)
def test_mistakes_of_a_replacement_are_found(mistake):
    with pytest.raises(NotCrashSafe) as caught:
        check_crashes(save_workload(mistake), save_check)

    assert caught.value.violations


class Killed(BaseException):
    """A process that is killed loses nothing that it wrote: another one reads it."""


def seen_and_lost(directory, crashed, *mistakes):
    """How often a log that was killed before a sync, and opened again, has shown what is lost."""
    killed = safepatch.patch("os:fdatasync", fault(error=Killed, schedule={2}))
    with record(directory) as trace:
        log = Log(directory, *mistakes)
        with killed, pytest.raises(Killed):
            log_and_note(log, trace)
        log.close()
        log = Log(directory, *mistakes)
        trace.note(log.texts)
        log.close()

    lost = 0
    for state in trace.states():
        state.write(crashed)
        log = Log(crashed)
        log.close()
        lost += bool(state.notes) and log.texts[: len(state.notes[-1])] != state.notes[-1]
    return lost


def log_and_note(log, trace):
    for text in TEXTS:
        log.append(text)
        trace.note([*log.texts])


def test_a_program_that_is_killed_and_started_again_may_crash_in_the_same_trace(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "other").mkdir()

    assert seen_and_lost(tmp_path / "log", tmp_path / "crashed") == 0
    assert seen_and_lost(tmp_path / "other", tmp_path / "crashed", "recovery not synced") > 0
