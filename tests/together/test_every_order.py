"""Tools that patch one place come in every order and go in every order."""

import itertools

import pytest
from places import OF_PYTHON, in_requests, in_urllib3
from plays import cases, in_good_order, names
from tools import (
    DDTRACE_REQUESTS,
    DDTRACE_URLLIB3,
    IN_PLACE,
    LIKE_DDTRACE,
    LIKE_OTEL,
    MOCK,
    MONKEYPATCH,
    NOBODY,
    OTEL_REQUESTS,
    OTEL_URLLIB3,
    OURS,
    SPY,
    SWITCHED,
)
from victims import VICTIMS

# Kinds of target, with the tools that can patch them and, by themselves, leave them as they were.
ALL = [MOCK, MONKEYPATCH, LIKE_DDTRACE, LIKE_OTEL]
PLACES = {
    "function": (VICTIMS["function"], ALL),
    "method": (VICTIMS["method"], ALL),
    "requests": (in_requests, [DDTRACE_REQUESTS, OTEL_REQUESTS, SPY, MONKEYPATCH]),
    "urllib3": (in_urllib3, [DDTRACE_URLLIB3, OTEL_URLLIB3, SPY, MONKEYPATCH]),
}
MORE = {
    "function in an instance": ALL,
    "builtin in a module": ALL,
    "callable object": ALL,
    "static": [MOCK, MONKEYPATCH],
    "klass": [MOCK, MONKEYPATCH],
    "coroutine function": [MONKEYPATCH],
    "generator function": [MONKEYPATCH],
    "inherited method": [MOCK, MONKEYPATCH],
    "inherited static": [MOCK, MONKEYPATCH],
    "inherited klass": [MOCK, MONKEYPATCH],
    "instance method": [MOCK],
    "lru_cache in a module": [MOCK, MONKEYPATCH],
    "cached": [MOCK],
    "partial_method": [MOCK],
    "method of a C type": [MOCK],
    "classmethod of a C type": [MOCK],
    "special method of a C type": [MOCK],
    "metaclass method": [MOCK],
    "wrapt_method": [MOCK],
    "time.sleep": [MOCK, MONKEYPATCH],
    "socket.getaddrinfo": [MOCK, MONKEYPATCH],
    "socket.gethostbyname": [MOCK, MONKEYPATCH],
    "socket.socket.sendall": [MOCK, MONKEYPATCH],
}
OWN_CODE = {"static", "klass", "coroutine function", "generator function", "socket.getaddrinfo"}


def around(others):
    """Ours above, below, and around another."""
    for one in others:
        yield from [(one, OURS), (OURS, one), (OURS, one, OURS)]


def around_two(others):
    for one, two in itertools.permutations(others, 2):
        yield from [(one, two, OURS), (one, OURS, two), (OURS, one, two), (OURS, one, OURS, two)]


def in_place(others):
    """One of ours that changes the function itself, beside one that stands at its name."""
    for one in others:
        yield from [(IN_PLACE, one), (one, IN_PLACE), (OURS, one, IN_PLACE), (IN_PLACE, one, OURS)]


def everything():
    for kind, (make, others) in PLACES.items():
        yield from cases_at(kind, make, [*around(others), *around_two(others), *in_place(others)])
    for kind, others in MORE.items():
        lineups = [*around(others), *(in_place(others) if kind in OWN_CODE else ())]
        yield from cases_at(kind, (VICTIMS | OF_PYTHON)[kind], lineups)


def cases_at(kind, make, lineups):
    for case in cases(lineups):
        yield pytest.param(make, *case.values, id=f"{kind}: {case.id}")


def some(which):
    return pytest.mark.parametrize(("make", "lineup", "order"), [*filter(which, EVERYTHING)])


EVERYTHING = [*everything()]
every_order = some(lambda case: True)
good_orders = some(lambda case: in_good_order(*case.values[1:]))
# Fewer, for what costs more and would not be seen better by four.
up_to_three = some(lambda case: len(case.values[1]) <= 3)
bad_orders = some(
    lambda case: (
        case.values[0] in [make for make, _ in PLACES.values()]
        and len(case.values[1]) <= 3
        and IN_PLACE not in case.values[1]
        and not in_good_order(*case.values[1:])
    )
)
# A case of each, going in the order in which they came.
every_lineup = some(lambda case: [*case.values[2]] == sorted(case.values[2]))


def install(at, lineup):
    for tool, mark in zip(lineup, names(lineup), strict=True):
        at.install(tool, mark)


@every_order
def test_a_call_meets_those_whose_tools_left_them_there(play, make, lineup, order):
    """What each tool's own word comes to is what happens, whoever else is there."""
    at = play(make)
    for tool, mark in zip(lineup, names(lineup), strict=True):
        at.install(tool, mark)
        assert at.expected() == at.call()
    for number in order:
        at.undo(number)

        assert at.expected() == at.call()
        assert at.superseded() == at.said_to_be_superseded()

    at.look()
    if at.chain.standing is at.chain.original:
        assert at.before == at.spaces()


@good_orders
def test_where_the_others_go_last_first_ours_may_go_at_any_time(play, make, lineup, order):
    """If no other tool goes from under what is live, a call meets all who are there, and nobody
    else; in the end the place is as it was."""
    at = play(make)
    install(at, lineup)
    for number in order:
        at.undo(number)

        assert at.ideal() == at.call()

    at.look()
    assert at.before == at.spaces()


@bad_orders
def test_what_others_take_away_or_leave_is_so_without_us(play, make, lineup, order):
    """Each loss is met in the same order, too, by a wrapper of wrapt's in our place that never
    touches the place again, or by the others alone."""
    ours, wrapts, nobodys = (
        losses(play(make), [instead if tool is OURS else tool for tool in lineup], order)
        for instead in (OURS, SWITCHED, NOBODY)
    )

    for loss, with_wrapt, with_nobody in zip(ours, wrapts, nobodys, strict=True):
        assert loss <= with_wrapt | with_nobody


def losses(at, lineup, order):
    """After each step, who is not heard though he is live, and who is though he is not."""
    install(at, lineup)
    there = {part.mark for part in at.parts if part.tool is not NOBODY}
    found = []
    for number in order:
        at.undo(number)
        found.append((set(at.ideal()) ^ set(at.call())) & there)
    at.clear()
    return found


@up_to_three
def test_our_patch_can_be_put_on_top_again_wherever_it_is_lost(play, make, lineup, order):
    at = play(make)
    install(at, lineup)
    for number in order:
        at.undo(number)
        for again in at.superseded():
            at.apply_again(again)

            assert at.expected() == at.call()
        assert at.said_to_be_superseded() == []


@every_lineup
def test_explain_names_those_who_are_there_outermost_first(play, make, lineup, order):
    at = play(make)
    install(at, lineup)

    site = at.look()

    said = [line.get("name") or line["decorator"] for line in site["lines"]]
    said += [site["original"]["where"]]
    for expected, line in zip(at.chain.standing.told(), said, strict=False):
        assert expected in line
    assert len(said) >= len(at.chain.standing.told())
