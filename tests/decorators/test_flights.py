"""Single flight: one does the work, and nobody ever waits for what cannot come."""

import linecache
import os
import sys
import threading

import pytest
from children import child

from safepatch import decorators
from safepatch.decorators import flights, memoize, ttl_cache

ENOUGH = 5  # seconds, after which a thread is taken to hang


class WorkError(Exception):
    pass


class Killed(BaseException):
    pass


@pytest.fixture(autouse=True)
def endless_patience(monkeypatch):
    """So that a test which waits in vain hangs, instead of only taking its time."""
    monkeypatch.setattr(flights, "PATIENCE", 1e6)


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
        thread.join(ENOUGH)
    assert not any(thread.is_alive() for thread in threads)
    return found


def await_all(arrivals, number):
    for _ in range(number):
        assert arrivals.acquire(timeout=ENOUGH)


def test_of_many_threads_one_calls_and_all_get_a_result_of_their_own(arrivals):
    calls = []

    @memoize
    def slow(x):
        calls.append(x)
        await_all(arrivals, 9)
        return [x]

    results = in_threads(*[lambda: slow(1)] * 10)

    assert results == [[1]] * 10
    assert len(set(map(id, results))) == 10
    assert calls == [1]
    assert slow.cache_info()[:2] == (9, 1)


def test_when_the_call_fails_each_who_waited_calls_and_fails_for_itself(arrivals):
    calls = []

    @memoize
    def fail():
        calls.append(1)
        if len(calls) == 1:
            await_all(arrivals, 4)
        raise WorkError

    errors = in_threads(*[fail] * 5)

    assert [type(error) for error in errors] == [WorkError] * 5
    assert len(set(map(id, errors))) == 5
    assert [error.__context__ for error in errors] == [None] * 5
    assert len(calls) == 5


def test_an_error_that_is_kept_is_shared_as_equal_errors(arrivals):
    calls = []

    @ttl_cache(ttl=60, negative_ttl=60)
    def fail():
        calls.append(1)
        await_all(arrivals, 4)
        raise WorkError("no")

    errors = in_threads(*[fail] * 5)

    assert [str(error) for error in errors] == ["no"] * 5
    assert len(set(map(id, errors))) == 5
    assert len(calls) == 1


def test_when_the_caller_is_killed_another_takes_its_place(arrivals):
    calls = []

    @memoize
    def work():
        calls.append(1)
        if len(calls) == 1:
            await_all(arrivals, 4)
            raise Killed
        return "done"

    results = in_threads(*[work] * 5)

    assert sum(type(result) is Killed for result in results) == 1
    assert sum(result == "done" for result in results) == 4
    assert len(calls) == 2


def test_a_result_that_is_not_kept_is_not_shared_either(arrivals):
    calls = []

    @memoize
    def items():
        calls.append(1)
        if len(calls) == 1:
            await_all(arrivals, 1)
        return iter([1])

    results = in_threads(*[lambda: list(items())] * 2)

    assert results == [[1], [1]]


@pytest.mark.parametrize("how", ["cache_clear", "cache_invalidate"])
def test_who_calls_after_forgetting_does_not_get_what_was_under_way(how):
    state = {"value": "old"}

    @memoize
    def read():
        value = state["value"]
        if value == "old":
            reading.set()
            assert forgotten.wait(ENOUGH)
        return value

    def change():
        assert reading.wait(ENOUGH)
        state["value"] = "new"
        getattr(read, how)()
        after = read()
        forgotten.set()
        return after

    reading, forgotten = threading.Event(), threading.Event()

    assert in_threads(read, change) == ["old", "new"]
    assert read() == "new"


@pytest.mark.parametrize(
    "forget", [lambda all_: all_.disown("key"), lambda all_: all_.disown_all()]
)
def test_a_flight_is_marked_before_it_is_out_of_sight(forget):
    """Who forgets at the same time, and finds none, relies on that none will be kept."""
    all_, flight, seen = flights.Flights(), flights.Flight(), []
    all_.elect("key", flight)

    def trace(frame, event, arg):
        seen.append(flight.is_disowned or "key" in all_._under_way)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        forget(all_)
    finally:
        sys.settrace(before)

    assert len(seen) > 3
    assert all(seen)


def test_recursion_with_the_same_arguments_calls_through():
    depth = []

    @memoize
    def again():
        depth.append(1)
        return again() if len(depth) < 3 else "end"

    assert in_threads(again) == ["end"]


def test_a_recursion_may_be_a_third_as_deep_as_python_allows():
    """Three frames for each level, of which one is the function's own."""
    for cache in (memoize, ttl_cache(ttl=60)):

        @cache
        def down(n):
            return n and down(n - 1)

        before = sys.getrecursionlimit()
        sys.setrecursionlimit(1000)
        try:
            assert down(280) == 0
        finally:
            sys.setrecursionlimit(before)


def test_mutual_recursion_calls_through():
    @memoize
    def one(n):
        return two(n) if n in first and not first.remove(n) else "end"

    @memoize
    def two(n):
        return one(n)

    first = [1]

    assert in_threads(lambda: one(1)) == ["end"]


def test_looking_for_a_circle_takes_one_step_for_each_wait():
    """As where a thousand tasks wait for one that waits for a thousand."""

    class Counting(flights.Flight):
        compared = 0

        def __eq__(self, other):
            Counting.compared += 1
            return self is other

        __hash__ = object.__hash__

    one, last = Counting(), Counting()
    one.waits_for.extend(Counting() for _ in range(1000))
    for other in one.waits_for:
        other.waits_for.append(last)

    assert flights._is_circle(one, (last,))
    assert Counting.compared < 2000


def test_two_threads_that_wait_for_each_other_through_two_functions_do_not_hang():
    barrier = threading.Barrier(2)
    met = threading.local()

    def meet():
        if not getattr(met, "once", False):
            met.once = True
            barrier.wait(ENOUGH)

    @memoize
    def one():
        meet()
        return two() if len(begun) < 4 and not begun.append(1) else 1

    @memoize
    def two():
        meet()
        return one() if len(begun) < 4 and not begun.append(1) else 1

    begun = []

    assert in_threads(one, two) == [1, 1]


def test_who_has_waited_in_vain_calls_for_itself_and_later_ones_do_not_wait(monkeypatch):
    monkeypatch.setattr(flights, "PATIENCE", 0.01)
    calls = []

    @memoize
    def stuck():
        calls.append(1)
        number = len(calls)
        if number < 3:
            started.release()
            assert release.wait(ENOUGH)
        return number

    def others():
        assert started.acquire(timeout=ENOUGH)
        second = threading.Thread(target=stuck)
        second.start()
        assert started.acquire(timeout=ENOUGH)
        monkeypatch.setattr(flights, "PATIENCE", 1e6)
        third = stuck()
        release.set()
        second.join(ENOUGH)
        return third

    started, release = threading.Semaphore(0), threading.Event()

    assert in_threads(stuck, others) == [1, 3]
    assert stuck.cache_info().currsize == 1


def test_who_never_ends_is_replaced_by_who_has_waited_in_vain(monkeypatch):
    monkeypatch.setattr(flights, "PATIENCE", 0.01)
    calls = []

    @memoize
    def work():
        calls.append(1)
        if len(calls) == 1:
            started.set()
            assert release.wait(2 * ENOUGH)
        return len(calls)

    def others():
        assert started.wait(ENOUGH)
        found = [work(), work()]
        work.cache_invalidate()
        return [*found, work(), work()]

    started, release = threading.Event(), threading.Event()
    first = threading.Thread(target=work, daemon=True)
    first.start()

    [found] = in_threads(others)
    release.set()
    first.join(ENOUGH)

    assert found == [2, 2, 3, 3]
    assert work() == 3


def test_forgetting_wins_over_who_has_waited_in_vain(monkeypatch):
    monkeypatch.setattr(flights, "PATIENCE", 0.01)
    calls = []

    @memoize
    def work():
        calls.append(1)
        if len(calls) == 1:
            started.set()
            assert release.wait(ENOUGH)
        if len(calls) == 2:
            work.cache_clear()
        return len(calls)

    def others():
        assert started.wait(ENOUGH)
        found = [work(), work(), work()]
        release.set()
        return found

    started, release = threading.Event(), threading.Event()

    assert in_threads(work, others)[1] == [2, 3, 3]
    assert work() == 3


def test_forgetting_wins_over_who_goes_on_when_another_has_landed(monkeypatch):
    monkeypatch.setattr(flights, "PATIENCE", 0.01)
    calls = []

    @memoize
    def work():
        calls.append(1)
        number = len(calls)
        if number == 1:
            started.set()
            assert release.wait(ENOUGH)
        return number

    def others():
        assert started.wait(ENOUGH)
        found = work()
        work.cache_clear()
        release.set()
        return found

    started, release = threading.Event(), threading.Event()

    assert in_threads(work, others) == [1, 2]
    assert work() == 3


OURS = (os.path.dirname(decorators.__file__), "<safepatch")


def is_ours(frame):
    return frame.f_code.co_filename.startswith(OURS)


def interrupted(call, error, at):
    """Make a call, and raise an error at one of the lines of the package that it goes through, by
    number; False if it does not go through that many."""
    lines = iter(range(at))

    def trace(frame, event, arg):
        if not is_ours(frame):
            return None
        if linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() == "try:":
            # An instruction that does nothing, outside of all handlers: what a tracer raises there
            # is caught by none around it, but Python looks for no signals there either.
            return trace
        if event in ("call", "line") and next(lines, None) is None:
            sys.settrace(None)
            raise error
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except type(error):
        pass
    finally:
        sys.settrace(before)
    return next(lines, None) is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
def test_an_interrupt_at_any_line_leaves_nobody_waiting(error):
    at, went_on = 0, True
    while went_on:
        cached = memoize(lambda x: [x])
        went_on = interrupted(lambda: cached(1), error(), at)  # noqa: B023
        at += 1

        assert in_threads(lambda: (cached(1), cached(1))) == [([1], [1])]  # noqa: B023
        assert cached.cache_info().currsize == 1
    assert at > 30


@pytest.mark.parametrize("kept", [[1], iter(())], ids=["kept", "not kept"])
def test_a_finalizer_may_call_the_function_at_any_line_of_it(kept):
    """As may a signal handler."""

    def called_within(at):
        lines = iter(range(at))
        cached = memoize(lambda x: kept)

        def trace(frame, event, arg):
            if is_ours(frame) and next(lines, None) is None:
                sys.settrace(None)
                cached(1)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            cached(1)
        finally:
            sys.settrace(before)
        return next(lines, None) is None

    at = 0
    while in_threads(lambda: called_within(at)) == [True]:  # noqa: B023
        at += 1
    assert at > 30


def test_a_key_may_be_slow_to_compare_or_call_the_function_itself():
    class Key:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            compared.append(1)
            if len(compared) < 5:
                cached(Key())
            return False

    compared = []
    cached = memoize(lambda key: "value")

    assert in_threads(*[lambda: cached(Key())] * 3) == ["value"] * 3


def run_in_child(code):
    """Run code in a fresh interpreter, where gevent may patch; give what it prints."""
    return child(code, "-W", "ignore", timeout=60).split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_child_of_a_fork_does_not_wait_for_threads_it_has_not():
    code = """
import os, threading
from safepatch.decorators import flights, memoize
flights.PATIENCE = 1e6
parent = os.getpid()
started, release = threading.Event(), threading.Event()

@memoize
def work():
    if os.getpid() == parent:
        started.set()
        release.wait()
    return "done"

thread = threading.Thread(target=work)
thread.start()
started.wait()
child = os.fork()
if child == 0:
    os.write(1, (work() + " ").encode())
    os._exit(0)
print(os.waitpid(child, 0)[1])
release.set()
thread.join()
"""
    assert run_in_child(code) == ["done", "0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_child_of_a_fork_does_not_wait_for_who_held_the_lock_of_a_mapping():
    code = """
import os, threading
from safepatch.decorators import memoize
parent = os.getpid()
inside, release = threading.Event(), threading.Event()

class Slow(dict):
    def __getitem__(self, key):
        if os.getpid() == parent:
            inside.set()
            release.wait()
        raise KeyError(key)

work = memoize(lambda: "done", cache=Slow())
thread = threading.Thread(target=work)
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    import signal
    signal.alarm(5)
    os.write(1, (work() + " ").encode())
    os._exit(0)
print(os.waitpid(child, 0)[1])
release.set()
thread.join()
"""
    assert run_in_child(code) == ["done", "0"]


@pytest.mark.parametrize("module", ["greenlet", "gevent"])
def test_recursion_calls_through_though_greenlets_come_up_meanwhile(module):
    pytest.importorskip(module)
    code = f"""
from safepatch.decorators import flights, memoize
flights.PATIENCE = 1e6
depth = []

@memoize
def again():
    depth.append(1)
    import {module}
    if "{module}" == "gevent":
        gevent.sleep(0)
    return again() if len(depth) < 3 else "end"

print(again())
"""
    assert run_in_child(code) == ["end"]


PATCHING = {
    "patched first": ("import gevent.monkey; gevent.monkey.patch_all()", ""),
    "patched late": ("", "import gevent.monkey; gevent.monkey.patch_all()"),
    "never patched": ("", ""),
}


@pytest.mark.parametrize(("first", "late"), PATCHING.values(), ids=PATCHING)
class TestWithGevent:
    """In a child, since patching is for ever."""

    def run(self, first, late, code):
        pytest.importorskip("gevent")
        start = """
import safepatch
from safepatch import decorators
from safepatch.decorators import flights, memoize, ttl_cache
flights.PATIENCE = 1e6
calls = []
"""
        return run_in_child(f"{first}\n{start}\n{code.replace('# late', late)}")

    def test_of_many_greenlets_one_calls(self, first, late):
        code = """
@ttl_cache(ttl=60)
def ask(host):
    calls.append(host)
    gevent.sleep(0)
    return [host]
# late
import gevent
jobs = [gevent.spawn(ask, "host") for _ in range(100)]
gevent.joinall(jobs)
results = [job.value for job in jobs]
print(len(calls), results == [["host"]] * 100, len(set(map(id, results))))
"""
        assert self.run(first, late, code) == ["1", "True", "100"]

    def test_recursion_and_circles_do_not_hang(self, first, late):
        code = """
@memoize
def one():
    calls.append(1)
    gevent.sleep(0)
    return two() if len(calls) < 4 else "end"
@memoize
def two():
    calls.append(2)
    gevent.sleep(0)
    return one() if len(calls) < 4 else "end"
# late
import gevent
jobs = [gevent.spawn(one), gevent.spawn(two), gevent.spawn(one)]
gevent.joinall(jobs)
print(*[job.value for job in jobs], one())
"""
        assert self.run(first, late, code) == ["end"] * 4

    def test_a_killed_greenlet_is_replaced_and_takes_nobody_along(self, first, late):
        code = """
@memoize
def work():
    calls.append(1)
    gevent.sleep(3600 if len(calls) == 1 else 0)
    return "done"
# late
import gevent
jobs = [gevent.spawn(work) for _ in range(4)]
gevent.sleep(0)
jobs[0].kill()
gevent.joinall(jobs)
print(len(calls), *[job.value for job in jobs[1:]])
"""
        assert self.run(first, late, code) == ["2", "done", "done", "done"]

    def test_a_native_thread_wakes_the_greenlets_that_wait_for_it(self, first, late):
        code = """
@memoize
def work():
    calls.append(1)
    started.send()
    release.acquire()
    return "done"
# late
import gevent.event, gevent.monkey
release = gevent.monkey.get_original("_thread", "allocate_lock")()
release.acquire()
started = gevent.get_hub().loop.async_()
ready = gevent.event.Event()
started.start(ready.set)
gevent.monkey.get_original("_thread", "start_new_thread")(work, ())
ready.wait()
jobs = [gevent.spawn(work) for _ in range(5)]
gevent.sleep(0)
release.release()
gevent.joinall(jobs)
print(len(calls), *[job.value for job in jobs])
"""
        assert self.run(first, late, code) == ["1"] + ["done"] * 5

    def test_the_hub_never_waits(self, first, late):
        code = """
@memoize
def work():
    calls.append(1)
    if len(calls) == 1:
        gevent.sleep(0.01)
    return len(calls)
# late
import gevent
found = []
leader = gevent.spawn(work)
gevent.sleep(0)
gevent.get_hub().loop.run_callback(lambda: found.append(work()))
leader.join()
print(found, leader.value)
"""
        assert self.run(first, late, code) == ["[2]", "2"]

    def test_bare_greenlets_do_not_wait_for_each_other(self, first, late):
        """Beside a hub, which bare greenlets do not use, they do so for PATIENCE at most."""
        code = """
@memoize
def work():
    calls.append(1)
    greenlet.getcurrent().parent.switch()
    return "done"
# late
import greenlet, sys
if "gevent" in sys.modules:
    flights.PATIENCE = 0.01
one, two = greenlet.greenlet(work), greenlet.greenlet(work)
one.switch(), two.switch()
print(len(calls), one.switch(), two.switch())
"""
        assert self.run(first, late, code) == ["2", "done", "done"]

    def test_bare_greenlets_are_seen_to_be_of_one_thread_where_there_is_no_hub(self, first, late):
        code = """
@memoize
def work():
    calls.append(1)
    if greenlet.getcurrent().parent:
        greenlet.getcurrent().parent.switch()
    return "done"
# late
import greenlet
from safepatch.decorators import waiting
one = greenlet.greenlet(work)
one.switch()
assert waiting.hub() is None
print(len(calls), work(), one.switch())
"""
        assert self.run(first, late, code) == ["1", "done", "done"]

    def test_calls_are_counted_for_each_thread_not_for_each_greenlet(self, first, late):
        code = """
from safepatch.decorators import count_calls
counted = count_calls(len)
# late
import gevent
gevent.joinall([gevent.spawn(counted, "") for _ in range(100)])
total = dict(zip(counted.stats.__code__.co_freevars, counted.stats.__closure__))["total"]
[entries] = [c.cell_contents for c in total.cell_contents.__closure__]
print(counted.stats().calls, len(entries))  # one of the thread, one of those that ended
"""
        assert self.run(first, late, code) == ["100", "2"]
