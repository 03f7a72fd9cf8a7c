"""`python -m safepatch`: what it prints, where, and with which exit code."""

import importlib.metadata
import os
import re
import subprocess
import sys

import pytest

import safepatch
from safepatch.__main__ import main


@pytest.fixture
def run(capsys):
    """Run the command line in this process: its exit code, and what it wrote to each stream."""

    def run(*arguments):
        try:
            code = main(list(arguments))
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run


def python(*arguments):
    """Run it in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "safepatch", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("code", ["raise RuntimeError('broken')", "def"])
def test_a_module_that_cannot_be_imported_is_told_without_a_traceback(
    code, run, tmp_path, monkeypatch
):
    (tmp_path / "broken_for_explain.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)

    status, printed, complaints = run("explain", "broken_for_explain:f")

    assert (status, printed) == (2, "")
    assert complaints.startswith("safepatch: cannot find 'broken_for_explain:f': importing")
    assert complaints.count("\n") == 1


def test_explain_prints_the_def_line_of_a_target():
    code, printed, complaints = python("explain", "socket:getaddrinfo")

    assert (code, complaints) == (0, "")
    assert "def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0)" in printed


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("socket:getaddrinfo", "def getaddrinfo("),
        ("socket.getaddrinfo", "def getaddrinfo("),
        ("json:JSONEncoder.encode", "def encode(self, o)"),
        ("asyncio:sleep", "async def sleep("),
        ("math:sqrt", "def sqrt(x, /)"),
    ],
)
def test_explain_says_what_it_is(run, target, line):
    code, printed, complaints = run("explain", target)

    assert (code, complaints) == (0, "")
    assert line in printed


def test_explain_prints_what_the_function_of_that_name_gives(run):
    _, printed, _ = run("explain", "json:dumps")

    assert printed == f"{safepatch.explain('json:dumps')}\n"


def test_explain_shows_a_patch_of_this_process(run, patches):
    patches.apply("json:dumps", lambda wrapped: wrapped, name="my-patch", aliases="ignore")

    code, printed, _ = run("explain", "json:dumps")

    assert code == 0
    assert "my-patch" in printed


UNKNOWN = {
    "no such function": "socket:getaddrinf",
    "no such module": "no_such_module:function",
    "no such class": "json:Encoder.encode",
    "no such method": "json:JSONEncoder.encod",
    "no such dotted name": "socket.nothing.there",
    "no target at all": "nonsense",
    "an empty text": "",
    "a path": "./socket.py",
}


@pytest.mark.parametrize("target", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_a_target_that_cannot_be_found_exits_2_with_one_plain_line(run, target):
    code, printed, complaints = run("explain", target)

    assert (code, printed) == (2, "")
    assert re.fullmatch(r"safepatch: .*\n", complaints)
    assert repr(target) in complaints


def test_a_target_that_cannot_be_found_gives_no_traceback():
    code, printed, complaints = python("explain", "socket:getaddrinf")

    assert (code, printed) == (2, "")
    assert re.fullmatch(r"safepatch: .*'getaddrinfo'.*\n", complaints)


def test_the_version_is_that_of_the_package(run):
    code, printed, complaints = run("--version")

    assert (code, printed, complaints) == (0, f"{safepatch.__version__}\n", "")


# It is how somebody finds out what there is; complaints of argparse end with exit code 2.
@pytest.mark.parametrize("arguments", [[], ["explain"], ["nonsense"], ["explain", "a:b", "c:d"]])
def test_what_is_no_command_prints_usage(run, arguments):
    code, printed, complaints = run(*arguments)

    assert (code, printed) == (2, "")
    assert complaints.startswith("usage: safepatch ")


@pytest.mark.parametrize("arguments", [["--help"], ["explain", "--help"]])
def test_help_is_printed_when_it_is_asked_for(run, arguments):
    code, printed, complaints = run(*arguments)

    assert (code, complaints) == (0, "")
    assert printed.startswith("usage: safepatch ")


def test_both_scripts_lead_to_the_same_function():
    """`safepatch-py` is there so that `uvx safepatch-py` runs ours."""
    distribution = importlib.metadata.distribution("safepatch-py")

    scripts = {
        script.name: script.load()
        for script in distribution.entry_points
        if script.group == "console_scripts"
    }

    assert scripts == {"safepatch": main, "safepatch-py": main}
