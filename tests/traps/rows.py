"""What rows are made of. A row is a small program that falls into a trap, if the cache lets it.

It is given a cache under test, raises `Trapped` where the trap snaps, and hangs where it hangs.
"""

import collections
import importlib
import os
import sys
import threading
import time

# The caches that a row is tried on, besides ours.
LRU = "functools.lru_cache"
LOCK = "cachetools lock"
CONDITION = "cachetools condition"
NO_LOCK = "cachetools without lock"
CACHEBOX = "cachebox"
ASYNC_LRU = "async_lru"
WRAPT = "wrapt.lru_cache"
HAND_MADE = "hand-made"
PEERS = [LRU, LOCK, CONDITION, NO_LOCK, CACHEBOX, ASYNC_LRU, WRAPT, HAND_MADE]
FOR_FUNCTIONS = (LRU, LOCK, CONDITION, CACHEBOX, HAND_MADE)
FOR_COROUTINES = (CACHEBOX, ASYNC_LRU, HAND_MADE)
FOR_METHODS = (LRU, LOCK, CACHEBOX, WRAPT, HAND_MADE)

# Ours.
MEMOIZE, TTL_CACHE, SINGLE_FLIGHT = "memoize", "ttl_cache", "single_flight"
CACHES = (MEMOIZE, TTL_CACHE)
FLIGHTS = (MEMOIZE, TTL_CACHE, SINGLE_FLIGHT)

# What is around them.
PLAIN = "plain"
EARLY, LATE, NEVER = "gevent patched first", "gevent patched late", "gevent never patched"
STEPPED = "libfaketime"
GEVENT = (EARLY, LATE, NEVER)

Row = collections.namedtuple("Row", "check name surroundings ours peers control by_chance known")

#: By name and surroundings, as a row is another one in each.
ROWS = {}


def row(
    *, around=(PLAIN,), ours=CACHES, peers=FOR_FUNCTIONS, control=None, by_chance=False, known=None
):
    """Note a row.

    `control` stands for HAND_MADE where the row wants another naive cache; `by_chance` says that
    peers do not fail each time; `known` is the trap that ours falls into as well.
    """

    def note(check):
        for surroundings in around:
            name = check.__name__
            ROWS[name, surroundings] = Row(
                check, name, surroundings, ours, peers, control, by_chance, known
            )
        return check

    return note


def load():
    """Import all modules with rows, in the order of the document."""
    for name in ("calls", "threads", "greenlets", "tasks", "forgetting", "methods", "options"):
        importlib.import_module(f"rows_{name}")
    return ROWS


class Trapped(Exception):  # noqa: N818
    """In a few words, what went wrong."""


class NotOffered(Exception):  # noqa: N818
    """This cache has nothing of the kind, so that the row says nothing of it."""


class WorkError(Exception):
    pass


class Killed(BaseException):
    pass


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def expect(holds, trap):
    if not holds:
        raise Trapped(trap)


def count(calls, expected=1):
    if len(calls) != expected:
        raise Trapped("1 call" if len(calls) == 1 else f"{len(calls)} calls")


#: What is around the row that runs.
surroundings = PLAIN


def late():
    """Where gevent comes late, it comes here: between the decoration of functions and their use."""
    if surroundings in GEVENT:
        import gevent.monkey

        if surroundings == LATE:
            gevent.monkey.patch_all()


def pause():
    """Let others run, also greenlets where nothing is patched."""
    if surroundings in GEVENT:
        import gevent

        gevent.sleep(0.001)
    else:
        time.sleep(0.001)


def wait_until(condition):
    while not condition():
        pause()


def with_patience(seconds):
    """Let ours end by time what no check can see to be in vain, which it does after 10 seconds."""
    from safepatch.decorators import flights

    flights.PATIENCE = seconds


def in_threads(*functions):
    """Run each in a thread: their results, or what they raised, in order."""
    found = [None] * len(functions)

    def run(position, function):
        try:
            found[position] = function()
        except BaseException as error:
            found[position] = error

    threads = [
        threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def in_greenlets(*functions):
    import gevent

    def run(function):
        try:
            return function()
        except BaseException as error:
            return error

    jobs = [gevent.spawn(run, function) for function in functions]
    gevent.joinall(jobs)
    return [job.value for job in jobs]


def at_once(*functions):
    """Run each in a thread, or in a greenlet where there are some."""
    return (in_greenlets if surroundings in GEVENT else in_threads)(*functions)


def raise_first(found):
    """Raise the first error among what was found; some errors are told by what they do."""
    for thing in found:
        if isinstance(thing, BaseException):
            raise thing
    return found


def in_fork(function):
    """The text that a function returns in the child of a fork."""
    read, write = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            text = str(function())
        except BaseException as error:
            text = type(error).__name__
        os.write(write, f"{text}\n".encode())
        os._exit(0)
    # Not up to the end of the pipe: gevent closes ours only when its hub runs.
    found = b""
    while not found.endswith(b"\n"):
        found += os.read(read, 1000)
    os.close(read)
    os.close(write)
    # Nobody waits for its end, which is the end of some things in gevent.
    return found.decode().strip()
