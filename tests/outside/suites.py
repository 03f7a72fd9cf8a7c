"""Somebody else's tests, run in a Python of their own: what each of them comes to."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from children import ROOT

HERE = os.path.dirname(__file__)


def outcomes(arguments, *, report, cwd, deadline, **environment):
    """Run Python with arguments that make it write a JUnit report, within so many seconds.

    What each test came to, by its class and name: "passed", "failed" (errors too) or "skipped".
    """
    report.unlink(missing_ok=True)
    ran = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), HERE)), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=deadline,
    )
    assert report.exists(), f"exit {ran.returncode}, and no report:\n{ran.stdout[-5000:]}"
    return {
        f"{case.get('classname')}::{case.get('name')}": _outcome(case)
        for case in ElementTree.parse(report).iter("testcase")
    }


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
