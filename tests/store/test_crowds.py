"""Greenlets that wait for the same thing, and let each other go on."""

import textwrap
from importlib.util import find_spec

import pytest
from children import child

pytestmark = pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")

BEGIN = """
import gevent
from gevent.event import Event
from greenlet import GreenletExit, getcurrent, greenlet, settrace
from safepatch.store.threads import Crowd

hub = gevent.get_hub()
first, second, told = Crowd(hub), Crowd(hub), []

def one(name, meanwhile=lambda: None):
    first.wait(9)
    told.append(name)
    meanwhile()
    second.wait(9)
    told.append(name.upper())

def spawned(**meanwhile):
    found = [gevent.spawn(one, name, *more) for name, more in meanwhile.items()]
    gevent.sleep(0)
    return found

def wake(*all):
    first.wake()
    gevent.sleep(0.01)
    second.wake()
    gevent.joinall(all, timeout=5)
"""


def run(source):
    return child(BEGIN + textwrap.dedent(source))


def test_they_go_on_in_the_order_in_which_they_came_and_ask_the_loop_once():
    printed = run(
        """
        all = spawned(a=(), b=(), c=(), d=())
        into = []
        settrace(lambda event, between: into.append(between[1] is hub))
        hub.loop.run_callback(first.wake)
        gevent.sleep(0)
        settrace(None)
        print(told, into.count(True))
        second.wake()
        gevent.joinall(all)
        print(told[4:])
        """
    )

    # The loop is asked by this one, that sleeps, and by the last of them.
    assert printed.splitlines() == ["['a', 'b', 'c', 'd'] 2", "['A', 'B', 'C', 'D']"]


def test_one_that_ends_when_it_would_be_its_turn_is_passed_over():
    printed = run(
        """
        def end():
            hub.loop.run_callback(getcurrent().switch)
            b.throw(GreenletExit)  # whose end leads to the hub
        a, c, b = spawned(a=[end], c=(), b=())
        wake(a, b, c)
        print(told, b.dead)
        """
    )

    assert printed.splitlines() == ["['a', 'c', 'C', 'A'] True"]


def test_one_that_ends_while_it_waits_is_passed_over():
    printed = run(
        """
        a, b = spawned(a=(), b=())
        a.kill()
        wake(a, b)
        print(told)
        """
    )

    assert printed == "['b', 'B']"


def test_one_that_waits_for_something_else_holds_up_nobody():
    printed = run(
        """
        ready = Event()
        all = spawned(a=[ready.wait], b=(), c=())
        first.wake()
        gevent.sleep(0.01)
        print(told)
        ready.set()
        gevent.sleep(0)
        second.wake()
        gevent.joinall(all)
        print(told[3:])
        """
    )

    assert printed.splitlines() == ["['a', 'b', 'c']", "['B', 'C', 'A']"]


def test_what_a_bare_greenlet_raises_is_told_to_the_loop_and_holds_up_nobody():
    printed = run(
        """
        hub.handle_error = lambda whose, kind, error, at: told.append((whose is first, repr(error)))
        def bare():
            first.wait(9)
            raise LookupError(7)
        a, = spawned(a=())
        hub.loop.run_callback(greenlet(bare, parent=hub).switch)
        gevent.sleep(0)
        b, = spawned(b=())
        wake(a, b)
        print(told)
        """
    )

    assert printed == "['a', (True, 'LookupError(7)'), 'b', 'A', 'B']"


@pytest.mark.parametrize("when", ["before they are woken", "when it would soon be its turn"])
def test_one_that_somebody_has_made_go_on_is_not_disturbed_later(when):
    printed = run(
        f"""
        ready = Event()
        def go_on():
            hub.loop.run_callback(getcurrent().switch)
            b.switch()
        soon = "{when}" == "when it would soon be its turn"
        a, c, b = spawned(a=[go_on] if soon else (), c=(), b=[ready.wait])
        if not soon:
            hub.loop.run_callback(b.switch)
            gevent.sleep(0)
        first.wake()
        gevent.sleep(0.01)
        print(sorted(told), b.dead)
        ready.set()
        gevent.sleep(0)
        second.wake()
        gevent.joinall([a, b, c])
        print(sorted(told[3:]))
        """
    )

    assert printed.splitlines() == ["['a', 'b', 'c'] False", "['A', 'B', 'C']"]


@pytest.mark.parametrize("call", ["stop", "close"])
def test_an_interrupt_of_who_wakes_them_leaves_nobody_waiting(call):
    printed = run(
        f"""
        hub.exception_stream = None
        hub.handle_system_error = lambda *error: told.append("interrupted")
        class Interrupted:
            def __init__(self, watcher):
                self.watcher = watcher
            def __getattr__(self, name):
                if name == "{call}" and "interrupted" not in told:
                    raise KeyboardInterrupt
                return getattr(self.watcher, name)
        first._watcher = Interrupted(first._watcher)
        all = spawned(a=(), b=())
        wake(*all)
        print(*told)
        """
    )

    assert printed == "interrupted a b A B"


def test_one_that_is_interrupted_as_its_time_is_up_is_gone():
    printed = run(
        """
        import sys
        def look(frame, event, called):
            if frame.f_code.co_name == "wait" and event == "c_return" and called.__name__ == "pop":
                sys.setprofile(None)
                raise KeyboardInterrupt
        def one_that_is_interrupted():
            sys.setprofile(look)
            try:
                with gevent.Timeout(0.01):
                    first.wait(9)
            except BaseException as error:
                told.append(repr(error))
        ended = gevent.spawn(one_that_is_interrupted)
        gevent.sleep(0.05)
        a, = spawned(a=())
        wake(a, ended)
        print(told)
        """
    )

    assert printed == "['KeyboardInterrupt()', 'a', 'A']"


def test_one_that_comes_while_a_signal_has_them_woken_does_not_wait():
    printed = run(
        """
        from safepatch.store import threads
        def current_with_a_signal():
            threads.current = getcurrent
            hub.loop.run_callback(first.wake)
            gevent.sleep(0)
            return getcurrent()
        threads.current = current_with_a_signal
        a, = spawned(a=())
        gevent.sleep(0.01)
        second.wake()
        a.join(timeout=5)
        print(told)
        """
    )

    assert printed == "['a', 'A']"
