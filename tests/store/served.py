"""The applications of examples/, served on loopback by processes of their own."""

import contextlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from children import ROOT

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def need(*modules):
    """Skip a file of tests where one is not installed; they are not imported here, where they
    would hold functions that other tests patch."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"the example needs {module}", allow_module_level=True)


class Served:
    """`app.py` of an example, with its state in a directory; `url` is where it listens."""

    def __init__(self, example, directory):
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(EXAMPLES / example / "app.py"), "0"],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        told = self._process.stdout.readline()
        if not told:
            raise RuntimeError(self._process.communicate()[1])
        self.url = told.rpartition("/")[0] if told.endswith("/inc\n") else told.strip()

    def ask(self, path, body=None, method=None, token=None):
        """Status and body of an answer, which may be JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        asked = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def kill(self):
        """As kill -9 does; does nothing the second time. What it complained of fails the test."""
        self._process.kill()
        complained = self._process.communicate()[1]
        assert not complained, complained


@contextlib.contextmanager
def served(example, directory):
    app = Served(example, directory)
    try:
        yield app
    finally:
        app._process.kill()
        app._process.communicate()
