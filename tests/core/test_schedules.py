"""The scheduler that other tests rely on: it finds what there is to find, and can repeat it."""

import types

import pytest
from schedules import GRAINS, Lock, UnfinishedError, explore, exploring, replay, wait_until


def counting(step, lock=None):
    """A program of two threads that count together."""

    def run():
        counter = types.SimpleNamespace(number=0, lock=lock or Lock())
        yield [lambda: step(counter), lambda: step(counter)]
        assert counter.number == 2

    return run


def in_two_lines(counter):
    number = counter.number
    counter.number = number + 1


def in_one_line(counter):
    counter.number += 1


def under_lock(counter):
    with counter.lock:
        number = counter.number
        counter.number = number + 1


@pytest.mark.parametrize(
    ("step", "grain"),
    [(in_two_lines, grain) for grain in GRAINS] + [(in_one_line, grain) for grain in GRAINS[1:]],
)
def test_a_lost_update_is_found_with_one_preemption(step, grain):
    explore(counting(step), 0, grain=grain, files=[__file__])

    with pytest.raises(AssertionError):
        explore(counting(step), 1, grain=grain, files=[__file__])


@pytest.mark.parametrize("grain", GRAINS)
def test_under_a_lock_no_update_is_lost(grain):
    explorer = explore(counting(under_lock), 2, grain=grain, files=[__file__])

    assert explorer.left == 0
    assert explorer.counts[0] == 2
    assert explorer.counts[2] > explorer.counts[1] > 2


def test_all_schedules_are_run_and_each_once():
    """Of two threads with two steps each there are six orders; a step here is a line."""
    orders = []

    def run():
        order = []

        def step(mark):
            order.append(mark)
            order.append(mark)

        yield [lambda: step("a"), lambda: step("b")]
        orders.append("".join(order))

    explorer = explore(run, 3, files=[__file__])

    assert set(orders) == {"aabb", "abab", "abba", "baab", "baba", "bbaa"}
    assert len(orders) == sum(explorer.counts) + 2  # two that come before, to warm up


def test_a_failure_tells_its_schedule_which_repeats_it():
    with pytest.raises(AssertionError) as raised:
        explore(counting(in_two_lines), files=[__file__])
    note = raised.value.__notes__[0]
    schedule = eval(note[len("schedule ") : note.index("}") + 1])

    with pytest.raises(AssertionError) as repeated:
        replay(counting(in_two_lines), schedule, files=[__file__])

    assert "stops before test_schedules.py:" in note
    assert "`counter.number = number + 1`; 1 goes on" in note
    assert repeated.value.__notes__ == [note]


def test_threads_that_wait_for_each_other_are_found():
    def run():
        first, second = Lock(), Lock()

        def take(one, other):
            one.acquire()
            other.acquire()
            other.release()
            one.release()

        yield [lambda: take(first, second), lambda: take(second, first)]

    with pytest.raises(UnfinishedError, match="0 and 1 wait for each other"):
        explore(run, files=[__file__])


def test_a_thread_that_never_ends_is_found():
    def run():
        def turn():
            while forever:
                pass

        forever = [True]
        yield [turn, turn]

    with pytest.raises(UnfinishedError, match="round and round"):
        explore(run, 0, files=[__file__])


def test_a_thread_that_waits_is_not_chosen_until_it_can_go_on():
    order = []

    def run():
        order.clear()

        def late():
            wait_until(lambda: "early" in order)
            order.append("late")

        yield [late, lambda: order.append("early")]
        assert order == ["early", "late"]

    assert explore(run, 2, files=[__file__]).counts[0] >= 2


@pytest.mark.parametrize("grain", GRAINS)
def test_schedules_chosen_at_random_find_it_too(grain):
    with (
        exploring(counting(in_two_lines), grain, {__file__}) as explorer,
        pytest.raises(AssertionError),
    ):
        explorer.wander(end=float("inf"))
