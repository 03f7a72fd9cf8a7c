"""Heartbeats: who reports in time is up, and only those who know the key report."""

import pytest

from safepatch.monitor.checks import beats
from safepatch.monitor.checks.beats import Beats
from safepatch.monitor.plan import Endpoint, Options
from safepatch.store import Store

DAY, HOUR = 86400.0, 3600.0
BACKUP = Endpoint("backup", "beat://nightly-backup", Options(interval=DAY, grace=HOUR))


@pytest.fixture
def store(tmp_path):
    with Store(str(tmp_path / "store"), every=0) as opened:
        yield opened


@pytest.fixture
def key(store):
    with store.transaction():
        return Beats(store.root).key


def report(store, key, at, *more, name="nightly-backup"):
    with store.transaction():
        return Beats(store.root).arrived(key, name, at, *more)


def test_a_job_that_reported_is_up_until_interval_and_grace_have_passed(store, key):
    assert report(store, key, 1000.0)

    checked = [Beats(store.root).check(BACKUP, 1000.0 + later) for later in (0, DAY, DAY + HOUR)]

    assert all(result.ok for result in checked)
    assert checked[0].facts == {"reported": 1000.0, "told": ""}


def test_a_job_that_did_not_report_in_time_is_silent(store, key):
    report(store, key, 1000.0)

    result = Beats(store.root).check(BACKUP, 1001.0 + DAY + HOUR)

    assert result.error == "silent"
    assert result.message == (
        "'nightly-backup' last reported 25 hours ago; "
        "it is to report every 24 hours, and may be 60 minutes late"
    )


def test_a_reported_failure_is_down_with_what_the_job_said(store, key):
    report(store, key, 1000.0, False, "disk full")

    result = Beats(store.root).check(BACKUP, 1001.0)

    assert (result.error, result.message) == (
        "status",
        "'nightly-backup' reported a failure: disk full",
    )


def test_a_success_after_a_failure_is_up(store, key):
    report(store, key, 1000.0, False, "disk full")
    report(store, key, 2000.0)

    assert Beats(store.root).check(BACKUP, 2001.0).ok


@pytest.mark.parametrize("wrong", ["", "x", "é", "\ud800", "KEY"])
def test_without_the_key_nothing_is_noted(store, key, wrong):
    guess = key[:-1] if wrong == "KEY" else wrong

    assert not report(store, guess, 1000.0)
    assert "nightly-backup" not in store.root["beats"]


def test_the_key_is_compared_in_constant_time(store, key, patches):
    compared = []

    def noting(wrapped):
        def compare(one, other):
            compared.append((one, other))
            return wrapped(one, other)

        return compare

    patches.apply("hmac:compare_digest", noting, aliases="ignore")
    report(store, "guess", 1000.0)

    assert compared == [(b"guess", key.encode())]


def test_the_key_cannot_be_guessed_and_is_made_once(store, key):
    assert len(key) >= 43  # 32 bytes
    with store.transaction():
        assert Beats(store.root).key == key


def test_names_that_no_endpoint_has_are_refused(store, key):
    assert not report(store, key, 1.0, name="")
    assert not report(store, key, 1.0, name="n" * 201)


def test_long_messages_are_cut(store, key):
    report(store, key, 1.0, False, "x" * 10_000)

    assert len(store.root["beats"]["nightly-backup"]["message"]) == 500


def test_what_was_reported_and_the_key_survive_a_restart(tmp_path):
    path = str(tmp_path / "store")
    with Store(path, every=0) as store, store.transaction():
        beats = Beats(store.root)
        key = beats.key
        assert beats.arrived(key, "nightly-backup", 1000.0)

    with Store(path, every=0) as store, store.transaction():
        beats = Beats(store.root)

        assert beats.key == key
        assert beats.check(BACKUP, 1000.0 + DAY).ok
        assert beats.check(BACKUP, 1000.0 + 2 * DAY).error == "silent"


def test_a_job_that_never_reported_is_missed_however_often_the_monitor_restarts(store):
    with store.transaction():
        Beats(store.root).expect("nightly-backup", 1000.0)
    with store.transaction():
        Beats(store.root).expect("nightly-backup", 1000.0 + DAY)  # after a restart

    assert Beats(store.root).check(BACKUP, 1000.0 + DAY).ok
    result = Beats(store.root).check(BACKUP, 1001.0 + DAY + HOUR)

    assert result.error == "silent"
    assert "has not reported in 25 hours;" in result.message


def test_a_job_that_nobody_expected_is_missed_after_its_first_check(store):
    watching = Beats(store.root)

    assert watching.check(BACKUP, 1000.0).ok
    assert watching.check(BACKUP, 1001.0 + DAY + HOUR).error == "silent"


def test_checking_writes_nothing(store, key):
    report(store, key, 1000.0)
    before = store.stats()["commits"]
    with store.transaction():
        Beats(store.root).check(BACKUP, 1.0)

    assert store.stats()["commits"] == before


def test_what_is_forgotten_is_gone(store, key):
    report(store, key, 1000.0)
    with store.transaction():
        Beats(store.root).forget("nightly-backup")

    assert "nightly-backup" not in store.root["beats"]


def test_the_check_of_the_kind_asks_the_beats_of_the_tools(store, key):
    report(store, key, 1000.0)

    class Tools:
        beats = Beats(store.root)

    assert beats.check(BACKUP, Tools(), clock=lambda: 1000.0).ok


def test_without_a_monitor_nobody_can_have_reported():
    result = beats.check(BACKUP, object())

    assert result.error == "internal"
    assert "running monitor" in result.message


def test_what_a_job_says_is_one_line_that_moves_no_cursor(store, key):
    report(store, key, 1000.0, False, "disk full\nat /srv\x1b[2J\0")

    message = Beats(store.root).check(BACKUP, 1001.0).message

    assert message == "'nightly-backup' reported a failure: disk full at /srv?[2J?"
