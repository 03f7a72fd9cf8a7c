"""Starting workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NoReturn

from safepatch.monitor.workers.brokers import AT_ONCE, BROKER, address, celery, queue, redis

#: Batches that one worker has under way at once; more when most of their checks are slow.
_BATCHES = 4


def command(vantage: str, *, batches: int = _BATCHES, app: str = "") -> list[str]:
    """The command that runs a worker of a vantage, for whoever starts processes themselves.

    The environment is to have SAFEPATCH_MONITOR_BROKER. `app` is another module with an
    application of Celery that has our task.
    """
    app = app or "safepatch.monitor.workers.app"
    options = ["--pool", "gevent", "--concurrency", str(batches), "--queues", queue(vantage)]
    # What workers would tell each other, which is of no use here, and grows with their number.
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    name = ["--hostname", f"{vantage}-{os.getpid()}@%h"]
    return [sys.executable, "-m", "celery", "--app", app, "worker", *options, *quiet, *name]


def serve(
    broker: str,
    vantage: str,
    *,
    concurrency: int = 500,
    password: str = "",
    environ: Mapping[str, str] = os.environ,
) -> NoReturn:
    """Become a worker of a vantage: this process goes on as Celery's.

    `concurrency` is the number of checks at the same time. Raises ValueError for a broker or a
    name that is none, and ModuleNotFoundError where the extra `workers` is not installed.
    """
    if not vantage or not vantage.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"{vantage!r} is no name of a vantage; use letters, digits, - and _")
    found = address(broker, password)
    celery(found), redis(found)  # to complain here of what is not installed
    at_once = str(max(1, concurrency // _BATCHES))
    given = {**environ, BROKER: found, AT_ONCE: at_once}
    os.execve(sys.executable, command(vantage), given)  # noqa: S606 - of this very Python
