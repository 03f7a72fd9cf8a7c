"""Hand what is known of patches to prometheus_client or OpenTelemetry.

Both read it when they are asked, so a call costs no more than without them. `calls` and `errors`
are those that `stats()` of a patch's wrappers has, `hits` and `misses` those of `cache_info()`;
the outermost wrapper that tells of one is asked. `failures` are those of `fail_open`. Patches of
one name at one target are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from safepatch.explain import told
from safepatch.registry import all_registries

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from prometheus_client import CollectorRegistry, Metric
    from prometheus_client.registry import Collector

Labels = tuple[str, ...]
Rows = dict[Labels, float]
_STATES = ("declared", "pending", "applied", "undone", "skipped", "failed")
_COUNTED = {
    "calls": ("{call}", "Calls that the patch counted.", "stats"),
    "errors": ("{call}", "Calls that the patch counted and that raised anything.", "stats"),
    "hits": ("{call}", "Calls that the patch answered from its cache.", "cache_info"),
    "misses": ("{call}", "Calls that the patch had no answer for in its cache.", "cache_info"),
    "failures": ("{failure}", "Failures of the patch's own code that fail_open caught.", ""),
}
_STATE = "1 for the state that the patch is in, 0 for the others."


def prometheus(
    *, registry: CollectorRegistry | None = None, prefix: str = "safepatch"
) -> Collector:
    """Let prometheus_client tell of every patch of every registry; returns the collector.

        collector = metrics.prometheus()

    The metrics are `safepatch_patch_calls_total`, and likewise `errors`, `hits`, `misses` and
    `failures`, with the labels `patch` and `target`; and `safepatch_patch_state`, with `state` as
    well, which is 1 for the state that a patch is in. What a patch does not tell is left out. A
    registry takes one collector for each prefix.

    Raises ImportError if prometheus_client is not installed, and ValueError, as it does itself, if
    the registry has such metrics.

    Safe with threads and greenlets. `registry.unregister(collector)` ends it.
    """
    try:
        from prometheus_client import REGISTRY
    except ImportError as error:
        raise _missing("prometheus_client", "prometheus") from error

    collector: Any = _Patches(prefix)
    (REGISTRY if registry is None else registry).register(collector)
    return collector  # type: ignore[no-any-return]


class _Patches:
    """What prometheus_client calls a collector: it is asked at every scrape."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def describe(self) -> list[Metric]:
        return self._families([])

    def collect(self) -> list[Metric]:
        return self._families(told(all_registries()))

    def _families(self, patches: list[dict[str, Any]]) -> list[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        labels = ("patch", "target")
        families: list[Metric] = []
        for name, (_, description, _) in _COUNTED.items():
            full = f"{self._prefix}_patch_{name}"
            counted = CounterMetricFamily(full, description, labels=labels)
            for values, number in _counted(patches, name).items():
                counted.add_metric(values, number)
            families.append(counted)
        full = f"{self._prefix}_patch_state"
        state = GaugeMetricFamily(full, _STATE, labels=(*labels, "state"))
        for values, number in _states(patches).items():
            state.add_metric(values, number)
        return [*families, state]


def opentelemetry(*, meter: Meter | None = None, prefix: str = "safepatch") -> None:
    """Let OpenTelemetry tell of every patch of every registry.

        metrics.opentelemetry()

    The instruments are observable counters, `safepatch.patch.calls`, and likewise `errors`,
    `hits`, `misses` and `failures`, with the attributes `patch` and `target`; and the observable
    gauge `safepatch.patch.state`, with `state` as well, which is 1 for the state that a patch is
    in. What a patch does not tell is left out. The meter is that of the global provider by
    default, also of one that is set later.

    Raises ImportError if opentelemetry-api is not installed.

    Safe with threads and greenlets. OpenTelemetry has no way to take instruments back.

    **Assumes** that it is called once for each meter and prefix.
    """
    try:
        from opentelemetry.metrics import Observation, get_meter
    except ImportError as error:
        raise _missing("opentelemetry-api", "opentelemetry") from error

    def observe(names: Labels, rows: Callable[[list[dict[str, Any]]], Rows]) -> Any:
        def callback(options: Any) -> Iterator[Observation]:
            for values, number in rows(told(all_registries())).items():
                yield Observation(number, dict(zip(names, values, strict=True)))

        return [callback]

    def of(name: str) -> Any:
        return observe(("patch", "target"), lambda patches: _counted(patches, name))

    meter = get_meter("safepatch") if meter is None else meter
    for name, (unit, description, _) in _COUNTED.items():
        meter.create_observable_counter(
            f"{prefix}.patch.{name}", of(name), unit=unit, description=description
        )
    meter.create_observable_gauge(
        f"{prefix}.patch.state", observe(("patch", "target", "state"), _states), description=_STATE
    )


def _missing(distribution: str, extra: str) -> ImportError:
    return ImportError(
        f"{distribution} is not installed; pip install 'safepatch-py[{extra}]'", name=distribution
    )


def _counted(patches: list[dict[str, Any]], name: str) -> Rows:
    rows: Rows = {}
    for patch in patches:
        number = _number(patch, name)
        if number is not None:
            labels = (patch["name"], patch["target"])
            rows[labels] = rows.get(labels, 0) + number
    return rows


def _number(patch: dict[str, Any], name: str) -> float | None:
    if name == "failures":
        return patch["fail_open"] and patch["fail_open"][name]  # type: ignore[no-any-return]
    _, _, method = _COUNTED[name]
    for wrapper in patch["wrappers"]:
        found = wrapper.get(method)
        number = found.get(name) if isinstance(found, dict) else None
        if type(number) in (int, float):
            return number
    return None


def _states(patches: list[dict[str, Any]]) -> Rows:
    rows: Rows = {}
    for patch in patches:
        for state in _STATES:
            labels = (patch["name"], patch["target"], state)
            rows[labels] = max(rows.get(labels, 0), int(patch["state"] == state))
    return rows
