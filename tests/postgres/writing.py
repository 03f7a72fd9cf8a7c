"""A program that counts in a store, and tells each number when it is acknowledged."""

import os
import sys
import time

from safepatch.store import FailedError, Store, durable

url, *options = sys.argv[1:]


def tell(*words):
    os.write(1, f"{' '.join(map(str, words))}\n".encode())  # a line or nothing, whenever killed


store = Store(url, every=0, standby="standby" in options)
numbers = store.root["numbers"]
tell("open", numbers.get("n", 0))
if "fork" in options:
    child = os.fork()
    if child == 0:
        os.close(1)
        time.sleep(60)
        os._exit(0)
    tell("child", child)


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
            tell("n", count())
except FailedError as error:
    tell("failed", type(error.__cause__).__name__, error)
