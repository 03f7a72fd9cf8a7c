"""A store that is killed, again and again, while several threads commit."""

import os
import random
import subprocess
import sys

import pytest
from children import ROOT
from ledgers import LEVEL, found

WRITER = """
import os, sys, threading
from ledgers import opened

def work(number):
    for count in range(1, 1 << 30):
        with store.transaction():
            store.root["counts"][str(number)] = count
            store.root["double"][str(number)] = 2 * count
        os.write(1, b"%d %d\\n" % (number, count))  # as a whole

store = opened(sys.argv[1], segment=2000)
for number in range(3):
    threading.Thread(target=work, args=[number], daemon=True).start()
threading.Event().wait()
"""


def kill_after(directory, lines):
    """Start a writer, and kill it when it has acknowledged so much; all it has, by threads."""
    path = os.pathsep.join([str(ROOT), os.path.dirname(__file__)])
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )
    acknowledged = {}
    with child:
        try:
            told = [child.stdout.readline() for _ in range(lines)]
        finally:
            child.kill()
        for line in [*told, *child.stdout]:
            number, count = line.split()
            acknowledged[number] = int(count)
    return acknowledged


@pytest.mark.parametrize("seed", range((2, 12, 25)[LEVEL]))
def test_what_was_acknowledged_is_there_after_a_kill(seed, tmp_path):
    for number in range(LEVEL + 1):
        acknowledged = kill_after(tmp_path, random.Random(f"{seed} {number}").randrange(1, 300))

        holds = found(tmp_path)
        assert holds["double"] == {key: 2 * count for key, count in holds["counts"].items()}
        for key, count in acknowledged.items():
            assert holds["counts"][key] >= count
