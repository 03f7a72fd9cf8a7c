"""Greenlets: of gevent, which patches first, late or never, and bare ones."""

import itertools

from rows import (
    EARLY,
    FLIGHTS,
    GEVENT,
    WorkError,
    expect,
    in_fork,
    in_greenlets,
    late,
    raise_first,
    row,
)

MANY = 20


@row(around=GEVENT, ours=FLIGHTS)
def many_greenlets_one_call(cache):
    """Twenty greenlets ask for the same at once: one calls."""
    calls = []

    @cache
    def ask(host):
        calls.append(host)
        gevent.sleep(0.01)
        return [host]

    late()
    import gevent

    found = raise_first(in_greenlets(*[lambda: ask("host")] * MANY))

    expect(found == [["host"]] * MANY, "wrong")
    expect(len(calls) == 1, "several calls")


@row(around=GEVENT, ours=FLIGHTS)
def reentry_of_greenlets(cache):
    """A function calls itself with the same arguments, after a switch, in two greenlets."""
    depth = []

    @cache
    def again(x):
        depth.append(x)
        gevent.sleep(0)
        return again(x) if len(depth) < 6 else "end"

    late()
    import gevent

    expect(in_greenlets(*[lambda: again(1)] * 2) == ["end"] * 2, "wrong")


@row(around=GEVENT, ours=FLIGHTS)
def reentry_by_child_greenlets(cache):
    """A function waits for greenlets that call it with the same arguments."""
    depth = []

    @cache
    def again(x):
        depth.append(x)
        return in_greenlets(*[lambda: again(x)] * 2)[0] if len(depth) < 3 else "end"

    late()
    expect(again(1) == "end", "wrong")


@row(around=GEVENT, ours=FLIGHTS)
def crossed_greenlets(cache):
    """One greenlet calls f(1), which calls f(2), another f(2), which calls f(1)."""
    begun = []

    @cache
    def f(x):
        begun.append(x)
        gevent.sleep(0)
        return f(3 - x) if len(begun) < 6 else "end"

    late()
    import gevent

    expect(in_greenlets(lambda: f(1), lambda: f(2)) == ["end"] * 2, "wrong")


@row(around=GEVENT, ours=FLIGHTS)
def comparison_switches(cache):
    """The comparison of two arguments lets another greenlet run, which calls as well."""

    class Key:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            gevent.sleep(0)
            return False

    f = cache(lambda key: "found")

    late()
    import gevent

    found = in_greenlets(*[lambda: [f(Key()) for _ in range(5)]] * 5)

    expect(raise_first(found) == [["found"] * 5] * 5, "wrong")


@row(around=GEVENT, ours=FLIGHTS)
def calling_greenlet_killed(cache):
    """The greenlet that calls is killed: those who wait are not."""
    numbers = itertools.count()

    @cache
    def work():
        gevent.sleep(3600 if next(numbers) == 0 else 0)
        return "done"

    late()
    import gevent

    jobs = [gevent.spawn(work) for _ in range(4)]
    gevent.sleep(0.01)
    jobs[0].kill()
    gevent.joinall(jobs)

    found = [job.value for job in jobs[1:]]
    expect(found == ["done"] * 3, "dies with it")


@row(around=GEVENT, ours=FLIGHTS)
def waiting_greenlet_killed(cache):
    """A greenlet that waits is killed, or has waited long enough: the others get the result."""
    calls = []

    @cache
    def work():
        calls.append(1)
        release.wait()
        return "done"

    def impatient():
        with gevent.Timeout(0.01, False):
            return work()
        return "gone"

    late()
    import gevent
    import gevent.event

    release = gevent.event.Event()
    jobs = [gevent.spawn(work) for _ in range(4)]
    gevent.sleep(0.01)
    jobs[1].kill()
    expect(gevent.spawn(impatient).get() == "gone", "cannot be ended")
    release.set()
    gevent.joinall(jobs)

    expect([jobs[position].value for position in (0, 2, 3)] == ["done"] * 3, "wrong")
    expect(len(calls) == 1, "several calls")


@row(around=GEVENT, ours=FLIGHTS)
def many_greenlets_fail(cache):
    """Greenlets ask for what fails: each gets an error of its own."""

    @cache
    def fail():
        gevent.sleep(0.01)
        raise WorkError

    late()
    import gevent

    found = in_greenlets(*[fail] * 5)

    expect(len(set(map(id, found))) == 5, "one error for all")
    expect([type(error) for error in found] == [WorkError] * 5, "wrong")
    expect(not any(error.__context__ for error in found), "foreign __context__")


@row(around=GEVENT, ours=FLIGHTS)
def native_thread_beside_greenlets(cache):
    """A native thread calls, greenlets wait for it, and the other greenlets go on."""
    numbers = itertools.count()

    @cache
    def work():
        if next(numbers) == 0:
            started.append(1)
            release.acquire()
        return "done"

    late()
    import gevent
    import gevent.monkey

    started, release = [], gevent.monkey.get_original("_thread", "allocate_lock")()
    release.acquire()
    leader = gevent.get_hub().threadpool.spawn(work)
    while not started:
        gevent.sleep(0.001)
    jobs = [gevent.spawn(work) for _ in range(5)]
    gevent.sleep(0)  # to here comes only who is not held up by them
    release.release()
    gevent.joinall(jobs)

    expect([job.value for job in jobs] == ["done"] * 5, "wrong")
    expect(leader.get() == "done", "wrong")


@row(around=GEVENT, ours=FLIGHTS)
def greenlet_beside_native_threads(cache):
    """A greenlet calls, and native threads of gevent's pool wait for it."""
    numbers = itertools.count()

    @cache
    def work():
        if next(numbers) == 0:
            gevent.sleep(0.1)
        return "done"

    late()
    import gevent

    leader = gevent.spawn(work)
    gevent.sleep(0)
    jobs = [gevent.get_hub().threadpool.spawn(work) for _ in range(3)]

    expect([job.get() for job in [leader, *jobs]] == ["done"] * 4, "wrong")


@row(around=(EARLY,), ours=FLIGHTS)
def fork_beside_greenlets(cache):
    """A process forks while another greenlet calls; the child asks for the same."""
    import gevent
    import gevent.event

    numbers, release = itertools.count(), gevent.event.Event()

    @cache
    def work():
        if next(numbers) == 0:
            release.wait()
        return "done"

    leader = gevent.spawn(work)
    gevent.sleep(0)
    found = in_fork(work)
    release.set()

    expect([found, leader.get()] == ["done"] * 2, found)


@row(ours=FLIGHTS)
def bare_greenlets(cache):
    """Two bare greenlets, of no hub: the one that called runs only if the other goes on."""
    import greenlet

    @cache
    def work():
        greenlet.getcurrent().parent.switch()
        return "done"

    one, other = greenlet.greenlet(work), greenlet.greenlet(work)
    one.switch()
    other.switch()

    expect([one.switch(), other.switch()] == ["done"] * 2, "wrong")
