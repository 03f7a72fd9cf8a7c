"""Several threads, and the child of a fork."""

import itertools
import sys
import threading
import time

from rows import (
    CACHEBOX,
    FLIGHTS,
    GEVENT,
    HAND_MADE,
    LOCK,
    LRU,
    MEMOIZE,
    NO_LOCK,
    PLAIN,
    TTL_CACHE,
    Killed,
    WorkError,
    expect,
    in_fork,
    in_threads,
    late,
    raise_first,
    row,
    with_patience,
)
from subjects import forget, forget_all

MANY = 10

#: Seconds for the others to come and wait; who comes later gets what was kept.
A_WHILE = 0.3


@row(ours=FLIGHTS)
def many_threads_one_call(cache):
    """Ten threads ask for the same at once: one calls."""
    calls, together = [], threading.Barrier(MANY)

    @cache
    def slow(x):
        calls.append(x)
        time.sleep(A_WHILE)
        return [x]

    def ask():
        together.wait()
        return slow(1)

    found = raise_first(in_threads(*[ask] * MANY))

    expect(found == [[1]] * MANY, "wrong")
    expect(len(calls) == 1, "several calls")


@row()
def list_for_each_thread(cache):
    """Threads that wait for one call get a list each."""
    together = threading.Barrier(4)

    @cache
    def slow():
        time.sleep(A_WHILE)
        return []

    def ask():
        together.wait()
        return slow()

    found = raise_first([*in_threads(*[ask] * 4), slow()])

    expect(len(set(map(id, found))) == 5, "shared")


@row(ours=FLIGHTS)
def reentry(cache):
    """A function calls itself with the same arguments."""
    depth = []

    @cache
    def again(x):
        depth.append(x)
        return again(x) if len(depth) < 3 else "end"

    expect(again(1) == "end", "wrong")


@row(ours=FLIGHTS)
def mutual_reentry(cache):
    """Two functions call each other with the same arguments."""
    depth = []

    @cache
    def one(x):
        depth.append(x)
        return two(x) if len(depth) < 4 else "end"

    @cache
    def two(x):
        depth.append(x)
        return one(x) if len(depth) < 4 else "end"

    expect(one(1) == "end", "wrong")


@row(ours=FLIGHTS)
def crossed_threads(cache):
    """One thread calls f(1), which calls f(2), another f(2), which calls f(1)."""
    met, inside = threading.Barrier(2), threading.local()

    @cache
    def f(x):
        if getattr(inside, "is_first", True):
            inside.is_first = False
            met.wait()
            return f(3 - x)
        return "end"

    expect(in_threads(lambda: f(1), lambda: f(2)) == ["end"] * 2, "wrong")


@row(ours=FLIGHTS)
def circle_of_three_threads(cache):
    """Three threads wait for each other in a circle, through three functions."""
    met, inside = threading.Barrier(3), threading.local()

    def make(position):
        @cache
        def f():
            if getattr(inside, "is_first", True):
                inside.is_first = False
                met.wait()
                return functions[(position + 1) % 3]()
            return "end"

        return f

    functions = [make(position) for position in range(3)]

    expect(in_threads(*functions) == ["end"] * 3, "wrong")


def through_many(function, **options):
    """A decorator that takes five frames for each call."""
    for _ in range(5):
        function = through(function)
    return function


def through(function):
    return lambda *args: function(*args)


# Each miss goes through some functions, which Python counts: of ours there are two.
@row(ours=FLIGHTS, control=through_many)
def deep_recursion(cache):
    """A function calls itself three hundred times deep, each time with other arguments."""

    @cache
    def down(x):
        return 0 if x == 0 else 1 + down(x - 1)

    expect(down(300) == 300, "wrong")


@row(around=(PLAIN, *GEVENT), ours=FLIGHTS)
def reentry_by_a_child_thread(cache):
    """A function waits for a thread that calls it with the same arguments: that takes a while."""
    depth = []

    @cache
    def again(x):
        depth.append(x)
        return in_threads(lambda: again(x))[0] if len(depth) < 3 else "end"

    late()
    with_patience(0.2)
    expect(again(1) == "end", "wrong")


@row(ours=FLIGHTS)
def lock_of_a_waiting_thread(cache):
    """A thread waits for another that wants a lock of it: that takes a while."""
    lock, started, locked = threading.Lock(), threading.Event(), threading.Event()

    @cache
    def work(x):
        if not started.is_set():
            started.set()
            locked.wait()
            with lock:
                return "done"
        return "done"

    def holding():
        started.wait()
        with lock:
            locked.set()
            return work(1)

    with_patience(0.2)
    expect(in_threads(lambda: work(1), holding) == ["done"] * 2, "wrong")


@row(ours=FLIGHTS)
def many_threads_fail(cache):
    """Ten threads ask for what fails: each gets an error of its own, none waits for the others."""
    numbers, others = itertools.count(), threading.Barrier(MANY - 1)

    @cache
    def fail():
        if next(numbers) == 0:
            time.sleep(A_WHILE)
        else:
            try:
                others.wait(2)
            except threading.BrokenBarrierError:
                pass
        raise WorkError

    found = in_threads(*[fail] * MANY)

    expect(len(set(map(id, found))) == MANY, "one error for all")
    expect([type(error) for error in found] == [WorkError] * MANY, "wrong")
    expect(not any(error.__context__ for error in found), "foreign __context__")
    expect(not others.broken, "one after another")


@row(ours=FLIGHTS)
def calling_thread_dies(cache):
    """The thread that calls is ended by a BaseException: those who wait are not."""
    numbers = itertools.count()

    @cache
    def work():
        number = next(numbers)
        time.sleep(A_WHILE)
        if number == 0:
            raise Killed
        return "done"

    found = in_threads(*[work] * 4)

    expect(sum(type(thing) is Killed for thing in found) == 1, "all die")
    expect(found.count("done") == 3, "wrong")


@row(ours=FLIGHTS)
def fork_during_a_call(cache):
    """A process forks while another thread calls; the child asks for the same."""
    started, release, is_first = threading.Event(), threading.Event(), [True]

    @cache
    def work():
        if is_first.pop() if is_first else False:
            started.set()
            release.wait()
        return "done"

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    started.wait()
    found = in_fork(work)
    release.set()
    thread.join()

    expect(found == "done", found)


@row(by_chance=True)
def fork_during_a_hit(cache):
    """A process forks while other threads look up; the child looks up and keeps."""
    f, stop = cache(lambda x: x), []

    def look_up():
        while not stop:
            f(len(stop)), f(time.monotonic())

    threads = [threading.Thread(target=look_up, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    found = [in_fork(lambda: [f(0), f("new"), f("new")]) for _ in range(20)]
    stop.append(1)
    for thread in threads:
        thread.join()

    expect(found == [str([0, "new", "new"])] * 20, "wrong")


@row(peers=(LRU, LOCK, CACHEBOX, HAND_MADE))
def hot_key_stays(cache):
    """What is asked for all the time stays, however many others come and go."""
    calls = []
    f = cache(lambda x: calls.append(x) or x, maxsize=64)

    for x in range(1, 1000):
        f(0), f(x)

    expect(calls.count(0) == 1, "dropped again and again")


@row(peers=(LRU, LOCK, CACHEBOX, HAND_MADE))
def never_more_than_maxsize(cache):
    """What was dropped is freed."""

    class Value:
        alive = 0

        def __init__(self, x):
            Value.alive += 1

        def __del__(self):
            Value.alive -= 1

    f = cache(Value, maxsize=16)
    for x in range(200):
        f(x)
        expect(Value.alive <= 17, "more than maxsize")


@row(ours=(TTL_CACHE,), peers=(LOCK, NO_LOCK, CACHEBOX), by_chance=True)
def eviction_by_many_threads(cache):
    """Eight threads, eight places and a short life: no error, no wrong result."""
    f = cache(lambda x: (x, str(x)), maxsize=8, ttl=0.0005)

    def use(number):
        for x in range(number, 4000 + number):
            expect(f(x % 40) == (x % 40, str(x % 40)), "wrong")

    raise_first(in_threads(*[lambda n=n: use(n) for n in range(8)]))


@row(ours=(MEMOIZE,), peers=(LOCK, NO_LOCK), by_chance=True)
def mappings_by_many_threads(cache):
    """Eight threads on mappings of cachetools, which change when they are read."""
    import cachetools

    mappings = [
        cachetools.LRUCache(8),
        cachetools.LFUCache(8),
        cachetools.TLRUCache(8, ttu=lambda key, value, now: now + 0.0005),
    ]
    functions = [cache(lambda x: (x, str(x)), cache=mapping) for mapping in mappings]

    def use(number):
        for x in range(number, 4000 + number):
            for f in functions:
                expect(f(x % 40) == (x % 40, str(x % 40)), "wrong")

    raise_first(in_threads(*[lambda n=n: use(n) for n in range(8)]))
    expect(max(map(len, mappings)) <= 8, "more than maxsize")


@row(by_chance=True)
def what_was_forgotten_stays_so(cache):
    """Eight threads change a value, forget, and look: nobody sees what was before its change."""
    versions, lock = [0, 0], threading.Lock()

    @cache
    def read(position):
        found = versions[position]
        time.sleep(0)
        return found

    def change(number):
        for turn in range(200):
            position = turn % 2
            with lock:
                versions[position] += 1
                mine = versions[position]
            forget_somehow(read, position, only_this=(turn + number) % 3)
            expect(read(position) >= mine, "sees what was before")

    sys.setswitchinterval(1e-5)
    raise_first(in_threads(*[lambda n=n: change(n) for n in range(8)]))


def forget_somehow(cached, argument, only_this):
    if only_this and not hasattr(cached, "cache_parameters"):  # that of functools has only all
        forget(cached, argument)
    else:
        forget_all(cached)
