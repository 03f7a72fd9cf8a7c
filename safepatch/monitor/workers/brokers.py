"""Celery and Redis, which are imported no sooner than they are used."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

#: The task that checks a batch.
TASK = "safepatch.monitor.check"
#: Where a worker finds its broker, and how many checks of a batch it makes at once.
BROKER, AT_ONCE = "SAFEPATCH_MONITOR_BROKER", "SAFEPATCH_MONITOR_AT_ONCE"
#: Results that nobody fetches are dropped after so many seconds.
KEPT = 300


def queue(vantage: str) -> str:
    """The queue that the workers of a vantage listen to."""
    return f"safepatch-monitor.{vantage}"


def address(broker: str, password: str = "") -> str:
    """The address of a broker, with a password. Raises ValueError for one that is not Redis's."""
    url = urlsplit(broker)
    if url.scheme not in ("redis", "rediss") or not url.hostname:
        raise ValueError(f"the broker {broker!r} is not Redis; write redis://HOST:PORT/NUMBER")
    if not password:
        return broker
    user, _, place = url.netloc.rpartition("@")
    return url._replace(netloc=f"{user}:{quote(password, safe='')}@{place}").geturl()


def celery(broker: str) -> Any:
    """An application of Celery for that broker."""
    module = _imported("celery")
    app = module.Celery("safepatch.monitor", broker=broker)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        # Results come back by a list in Redis, a batch at a time.
        task_ignore_result=True,
        # A batch that a worker died over is made up for by the next one.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        broker_transport_options={"visibility_timeout": KEPT},
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
    )
    return app


def redis(broker: str) -> Any:
    """A client of Redis for that broker."""
    return _imported("redis").Redis.from_url(
        broker, socket_connect_timeout=5.0, socket_timeout=30.0, health_check_interval=30
    )


def _imported(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(
            f"workers of a monitor need {name!r}; install it with "
            "pip install 'safepatch-py[workers]'",
            name=name,
        ) from error
