"""`safepatch monitor`: watch sites, check them once, look at a monitor that runs.

What needs an extra is imported when a command runs, so that the others do without it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

import click

from safepatch.cli import options, printing
from safepatch.cli.telling import counted

if TYPE_CHECKING:
    from safepatch.monitor.monitor import Monitor

NEEDS = "a monitor needs {!r}; install it with pip install 'safepatch-py[monitor]'"

sources = click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
interval = click.option(
    "--interval", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    help="How often each is checked, where no source says it; 60 by default.",
)  # fmt: skip
timeout = click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    help="How long an answer may take, where no source says it; 10 by default.",
)  # fmt: skip
no_learn = click.option("--no-learn", is_flag=True, help="Do not learn what is normal.")
concurrency = click.option(
    "--concurrency", type=click.IntRange(min=1), metavar="NUMBER",
    help="How many are checked at the same time; 500 by default.",
)  # fmt: skip


def exits(*codes: str) -> str:
    """The exit codes of a command, below its help."""
    return "\b\nExit codes:\n  " + "\n  ".join(codes)


@click.group(
    epilog=exits(
        "0  all is well",
        "1  something is down, of `once`",
        "2  an error: a wrong option or source",
        "3  the state cannot be written any more, of `run`",
    )
)
def monitor() -> None:
    """Watch sites and other endpoints.

    A SOURCE is a file of addresses, one a line, or a .toml file, or an address such as
    example.com, https://example.com/login, host:25, tcp://host:5432, icmp://host, dns://domain;
    or - for lines on the standard input.
    """


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """What is wrong with sources, state or ports is told in a few lines, with exit code 2."""
    try:
        from safepatch.monitor.engine.keeping import MonitorError
        from safepatch.monitor.sources import PlanError
        from safepatch.store import StoreError
    except ModuleNotFoundError as error:
        if str(error.name).startswith("safepatch."):
            raise

        printing.complain(NEEDS.format(error.name))
        sys.exit(2)
    try:
        yield
    except (MonitorError, PlanError, StoreError, ModuleNotFoundError, ValueError) as error:
        printing.complain(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)  # as in shells


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Where greenlets work: control-C raises KeyboardInterrupt here, without a word of gevent's."""
    import gevent

    from safepatch.monitor.engine.stopping import signals

    here = gevent.getcurrent()
    with signals(lambda: gevent.kill(here, KeyboardInterrupt()), lambda: None):
        yield


def patch() -> None:
    """Have all that waits, such as what sends mail, let greenlets go on; before all else."""
    try:
        from gevent import monkey
    except ModuleNotFoundError as error:
        printing.complain(NEEDS.format(error.name))
        sys.exit(2)
    monkey.patch_all()


def log_to_stderr(level: int) -> None:
    """Log with times in UTC; or, where that goes to journald, which has times, with priorities."""
    handler = logging.StreamHandler()
    if os.environ.get("JOURNAL_STREAM") == _device(sys.stderr):
        handler.setFormatter(logging.Formatter("<%(priority)d>%(message)s"))
        handler.addFilter(_with_priority)
    else:
        shown = logging.Formatter("%(asctime)s UTC %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
        shown.converter = time.gmtime
        handler.setFormatter(shown)
    logging.basicConfig(level=level, handlers=[handler])


def _device(stream: TextIO) -> str:
    """What JOURNAL_STREAM says of a stream that goes to journald; see systemd.exec(5)."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return "none"
    return f"{found.st_dev}:{found.st_ino}"


def _with_priority(record: logging.LogRecord) -> bool:
    """The number that syslog and journald have for a level; see sd-daemon(3)."""
    record.priority = {"DEBUG": 7, "INFO": 6, "WARNING": 4}.get(record.levelname, 3)
    return True


def with_defaults(
    sources: tuple[str, ...], interval: float | None, timeout: float | None, no_learn: bool
) -> list[Any]:
    """The sources, and what was said of all endpoints besides."""
    said = {"interval": interval, "timeout": timeout, "learn": False if no_learn else None}
    defaults = {name: value for name, value in said.items() if value is not None}
    return [*sources, *([{"defaults": defaults}] if defaults else [])]


def settings(**said: Any) -> dict[str, Any]:
    """Those that were said."""
    return {name: value for name, value in said.items() if value is not None}


@monitor.command(
    epilog=exits(
        "0  it was stopped, by SIGTERM, SIGINT or control-C",
        "2  an error: a wrong source, a state directory or a port that is taken",
        "3  the state cannot be written any more; start it again",
    )
)
@sources
@click.option("--state", default="state", metavar="DIRECTORY", show_default=True,
              help="Where the monitor keeps what it must not forget.")  # fmt: skip
@click.option("--listen", metavar="HOST:PORT", help="Where the pages are served; '' for none.")
@interval
@timeout
@concurrency
@no_learn
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.pass_context
def run(
    context: click.Context,
    sources: tuple[str, ...],
    state: str,
    listen: str | None,
    interval: float | None,
    timeout: float | None,
    concurrency: int | None,
    no_learn: bool,
    verbose: bool,
) -> None:
    """Watch everything, until it is stopped.

    The pages are at http://127.0.0.1:8787 unless a source or --listen says otherwise. Files are
    read again when they change, and by SIGHUP; one that is wrong changes nothing.
    """
    patch()
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    with errors():
        from safepatch.monitor.engine.keeping import MonitorError
        from safepatch.monitor.monitor import Monitor

        watching = Monitor(
            with_defaults(sources, interval, timeout, no_learn),
            state=state,
            **settings(listen=listen, concurrency=concurrency),
        )

        def greet() -> None:
            printing.line(greeting(watching))
            sys.stdout.flush()

        try:
            watching.run(greet)
        except MonitorError as error:
            if not watching.failed:
                raise
            printing.complain(str(error))
            context.exit(3)


def greeting(watching: Monitor) -> str:
    """What is watched, where to look, and where the state is."""
    endpoints, url = watching.plan.endpoints, watching.url
    few = ", ".join([*endpoints][:3]) + (", ..." if len(endpoints) > 3 else "")
    page = f"the page is at {url}" if url else "no pages are served"
    kept = f"the state is in {watching.state}{'' if str(watching.state).endswith('/') else '/'}"
    return f"watching {counted(len(endpoints), 'endpoint')} ({few}); {page}; {kept}"


@monitor.command(
    epilog=exits(
        "0  all is well, warnings apart",
        "1  something is down, or cannot be checked",
        "2  an error: a wrong option or source",
        "130  it was interrupted by control-C",
    )
)
@sources
@timeout
@concurrency
@click.option("--attempts", type=click.IntRange(min=1), default=2, show_default=True,
              help="How often what fails is checked, before that counts.")  # fmt: skip
@options.as_json
@click.pass_context
def once(
    context: click.Context,
    sources: tuple[str, ...],
    timeout: float | None,
    concurrency: int | None,
    attempts: int,
    as_json: bool,
) -> None:
    """Check everything now, and tell what is not right.

    Nothing is kept, learned or alerted. Heartbeats are left out, of which only a running monitor
    hears.
    """
    patch()
    with errors(), interruptible(), printing.progress("checking") as told:
        from safepatch.monitor.once import all_of, check_all
        from safepatch.monitor.sources import read
        from safepatch.monitor.tools import Tools

        plan = read(
            with_defaults(sources, None, timeout, False), settings=settings(concurrency=concurrency)
        )
        wanted, found = len(all_of(plan)), []
        with contextlib.closing(Tools()) as tools:
            for number, (endpoint, result) in enumerate(
                check_all(plan, tools, attempts=attempts), 1
            ):
                found.append((endpoint, result))
                if told is not None:
                    told(number, wanted)
    order = {name: number for number, name in enumerate(plan.endpoints)}
    found.sort(key=lambda pair: order[pair[0].name])
    down = sum(not result.ok for _, result in found)
    if as_json:
        printing.as_json([_plain(endpoint, result) for endpoint, result in found])
    else:
        _print_wrong(found, down, left_out=len(plan.endpoints) - wanted)
    context.exit(int(bool(down)))


def _plain(endpoint: Any, result: Any) -> dict[str, Any]:
    return {
        "name": endpoint.name, "address": endpoint.address, "ok": result.ok, "at": result.at,
        "error": result.error, "message": result.message, "warnings": [*result.warnings],
        "phases": result.phases, "facts": result.facts,
    }  # fmt: skip


def _print_wrong(found: list[tuple[Any, Any]], down: int, left_out: int) -> None:
    for endpoint, result in found:
        if not result.ok:
            # What is the monitor's own failure says nothing of the endpoint.
            ours = result.error == "internal"
            verb, state = (" cannot be ", "checked") if ours else (" is ", "down")
            printing.line(
                (endpoint.name, "bold"), verb, (state, "bold red"),
                f" ({result.error}): {result.message}",
            )  # fmt: skip
        for warning in result.warnings:
            printing.line((endpoint.name, "bold"), ": ", ("warning", "yellow"), f": {warning}")
    failed = sum(result.error == "internal" for _, result in found)
    unknown = f", {failed} cannot be checked" if failed else ""
    summary = f"{counted(len(found), 'endpoint')} checked, {down - failed or 'none'} down{unknown}"
    left = f"; {counted(left_out, 'heartbeat')} left out" if left_out else ""
    printing.line(summary + left)
