"""A program that counts in a store, and tells each number when it is acknowledged."""

import os
import sys
import time

from safepatch.store import FailedError, Store, durable

url, *options = sys.argv[1:]
store = Store(url, every=0, standby="standby" in options)
numbers = store.root["numbers"]
print("open", numbers.get("n", 0), flush=True)
if "fork" in options:
    child = os.fork()
    if child == 0:
        os.close(1)
        time.sleep(60)
        os._exit(0)
    print("child", child, flush=True)


@durable(store)
def count():
    numbers["n"] = numbers.get("n", 0) + 1
    # So that documents are there that must not be lost, and others that are removed.
    numbers[f"at {numbers['n']}"] = [numbers["n"]]
    numbers.pop(f"at {numbers['n'] - 100}", None)
    return numbers["n"]


@durable(store, reads_only=True)
def look():
    return numbers["n"]


try:
    while True:
        if "idle" in options:
            look()
            time.sleep(0.01)
        else:
            print("n", count(), flush=True)
except FailedError as error:
    print("failed", type(error.__cause__).__name__, error, flush=True)
