"""`safepatch` in processes of its own: what is not installed, completion, terminals and colours."""

import os
import re
import subprocess
import sys

import parcels
import pytest
from children import ROOT

SCRIPT = (
    "import sys; sys.argv[0] = 'safepatch'; from safepatch.__main__ import main; sys.exit(main())"
)


def environment(**more):
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("FORCE_COLOR", "NO_COLOR", "SAFEPATCH_CONFIG", "TERM", "COLUMNS")
    }
    return {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", **more}


def python(*arguments, cwd, **more):
    ran = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=30,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture
def project(tmp_path):
    (tmp_path / "safepatch.toml").write_text(parcels.CONFIGURED)
    parcels.installed(tmp_path, "1.0", parcels.OLD)
    return tmp_path


# What is not installed.


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_what_the_extra_brings_is_named_with_what_to_install(tmp_path, missing):
    code = f"import sys; sys.modules['{missing}'] = None; {SCRIPT}"

    assert python("-c", code, "list", cwd=tmp_path) == (
        2,
        "",
        f"safepatch: the command line needs {missing}, which is not installed; "
        "pip install 'safepatch-py[cli]'\n",
    )


def test_something_else_that_is_missing_is_not_taken_for_it(tmp_path):
    code = f"import sys; sys.modules['safepatch.lock'] = None; {SCRIPT}"

    assert "safepatch.lock" in python("-c", code, "list", cwd=tmp_path)[2].splitlines()[-1]


def test_it_runs_as_a_module(project):
    code, printed, complaints = python("-m", "safepatch", "lock", cwd=project)

    assert (code, printed, complaints) == (0, "locked 1 target in safepatch.lock\n", "")


# Completion.


def completed(words, place, cwd, name="safepatch"):
    """What click tells bash to complete the word at a place with."""
    script = SCRIPT.replace("'safepatch'", f"'{name}'")
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    code, printed, complaints = python(
        "-c", script, cwd=cwd,
        **{variable: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)},
    )  # fmt: skip
    assert (code, complaints) == (0, "")
    return [line.partition(",")[2] for line in printed.splitlines()]


@pytest.mark.parametrize("name", ["safepatch", "safepatch-py"])
def test_the_shell_completes_names_of_patches(project, name):
    assert completed("safepatch run -p ", 3, project, name) == ["counted", "dns-cache"]


# Terminals.


def on_a_terminal(*arguments, cwd, **more):
    """What it prints on a terminal of 60 columns."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=cwd,
        env=environment(COLUMNS="60", **more),
        stdout=theirs,
        stderr=theirs,
    ) as running:
        os.close(theirs)
        printed = b""
        try:
            while piece := os.read(ours, 4096):
                printed += piece
        except OSError:  # how Linux says that the other end is closed
            pass
        running.wait(30)
    os.close(ours)
    return printed.decode().replace("\r\n", "\n")


@pytest.fixture
def drifted(project):
    """A project whose parcel was changed since it was locked."""
    python("-m", "safepatch", "lock", cwd=project)
    (project / "parcel.py").write_text(parcels.NEW)
    return project


def test_a_terminal_has_colours_and_the_same_command_elsewhere_has_none(drifted):
    green = "\x1b[32m+    price = weight * 2 if insured else weight\x1b[0m\n"

    assert green in on_a_terminal("diff", cwd=drifted)
    assert "\x1b" not in python("-m", "safepatch", "diff", cwd=drifted)[1]


def test_a_table_fits_the_terminal(project):
    printed = re.sub("\x1b\\[[0-9;]*m", "", on_a_terminal("list", cwd=project))

    assert printed.startswith("patch ")
    assert max(map(len, printed.splitlines())) <= 60


def test_a_narrow_terminal_cuts_no_names_off(project):
    printed = on_a_terminal("list", cwd=project, NO_COLOR="1")

    assert "\u2026" not in printed
    assert "AbstractResolver.getaddrinfo" in "".join(
        line.rstrip().rpartition("  ")[2].strip() for line in printed.splitlines()
    )


def test_letters_that_the_output_has_no_bytes_for_are_escaped(drifted):
    (drifted / "parcel.py").write_text(
        parcels.NEW.replace(" kg", " \N{GREEK SMALL LETTER MU}g"), encoding="utf-8"
    )

    code, printed, complaints = python(
        "-m", "safepatch", "diff", cwd=drifted, PYTHONIOENCODING="ascii"
    )

    assert (code, complaints) == (1, "")
    assert "{weight} \\u03bcg to {address}" in printed


def test_a_pipe_that_is_closed_early_is_no_error(project):
    ran = subprocess.run(
        f"'{sys.executable}' -m safepatch explain --help | true",
        shell=True,
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert ran.stderr == ""


# Together with the runner.


def test_run_runs_a_command_with_a_patch_and_gives_its_exit_code(project):
    command = "import parcel, safepatch, sys; print(safepatch.explain('parcel:send')); sys.exit(5)"

    code, printed, complaints = python(
        "-m", "safepatch", "run", "-p", "counted", "--", sys.executable, "-c", command, cwd=project
    )

    assert (code, complaints) == (5, "")
    assert "patch 'counted' applied from" in printed


def test_the_doctor_sees_what_a_run_has_applied(project):
    (project / "app.py").write_text("from parcel import send")

    in_a_run = python(
        "-m", "safepatch", "run", "--", sys.executable, "-m", "safepatch", "doctor", "-m", "app",
        cwd=project,
    )  # fmt: skip

    assert in_a_run == (0, "nothing was found\n", "")
