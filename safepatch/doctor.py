"""What keeps patches from working as they were meant to, in the process that asks."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import safepatch
from safepatch import AliasWarning, startup
from safepatch.config import Config, Configured
from safepatch.looks import look


class Finding(NamedTuple):
    """What is wrong with a patch, and what to do.

    `kind` is "too-late", "superseded", "foreign", "guard", "skipped", "failed" or "pending".
    """

    patch: str
    target: str
    kind: str
    message: str
    advice: str


def examine(config: Config, modules: Iterable[str] = ()) -> list[Finding]:
    """Import modules, apply what is configured and not registered yet, and look at all patches.

    Without modules, those of the targets are imported after that, so that all guards are asked.
    Each patch is applied by itself, so that one that fails does not hide the others. Raises
    PatchError if a module cannot be imported or the configuration cannot be registered.
    """
    modules = [*modules]
    enabled = [patch for patch in config.patches.values() if patch.enabled]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for module in modules:
            _import(module)
        added = {*startup.register(enabled)}
        failed = [*_apply(patch for patch in enabled if patch.name in added)]
        broken = {} if modules else _import_those_of(enabled)
    state = safepatch.explain().to_dict()
    unreached = [str(each.message) for each in warned if each.category is AliasWarning]
    found = [each for site in state["sites"] for each in _at_site(site, unreached)]
    live = _partly_live(state["sites"], enabled)
    return failed + found + [*_elsewhere(state["others"], live, broken)]


def _partly_live(sites: Iterable[dict[str, Any]], enabled: Iterable[Configured]) -> set[str]:
    """The names of patches that are applied somewhere, and all targets of configured ones that
    are."""
    ours = [line for site in sites for line in site["lines"] if not line["foreign"]]
    live = {line["name"] for line in ours} | {line["target"] for line in ours}
    return live.union(*(patch.targets for patch in enabled if live & {*patch.targets}))


def _import(module: str) -> None:
    try:
        import_module(module)
    except (Exception, SystemExit) as error:  # whatever its code raises
        raise safepatch.PatchError(
            f"cannot import {module!r}: {type(error).__name__}: {error}; name a module that can "
            "be imported without starting the program",
            module=module,
        ) from error


def _import_those_of(patches: Iterable[Configured]) -> dict[str, str]:
    """Import the modules of targets; what the code of those that are there raised, by target."""
    raised = {}
    for target in {target for patch in patches for target in patch.targets}:
        module = target.partition(":")[0]
        try:
            safepatch.fingerprint(target)
        except SystemExit as error:
            raised[target] = f"importing {module!r} ended with {error!r}"
        except Exception as error:
            if not _is_missing(module, error.__cause__):
                raised[target] = str(error)
    return raised


def _is_missing(module: str, error: BaseException | None) -> bool:
    """Whether it says that a module or a package of it is not there, rather than one they need."""
    return isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")


def _apply(patches: Iterable[Configured]) -> Iterator[Finding]:
    for patch in patches:
        try:
            safepatch.apply(patch.name)
        except Exception as error:  # a guard's no, or what a decorator raises
            text = str(error) if isinstance(error, safepatch.PatchError) else repr(error)
            advice = "apply_all() raises this and applies nothing; change the patch, or disable it"
            yield Finding(patch.name, ", ".join(patch.targets), "failed", text, advice)


def _at_site(site: dict[str, Any], unreached: list[str]) -> Iterator[Finding]:
    """What is wrong with the patches at a place where some are applied; of the names elsewhere
    that lead to the original, only those that were warned of, for some are left on purpose."""
    ours = [line for line in site["lines"] if not line["foreign"]]
    names = ", ".join(dict.fromkeys(line["name"] for line in ours))
    held = [name for name in site["aliases"] if any(name in text for text in unreached)]
    if _is_of_gevent(site["target"]):  # its own modules hold what it put there, and are to
        held = [name for name in held if name.partition(":")[0].partition(".")[0] != "gevent"]
    for line in ours:
        for guard in line["guards"]:
            if guard["reason"] is not None:
                yield _guard(line, guard["reason"])
    if held:
        yield _too_late(names, site["target"], held)
    yield from _foreign(names, site)


def _guard(line: dict[str, Any], reason: str) -> Finding:
    message = f"it is applied although {reason}"
    return Finding(line["name"], line["target"], "guard", message, _look_at(line["target"]))


def _look_at(target: str) -> str:
    return f"look at what changed (`safepatch diff {target}`), then change the patch or its guard"


def _too_late(names: str, target: str, held: list[str]) -> Finding:
    return Finding(
        names,
        target,
        "too-late",
        "it was applied after others had taken the original by name, and does not reach "
        + ", ".join(held),
        "apply it before they are imported (`safepatch run` does), patch "
        f'{held[0]!r} as well, or say aliases = "rebind"',
    )


def _foreign(names: str, site: dict[str, Any]) -> Iterator[Finding]:
    """Wrappers of other tools: those over our patches, and those below that its source does not
    have as decorators."""
    lines = site["lines"]
    last = max(number for number, line in enumerate(lines) if not line["foreign"])
    over = [line for line in lines[:last] if line["foreign"]]
    below = lines[last + 1 :]
    below = below[: len(below) - _decorators(site["target"])]
    for line, where in [*((line, "over") for line in over), *((line, "below") for line in below)]:
        yield Finding(
            names,
            site["target"],
            "foreign",
            f"{line['decorator']} ({line['where']}) is {where} it, and not by safepatch",
            "see that both do not do the same, such as retrying, and switch one off if they do",
        )


#: Decorators after which there is no wrapper in the chain.
_NO_WRAPPERS = {"property", "staticmethod", "classmethod", "abstractmethod", "overload", "final"}


def _decorators(target: str) -> int:
    """How many decorators a function has in its source that leave a wrapper."""
    try:
        [function] = ast.parse(look(target).source or "").body
    except (safepatch.PatchError, SyntaxError, ValueError):
        return 0
    listed = getattr(function, "decorator_list", [])
    return sum(ast.unparse(each).rpartition(".")[2] not in _NO_WRAPPERS for each in listed)


def _elsewhere(
    others: Iterable[dict[str, Any]], live: set[str], broken: Mapping[str, str]
) -> Iterator[Finding]:
    """What is wrong with the patches that stand nowhere. Those that have live parts may have others
    that wait for ever, for packages that are not installed or not used. `broken` is what importing
    the modules of targets raised."""
    for patch in others:
        name, target, reason = patch["name"], patch["target"], patch["reason"]
        if patch["superseded"]:
            yield _superseded(name, target)
        elif patch["state"] == "skipped" and "SAFEPATCH_DISABLE" in reason:
            advice = "take it out of SAFEPATCH_DISABLE when it is to work again"
            yield Finding(name, target, "skipped", reason, advice)
        elif patch["state"] == "skipped":
            yield Finding(name, target, "skipped", reason, _look_at(target))
        elif patch["state"] == "failed":
            yield Finding(name, target, "failed", reason, "change the patch, or disable it")
        elif patch["state"] == "pending" and not live & {name, target}:
            yield _pending(name, target, broken.get(target))


def _is_of_gevent(target: str) -> bool:
    """Whether gevent has put something of its own there, first or over a patch."""
    module, _, path = target.partition(":")
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_object_patched(module, path)


def _superseded(name: str, target: str) -> Finding:
    if _is_of_gevent(target):
        return Finding(
            name,
            target,
            "superseded",
            "gevent replaced the function after it was patched",
            "call gevent.monkey.patch_all() first, before the patches are applied",
        )
    return Finding(
        name,
        target,
        "superseded",
        "somebody put another object there after it was patched",
        f"find out who (`print(safepatch.explain({target!r}))` in the program shows what is there "
        "now), and apply the patch after that; apply() puts it on top again",
    )


def _pending(name: str, target: str, error: str | None) -> Finding:
    module = target.partition(":")[0]
    if error is not None:
        advice = "see why it cannot be imported here; the patch waits until it can"
        return Finding(name, target, "failed", error, advice)
    if _is_there(module):
        message = f"it waits for {module!r}, which nothing has imported"
        advice = "name what imports it with -m; if nothing does, the patch has no use here"
    else:
        message = f"it waits for {module!r}, and there is no such module"
        advice = "check the spelling, and that the package is installed"
    return Finding(name, target, "pending", message, advice)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # of a package that it would be in
        return False
    except (Exception, SystemExit):  # so does the code of such a package
        return True
