"""`--safepatch-drift`: a test for each locked target, that it is as it was locked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from safepatch import lock

if TYPE_CHECKING:
    from safepatch.config import Config


class DriftError(Exception):
    """A target is not as it was locked."""


class Targets(pytest.Collector):
    """The parent of these tests, which are in no file."""

    def collect(self) -> list[pytest.Item]:
        return []


class Target(pytest.Item):
    """One locked target."""

    locked: lock.Lock
    _parallel_custom_item = True  # lets pytest-run-parallel run it in one thread without a warning

    def runtest(self) -> None:
        found = [drift for drift in lock.drift(self.locked) if not drift.note]
        if found:
            raise DriftError("\n".join(f"{drift.target}: {drift.message}" for drift in found))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, DriftError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        return str(self.locked.file), None, self.name


def read(configured: Config | None) -> lock.Lock:
    """Read the lock file beside the configuration, or else in the current directory."""
    from safepatch.config import Config

    return lock.read(lock.beside(configured or Config(None, {})))


def tests(session: pytest.Session, locked: lock.Lock) -> list[pytest.Item]:
    parent = Targets.from_parent(session, name="safepatch", nodeid="safepatch")
    made: list[pytest.Item] = []
    for target, kept in locked.targets.items():
        name = f"drift[{target}]"
        # Else pytest takes the brackets for a part of the name, which --lf does not find again.
        item = Target.from_parent(parent, name=name, nodeid=f"safepatch::{name}")
        item.locked = lock.Lock({target: kept}, locked.file)
        made.append(item)
    return made
