"""The pytest plugin: patches for tests, and a look at what tests leave patched.

Loaded by pytest wherever the distribution is installed; `-p no:safepatch` leaves it out. pytest's
loader takes long over each file of it. So this one is installed beside the package, and imports it
when somebody asks for something. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from safepatch import Registry
    from safepatch.pytest_plugin.leaks import Leaks

_CORE = "safepatch.registry"  # where nobody has imported it, nothing is patched

_MARK = (
    "safepatch(name) or safepatch(target, *decorators, **options): apply a patch that is "
    "registered, configured or offered under that name, or the one described as for "
    "safepatch.patch(), for the test with its fixtures."
)


def _registry(scope: Literal["function", "class", "module", "session"]) -> Callable[[], Any]:
    def patches() -> Iterator[Registry]:
        import safepatch

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
    configured = _may_be_configured()
    if _CORE in sys.modules or configured or _is_asked_for_more(config):
        from safepatch.pytest_plugin import runs

        config.stash[_run] = runs.begin(config, configured)
    else:
        config.pluginmanager.register(Waiting(config), "safepatch-leaks")


_run = pytest.StashKey[Any]()


def _is_asked_for_more(config: pytest.Config) -> bool:
    """Whether an option or setting of ours says something."""
    asked = config.option
    return bool(
        asked.safepatch
        or asked.safepatch_drift
        or asked.safepatch_leaks
        or config.getini("safepatch_names")
        or config.getini("safepatch_watch")
        or config.getini("safepatch_leaks") != "fail"
    )


def _may_be_configured() -> bool:
    """Whether `config.find` may find something; most runs need not import it, and a parser."""
    here = Path.cwd()
    return "SAFEPATCH_CONFIG" in os.environ or any(
        (folder / "safepatch.toml").is_file() or _mentions_us(folder / "pyproject.toml")
        for folder in (here, *here.parents)
    )


def _mentions_us(file: Path) -> bool:
    try:
        return b"safepatch" in file.read_bytes()
    except OSError:
        return False


class Waiting:
    """Stands in for `leaks.Leaks` until somebody imports safepatch."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.leaks: Leaks | None = None

    def begin(self) -> Leaks:
        if self.leaks is None:
            from safepatch.pytest_plugin.leaks import Leaks

            self.leaks = Leaks("fail", [])
            self.config.pluginmanager.unregister(self)
            self.config.pluginmanager.register(self.leaks, "safepatch-leaks")
            self.leaks.catch_up()
        return self.leaks

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        if _CORE in sys.modules:
            self.begin().pytest_runtestloop()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        try:
            return (yield)
        finally:
            if _CORE in sys.modules:
                self.begin().take_for_its_own(fixturedef, ())

    @pytest.hookimpl(tryfirst=True)  # a wrapper, as theirs is, would double what the plugin costs
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if _CORE in sys.modules:
            self.begin().look_at(item, call)


def pytest_report_header(config: pytest.Config) -> str | None:
    run = config.stash.get(_run, None)
    text: str | None = run.header() if run is not None else None
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
