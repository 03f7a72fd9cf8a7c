"""The pytest plugin: patches for tests, and a look at what tests leave patched.

Loaded by pytest wherever the distribution is installed, so this file imports as little as it can;
`-p no:safepatch` leaves it out. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

import safepatch
from safepatch.pytest_plugin.leaks import Leaks, LeakWarning

__all__ = ["LeakWarning", "class_patches", "module_patches", "patches", "session_patches"]

_MARK = (
    "safepatch(name) or safepatch(target, *decorators, **options): apply a patch that is "
    "registered, configured or offered under that name, or the one described as for "
    "safepatch.patch(), for the test with its fixtures."
)


def _registry(scope: Literal["function", "class", "module", "session"]) -> Callable[[], Any]:
    def patches() -> Iterator[safepatch.Registry]:
        with safepatch.Registry() as own:
            yield own

    owner = "test" if scope == "function" else scope
    patches.__doc__ = f"A safepatch.Registry of the {owner}'s own, undone at its end."
    name = "patches" if scope == "function" else f"{scope}_patches"
    return pytest.fixture(patches, scope=scope, name=name)


patches = _registry("function")
class_patches = _registry("class")
module_patches = _registry("module")
session_patches = _registry("session")


@pytest.fixture(name="_safepatch_marks")
def marks_of_the_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """The patches of the safepatch marks of a test; given to tests that have some."""
    from safepatch.pytest_plugin import marks

    with contextlib.ExitStack() as undo:
        marks.apply(request.node, undo)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("safepatch", "patches (safepatch)")
    group.addoption(
        "--safepatch",
        action="append",
        default=[],
        metavar="NAME",
        help="apply a patch that is registered, configured or offered, for the whole run; "
        "can be given several times",
    )
    group.addoption(
        "--safepatch-leaks",
        choices=["fail", "warn", "off"],
        help="what to do about a test that leaves something patched (default: fail)",
    )
    group.addoption(
        "--safepatch-drift",
        action="store_true",
        help="add a test for each target in safepatch.lock: that it is as it was locked",
    )
    parser.addini("safepatch_names", "patches for the whole run, as --safepatch", "args", [])
    parser.addini("safepatch_leaks", "fail, warn or off, as --safepatch-leaks", default="fail")
    parser.addini(
        "safepatch_watch", "targets that tests must leave as they were, whoever patches", "args", []
    )


@pytest.hookimpl(trylast=True)  # after the conftest files, which may register patches
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK)
    from safepatch.pytest_plugin import runs

    try:
        run = config.stash[_run] = runs.plan(config)
        config.pluginmanager.register(Leaks(run.leaks, run.watched), "safepatch-leaks")
        if runs.runs_tests(config):
            config.add_cleanup(runs.apply(run.names).close)
        else:
            runs.check(run.names)
    except (safepatch.PatchError, safepatch.GuardWarning) as error:  # where warnings are errors
        raise pytest.UsageError(f"safepatch: {error}") from error


_run = pytest.StashKey[Any]()


def pytest_report_header(config: pytest.Config) -> str | None:
    text: str | None = config.stash[_run].header()
    return text


@pytest.hookimpl(tryfirst=True)  # so that -k and --deselect see what is added
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    if session.config.getoption("safepatch_drift"):
        from safepatch.pytest_plugin import drift

        items += drift.tests(session, session.config.stash[_run].lock)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    for item in _marked(session.items):  # by now, also by what a conftest file has added
        from safepatch.pytest_plugin import marks

        marks.request_fixture(item, "_safepatch_marks")


def _marked(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """The tests that have a safepatch mark, themselves or from their class or module."""
    parents: dict[Any, bool] = {None: False}

    def above(node: Any) -> bool:
        if node not in parents:
            parents[node] = has_mark(node) or above(node.parent)
        return parents[node]

    def has_mark(node: Any) -> bool:
        return any(mark.name == "safepatch" for mark in node.own_markers)

    for item in items:
        if (item.own_markers and has_mark(item)) or above(item.parent):
            yield item
