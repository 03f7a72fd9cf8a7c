"""/metrics, as Prometheus reads it."""

import pytest

pytest.importorskip("flask", reason="pages need the extra `monitor`")

import hubs
from prometheus_client.parser import text_string_to_metric_families
from standins import StandIn, endpoint, many, shop
from visitors import client

from safepatch.monitor.plan import Endpoint, Options, Plan
from safepatch.monitor.results import Result
from safepatch.monitor.statuses import Status
from safepatch.monitor.web import metrics


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


def read(text):
    """name -> labels -> value, by the parser of prometheus_client."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            key = tuple(sorted(sample.labels.items()))
            assert key not in found.setdefault(sample.name, {})
            found[sample.name][key] = sample.value
    return found


def test_endpoints_have_state_phases_and_expiry():
    monitor = shop()

    answer = client(monitor).get("/metrics")
    found = read(answer.text)

    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    up = found["safepatch_endpoint_up"]
    assert up[("endpoint", "Checkout"), ("kind", "https")] == 0
    assert up[("endpoint", "Web shop"), ("kind", "https")] == 1
    assert not [key for key in up if ("endpoint", "Mail out") in key]  # it is new
    phases = monitor.statuses["Mail"].result.phases
    told = found["safepatch_endpoint_phase_seconds"]
    assert {key[1][1]: told[key] for key in told if key[0][1] == "Mail"} == phases
    expires = found["safepatch_endpoint_certificate_expires_timestamp_seconds"]
    assert expires[(("endpoint", "Mail"),)] == pytest.approx(monitor.now + 40 * 86400)
    assert found["safepatch_endpoint_muted"] == {(("endpoint", "Database"),): 1}
    assert found["safepatch_endpoint_warnings"] == {(("endpoint", "Old site"),): 1}


def test_the_monitor_tells_of_itself():
    found = read(client().get("/metrics").text)

    assert found["safepatch_monitor_endpoints"][(("state", "down"),)] == 1
    assert found["safepatch_monitor_lateness_seconds"][(("of", "median"),)] == 0.004
    assert found["safepatch_monitor_checks_total"] == {(): 12345}
    assert found["safepatch_monitor_checks_in_flight"] == {(): 7}
    assert found["safepatch_monitor_overloaded"] == {(): 0}
    assert found["safepatch_monitor_open_incidents"] == {(): 1}
    assert found["safepatch_monitor_dns_hits"] == {(): 499_500}


def test_the_kind_is_the_one_that_was_found_out():
    monitor = StandIn([Endpoint("db.example.com:5432", "db.example.com:5432", Options())])
    name = "db.example.com:5432"
    monitor.found[name] = Endpoint(name, "tcp://db.example.com:5432", Options())
    visitor = client(monitor)

    [key] = read(visitor.get("/metrics").text)["safepatch_endpoint_up"]
    [listed] = visitor.get("/api/v1/endpoints").json["endpoints"]

    assert dict(key)["kind"] == "tcp"
    assert listed == visitor.get(f"/api/v1/endpoints/{name}").json["endpoint"]
    assert listed["kind"] == "tcp"


def test_a_channel_that_takes_nothing_is_seen():
    monitor = shop()

    found = read(client(monitor).get("/metrics").text)

    assert found["safepatch_channel_waiting"] == {
        (("channel", "team chat"),): 0,
        (("channel", "phone"),): 3,
    }
    since = found["safepatch_channel_failing_since_timestamp_seconds"]
    assert since == {(("channel", "phone"),): monitor.now - 600}


@pytest.mark.parametrize(
    "name", ['a"b', "a\\", "a\\n", "a\nb", 'a"} 1\nevil 2', "é\u202e", "{}", "#", "", " "]
)
def test_names_are_labels_whatever_is_in_them(name):
    monitor = shop()
    monitor.plan = Plan(endpoints={name: endpoint(name, "tcp://host:1")})
    result = Result(name=name, at=1.0, phases={"total": 1e-7})
    monitor.statuses = {name: Status(state="up", checked=1.5, result=result)}

    found = read(client(monitor).get("/metrics").text)

    assert found["safepatch_endpoint_up"] == {(("endpoint", name), ("kind", "tcp")): 1}
    assert found["safepatch_endpoint_phase_seconds"] == {
        (("endpoint", name), ("phase", "total")): 1e-7
    }
    assert "evil" not in found


def test_all_endpoints_are_written_in_slices_with_pauses_between():
    monitor, pauses = many(1001), []

    text = "".join(metrics.text(monitor, {}, lambda: pauses.append(1)))

    assert len(read(text)["safepatch_endpoint_up"]) == 1001
    assert len(pauses) == 11 * len(metrics.ENDPOINTS)


def test_an_endpoint_that_goes_meanwhile_is_left_out():
    monitor = many(1001)
    lines = metrics.text(monitor, {}, lambda: monitor.statuses.clear())

    assert len(read("".join(lines))["safepatch_endpoint_up"]) == 100
