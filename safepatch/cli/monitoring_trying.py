"""`safepatch monitor test-alert` and `password`: what is tried and made before a monitor runs."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import click

from safepatch.cli import monitoring, printing
from safepatch.cli.monitoring import exits
from safepatch.cli.monitoring_worker import monitor

if TYPE_CHECKING:
    from safepatch.monitor.plan import Plan

__all__ = ["monitor"]  # with these commands, too


@monitor.command(
    "test-alert",
    epilog=exits(
        "0  the channel took it",
        "1  it did not, which is told with why",
        "2  an error: a wrong source, or no channel of that name",
    ),
)
@click.argument("given", nargs=-1, required=True, metavar="SOURCE... CHANNEL")
@click.pass_context
def test_alert(context: click.Context, given: tuple[str, ...]) -> None:
    """Send a test alert to a channel, once.

    CHANNEL is the NAME of a table [channels.NAME] in one of the SOURCEs. A monitor that runs is not
    needed, and not disturbed.
    """
    monitoring.patch()
    with monitoring.errors(), monitoring.interruptible():
        from safepatch.monitor.alerts.channels import why
        from safepatch.monitor.alerts.delivering import Deliveries, kind, named
        from safepatch.monitor.alerts.messages import message, trial
        from safepatch.monitor.sources import read

        *sources, name = given
        plan = read(sources or given)
        if not sources or name not in plan.channels:
            raise ValueError(_no_channel(plan, name if sources else ""))
        channel = plan.channels[name]
        with contextlib.closing(Deliveries(lambda: plan)) as deliveries:
            try:
                deliveries.send(named(name, channel), message(trial(name, time.time())))
            except Exception as error:
                printing.complain(
                    f"channel {name!r} ({kind(channel)}) did not take it: {why(error)}"
                )
                context.exit(1)
    printing.line(f"channel {name!r} ({kind(channel)}) took the test alert")


def _no_channel(plan: Plan, name: str) -> str:
    asked = f"there is no channel {name!r}" if name else "no channel is named"
    names = ", ".join(plan.channels)
    if not names:
        return f"{asked}, and the sources have none; add a table [channels.NAME]"
    return f"{asked}; name one of {names}, after the sources"


@monitor.command(epilog=exits("0  the hash was printed", "1  it was no password", "2  an error"))
@click.pass_context
def password(context: click.Context) -> None:
    """Make the hash of a password, for the login of the pages.

    It is asked for two times; through a pipe it is the first line. What is printed goes into the
    environment variable that password_hash_env in [monitor] names.
    """
    with monitoring.errors():
        try:
            from safepatch.monitor.web import passwords
        except ModuleNotFoundError as error:
            raise ValueError(monitoring.NEEDS.format(error.name)) from error
        context.exit(passwords.main())
