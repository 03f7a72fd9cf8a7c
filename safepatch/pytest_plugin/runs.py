"""What holds for a whole run: the patches that are applied, and the targets that are watched."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import safepatch
from safepatch import registry
from safepatch.pytest_plugin.leaks import IN_USE, Leaks

if TYPE_CHECKING:
    from safepatch.config import Config
    from safepatch.lock import Lock
    from safepatch.registry import Handle


class Run(NamedTuple):
    """What was asked for; `lock` is there with --safepatch-drift."""

    names: list[str]
    leaks: str
    watched: list[str]
    lock: Lock | None

    def header(self) -> str | None:
        """One line, or None where there is nothing to tell."""
        told = [f"live in this run: {', '.join(self.names)}"] if self.names else []
        if self.watched:
            told.append(f"watched: {', '.join(self.watched)}")
        return f"safepatch: {'; '.join(told)}" if told else None


def begin(config: pytest.Config, may_be_configured: bool) -> Run:
    """Follow what is patched, and apply what is asked for; raises UsageError."""
    try:
        run = plan(config, may_be_configured)
        config.pluginmanager.register(Leaks(run.leaks, run.watched), "safepatch-leaks")
        if runs_tests(config):
            config.add_cleanup(apply(run.names).close)
        else:
            check(run.names)
    except (safepatch.PatchError, safepatch.GuardWarning) as error:  # where warnings are errors
        raise pytest.UsageError(f"safepatch: {error}") from error
    return run


def plan(config: pytest.Config, may_be_configured: bool) -> Run:
    """Read the options and what is configured; raises PatchError or UsageError."""
    names = list(dict.fromkeys([*config.getini("safepatch_names"), *config.option.safepatch]))
    leaks = config.option.safepatch_leaks or config.getini("safepatch_leaks")
    if leaks not in ("fail", "warn", "off"):
        raise pytest.UsageError(f"safepatch_leaks = {leaks!r} is unknown; use fail, warn or off")
    for target in config.getini("safepatch_watch"):
        if is_name(target) or ":" not in target:
            raise pytest.UsageError(
                f"safepatch_watch has {target!r}, which is no target; "
                "write 'package.module:function'"
            )
    configured = _configured() if may_be_configured else None
    watched = [*config.getini("safepatch_watch"), *_targets(configured)] if leaks != "off" else []
    lock = None
    if config.option.safepatch_drift:
        from safepatch.pytest_plugin import drift

        lock = drift.read(configured)
    return Run(names, leaks, list(dict.fromkeys(watched)), lock)


def apply(names: list[str]) -> contextlib.ExitStack:
    """Apply all or none, and give what undoes them; raises PatchError."""
    with contextlib.ExitStack() as undo:
        for name in names:
            handle = switch_on(name)
            if handle is not None:
                undo.callback(handle.undo)
        return undo.pop_all()


def check(names: list[str]) -> None:
    """Raise TargetError for a name that is not known; apply nothing, and import no target."""
    for name in names:
        safepatch.explain(name)


def _configured() -> Config | None:
    from safepatch import config

    path = config.find()
    return None if path is None else config.load(path)


def _targets(configured: Config | None) -> list[str]:
    patches = configured.patches.values() if configured is not None else ()
    return [
        target for patch in patches if patch.enabled for target in patch.targets if ":" in target
    ]


def runs_tests(config: pytest.Config) -> bool:
    """Whether tests run in this process, rather than in the workers of pytest-xdist."""
    return hasattr(config, "workerinput") or config.getoption("dist", "no") == "no"


def is_name(target: Any) -> bool:
    return isinstance(target, str) and ":" not in target and "." not in target


def switch_on(name: str) -> Handle | None:
    """Apply a patch by its name in the default registry; None if it was applied before.

    Raises TargetError, with the nearest name, where nothing is registered, configured or offered
    under it.
    """
    before = [handle for handle in registry.default.handles() if handle.state in IN_USE]
    if any(handle.name == name for handle in before):
        return None
    with warnings.catch_warnings():
        # As inside `with`: a test that fails for that is told so then.
        warnings.simplefilter("ignore", safepatch.AliasWarning)
        return safepatch.apply(name)
