"""Programs run by `safepatch run`, in environments that tests make."""

import os
import pathlib
import subprocess
import sys
import sysconfig

import safepatch

PACKAGE = pathlib.Path(safepatch.__file__).resolve().parent
#: How a Python process of a run is started: a .pth file is installed, or found is none.
STARTS = ["a .pth file", "a sitecustomize"]


def environment(folder, start):
    """Make a virtual environment with what this one has; gives its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    (packages,) = folder.glob("lib/python*/site-packages")
    # It is read after ours, which has to wait for it.
    path = [PACKAGE.parent, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    (packages / "zzz.pth").write_text("\n".join(map(str, dict.fromkeys(path))))
    if start == "a .pth file":
        for name in ("safepatch-py.pth", "_safepatch_py_start.py"):
            # A wheel has them beside the package, and there alone.
            installed = PACKAGE.parent / name
            path = installed if installed.exists() else PACKAGE / "bootstrap" / "site" / name
            (packages / name).write_text(path.read_text())
    return folder / "bin" / "python"


def clean_environ(**more):
    left = {name: text for name, text in os.environ.items() if not name.startswith("SAFEPATCH_")}
    left.pop("PYTHONPATH", None)
    return {**left, "PYTHONFAULTHANDLER": "1", **more}


def runner(python, *arguments, folder=None, timeout=60, **environ):
    """Run `safepatch run` to its end: exit code, stdout and stderr."""
    ran = subprocess.run(
        [python, "-m", "safepatch.runner", *map(str, arguments)],
        env=clean_environ(**environ),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return ran.returncode, ran.stdout, ran.stderr
