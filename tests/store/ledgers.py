"""A store that is written to so that whatever is found later can be told to be right or wrong."""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

import safepatch
from safepatch.store import Store, durable, testing
from safepatch.store.engines.journal import compacting

# How much is tried: by default, by `tox run -e store-crashes`, and with SAFEPATCH_CRASHES=most.
LEVEL = ("", "more", "most").index(os.environ.get("SAFEPATCH_CRASHES", ""))
COUNT = (6, 12, 24)[LEVEL]  # commits
LIMIT = (30, 150, 400)[LEVEL]  # states of a moment
FEW = (3, 5, 8)[LEVEL]  # the same, where a store is crashed for each call that fails
FAILING = testing.CALLS if LEVEL else ("write", "pwrite", "fdatasync", "rename")
STEP = 1 if LEVEL else 3  # of so many calls one is the last of a process


def change(root, number):
    """The change of a commit: one document, or three, is another, or is gone."""
    accounts = root["accounts"]
    accounts[f"k{number % 3}"] = {"number": number, "text": "x" * (number % 7 * 10)}
    if number % 4 == 3:
        accounts.pop(f"k{(number + 1) % 3}", None)
        root["log"][str(number)] = [number, None, 0.5, {"ä": True}]


def after(count):
    """What is in a store after so many commits."""
    root = {"accounts": {}, "log": {}}
    for number in range(count):
        change(root, number)
    return {name: documents for name, documents in root.items() if documents}


def place(directory):
    return os.path.join(directory, "state")


def opened(directory, **options):
    """The store, which is in a directory of its own, so that its making is recorded as well."""
    return Store(place(directory), every=0, **options)


def commit(store, note, numbers):
    """Commit, and note how many there are."""

    @durable(store)
    def one(number):
        change(store.root, number)

    for number in numbers:
        one(number)
        note(number + 1)


def found(directory):
    """What a store holds that is opened after a crash, and closed again."""
    with opened(directory) as store:
        return contents(store)


def contents(store):
    return {name: dict(documents) for name, documents in store.root.items()}


def check(directory, notes):
    """All that was acknowledged is there, and what was not is there as a whole or not at all."""
    holds = found(directory)
    least = max(notes, default=0)
    assert holds in (after(least), after(least + 1)), (least, holds)


def merging_here(wrapped):
    """Merge files in this process, where it is recorded."""

    def posix_spawn(path, command, environment):
        directory, before, keep = command[3:]
        compacting.compact(directory, int(before), float(keep))
        return 1  # the first process of the system, which is nobody's child

    return posix_spawn


@contextlib.contextmanager
def compactions_beside():
    """Merge files in threads, while the store goes on; what comes of each."""
    made = []

    def merging_beside(wrapped):
        def posix_spawn(path, command, environment):
            directory, before, keep = command[3:]
            made.append(pool.submit(compacting.compact, directory, int(before), float(keep)))
            return 1

        return posix_spawn

    with ThreadPoolExecutor() as pool, safepatch.patch("os:posix_spawn", merging_beside):
        yield made


def compactions():
    return safepatch.patch("os:posix_spawn", merging_here)
