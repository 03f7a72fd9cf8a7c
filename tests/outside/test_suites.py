"""The list of exclusions is kept true by the run, and a run that hangs is told."""

import pytest
import suites

HANG = (
    "import faulthandler, time; faulthandler.dump_traceback_later(0.1, exit=True)\ntime.sleep(99)"
)
TESTS = """
import pathlib, time

def test_it():
    if not pathlib.Path("tried").exists():
        pathlib.Path("tried").touch()
        time.sleep(99)
"""


def test_a_test_that_differs_and_is_not_listed_is_a_surprise():
    found = suites.surprises([], {"a::b": "passed"}, {"a::b": "failed"})

    assert found == {"a::b": ("passed", "failed")}


def test_a_listed_test_that_no_longer_differs_is_a_surprise():
    found = suites.surprises(["a::*"], {"a::b": "passed"}, {"a::b": "passed"})

    assert found == {"a::b": "excluded, but does not differ"}


def test_a_listed_test_that_is_gone_is_a_surprise():
    assert suites.surprises(["a::c"], {}, {}) == {"a::c": "excluded, but there is no such test"}


def test_a_listed_test_that_differs_is_none():
    assert suites.surprises(["a::b[1]"], {"a::b[1]": "passed"}, {"a::b[1]": "failed"}) == {}


def test_a_test_that_is_not_run_over_patches_is_a_surprise():
    assert suites.surprises([], {"a::b": "passed"}, {}) == {"a::b": ("passed", "absent")}


def test_a_run_that_hangs_is_told_with_where_it_did(tmp_path):
    with pytest.raises(suites.NoReportError, match=r"(?s)^exit 1:\nTimeout .*line 2 in <module>"):
        suites.outcomes(["-c", HANG], report=tmp_path / "none.xml", cwd=tmp_path, deadline=60)


def test_a_run_that_takes_too_long_is_told(tmp_path):
    with pytest.raises(suites.NoReportError, match="not over after 1 seconds"):
        suites.outcomes(
            ["-c", "import time; time.sleep(99)"],
            report=tmp_path / "none.xml",
            cwd=tmp_path,
            deadline=1,
        )


def test_a_run_that_hangs_once_is_done_again(tmp_path, capsys):
    (tmp_path / "test_hang.py").write_text(TESTS)
    report = tmp_path / "report.xml"

    came_to = suites.outcomes(
        ["-m", "pytest", *suites.HANG, "-o", "faulthandler_timeout=1", f"--junit-xml={report}"],
        report=report,
        cwd=tmp_path,
        deadline=60,
    )

    assert came_to == {"test_hang::test_it": "passed"}
    assert (
        "once more, since it gave no report: exit 1:\nTimeout (0:00:01)!" in capsys.readouterr().out
    )
