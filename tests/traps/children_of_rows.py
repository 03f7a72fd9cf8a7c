"""Rows in processes of their own, and what became of them."""

import concurrent.futures
import glob
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import rows

import safepatch

HERE = pathlib.Path(__file__).parent
ROOT = pathlib.Path(safepatch.__file__).resolve().parents[1]

#: Seconds in which nothing that does not hang fails to end: ours may be on a busy machine.
FOR_OURS, FOR_PEERS = 30, 3

#: How often each row runs on ours. Races show themselves only now and then.
TIMES = int(os.environ.get("SAFEPATCH_REPEAT", "1"))


def libfaketime():
    """Where it is, or None."""
    places = ["/usr/lib/*/faketime/libfaketime.so.1", "/usr/local/lib/faketime/libfaketime.so.1"]
    given = os.environ.get("SAFEPATCH_LIBFAKETIME")
    found = [given] if given else [path for place in places for path in glob.glob(place)]
    return found[0] if found else None


def can_run(row):
    return row.surroundings != rows.STEPPED or libfaketime() is not None


def environment(surroundings):
    path = os.pathsep.join(map(str, [ROOT, HERE]))
    found = {**os.environ, "PYTHONPATH": path}
    if surroundings == rows.STEPPED:
        # Of two clocks only the one on the wall is to be stepped, by what the file says.
        handle, found["FAKETIME_TIMESTAMP_FILE"] = tempfile.mkstemp()
        os.write(handle, b"+0\n")
        os.close(handle)
        found |= {"LD_PRELOAD": libfaketime(), "FAKETIME_NO_CACHE": "1"}
        found |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    return found


def run(row, cache, seconds, times=1):
    """What a row comes to on a cache, and what the child wrote of it."""
    arguments = [row.name, row.surroundings, cache, str(seconds), str(times)]
    environ = environment(row.surroundings)
    # Files, since nobody reads a pipe while the child runs.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(HERE / "run.py"), *arguments],
            env=environ,
            stdout=out,
            stderr=err,
            start_new_session=True,  # so that forks of it can be ended with it
        )
        try:
            child.wait()
        finally:
            end(child)
            if "FAKETIME_TIMESTAMP_FILE" in environ:
                os.unlink(environ["FAKETIME_TIMESTAMP_FILE"])
        out.seek(0), err.seek(0)
        told = err.read()
        if child.returncode == -signal.SIGALRM:
            return "HANG", told
        return (out.read().strip().splitlines() or [f"exit {child.returncode}"])[-1], told


def end(child):
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def run_on_ours(row, cache):
    # gevent can patch late only once in a process.
    per_child = 1 if row.surroundings == rows.LATE else TIMES
    for _ in range(TIMES // per_child):
        found, err = run(row, cache, FOR_OURS, per_child)
        if found != "holds":
            break
    return found, err


def run_on_peers(row):
    """What the row comes to on each peer, in the order of rows.PEERS."""
    peers = [peer for peer in rows.PEERS if peer in row.peers]
    with concurrent.futures.ThreadPoolExecutor(len(peers)) as pool:
        found = pool.map(lambda peer: run(row, peer, FOR_PEERS)[0], peers)
        return dict(zip(peers, found, strict=True))
