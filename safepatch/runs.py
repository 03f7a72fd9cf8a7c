"""What a run patches: settled by the runner, and read by every Python process of the run."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from safepatch import config, groups, offers, startup
from safepatch.config import Configured
from safepatch.errors import ConfigError, nearest
from safepatch.registry import Registry

#: In the environment of a run.
VARIABLE = "SAFEPATCH_RUN"


class Run(NamedTuple):
    """What the processes of a run are told.

    `config` is a file, `names` are of patches that are configured or offered, `patches` are
    expressions; with neither of the two last, all that is configured is meant. `path` are the
    directories where decorators are looked for, besides those where Python does. `spool` is the
    directory where figures for a report are kept, if one is wanted.
    """

    config: str | None = None
    names: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    spool: str | None = None
    strict: bool = False


def write(run: Run) -> str:
    return json.dumps(run._asdict())


def read(text: str) -> Run:
    """What `write` wrote, in this version of safepatch or another, whose other fields are left."""
    told = json.loads(text)
    lists = {name: tuple(told.get(name) or ()) for name in ("names", "patches", "path")}
    return Run(
        told.get("config"), **lists, spool=told.get("spool"), strict=bool(told.get("strict"))
    )


def selected(run: Run) -> list[Configured]:
    """The patches of a run. Raises ConfigError for what cannot be read, and for unknown names."""
    configured = config.load(run.config).patches if run.config else {}
    if not run.names and not run.patches:
        return [one for one in configured.values() if one.enabled]
    named = [_named(name, configured) for name in dict.fromkeys(run.names)]
    return named + [config.from_expression(text) for text in dict.fromkeys(run.patches)]


def _named(name: str, configured: dict[str, Configured]) -> Configured:
    """A patch that is configured, enabled or not, or offered by a package."""
    if name in configured:
        return configured[name]._replace(enabled=True)
    offered = offers.names()
    if name in offered:
        return Configured(name, (), lambda: offers.load(name), origin="offered by a package")
    hint, _ = nearest(
        name, name, [*configured, *sorted(offered)], "nothing is configured, and nothing offered"
    )
    raise ConfigError(f"no patch {name!r} is configured, or offered by a package; {hint}", key=name)


def apply(
    run: Run, registry: Registry, prepare: Callable[[list[Any]], None] = lambda handles: None
) -> None:
    """Register and apply the patches of a run, all or none; `prepare` gets the handles between.

    Raises what is raised by `safepatch.apply_all`, and has then changed nothing.
    """
    with _found_from(run.path):
        added = startup.register(selected(run), registry)
        try:
            handles = [handle for name in added if (handle := registry.named(name)) is not None]
            prepare(handles)
            parts = [part for handle in handles for part in handle.parts]
            groups.apply_each(parts, "warn", by_tool=True)
        except BaseException as error:
            startup.tell_origin(error, registry)
            for name in added:
                registry.unregister(name)
            raise


@contextlib.contextmanager
def _found_from(directories: Sequence[str]) -> Iterator[None]:
    """Import also from some directories: those where a program is are not on the path yet."""
    added = [directory for directory in directories if directory not in sys.path]
    sys.path += added
    try:
        yield
    finally:
        for directory in added:
            if directory in sys.path:
                sys.path.remove(directory)
