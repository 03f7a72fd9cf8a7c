"""Prometheus and OpenTelemetry are told of patches when they ask."""

import sys
import types

import pytest
from helpers import pass_through

import safepatch
from safepatch import metrics
from safepatch.decorators import count_calls, ttl_cache


@pytest.fixture
def shop():
    made = types.ModuleType("shop_with_metrics")
    exec("def one(x): return x\ndef two(x): raise KeyError(x)", made.__dict__)
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


@pytest.fixture
def used(shop, patches):
    """A cached patch, a counted one with errors, and an observer that failed open, all used."""
    patches.apply("shop_with_metrics:one", ttl_cache(ttl=60), name="cached")
    patches.apply("shop_with_metrics:two", count_calls(), name="counted")
    patches.apply("shop_with_metrics:one", lambda wrapped: lambda: 0, name="broken", fail_open=5)
    for x in (1, 1, 2):
        shop.one(x)
        with pytest.raises(KeyError):
            shop.two(x)
    return shop


EXPECTED = {
    ("calls", "counted", "two"): 3,
    ("errors", "counted", "two"): 3,
    ("hits", "cached", "one"): 1,
    ("misses", "cached", "one"): 2,
    ("failures", "broken", "one"): 3,
}
STATES = {"declared", "pending", "applied", "undone", "skipped", "failed"}


def scraped(registry):
    """What prometheus_client would send: by name, patch, target, and state if there is one."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_prometheus_is_told_of_every_patch(used):
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    metrics.prometheus(registry=registry)

    found = scraped(registry)

    for (counter, patch, name), number in EXPECTED.items():
        key = (f"safepatch_patch_{counter}_total", patch, f"shop_with_metrics:{name}")
        assert found[key] == number
    # Nothing is made up: a cache tells of no calls.
    assert ("safepatch_patch_calls_total", "cached", "shop_with_metrics:one") not in found
    states = {
        key[2]: value
        for key, value in found.items()
        if key[:2] == ("safepatch_patch_state", "cached")
    }
    assert states == {state: int(state == "applied") for state in STATES}
    assert b'safepatch_patch_hits_total{patch="cached",target="shop_with_metrics:one"} 1.0' in (
        generate_latest(registry)
    )


def test_opentelemetry_is_told_of_every_patch(used):
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    metrics.opentelemetry(meter=MeterProvider([reader]).get_meter("test"))

    found = {
        (metric.name, *(value for _, value in sorted(point.attributes.items()))): point.value
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }

    for (counter, patch, name), number in EXPECTED.items():
        assert found[(f"safepatch.patch.{counter}", patch, f"shop_with_metrics:{name}")] == number
    states = {
        key[2]: value
        for key, value in found.items()
        if key[:2] == ("safepatch.patch.state", "cached")
    }
    assert states == {state: int(state == "applied") for state in STATES}


def test_patches_that_come_later_and_of_other_registries_are_told(shop):
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    metrics.prometheus(registry=registry)

    with safepatch.Registry() as other:
        other.apply((shop, "one"), count_calls(), name="late")
        shop.one(1)

        found = scraped(registry)

    assert found["safepatch_patch_calls_total", "late", "shop_with_metrics:one"] == 1


def test_patches_of_one_name_and_target_are_added_up(shop, patches):
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    metrics.prometheus(registry=registry)
    for _ in range(2):
        patches.apply((shop, "one"), count_calls())
    shop.one(1)

    found = scraped(registry)

    name = "shop_with_metrics:one"
    assert found["safepatch_patch_calls_total", name, name] == 2
    assert found["safepatch_patch_state", name, "applied", name] == 1


def test_a_patch_that_is_skipped_is_told_by_its_state(shop, patches):
    from prometheus_client import CollectorRegistry

    with pytest.warns(safepatch.GuardWarning):
        patches.apply(
            (shop, "one"), pass_through, name="skipped", guard=lambda f: "no", on_mismatch="skip"
        )
    registry = CollectorRegistry()
    metrics.prometheus(registry=registry)

    found = scraped(registry)

    assert found["safepatch_patch_state", "skipped", "skipped", "shop_with_metrics:one"] == 1
    assert found["safepatch_patch_state", "skipped", "applied", "shop_with_metrics:one"] == 0


def test_stats_that_raise_or_are_no_numbers_are_left_out(shop, patches):
    from prometheus_client import CollectorRegistry

    def telling(stats):
        def decorate(wrapped):
            made = pass_through(wrapped)
            made.stats = stats
            return made

        return decorate

    patches.apply((shop, "one"), telling(lambda: 1 / 0), name="raising")
    patches.apply((shop, "one"), telling(lambda: {"calls": "many"}), name="text")
    patches.apply((shop, "one"), telling(lambda: "none"), name="none")
    registry = CollectorRegistry()
    metrics.prometheus(registry=registry)

    # Registries of other tests may not be gone yet.
    told = {key[1] for key in scraped(registry) if key[0] == "safepatch_patch_calls_total"}
    assert not told & {"raising", "text", "none"}


def test_prometheus_takes_one_collector_for_each_prefix_and_gives_it_back():
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    collector = metrics.prometheus(registry=registry)

    with pytest.raises(ValueError, match="Duplicated"):
        metrics.prometheus(registry=registry)
    metrics.prometheus(registry=registry, prefix="other")
    registry.unregister(collector)
    metrics.prometheus(registry=registry)


@pytest.mark.parametrize(
    ("hand", "module", "extra"),
    [
        (metrics.prometheus, "prometheus_client", "prometheus"),
        (metrics.opentelemetry, "opentelemetry.metrics", "opentelemetry"),
    ],
)
def test_what_is_not_installed_is_named_with_what_to_install(monkeypatch, hand, module, extra):
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ImportError) as caught:
        hand()

    assert f"is not installed; pip install 'safepatch-py[{extra}]'" in str(caught.value)
