"""What it costs to count the calls of a function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from benchmarks.decorators.measuring import (
    BY_HAND,
    Makers,
    Seconds,
    by_kind,
    pass_through,
    pass_through_async,
)
from safepatch.decorators import count_calls


def _telling(tell: Callable[[], Any]) -> Any:
    """A decorator that tells somebody that there was a call."""

    def decorator(wrapped: Any) -> Any:
        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            tell()
            return wrapped(*args, **kwargs)

        return wrapper

    return decorator


def _prometheus_counter() -> Any:
    import prometheus_client

    return _telling(prometheus_client.Counter("calls", "Calls.", registry=None).inc)


def _prometheus_labels() -> Any:
    import prometheus_client

    counter = prometheus_client.Counter("named", "Calls.", ["name"], registry=None)
    return _telling(lambda: counter.labels("lookup").inc())


def _prometheus_histogram() -> Any:
    import prometheus_client

    return prometheus_client.Histogram("spent", "Seconds.", registry=None).time()


def _opentelemetry() -> Any:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    meter = MeterProvider([InMemoryMetricReader()]).get_meter("benchmarks")
    counter = meter.create_counter("calls")
    return _telling(lambda: counter.add(1, {"name": "lookup"}))


COUNTS: Makers = {
    BY_HAND: lambda: pass_through,
    "safepatch count_calls": lambda: count_calls,
    "prometheus_client Counter.inc": _prometheus_counter,
    "prometheus_client labels().inc": _prometheus_labels,
    "prometheus_client Histogram.time": _prometheus_histogram,
    "opentelemetry counter.add, with SDK": _opentelemetry,
}
ASYNC_COUNTS: Makers = {
    BY_HAND: lambda: pass_through_async,
    "safepatch count_calls": lambda: count_calls,
}


def counts(rounds: int) -> dict[str, Seconds]:
    return by_kind(COUNTS, ASYNC_COUNTS, rounds)
