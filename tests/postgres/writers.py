"""Running programs beside a test, and hearing what they tell."""

import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time

from children import ROOT

HERE = pathlib.Path(__file__).parent


class Program:
    """`writing.py` in a process of its own, which ends with the test."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "writing.py", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.lines = queue.SimpleQueue()
        self.last = 0  # number that was acknowledged
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with self.process.stdout as told:
            for line in told:
                if line.startswith("n "):
                    self.last = int(line.split()[1])
                self.lines.put(line.split(maxsplit=2))
        self.lines.put(["end"])

    def hear(self, word, timeout=30):
        """What comes after a word at the beginning of a line."""
        end = time.monotonic() + timeout
        while (line := self.lines.get(timeout=max(0.0, end - time.monotonic())))[0] != word:
            assert line != ["end"], "the program has ended"
        return line[1]

    def count(self, number):
        """Let it count some numbers on."""
        wanted = self.last + number
        end = time.monotonic() + 30
        while self.last < wanted:
            assert time.monotonic() < end
            time.sleep(0.005)

    def signal(self, number):
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def kill(self):
        """Kill it; the last number that it has told, all of which is heard."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        while self.lines.get(timeout=10) != ["end"]:
            pass
        self.lines.put(["end"])
        return self.last


def stand_by(start, url, server, number=1):
    """Start a standby; it waits when this returns, and so do others."""
    # Those who asked later than this, for others may have ended after they asked; and this one is
    # to be among them, for a busy server may hear of an end late.
    [(since,)] = server.execute("SELECT clock_timestamp()::text")
    standby = start(url, "standby")
    statement = (
        f"SELECT count(*) >= {number} AND bool_or(backend_start > '{since}')"
        " FROM pg_stat_activity WHERE query LIKE '%pg_try_advisory_lock%'"
        # Not this question, nor the one before, whose connection may still be ending.
        f" AND query NOT LIKE '%pg_stat_activity%' AND query_start > '{since}'"
    )
    end = time.monotonic() + 30
    while server.execute(statement) != [(True,)]:
        assert time.monotonic() < end
        time.sleep(0.02)
    return standby


def numbers_at(n):
    """What `writing.py` has in its collection when it has counted to there."""
    return {"n": n, **{f"at {number}": [number] for number in range(max(1, n - 99), n + 1)}}
