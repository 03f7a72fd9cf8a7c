"""Child processes with a clean interpreter, for tests of what a process does only once."""

import os
import pathlib
import subprocess
import sys
import textwrap

import safepatch

#: Where the package that is tested here was imported from.
ROOT = pathlib.Path(safepatch.__file__).resolve().parents[1]
# gevent looks for plugins of its own as often as it patches something, 25 times, and each time
# through all packages that are installed: most of what a child costs. Here it is done once.
_LOOK_ONCE = "import importlib.metadata as _; _.entry_points = _.entry_points().select; del _\n"


def child(source, *options, path=(), timeout=30):
    """Run source in a Python of its own; what it printed, or the test fails with its traceback."""
    begin = _LOOK_ONCE if "patch_all" in source else ""
    return run_python(*options, "-c", begin + textwrap.dedent(source), path=path, timeout=timeout)


def run_python(*arguments, path=(), timeout=30):
    search = os.pathsep.join(map(str, (ROOT, *path)))
    ran = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": search, "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    told = f"exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    # Nothing is to be complained of either, such as a greenlet or a thread that failed.
    assert (ran.returncode, ran.stderr) == (0, ""), told
    return ran.stdout.strip()
