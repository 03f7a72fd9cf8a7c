"""What tests leave patched: by us, in any registry, and by others at the targets that are watched.

Where nothing is applied and nothing watched, a test costs a look at an empty list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

import pytest

from safepatch import registry
from safepatch.pytest_plugin.watching import Watched

if TYPE_CHECKING:
    from safepatch import Patch
    from safepatch.registry import Handle


#: The states in which a patch is applied, or will be by itself.
IN_USE = ("applied", "pending")
#: What tests and fixtures raise that pytest counts as skipped, or as expected.
_NO_FAILURES = (pytest.skip.Exception, pytest.xfail.Exception)


class LeakWarning(pytest.PytestWarning):
    """A test left something patched."""


class Leaks:
    """A plugin that follows, from test to test, what is patched and whose it is.

    `diary` has the patches that were applied, or tried, since the last look; the latest, because
    it keeps them alive. `owners` has those that are in use and accounted for, each with the
    fixture of a wider scope that applied it, or None if it was there before the tests, or was told
    of.
    """

    def __init__(self, mode: str, watched: list[str]) -> None:
        self.mode = mode
        self.watched = Watched(watched)
        self.diary: deque[Patch[Any]] = deque(maxlen=32)
        self.owners: dict[Handle, Any] = {}
        self._narrow: set[Any] = set()  # fixtures of function scope; asking each time takes longer
        self.late: list[str] = []  # of fixtures that ended while a test was set up

    def pytest_configure(self) -> None:
        registry.diaries.append(self.diary)

    def pytest_unconfigure(self) -> None:
        registry.diaries[:] = [diary for diary in registry.diaries if diary is not self.diary]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """What was applied before the first test is nobody's leak."""
        self.owners = dict.fromkeys(_in_use(_every_handle()))
        self.diary.clear()
        self.watched.accept()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        if fixturedef in self._narrow:
            return (yield)
        if fixturedef.scope == "function":
            self._narrow.add(fixturedef)
            return (yield)
        self.late += self._left_by_fixtures(fixturedef)
        before, stood = self._in_use(), self.watched.standing()
        try:
            return (yield)
        finally:
            self.take_for_its_own(fixturedef, before)
            self.watched.accept(stood)

    def take_for_its_own(self, fixturedef: Any, before: Sequence[Handle]) -> None:
        """A fixture of a wider scope is the owner of what was not in use before it."""
        if fixturedef.scope != "function":
            for handle in self._in_use():
                if handle not in before:
                    self.owners.setdefault(handle, fixturedef)

    def catch_up(self) -> None:
        """Note what is there already; the diary begins when this begins."""
        self.diary += [part for handle in _every_handle() for part in handle.parts]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        is_failure = self.look_at(item, call)
        report = yield
        if is_failure and hasattr(report, "wasxfail"):
            # pytest expects a test that is marked so to fail when it is torn down, too.
            del report.wasxfail
            report.outcome = "failed"
        return report

    def look_at(self, item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
        """Tell of a phase of a test what there is to tell; whether it fails for a leak."""
        failure = call.excinfo and call.excinfo.value
        if (self.diary or self.owners) and not isinstance(
            failure, (NoneType, pytest.skip.Exception)
        ):
            self._explain(item, call.when, failure)
        if call.when == "teardown" and (
            self.diary or self.owners or self.watched.targets or self.late
        ):
            return self._look(item, call)
        return False

    def _explain(self, item: pytest.Item, when: str, error: BaseException) -> None:
        from safepatch.pytest_plugin import blame

        parts: dict[bool, list[Patch[Any]]] = {True: [], False: [*self.diary]}
        for handle, fixture in self.owners.items():
            parts[fixture is None] += handle.parts
        try:
            text = blame.told(error, parts[False], parts[True])
        except Exception as own:  # the run is to go on, whatever a target's namespace does
            text = f"looking for a patch that did not work failed: {own!r}"
        if text:
            _add_section(item, when, text)

    def _look(self, item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
        """Tell of what the test that just ended left behind, and take it away; whether the test is
        to fail for it."""
        told, self.late = self.late, []
        told += self._left_by_fixtures()
        for handle in self._in_use():
            if handle not in self.owners:
                told.append(f"the test left {_described(handle)}{self._taken_away(handle)}")
                self.owners[handle] = None
        told += self.watched.left(put_back=self.mode == "fail")
        self.owners = {
            handle: fixture for handle, fixture in self.owners.items() if handle.state in IN_USE
        }
        self.diary.clear()
        if not told or self.mode == "off":
            return False
        return self._report(item, call, "\n".join([*told, _ADVICE]))

    def _in_use(self) -> list[Handle]:
        """What was applied since the last look, or waits to be."""
        handles = dict.fromkeys(patch.handle for patch in self.diary)
        if len(self.diary) == self.diary.maxlen:  # there may have been more
            handles |= dict.fromkeys(_every_handle())
        return _in_use(handles)

    def _left_by_fixtures(self, again: Any = None) -> list[str]:
        """What the fixtures that have ended left; `again` is one that is about to begin anew."""
        told = []
        for handle, fixture in list(self.owners.items()):
            ended = fixture is not None and (fixture is again or fixture.cached_result is None)
            if ended and handle.state in IN_USE:
                whose = f"the fixture {fixture.argname!r} of {fixture.scope} scope"
                told.append(f"{whose} left {_described(handle)}{self._taken_away(handle)}")
                self.owners[handle] = None
        return told

    def _taken_away(self, handle: Handle) -> str:
        if self.mode != "fail":
            return ""
        try:
            handle.undo()
        except Exception as error:
            return f", and undoing it failed: {error!r}"
        return "; it is undone now"

    def _report(self, item: pytest.Item, call: pytest.CallInfo[None], text: str) -> bool:
        """Warn, or else have the teardown fail; whether it fails."""
        if self.mode == "warn":
            try:
                item.warn(LeakWarning(text))
                return False
            except LeakWarning:  # warnings are errors here
                pass
        if call.excinfo is not None and not isinstance(call.excinfo.value, _NO_FAILURES):
            _add_section(item, call.when, text)
            return True
        try:
            pytest.fail(text, pytrace=False)
        except pytest.fail.Exception:
            call.excinfo = pytest.ExceptionInfo.from_current()
        return True


def _add_section(item: pytest.Item, when: str, text: str) -> None:
    """To the report of a failure; headed "Captured by safepatch during call"."""
    item.add_report_section(when, "by safepatch during", text)


_ADVICE = (
    "Patch with the fixture 'patches', with the mark 'safepatch' or in a with block, which undo it."
)


def _every_handle() -> list[Handle]:
    return [handle for one in registry.all_registries() for handle in one.handles()]


def _in_use(handles: Iterable[Handle]) -> list[Handle]:
    return [handle for handle in handles if handle.state in IN_USE]


def _described(handle: Handle) -> str:
    targets = ", ".join(part.text for part in handle.parts)
    what = f"the patch {handle.name!r}"
    what += "" if targets == handle.name else f" of {targets}"
    if handle.state == "applied":
        return f"{what} live: applied at {handle.applied_from}, in {handle.registry!r}"
    return f"{what} waiting for an import: declared at {handle.declared_at}, in {handle.registry!r}"
