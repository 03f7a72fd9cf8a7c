"""The example suite of the pytest plugin: what passes, and what fails on purpose."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from children import ROOT

SUITE = pathlib.Path(__file__).parents[1] / "examples" / "pytest_suite"


@pytest.fixture
def suite(tmp_path):
    """A copy of the example, in which pytest and Python leave what they like."""
    return shutil.copytree(SUITE, tmp_path / "suite")


def run(suite, *arguments):
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=suite,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return ran.returncode, ran.stdout


def test_it_passes_and_so_does_the_locked_target(suite):
    status, printed = run(suite, "--safepatch-drift")

    assert status == 0, printed
    assert "safepatch: watched: exchange:fetch_rate, time:sleep" in printed
    assert re.search(r"\b57 passed in ", printed)


def test_a_patch_may_be_on_for_the_whole_run(suite):
    status, printed = run(suite, "--safepatch", "fixed-rate", "-k", "amount_is")

    assert status == 1
    assert "safepatch: live in this run: fixed-rate" in printed
    assert "assert 20.0 == (2 * 11.5)" in printed


def test_a_target_that_changed_since_it_was_locked_fails(suite):
    module = suite / "exchange.py"
    module.write_text(module.read_text().replace('"NOK": 11.5}', '"NOK": 12.5}'))

    status, printed = run(suite, "--safepatch-drift", "-k", "drift or fetch_rate")

    assert status == 1
    assert "exchange:fetch_rate: " in printed
    assert re.search(r"\b1 failed, ", printed)


def test_the_leaking_tests_say_who_left_what_and_why_a_patch_did_nothing(suite):
    status, printed = run(suite, "leaking.py")

    assert status == 1
    assert "the test left the patch 'exchange:fetch_rate' live: applied at " in printed
    assert "the test left exchange:fetch_rate as <function " in printed
    assert "time:monotonic was patched; exchange" in printed
    assert "the original: patch 'exchange:" in printed
    assert re.search(r"\b1 failed, 2 passed, 2 errors in ", printed)
