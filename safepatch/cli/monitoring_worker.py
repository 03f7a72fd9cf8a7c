"""`safepatch monitor worker`: checks for a monitor that runs elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from safepatch.cli import monitoring
from safepatch.cli.monitoring import exits
from safepatch.cli.monitoring_top import monitor

if TYPE_CHECKING:
    from safepatch.monitor.plan import Settings

__all__ = ["monitor"]  # with this command, too


@monitor.command(
    epilog=exits(
        "0  it was stopped", "2  an error: a wrong option or source, or no broker is named"
    )
)
@click.argument("sources", nargs=-1, metavar="[SOURCE...]")
@click.option("--broker", metavar="URL", envvar="SAFEPATCH_MONITOR_BROKER", show_envvar=True,
              help="The Redis of the monitor, redis://HOST:PORT/NUMBER.")  # fmt: skip
@click.option("--password-env", metavar="NAME", help="The environment variable with its password.")
@click.option("--vantage", required=True, metavar="NAME", help="Which of its places this is.")
@monitoring.concurrency
def worker(
    sources: tuple[str, ...],
    broker: str | None,
    password_env: str | None,
    vantage: str,
    concurrency: int | None,
) -> None:
    """Make checks for a monitor, from here.

    The monitor is one that runs with `broker` and `vantages` in its sources. With the same SOURCEs
    the broker is read from there; otherwise give --broker. It goes on until it is stopped, as a
    worker of Celery.
    """
    with monitoring.errors():
        from safepatch.monitor.workers import serve

        if sources:
            settings = _settings(sources)
            broker = broker or settings.broker
            password_env = password_env or settings.broker_password_env
        if not broker:
            raise ValueError(
                "no broker is named: give --broker redis://HOST:PORT/NUMBER, or a source that has "
                "`broker` in [monitor]"
            )
        if password_env and password_env not in os.environ:
            raise ValueError(f"the environment variable {password_env} is not set; set it")
        password = os.environ[password_env] if password_env else ""
        serve(broker, vantage, concurrency=concurrency or 500, password=password)


def _settings(sources: tuple[str, ...]) -> Settings:
    from safepatch.monitor.sources import read

    return read(sources).settings
