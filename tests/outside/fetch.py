"""Download and unpack the source distributions whose tests are run here.

python tests/outside/fetch.py DIRECTORY
"""

import pathlib
import subprocess
import sys
import tarfile
import tempfile

#: Pinned, since the lists of exclusions name tests.
SOURCES = [
    "wrapt==2.5.2",
    "pytest==9.2.0",
    "requests==2.34.2",
    "urllib3==2.8.0",
]


def fetch(requirement, directory):
    """Unpack one into a directory of its project's name, if it is not there already."""
    unpacked = directory / requirement.partition("==")[0]
    if unpacked.exists():
        return
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--no-binary", ":all:", "--dest", scratch, requirement], check=True)
        (archive,) = pathlib.Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(scratch, filter="data")
        (root,) = (path for path in pathlib.Path(scratch).iterdir() if path.is_dir())
        root.rename(unpacked)


if __name__ == "__main__":
    into = pathlib.Path(sys.argv[1])
    into.mkdir(parents=True, exist_ok=True)
    for one in SOURCES:
        fetch(one, into)
