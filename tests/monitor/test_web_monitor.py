"""The pages of a monitor that really checks."""

import re
import time

import gevent
import pytest

pytest.importorskip("flask", reason="pages need the extra `monitor`")

import hubs
from gevent import pywsgi
from test_web_serving import ask

from safepatch.monitor import Monitor, Result
from safepatch.monitor.sources import PlanError


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


@pytest.fixture
def site():
    """A site on loopback, of which /bad answers 503."""

    def answer(environ, start_response):
        bad = environ["PATH_INFO"] == "/bad"
        start_response("503 No" if bad else "200 OK", [("Content-Type", "text/html")])
        return [b"<title>A site</title>Hello"]

    server = pywsgi.WSGIServer(("127.0.0.1", 0), answer, log=None)
    server.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.stop()


def watch(tmp_path, site, **settings):
    quick = {"interval": 60.0, "retry_after": 0.05, "timeout": 2.0}
    return Monitor(
        {
            "monitor": {"listen": "127.0.0.1:0", "gather": 0.1, **settings},
            "defaults": quick,
            "endpoints": {
                "good": f"{site}/",
                "bad": f"{site}/bad",
                "job": "beat://job",
            },
        },
        state=tmp_path / "state",
    )


def until(done):
    with gevent.Timeout(5):
        while not done():
            gevent.sleep(0.02)


def test_all_pages_and_answers_are_made_of_what_a_monitor_found(tmp_path, site):
    with watch(tmp_path, site) as monitor:
        until(lambda: monitor.statuses["bad"].state == "down" and monitor.incidents.open())
        until(lambda: monitor.statuses["good"].state == "up")
        incident = monitor.incidents.open()[0]["id"]

        for path, expected in {
            "/": b"answers 503 No",
            "/endpoint?name=bad": b"It answers with another status than expected.",
            "/endpoint?name=bad&range=month": b"bad is down",
            "/endpoint?name=bad&range=year": b"bad is down",
            "/endpoint?name=good": b"What is normal",
            "/endpoint?name=job": b"beat://job",
            "/incidents": b"bad is down",
            f"/incidents/{incident}": b"Down now",
            "/alerts": b"Nobody had to be told",
            "/pace": b"How late checks begin",
            "/status": b"1 of 3 services does not work",
            "/metrics": b'safepatch_endpoint_up{endpoint="bad",kind="http"} 0',
            "/api/v1/status": b'"down":1',
            "/api/v1/endpoints/good": b'"state":"up"',
            "/api/v1/results?name=good": b'"name":"good"',
            "/api/v1/rollups?name=good&step=day": b'"name":"good"',
            "/api/v1/incidents": b"bad is down",
            "/api/v1/alerts": b'"alerts"',
            "/badge/good.svg": b"up",
        }.items():
            head, body = ask(monitor.server, path)
            assert "200 OK" in head, path
            assert expected in body, path


def test_metrics_tell_when_the_certificate_of_a_site_that_is_well_ends(tmp_path):
    def check(endpoint, tools):
        facts = {"certificate": {"issuer": "X", "expires": 2_000_000_000}, "title": "A site"}
        return Result(name=endpoint.name, at=time.time(), facts=facts)

    source = {"endpoints": {"a": "https://a.example/"}}
    with Monitor(source, state=tmp_path / "state", listen="127.0.0.1:0", check=check) as monitor:
        until(lambda: monitor.statuses["a"].state == "up")

        body = ask(monitor.server, "/metrics")[1].decode()

    name = "safepatch_endpoint_certificate_expires_timestamp_seconds"
    assert f'{name}{{endpoint="a"}} 2000000000' in body
    assert monitor.statuses["a"].result.facts.keys() == {"certificate"}


def test_the_page_of_a_heartbeat_has_the_address_that_its_job_reports_to(tmp_path, site):
    with watch(tmp_path, site) as monitor:
        page = ask(monitor.server, "/endpoint?name=job")[1].decode()
        address = re.search(r"<code>http://127\.0\.0\.1:\d+(/beat/[^/]+/job)</code>", page)[1]

        head, body = ask(monitor.server, address)

        assert ("200 OK" in head, body) == (True, b"ok\n")
        assert "at" in monitor.store.root["beats"]["job"]


def test_what_is_asked_for_is_done(tmp_path, site):
    with watch(tmp_path, site) as monitor:
        until(lambda: monitor.statuses["bad"].state == "down")
        checked = monitor.statuses["bad"].checked

        for path in ("recheck?name=bad", "silence?name=bad&seconds=60", "relearn?name=good"):
            assert "200 OK" in ask(monitor.server, f"/api/v1/{path}", method="POST")[0]
        until(lambda: monitor.statuses["bad"].checked > checked)

        assert monitor.statuses["bad"].muted.startswith("silenced")
        assert "200 OK" in ask(monitor.server, f"/beat/{monitor.beats.key}/job?status=fail")[0]
        until(lambda: monitor.statuses["job"].failing)
        assert "404" in ask(monitor.server, "/beat/another-key/job")[0]


def test_a_change_is_told_to_open_pages(tmp_path, site):
    with watch(tmp_path, site) as monitor:
        until(lambda: monitor.statuses["bad"].state == "down")
        live = monitor.server.application.extensions["safepatch.monitor.live"]
        flag = live.enter("good")
        gevent.sleep(0)

        monitor.silence("good", 60)

        assert flag.wait(2)
        live.leave(flag)
        assert "muted: <bdi>silenced" in ask(monitor.server, "/?state=muted")[1].decode()


def test_a_monitor_that_would_be_open_to_all_does_not_start(tmp_path, site):
    with pytest.raises(PlanError, match="say login and password_hash_env"):
        watch(tmp_path, site, listen="0.0.0.0:0").start()


def test_cookies_are_signed_with_a_key_from_the_state(tmp_path, site):
    keys = []
    for _ in range(2):
        with watch(tmp_path, site) as monitor:
            keys.append(monitor.server.application.secret_key)

    assert keys[0] == keys[1]
    assert len(keys[0]) == 64
