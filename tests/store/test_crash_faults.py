"""Faults, one call at a time, and damage to files."""

import errno
import fcntl
import io
import os

import pytest
from programs import write_all

from safepatch.store.testing import (
    NotCrashSafe,
    UnseenError,
    check_crashes,
    check_faults,
    cuts,
    damages,
    faults,
    flips,
    tails,
    zeros,
)


def program(directory):
    path = os.path.join(directory, "file")
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for _ in range(2):
            write_all(file, b"0123456789")
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(path, f"{path}.new")


def outcomes(tmp_path, **options):
    """For each fault in words: the error, and what is then in the directory."""
    found = {}
    for number, fault in enumerate(faults(**options)):
        directory = tmp_path / str(number)
        directory.mkdir()
        error = None
        with fault(directory):
            try:
                program(str(directory))
            except OSError as caught:
                error = errno.errorcode[caught.errno]
        files = {path.name: path.read_bytes() for path in directory.iterdir()}
        found[str(fault)] = error, files
    return found


def test_each_call_fails_in_each_way(tmp_path):
    found = outcomes(tmp_path)

    whole, half = b"0123456789", b"01234"
    assert found["no fault"] == (None, {"file.new": whole * 2})
    assert found["os.open number 1 fails with EIO"] == ("EIO", {})
    assert found["os.write number 2 fails with ENOSPC"][1] == {"file": whole}
    assert found["os.write number 1 and all later ones fail with EIO"] == ("EIO", {"file": b""})
    # The program writes the rest.
    assert found["os.write number 1 writes half of it"] == (None, {"file.new": whole * 2})
    wrote_half = found["os.write number 2 writes half and fails with ENOSPC"]
    assert wrote_half == ("ENOSPC", {"file": whole + half})
    assert found["os.fsync number 1 fails with EIO"] == ("EIO", {"file": whole * 2})
    assert found["os.rename number 1 fails with ENOSPC"] == ("ENOSPC", {"file": whole * 2})
    # None, and of open, fsync and rename one call each in four ways, of write two in six.
    assert len(found) == 1 + 3 * 4 + 2 * 6


def test_calls_errors_and_short_writes_can_be_chosen(tmp_path):
    found = outcomes(tmp_path, calls=["write"], errors=[errno.EDQUOT], short=False)

    assert [*found] == [
        "no fault",
        "os.write number 1 fails with EDQUOT",
        "os.write number 1 and all later ones fail with EDQUOT",
        "os.write number 2 fails with EDQUOT",
        "os.write number 2 and all later ones fail with EDQUOT",
    ]


def test_calls_may_be_others_than_those_that_change_something(tmp_path):
    (tmp_path / "file").write_bytes(b"1234")
    seen = []
    for fault in faults(calls=["read"], errors=[errno.EIO]):
        with fault(tmp_path):
            file = os.open(tmp_path / "file", os.O_RDONLY)
            try:
                seen.append((str(fault), os.read(file, 4)))
            except OSError as error:
                seen.append((str(fault), error.errno))
            os.close(file)

    assert seen == [
        ("no fault", b"1234"),
        ("os.read number 1 fails with EIO", errno.EIO),
        ("os.read number 1 and all later ones fail with EIO", errno.EIO),
    ]


def test_calls_that_are_not_about_the_directory_do_not_fail(tmp_path):
    (tmp_path / "here").mkdir()
    for fault in faults(calls=["open", "write"]):
        with fault(tmp_path / "here"):
            (tmp_path / "elsewhere").write_text("text")
            file = os.open(tmp_path / "elsewhere", os.O_WRONLY | os.O_TRUNC)
            os.write(file, b"text")
            os.close(file)
            try:
                (tmp_path / "here" / "file").write_text("text")
            except OSError:
                assert fault.call
            else:
                assert not fault.call or "half of it" in str(fault)


def test_part_of_a_write_that_failed_is_in_the_trace(tmp_path):
    for fault in faults(calls=["write"]):
        directory = tmp_path / str(fault)
        directory.mkdir()
        try:
            with fault(directory) as trace:
                program(str(directory))
        except OSError:
            continue
        newest = [*trace.states(limit=2)][-1]
        assert newest.files == {"file.new": b"0123456789" * 2}


def test_a_call_that_os_does_not_have_is_refused():
    with pytest.raises(ValueError, match="'fsnyc'"):
        next(faults(calls=["write", "fsnyc"]))


def test_faults_need_a_run_that_counts():
    with pytest.raises(RuntimeError, match="run the program in"):
        [*faults()]


# Checks.


def nothing(directory, notes):
    pass


def test_a_workload_that_changes_nothing_proves_nothing():
    for checks in (check_crashes, check_faults):
        with pytest.raises(ValueError, match="changed nothing"):
            checks(lambda directory, note: note("something"), nothing)


def test_what_the_workload_raises_is_raised():
    def workload(directory, note):
        open(os.path.join(directory, "file"), "w").close()
        raise LookupError("something")

    for checks in (check_crashes, check_faults):
        with pytest.raises(LookupError):
            checks(workload, nothing)


def test_another_error_than_may_be_raised_is_a_violation():
    def workload(directory, note):
        try:
            program(directory)
        except OSError as error:
            raise LookupError("something") from error

    with pytest.raises(NotCrashSafe, match=r"open number 1 fails .* the workload raised Lookup"):
        check_faults(workload, nothing)
    check_faults(workload, nothing, raises=(LookupError,))


def test_a_violation_has_the_state_and_the_error(tmp_path):
    def check(directory, notes):
        assert not os.path.exists(os.path.join(directory, "file.new"))

    with pytest.raises(NotCrashSafe, match="states are wrong; the first: crash after") as caught:
        check_crashes(lambda directory, note: program(directory), check)

    state, error = caught.value.violations[0]
    assert caught.value.__cause__ is error
    state.write(tmp_path)
    with pytest.raises(AssertionError):
        check(str(tmp_path), [])


def test_it_starts_from_a_directory_that_stays_as_it_is(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    found = set()

    def workload(directory, note):
        with open(os.path.join(directory, "file"), "ab") as file:
            file.write(b"!")

    def check(directory, notes):
        with open(os.path.join(directory, "file"), "rb") as file:
            found.add(file.read())

    assert check_crashes(workload, check, start=tmp_path) == len(found) == 3
    assert found == {b"old", b"old!", b"old\0"}
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_crash_in_recovery_is_checked_too():
    """It makes two files of one, not at once."""

    def workload(directory, note):
        with open(os.path.join(directory, "journal"), "wb") as file:
            file.write(b"1")
            file.flush()
            os.fsync(file)
        file = os.open(directory, os.O_RDONLY)
        os.fsync(file)
        os.close(file)
        note("saved")

    def check(directory, notes):
        journal, data = os.path.join(directory, "journal"), os.path.join(directory, "data")
        if os.path.exists(journal) and os.path.getsize(journal) == 1:
            open(data, "w").close()
            os.unlink(journal)
        assert not notes or os.path.exists(data)

    check_crashes(workload, check)

    with pytest.raises(NotCrashSafe, match="then, in recovery, crash after"):
        check_crashes(workload, check, recovery_limit=20)


def test_what_recovery_does_unseen_is_told():
    def check(directory, notes):
        io.FileIO(os.path.join(directory, "unseen"), "w").close()

    with pytest.raises(UnseenError):
        check_crashes(lambda directory, note: program(directory), check, recovery_limit=20)


def test_a_lock_left_by_a_check_that_failed_does_not_fail_the_next():
    reasons, files = [], []

    def check(directory, notes):
        files.append(os.open(os.path.join(directory, "lock"), os.O_WRONLY | os.O_CREAT))
        try:
            fcntl.flock(files[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reasons.append("locked")
        raise AssertionError

    with pytest.raises(NotCrashSafe):
        check_crashes(lambda directory, note: program(directory), check)
    for file in files:
        os.close(file)
    assert (reasons, len(files)) == ([], 20)


# Damage.


def test_a_file_is_cut_at_each_byte():
    assert [content for _, content in cuts(b"abc")] == [b"", b"a", b"ab"]


def test_each_byte_is_flipped():
    found = [content for _, content in flips(b"ab")]

    assert found == [b"`b", b"\x9eb", b"a`", b"a\x9d"]


def test_zeros_are_where_others_were():
    found = [content for _, content in zeros(b"a\0bc", lengths=(1, 2))]

    assert found == [b"\0\0bc", b"a\0\0c", b"a\0b\0", b"\0\0bc", b"a\0\0\0"]


def test_tails_are_longer_and_the_same_each_time():
    found = [*tails(b"abc")]

    assert all(content.startswith(b"abc") and len(content) > 3 for _, content in found)
    assert found == [*tails(b"abc")]


def test_one_file_at_a_time_is_damaged(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(b"12")
    (tmp_path / "sub" / "b").write_bytes(b"34")

    states = [*damages(tmp_path)]
    some = [*damages(tmp_path, cuts, chosen=lambda name: name != "a")]

    for state in states:
        assert (state.files["a"] == b"12") != (state.files["sub/b"] == b"34")
    assert [(str(state), state.files["sub/b"]) for state in some] == [
        ("'sub/b': cut at byte 0", b""),
        ("'sub/b': cut at byte 1", b"3"),
    ]
