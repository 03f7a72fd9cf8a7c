"""ddtrace wraps some functions (of asyncio, Django, ...) by exchanging their code, as we do in
place."""

import itertools
import sys
import types

import pytest
from ddtrace.internal.wrapping import unwrap, wrap
from helpers import noting, spaces

import safepatch


def patch_by_name(module, log, mark):
    return safepatch.apply((module, "price"), noting(log, mark), aliases="ignore").undo


def patch_in_place(module, log, mark):
    return safepatch.apply(module.original, noting(log, mark)).undo


def exchange(module, log, mark):
    """Have ddtrace wrap the function that it finds."""

    def wrapper(wrapped, args, kwargs):
        log.append(mark)
        return wrapped(*args, **kwargs)

    function = module.price
    wrap(function, wrapper)
    return lambda: unwrap(function, wrapper)


TOOLS = {"by-name": patch_by_name, "in-place": patch_in_place, "ddtrace": exchange}
LINEUPS = [
    *itertools.permutations(["by-name", "ddtrace"]),
    ["in-place", "ddtrace"],
    ["by-name-1", "ddtrace", "by-name-2"],
    ["ddtrace-1", "by-name", "ddtrace-2"],
    ["in-place", "ddtrace", "by-name"],
]


@pytest.fixture
def module():
    made = types.ModuleType("shop")
    sys.modules["shop"] = made
    exec("def price(amount, rate=2):\n    return amount * rate\n", vars(made))
    made.original = made.price
    yield made
    del sys.modules["shop"]


def everything(module):
    function = module.original
    return spaces(module, function), function.__code__, module.price


def install(module, log, lineup):
    return {
        name: next(tool for kind, tool in TOOLS.items() if name.startswith(kind))(module, log, name)
        for name in lineup
    }


@pytest.mark.parametrize(
    ("lineup", "order"),
    [
        pytest.param(lineup, order, id=f"{' '.join(lineup)}, undone {' '.join(order)}")
        for lineup in LINEUPS
        for order in itertools.permutations(lineup)
    ],
)
def test_all_who_are_there_are_called_and_nobody_else_in_every_order(module, lineup, order):
    log, before = [], everything(module)
    undos = install(module, log, lineup)
    live = [*reversed(lineup)]
    for name in order:
        undos[name]()
        live.remove(name)

        log.clear()
        assert module.price(3) == 6
        assert live == log

    safepatch.explain((module, "price"))
    assert before == everything(module)


def test_ddtrace_does_not_find_its_wrapper_under_a_patch_in_place(module):
    """It looks for its wrapper in the code that is there. It goes when ours has gone first."""
    log, before = [], everything(module)
    undos = install(module, log, ["ddtrace", "in-place"])

    undos["ddtrace"]()

    module.price(3)
    assert log == ["in-place", "ddtrace"]
    undos["in-place"]()
    undos["ddtrace"]()
    assert before == everything(module)


def test_explain_tells_of_code_that_is_not_ours(module):
    undos = install(module, [], ["by-name-1", "ddtrace", "by-name-2"])

    (site,) = safepatch.explain((module, "price")).to_dict()["sites"]

    assert [line["foreign"] for line in site["lines"]] == [False, True, False]
    for undo in undos.values():
        undo()
    safepatch.explain((module, "price"))
