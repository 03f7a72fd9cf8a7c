"""A child that is forked amid the opening has nothing of the parent's."""

import os
import signal
import subprocess
import sys
import time

from safepatch.store import LockedError, Store

FORKS = """
import os, sys, time
import safepatch
from safepatch.store import Store

def forks(connect):
    def wrapper(*arguments, **options):
        connection = connect(*arguments, **options)
        if not children:
            children.append(os.fork())
            if not children[0]:
                time.sleep(60)
                os._exit(0)
        return connection
    return wrapper

children = []
with safepatch.patch("psycopg:connect", forks, name="forks"):
    store = Store(sys.argv[1], every=0)
    store.root["c"]["k"] = 1
    store.sync()
print(children[0], flush=True)
time.sleep(60)
"""


def test_a_child_forked_while_it_connects_does_not_keep_the_lock_of_a_parent_that_died(url):
    parent = subprocess.Popen([sys.executable, "-c", FORKS, url], stdout=subprocess.PIPE, text=True)
    forked = int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait()
        end = time.monotonic() + 5
        while True:
            try:
                with Store(url, every=0) as store:
                    assert store.root == {"c": {"k": 1}}
                break
            except LockedError:
                assert time.monotonic() < end
    finally:
        parent.stdout.close()
        os.kill(forked, signal.SIGKILL)
