"""Hand what count_calls counted to prometheus_client or OpenTelemetry.

Both read it when they are asked, so a call costs no more than without them; why, is told in
docs/decisions/metrics.md. The only label is the name of the function.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from safepatch.decorators.counts import CallStats
from safepatch.decorators.wrapping import name_of

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from prometheus_client import CollectorRegistry, Metric
    from prometheus_client.registry import Collector


def prometheus(
    functions: Collection[Any],
    *,
    registry: CollectorRegistry | None = None,
    prefix: str = "safepatch",
) -> Collector:
    """Let prometheus_client tell of calls, under the label `function`; returns the collector.

        collector = exporters.prometheus([fetch, resolve])

    The metrics are `safepatch_call_seconds`, a histogram with the number of calls in it, and
    `safepatch_call_errors_total`. `functions` are what `count_calls` returned, or a list of them
    that may grow: it is read at every scrape. Functions of one name are added up, in the buckets of
    the first. A registry takes one collector for each prefix.

    Raises ImportError if prometheus_client is not installed (the extra `prometheus`), TypeError for
    functions that are not counted, and ValueError, as prometheus_client does, if the registry has
    such metrics.

    Safe with threads and greenlets. `registry.unregister(collector)` ends it.

    **Assumes** that calls are counted by this process only: prometheus_client's mode for several
    processes does not ask collectors of this kind.
    """
    from prometheus_client import REGISTRY

    _by_name(functions)
    collector: Any = _Calls(functions, prefix)
    (REGISTRY if registry is None else registry).register(collector)
    return collector  # type: ignore[no-any-return]


class _Calls:
    """What prometheus_client calls a collector: it is asked at every scrape."""

    def __init__(self, functions: Collection[Any], prefix: str) -> None:
        self._functions = functions
        self._prefix = prefix

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        seconds = HistogramMetricFamily(
            f"{self._prefix}_call_seconds", "Seconds that calls took.", labels=["function"]
        )
        errors = CounterMetricFamily(
            f"{self._prefix}_call_errors", "Calls that raised anything.", labels=["function"]
        )
        for name, stats in _by_name(self._functions).items():
            bounds = [*(str(bound) for bound, _ in stats.histogram[:-1]), "+Inf"]
            until = accumulate(calls for _, calls in stats.histogram)
            seconds.add_metric([name], list(zip(bounds, until, strict=True)), stats.seconds)
            errors.add_metric([name], stats.errors)
        yield seconds
        yield errors


def opentelemetry(
    functions: Collection[Any], *, meter: Meter | None = None, prefix: str = "safepatch"
) -> None:
    """Let OpenTelemetry tell of calls, with the attribute `function`.

        exporters.opentelemetry([fetch, resolve])

    The instruments are observable counters: `safepatch.calls`, `safepatch.call.errors` and
    `safepatch.call.duration`, in seconds. There is no histogram, since OpenTelemetry has none that
    is read when it asks. `functions` are what `count_calls` returned, or a list of them that may
    grow: it is read at every collection. Functions of one name are added up. The meter is that of
    the global provider by default, also of one that is set later.

    Raises ImportError if opentelemetry-api is not installed (the extra `opentelemetry`), and
    TypeError for functions that are not counted.

    Safe with threads and greenlets. OpenTelemetry has no way to take instruments back.

    **Assumes** that it is called once for each meter and prefix.
    """
    from opentelemetry.metrics import Observation, get_meter

    def observe(field: str) -> Any:
        def callback(options: Any) -> Iterator[Observation]:
            for name, stats in _by_name(functions).items():
                yield Observation(getattr(stats, field), {"function": name})

        return [callback]

    _by_name(functions)
    meter = get_meter("safepatch") if meter is None else meter
    for name, field, unit, description in (
        ("calls", "calls", "{call}", "Calls that are over."),
        ("call.errors", "errors", "{call}", "Calls that raised anything."),
        ("call.duration", "seconds", "s", "Seconds that calls took together."),
    ):
        meter.create_observable_counter(
            f"{prefix}.{name}", observe(field), unit=unit, description=description
        )


def _by_name(functions: Collection[Any]) -> dict[str, CallStats]:
    """What was counted, by the names of functions, those of the same name added up."""
    if not isinstance(functions, Collection):
        # An iterator could be read once only, and that is now.
        raise TypeError(f"got {functions!r}; give a list of what count_calls returned")
    found: dict[str, CallStats] = {}
    for function in functions:
        try:
            stats = function.stats()
        except AttributeError:
            raise TypeError(f"got {function!r}; give what count_calls returned") from None
        name = name_of(function)
        found[name] = _sum(found[name], stats) if name in found else stats
    return found


def _sum(one: CallStats, other: CallStats) -> CallStats:
    """Add up, with the buckets of one: calls of another bucket are in the next that is longer."""
    bounds = [bound for bound, _ in one.histogram]
    calls = [calls for _, calls in one.histogram]
    for bound, more in other.histogram:
        calls[bisect_left(bounds, bound)] += more
    return CallStats(
        one.calls + other.calls,
        one.errors + other.errors,
        one.seconds + other.seconds,
        tuple(zip(bounds, calls, strict=True)),
    )
