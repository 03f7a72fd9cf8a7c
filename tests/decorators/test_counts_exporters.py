"""What prometheus_client and OpenTelemetry are told of counted calls."""

import json

import pytest
from children import child
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from safepatch.decorators import count_calls, exporters


def clock_of(*seconds):
    return iter(seconds).__next__


def work(x=1):
    return 1 / x


def half(x):
    return x // 2


NAMES = [f"{__name__}.work", f"{__name__}.half"]


@pytest.fixture
def counted():
    """Two functions, one called three times, with an error."""
    one = count_calls(work, buckets=[1, 2.5], clock=clock_of(0, 0.5, 0, 2, 0, 9))
    one(), one()
    with pytest.raises(ZeroDivisionError):
        one(0)
    return [one, count_calls(half)]


def test_prometheus_is_told_calls_errors_and_times(counted):
    registry = CollectorRegistry()

    exporters.prometheus(counted, registry=registry)

    lines = generate_latest(registry).decode().splitlines()
    assert [line for line in lines if "half" not in line] == [
        "# HELP safepatch_call_seconds Seconds that calls took.",
        "# TYPE safepatch_call_seconds histogram",
        f'safepatch_call_seconds_bucket{{function="{NAMES[0]}",le="1.0"}} 1.0',
        f'safepatch_call_seconds_bucket{{function="{NAMES[0]}",le="2.5"}} 2.0',
        f'safepatch_call_seconds_bucket{{function="{NAMES[0]}",le="+Inf"}} 3.0',
        f'safepatch_call_seconds_count{{function="{NAMES[0]}"}} 3.0',
        f'safepatch_call_seconds_sum{{function="{NAMES[0]}"}} 11.5',
        "# HELP safepatch_call_errors_total Calls that raised anything.",
        "# TYPE safepatch_call_errors_total counter",
        f'safepatch_call_errors_total{{function="{NAMES[0]}"}} 1.0',
    ]


def test_what_prometheus_is_told_can_be_parsed_and_has_no_other_label(counted):
    registry = CollectorRegistry()
    exporters.prometheus(counted, registry=registry, prefix="shop")

    families = list(text_string_to_metric_families(generate_latest(registry).decode()))

    assert [family.name for family in families] == ["shop_call_seconds", "shop_call_errors"]
    samples = [sample for family in families for sample in family.samples]
    assert {name for sample in samples for name in sample.labels} == {"function", "le"}
    assert {sample.labels["function"] for sample in samples} == set(NAMES)


def test_prometheus_reads_when_it_scrapes_also_functions_that_came_later(counted):
    registry = CollectorRegistry()
    functions = []
    exporters.prometheus(functions, registry=registry)
    labels = {"function": NAMES[1]}
    assert registry.get_sample_value("safepatch_call_seconds_count", labels) is None

    functions.append(counted[1])
    counted[1](4)

    assert registry.get_sample_value("safepatch_call_seconds_count", labels) == 1


def test_functions_of_one_name_are_added_up_in_the_buckets_of_the_first(counted):
    registry = CollectorRegistry()
    other = count_calls(work, buckets=[0.1, 2.0], clock=clock_of(0, 0.05, 0, 1.5, 0, 8))
    other(), other(), other()
    exporters.prometheus([counted[0], other], registry=registry)

    def value(name, **labels):
        return registry.get_sample_value(f"safepatch_call_{name}", {"function": NAMES[0], **labels})

    assert [value("seconds_bucket", le=le) for le in ("1.0", "2.5", "+Inf")] == [2, 4, 6]
    assert [value("seconds_count"), value("errors_total")] == [6, 1]
    assert value("seconds_sum") == pytest.approx(21.05)


def test_a_collector_can_be_taken_out_again(counted):
    registry = CollectorRegistry(auto_describe=True)
    collector = exporters.prometheus(counted, registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        exporters.prometheus(counted, registry=registry)

    registry.unregister(collector)

    assert generate_latest(registry) == b""


# The SDK runs in a process of its own: it takes names of modules that other tests patch.


def test_opentelemetry_is_told_calls_errors_and_seconds_when_it_collects():
    printed = child("""
        import json
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from safepatch.decorators import count_calls, exporters

        class Shop:
            @count_calls(clock=iter([0, 0.5, 0, 2, 0, 9]).__next__)
            def half(self, x):
                return x / 2

        reader = InMemoryMetricReader()
        meter = MeterProvider([reader]).get_meter("shop")
        exporters.opentelemetry([Shop.half, count_calls(len)], meter=meter)
        for x in (1, 2, "no"):
            try:
                Shop().half(x)
            except TypeError:
                pass
        [resource] = reader.get_metrics_data().resource_metrics
        [scope] = resource.scope_metrics
        print(json.dumps({
            metric.name: [metric.unit, metric.data.is_monotonic,
                          [[dict(point.attributes), point.value]
                           for point in metric.data.data_points]]
            for metric in scope.metrics
        }))
    """)

    def points(one, other):
        return [
            [{"function": "__main__.Shop.half"}, one],
            [{"function": "builtins.len"}, other],
        ]

    assert json.loads(printed) == {
        "safepatch.calls": ["{call}", True, points(3, 0)],
        "safepatch.call.errors": ["{call}", True, points(1, 0)],
        "safepatch.call.duration": ["s", True, points(11.5, 0.0)],
    }


def test_the_provider_of_opentelemetry_may_be_set_later():
    printed = child("""
        from opentelemetry import metrics
        from safepatch.decorators import count_calls, exporters
        counted = count_calls(len)
        exporters.opentelemetry([counted])
        counted("")
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([reader]))
        [resource] = reader.get_metrics_data().resource_metrics
        for metric in resource.scope_metrics[0].metrics:
            if metric.name == "safepatch.calls":
                print(resource.scope_metrics[0].scope.name, metric.data.data_points[0].value)
    """)
    assert printed == "safepatch 1"


@pytest.mark.parametrize("export", [exporters.prometheus, exporters.opentelemetry])
def test_a_function_that_is_not_counted_is_refused_at_once(export):
    with pytest.raises(TypeError, match=r"got <function work at .*; give what count"):
        export([work])


@pytest.mark.parametrize("export", [exporters.prometheus, exporters.opentelemetry])
@pytest.mark.parametrize("functions", [count_calls(work), iter([count_calls(work)])])
def test_what_cannot_be_read_at_every_scrape_is_refused_at_once(export, functions):
    with pytest.raises(TypeError, match=r"got <.*; give a list of what count_calls returned"):
        export(functions)


def test_neither_library_is_imported_before_it_is_used():
    printed = child("""
        import sys
        from safepatch.decorators import exporters
        print([name for name in ("prometheus_client", "opentelemetry") if name in sys.modules])
    """)
    assert printed == "[]"
