"""Somebody else's tests, run in a Python of their own: what each of them comes to."""

import fnmatch
import os
import pathlib
import platform
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree

from children import ROOT
from packaging.specifiers import SpecifierSet

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[1] / "docs/outside.md"


class NoReportError(Exception):
    """The tests ended, or hung, before they wrote their report."""


#: For pytest: how long a test may take, which mostly is a second or two, and what comes then.
HANG = ("-o", "faulthandler_timeout=120", "-o", "faulthandler_exit_on_timeout=true")


def outcomes(arguments, *, report, cwd, deadline, **environment):
    """Run Python with arguments that make it write a JUnit report, within so many seconds.

    What each test came to, by its class and name: "passed", "failed" (errors too) or "skipped".
    Raises NoReportError, with where the tests hung if they did.
    """
    python = [sys.executable, *map(str, arguments)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(HERE))),
        **environment,
    }
    try:
        _run(python, report, cwd, deadline, environment)
    except NoReportError as error:
        # A test that waits for its own server may hang by itself; what is ours to answer for hangs
        # again.
        print("once more, since it gave no report:", error)
        _run(python, report, cwd, deadline, environment)
    return {_name(case): _outcome(case) for case in ElementTree.parse(report).iter("testcase")}


def _run(python, report, cwd, deadline, environment):
    report.unlink(missing_ok=True)
    try:
        ran = subprocess.run(
            python,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=deadline,
        )
    except subprocess.TimeoutExpired as error:
        raise NoReportError(f"not over after {deadline} seconds") from error
    if not report.exists():
        _, hung, where = ran.stdout.rpartition("Timeout (")  # as faulthandler begins
        raise NoReportError(f"exit {ran.returncode}:\n{(hung + where)[-5000:]}")


def marked(report, name):
    """The tests of a JUnit report that have a property of that name."""
    return {
        _name(case)
        for case in ElementTree.parse(report).iter("testcase")
        if any(found.get("name") == name for found in case.iter("property"))
    }


def _name(case):
    return f"{case.get('classname')}::{case.get('name')}"


def _outcome(case):
    kinds = {child.tag for child in case}
    return (
        "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
    )


def differences(without, with_patches):
    """The tests that come to something else, and both outcomes."""
    return {
        name: (without.get(name, "absent"), with_patches.get(name, "absent"))
        for name in without | with_patches
        if without.get(name) != with_patches.get(name)
    }


def exclusions(suite):
    """The entries for a suite in exclusions.toml that hold on this Python: each has a `reason`,
    and `tests` or `not_run`."""
    entries = tomllib.loads((HERE / "exclusions.toml").read_text()).get(suite, [])
    version = platform.python_version()
    return [entry for entry in entries if version in SpecifierSet(entry.get("python", ""))]


def _patterns(suite, key):
    return [pattern for entry in exclusions(suite) for pattern in entry.get(key, ())]


def _matches(name, pattern):
    # A parametrized test has brackets in its name, which mean something else in a pattern.
    return name == pattern or fnmatch.fnmatchcase(name, pattern)


def modules(suite, directory):
    """The test modules in a directory that are to be run: all but those listed as `not_run`.

    What is listed must exist.
    """
    found = sorted(path.name for path in directory.glob("test_*.py"))
    left_out = _patterns(suite, "not_run")
    assert [one for one in left_out if not any(_matches(name, one) for name in found)] == []
    return [name for name in found if not any(_matches(name, one) for one in left_out)]


def surprises(patterns, without, with_patches):
    """What is not as the patterns say, which list the tests that are to differ: nothing, if all is.

    The tests that differ and are not listed; the listed ones that do not differ; and what is
    listed but matches no test.
    """
    differing = differences(without, with_patches)
    names = without | with_patches
    listed = {name for name in names if any(_matches(name, one) for one in patterns)}
    return {
        **{name: how for name, how in differing.items() if name not in listed},
        **dict.fromkeys(listed - differing.keys(), "excluded, but does not differ"),
        **{
            pattern: "excluded, but there is no such test"
            for pattern in patterns
            if not any(_matches(name, pattern) for name in names)
        },
    }


def counts(without, with_patches):
    """Tests run, passed without patches, and passed with them: the figures in the documentation."""
    passed = [list(those.values()).count("passed") for those in (without, with_patches)]
    return len(with_patches), *passed


def documented(suite):
    """The figures in the suite's row of the table in docs/outside.md."""
    row = re.search(rf"^\| {re.escape(suite)} \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    assert row, f"{PAGE.name} has no row for {suite}"
    return tuple(int(cell) for cell in row[1].split("|") if cell.strip().isdecimal())


def as_listed(suite, without, with_patches):
    """Assert that a suite comes to what exclusions.toml and, on the reference Python, the
    documentation say."""
    found = surprises(_patterns(suite, "tests"), without, with_patches)
    assert not found, "\n".join(f"{name}: {how}" for name, how in sorted(found.items()))
    if sys.version_info[:2] == (3, 11):
        measured, told = counts(without, with_patches), documented(suite)
        assert measured == told, f"{PAGE.name} says {told} of {suite}, and it is {measured}"
