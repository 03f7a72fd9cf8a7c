"""`safepatch monitor worker`: make checks for a monitor that runs elsewhere."""

from __future__ import annotations

import os
import sys

import click

from safepatch.cli import monitoring, options, printing
from safepatch.cli.monitoring import monitor

__all__ = ["monitor"]  # with this command, too


@monitor.command(epilog=options.exits())
@click.option("--broker", required=True, metavar="URL", envvar="SAFEPATCH_MONITOR_BROKER",
              show_envvar=True, help="The Redis of the monitor: redis://host:6379/0.")  # fmt: skip
@click.option("--password-env", metavar="NAME", help="The environment variable with its password.")
@click.option("--vantage", required=True, metavar="NAME", help="Which place this is.")
@monitoring.concurrency
def worker(broker: str, password_env: str | None, vantage: str, concurrency: int | None) -> None:
    """Make checks for a monitor whose settings name this vantage and this broker.

    It is a worker of Celery, and goes on until it is stopped; SIGTERM has it end what it does. Any
    number of them may serve a vantage.
    """
    from safepatch.monitor.workers import serve

    if password_env and password_env not in os.environ:
        printing.complain(f"the environment variable {password_env} is not set")
        sys.exit(2)
    with monitoring.errors():
        password = os.environ[password_env] if password_env else ""
        serve(broker, vantage, password=password, concurrency=concurrency or 500)
