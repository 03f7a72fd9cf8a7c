"""Run a command with patches applied, in all its Python processes, without changing its code."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import site
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safepatch import bootstrap, commands, config, config_files, reports, runs, targets
from safepatch.errors import ConfigError
from safepatch.registry import Registry
from safepatch.runs import Run

REPORT = "SAFEPATCH_REPORT"
#: The exit code if the command was not started.
NOT_STARTED = 2


def run(
    command: Sequence[str],
    *,
    names: Iterable[str] = (),
    patches: Iterable[str] = (),
    report: bool | str | os.PathLike[str] = False,
    strict: bool = False,
) -> int:
    """Run a command with patches applied in all its Python processes; gives its exit code.

        run(["gunicorn", "app:app"], patches=["socket:getaddrinfo=ttl_cache(ttl=60)"])

    `names` are of patches that are configured or offered by a package, `patches` are expressions;
    with neither, all that is configured and enabled is applied. `report=True` prints a table to
    stderr at the end, a path has the data written there; so does SAFEPATCH_REPORT in the
    environment. With `strict=True` a process that cannot be patched ends, with exit code 2, instead
    of running unpatched.

    Without a report this process becomes the command, where the system can do that, and never
    returns. What is wrong with the patches is said on stderr before anything is started, and 2 is
    returned.
    """
    if not command:
        return _refuse("say which command to run", NOT_STARTED)
    try:
        asked = _asked(tuple(names), tuple(patches), strict)
        where = _report_path(report)
        check(asked)
    except Exception as error:
        return _refuse(str(error) or repr(error), NOT_STARTED)
    argv = commands.line(command)
    program = commands.find(argv[0], os.environ)
    if program is None:
        why, code = commands.why_not(argv[0], os.environ)
        return _refuse(f"cannot run {argv[0]!r}: {why}", code)
    try:
        if not report and where is None:
            return commands.become(program, argv, environment(asked, os.environ))
        return _reported(program, argv, asked, where, report is True)
    except OSError as error:
        return _refuse(f"cannot run {argv[0]!r}: {error.strerror}", commands.CANNOT_RUN)


def _refuse(message: str, code: int) -> int:
    print(f"safepatch run: {message}", file=sys.stderr)
    return code


def _asked(names: tuple[str, ...], patches: tuple[str, ...], strict: bool) -> Run:
    here, nearby = str(config.here()), config.find()
    # Where expressions alone are wanted, what else is configured is no matter.
    file = config.load().file if names or not patches else None
    path = dict.fromkeys([*([str(nearby.parent)] if nearby else []), here])
    if file is None and not names and not patches:
        print(
            f"safepatch run: nothing is configured in {here} or above it; the command runs "
            "unpatched",
            file=sys.stderr,
        )
    return Run(str(file) if file else None, names, patches, tuple(path), None, strict)


def _report_path(report: bool | str | os.PathLike[str]) -> Path | None:
    """Where the data of the report go, if they do. Raises ConfigError if nobody can write there."""
    named = os.environ.get(REPORT) if isinstance(report, bool) else report
    if not named:
        return None
    path = Path(named).absolute()
    place = path.resolve()
    # What is there and is no file, such as a pipe, is written to; a file is replaced.
    written = place if place.exists() and not place.is_file() else place.parent
    if not os.access(written, os.W_OK) or place.is_dir():
        raise ConfigError(
            f"the report cannot be written to {str(path)!r}; name a file in a folder that there is",
            key=REPORT,
        )
    return path


def check(asked: Run) -> None:
    """Apply the patches of a run in this process, and undo them, to see what is wrong with them.

    Targets in the standard library are imported for that, others are not: of those the guards on
    versions alone are asked, and the rest when the command imports them.
    """
    logger = logging.getLogger("safepatch")
    was_disabled, logger.disabled = logger.disabled, True  # the processes of the command tell it
    try:
        with warnings.catch_warnings(), Registry() as scratch:
            warnings.simplefilter("ignore")
            for target in [target for one in runs.selected(asked) for target in one.targets]:
                _import_of_stdlib(target)
            runs.apply(asked, scratch)
    finally:
        logger.disabled = was_disabled


def _import_of_stdlib(target: str) -> None:
    module = targets.module_of(target)
    if module and module.partition(".")[0] in sys.stdlib_module_names:
        targets.resolve(target)


def environment(asked: Run, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which every Python process applies the patches of a run."""
    made = {name: value for name, value in environ.items() if name != REPORT}
    if made.get(config_files.VARIABLE):  # the processes may be elsewhere when they read it
        made[config_files.VARIABLE] = str(config_files.find(environ=environ))
    if asked.config is None and not asked.names and not asked.patches:
        return made
    outer = environ.get(runs.VARIABLE)
    if asked.spool is None and outer:  # a run within a run: what it counts belongs to both
        asked = asked._replace(spool=runs.read(outer).spool)
    made[runs.VARIABLE] = runs.write(asked)
    if not has_start_file():
        folder = os.path.join(os.path.dirname(bootstrap.__file__), "path")
        path = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
        made["PYTHONPATH"] = os.pathsep.join([folder, *(one for one in path if one != folder)])
    return made


def has_start_file() -> bool:
    """Whether our .pth file is installed, which Python reads whenever it starts."""
    folders = [
        *site.getsitepackages(),
        *([site.getusersitepackages()] * bool(site.ENABLE_USER_SITE)),
    ]
    return any(os.path.exists(os.path.join(folder, "safepatch-py.pth")) for folder in folders)


def _reported(
    program: str, argv: Sequence[str], asked: Run, path: Path | None, printed: bool
) -> int:
    spool = tempfile.mkdtemp(prefix="safepatch-")
    try:
        started = time.monotonic()
        told = asked._replace(spool=spool)
        code = commands.attend(program, argv, environment(told, os.environ))
        data = {"seconds": time.monotonic() - started, **reports.read(spool)}
    finally:
        # Under another name, so that no process that ends only now leaves a file in there.
        gone = f"{spool}-read"
        os.rename(spool, gone)
        shutil.rmtree(gone, ignore_errors=True)
    _tell(data, path, printed)
    return code


def _tell(data: dict[str, Any], path: Path | None, printed: bool) -> None:
    """Write a report, and print it. The command has ended, so its exit code is what counts."""
    if path is not None:
        try:
            reports.write(data, path)
        except OSError as error:
            _say(f"safepatch run: the report cannot be written to {str(path)!r}: {error.strerror}")
            printed = True  # or what was counted is lost
    if printed:
        _say(reports.text(data))


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:  # who read it has gone
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # or Python fails with it at its end


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m safepatch.runner -p NAME --patch EXPRESSION --report -- command`."""
    import argparse

    parser = argparse.ArgumentParser(prog="safepatch run", description=__doc__)
    parser.add_argument("-p", dest="names", action="append", default=[], metavar="NAME")
    parser.add_argument("--patch", dest="patches", action="append", default=[])
    parser.add_argument("--report", nargs="?", const=True, default=False, metavar="FILE")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("command", nargs="+")
    return run(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
