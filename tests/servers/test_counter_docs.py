"""docs/store/counter.md, typed from top to bottom: the files work, and print what it says."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from children import ROOT

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "store" / "counter.md"
DRIVE = pathlib.Path(__file__).parents[2] / "examples" / "counter" / "drive.py"
BLOCK = r"^```(console|\{code-block\} python\n:caption: .*)\n((?:.*\n)*?)```$"


class Shell:
    """Runs what a reader types, in one directory; `python ... &` is over when the port answers."""

    def __init__(self, directory):
        self.directory, self.job = directory, None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])

    def run(self, line):
        command = line.replace("8080", self.port).split()
        if command == ["kill", "-9", "%1"]:
            self.end()
            return ""
        assert command.pop(0) == "python"
        if command[-1] == "&":
            self.job = self._start(command[:-1])
            self._wait_for_port()
            return ""
        out, _ = self._start(command, stdout=subprocess.PIPE).communicate(timeout=60)
        return out.replace(self.port, "8080")

    def end(self):
        if self.job is not None:
            self.job.send_signal(signal.SIGKILL)
            self.job.wait()
            self.job = None

    def _start(self, arguments, **options):
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, *arguments]
        return subprocess.Popen(command, cwd=self.directory, env=environ, text=True, **options)

    def _wait_for_port(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                return socket.create_connection(("127.0.0.1", int(self.port))).close()
            except ConnectionRefusedError:
                assert self.job.poll() is None, "the server ended"
                assert time.monotonic() < deadline
                time.sleep(0.02)


@pytest.fixture
def shell(tmp_path):
    pytest.importorskip("bottle")
    pytest.importorskip("msgspec")
    shell = Shell(tmp_path)
    yield shell
    shell.end()


def put(directory, caption, code):
    """A file, or more of it, in front of its last two lines."""
    path = directory / caption.rpartition("more of ")[2]
    if "more of " in caption:
        head, run, tail = path.read_text().partition("if __name__ ==")
        code = head + code + "\n" + run + tail
    path.write_text(code)


def test_all_that_the_page_shows_works_and_prints_what_it_says(shell):
    printed = []
    for kind, text in re.findall(BLOCK, PAGE.read_text(), re.MULTILINE):
        if kind != "console":
            put(shell.directory, kind.partition(":caption: ")[2], text)
            continue
        for line, said in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            printed.append(out := shell.run(line))
            assert re.fullmatch(re.escape(said).replace(r"\.\.\.", r"\d+"), out), (line, out)

    raced = [list(map(int, re.findall(r"\d+", out))) for out in printed if "409" in out]
    for answered, _, _, _, highest, different in raced:
        assert answered == highest == different
    assert len(raced) == 1


def test_the_client_of_the_page_is_the_one_of_the_example():
    blocks = dict(re.findall(BLOCK, PAGE.read_text(), re.MULTILINE))

    assert blocks["{code-block} python\n:caption: drive.py"] == DRIVE.read_text()
