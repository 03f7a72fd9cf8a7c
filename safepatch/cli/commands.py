"""The commands. Exit codes are 0, 1 if something was found, and 2 for errors."""

from __future__ import annotations

from pathlib import Path

import click

import safepatch
from safepatch import config as configuration
from safepatch import doctor as examining
from safepatch import lock as locking
from safepatch.cli import (
    annotating,
    completing,
    monitoring_trying,
    options,
    others,
    printing,
    storing_documents,
    telling,
)
from safepatch.drifts import Drift


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes are 0 if all is well, 1 if something was found, and 2 for errors; "
    "`run` has that of its command.",
)
@click.version_option(safepatch.__version__, message="%(version)s")
def program() -> None:
    """Monkey patches that are named, guarded and undoable."""


@program.command("list", epilog=options.exits())
@options.config
@options.as_json
def list_(config: Path | None, as_json: bool) -> None:
    """List what is configured, and what packages offer."""
    with others.may_run():
        rows = telling.listed(configuration.load(config))
    if as_json:
        printing.as_json(rows)
    elif rows:
        cells = [
            (row["name"], row["state"], row["origin"], ", ".join(row["targets"])) for row in rows
        ]
        printing.table(("patch", "state", "origin", "targets"), cells)
    else:
        printing.line("nothing is configured, and no package offers anything")


@program.command(epilog=options.exits())
@click.argument("target", required=False, shell_complete=completing.names_and_targets)
@click.option("--apply", "applied", is_flag=True, help="Apply what is configured first.")
@options.config
@options.as_json
def explain(target: str | None, applied: bool, config: Path | None, as_json: bool) -> None:
    """Tell what a target is and who patched it, or of all.

    TARGET is written package.module:function or package.module:Class.method, or is the name of a
    patch.
    """
    with others.may_run():
        told = telling.explained(configuration.load(config), target, applied)
    if as_json:
        printing.as_json(told.to_dict())
    else:
        printing.line(str(told))


@program.command(epilog=options.exits())
@options.config
@options.lock
@options.as_json
def lock(config: Path | None, lock_file: Path | None, as_json: bool) -> None:
    """Lock what the patches rely on, as installed now.

    That is the distribution and version, signature, fingerprint and source of each target and
    of what stands in depends_on, for all patches that are enabled. What is different from the
    last lock is printed.
    """
    with others.may_run():
        loaded, file = options.loaded(config, lock_file)
        made = locking.make(loaded)
        drifts = telling.since(file, loaded)
    changed = locking.write(made, file)
    if as_json:
        printing.as_json({"file": str(file), "written": changed, "targets": [*made.targets]})
        return
    for drift in drifts:
        _print_drift(drift)
    for target in telling.absent(made):
        printing.line((target, "bold"), ": not installed; locked as that")
    many = telling.counted(len(made.targets), "target")
    shown = telling.shown(file)
    printing.line(f"locked {many} in {shown}" if changed else f"{shown} is up to date: {many}")


@program.command(epilog=options.exits("something has drifted, or is no longer needed"))
@options.config
@options.lock
@options.as_json
@click.option("--strict", is_flag=True, help="Fail for a new version with the same source, too.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "github", "gitlab"]),
    default="text",
    help="text; or annotations for GitHub, or a code quality report for GitLab.",
)
@click.pass_context
def check(
    context: click.Context,
    config: Path | None,
    lock_file: Path | None,
    as_json: bool,
    strict: bool,
    form: str,
) -> None:
    """Compare what is installed with what was locked.

    Drift is another signature or source, a target that is gone, and what is configured but not
    locked, or locked but no longer configured. A patch that its `until` says is no longer needed
    counts as well. A new version alone is a note.
    """
    with others.may_run():
        loaded, file = options.loaded(config, lock_file)
        kept = locking.read(file)
        drifts = locking.drift(kept, loaded, strict=strict)
    assert loaded.file is not None
    if as_json:
        printing.as_json([telling.drift_dict(drift) for drift in drifts])
    elif form == "gitlab":
        printing.as_json(annotating.gitlab(drifts, loaded.file))
    elif form == "github":
        for command in annotating.github(drifts, loaded.file):
            print(command)
    else:
        for drift in drifts:
            _print_drift(drift)
        printing.line(telling.summary(drifts, len(kept.targets)))
    context.exit(int(any(not drift.note for drift in drifts)))


@program.command(epilog=options.exits("there is a difference"))
@click.argument("what", nargs=-1, shell_complete=completing.names_and_targets)
@options.config
@options.lock
@options.as_json
@click.pass_context
def diff(
    context: click.Context,
    what: tuple[str, ...],
    config: Path | None,
    lock_file: Path | None,
    as_json: bool,
) -> None:
    """Show what changed in targets since the lock.

    That is signature and source.

    WHAT are targets or names of patches; without any, all that is locked is compared.
    """
    with others.may_run():
        _, file = options.loaded(config, lock_file)
        differences = telling.differences(locking.read(file), what)
    if as_json:
        printing.as_json(differences)
    else:
        for number, each in enumerate(differences):
            if number:
                printing.line("")
            for message in each["messages"]:
                printing.line((each["target"], "bold"), f": {message}")
            printing.diff(each["diff"])
    context.exit(int(bool(differences)))


@program.command(
    context_settings={"allow_interspersed_args": False},
    epilog="The exit code is that of the command; 2 if the patches are wrong, 126 if the command "
    "cannot be run, 127 if there is no such program.",
)
@click.option(
    "-p",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=completing.names,
    help="Apply this patch, configured or offered, instead of all that are configured.",
)
@click.option(
    "--patch",
    "patches",
    multiple=True,
    metavar="EXPRESSION",
    help="Apply this one as well: 'socket:getaddrinfo=ttl_cache(ttl=60)'.",
)
@click.option(
    "--report",
    metavar="[=FILE]",
    help="Tell at the end what each patch did; with =FILE, as JSON in a file.",
)
@click.option(
    "--strict", is_flag=True, help="End a process that cannot be patched, instead of running it."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def run(
    context: click.Context,
    names: tuple[str, ...],
    patches: tuple[str, ...],
    report: str | None,
    strict: bool,
    command: tuple[str, ...],
) -> None:
    """Run a command with patches, in all its processes.

    COMMAND is any command, a script.py, or -m MODULE; write -- before it.
    """
    from safepatch import runner

    wanted: bool | Path = Path(report) if report else report is not None
    context.exit(runner.run(command, names=names, patches=patches, report=wanted, strict=strict))


@program.command(epilog=options.exits("something was found"))
@click.option("-m", "modules", multiple=True, metavar="MODULE", help="Import this first.")
@options.config
@options.as_json
@click.pass_context
def doctor(
    context: click.Context, modules: tuple[str, ...], config: Path | None, as_json: bool
) -> None:
    """Look for what keeps patches from working.

    What is configured is applied for that. Without -m the modules of the targets are imported,
    so that all guards are asked. With -m they are not, and patches of modules that nothing
    imports are told.
    """
    with others.may_run():
        loaded = configuration.load(config)
        if not modules:
            options.require(loaded)
        findings = examining.examine(loaded, modules)
    if as_json:
        printing.as_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            printing.line(
                (f"{finding.patch} ", "bold"), f"({finding.target}) ", (finding.kind, "red"),
                f": {finding.message}\n    {finding.advice}",
            )  # fmt: skip
        many = telling.counted(len(findings), "finding")
        printing.line(many if findings else "nothing was found")
    context.exit(int(bool(findings)))


def _print_drift(drift: Drift) -> None:
    style = "yellow" if drift.note else "red"
    printing.line(
        (drift.target, "bold"), f" ({', '.join(drift.patches)}) ", (drift.kind, style),
        f": {drift.message}",
    )  # fmt: skip


program.add_command(monitoring_trying.monitor)
program.add_command(storing_documents.store)
