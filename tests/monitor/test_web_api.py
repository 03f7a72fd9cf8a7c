"""The JSON API does what its OpenAPI document says."""

import re

import jsonschema
import pytest

pytest.importorskip("flask", reason="pages need the extra `monitor`")

import hubs
from standins import many, shop
from visitors import client

from safepatch.monitor.web import openapi

#: A request of each route, by its path in the document.
ASKED = {
    "/api/v1/status": "/api/v1/status",
    "/api/v1/endpoints": "/api/v1/endpoints?per_page=5&page=2",
    "/api/v1/endpoints/{name}": "/api/v1/endpoints/Checkout",
    "/api/v1/results": "/api/v1/results?name=Checkout",
    "/api/v1/rollups": "/api/v1/rollups?name=Checkout&step=day",
    "/api/v1/incidents": "/api/v1/incidents?open=true",
    "/api/v1/incidents/{key}": "/api/v1/incidents/1",
    "/api/v1/alerts": "/api/v1/alerts?limit=1",
    "/api/v1/recheck": "/api/v1/recheck?name=Mail",
    "/api/v1/relearn": "/api/v1/relearn?name=Mail",
    "/api/v1/silence": "/api/v1/silence?name=Mail&seconds=60",
}


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


def checked(answer, schema):
    """The JSON of an answer, which fits a schema of the document."""
    assert answer.content_type == "application/json"
    document = openapi.document()
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(answer.json)
    return answer.json


def test_the_document_is_openapi_3_1():
    validator = pytest.importorskip("openapi_spec_validator", reason="in the group `test`")

    document = client().get("/api/openapi.json").json

    validator.validate(document, cls=validator.OpenAPIV31SpecValidator)


def test_the_document_has_each_route_and_nothing_else():
    rules = [
        (method.lower(), re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule))
        for rule in client().application.url_map.iter_rules()
        if rule.rule.startswith("/api/v1")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    ]
    paths = openapi.document()["paths"]

    assert sorted(rules) == sorted((method, path) for path in paths for method in paths[path])
    assert paths.keys() == ASKED.keys()


@pytest.mark.parametrize("path", ASKED)
def test_answers_are_as_the_document_says(path):
    visitor = client()
    for method, operation in openapi.document()["paths"][path].items():
        answer = visitor.open(ASKED[path], method=method.upper())

        assert answer.status_code == 200
        content = operation["responses"]["200"]["content"]
        checked(answer, content["application/json"]["schema"])


@pytest.mark.parametrize("path", ASKED)
def test_parameters_are_as_the_document_says(path):
    """Those that are needed are, and those with bounds refuse what is out of them."""
    visitor = client()
    for method, operation in openapi.document()["paths"][path].items():
        for parameter in operation["parameters"]:
            if parameter["in"] == "query" and parameter.get("required"):
                bare = ASKED[path].partition("?")[0]
                assert visitor.open(bare, method=method.upper()).status_code == 404
            if parameter["schema"].get("minimum") == 1:
                wrong = ASKED[path].partition("?")[0] + f"?{parameter['name']}=0"
                assert visitor.open(wrong, method=method.upper()).status_code == 400
                assert "400" in operation["responses"]
            for word in parameter["schema"].get("enum", ()):
                right = f"?name=Mail&{parameter['name']}={word}"
                assert visitor.get(ASKED[path].partition("?")[0] + right).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/endpoints/nobody", 404),
        ("GET", "/api/v1/results?name=nobody", 404),
        ("GET", "/api/v1/results?name=Mail&since=x", 400),
        ("GET", "/api/v1/results?name=Mail&until=nan", 400),
        ("GET", "/api/v1/results?name=Mail&until=inf", 400),
        ("GET", "/api/v1/rollups?name=Mail&step=week", 400),
        ("GET", "/api/v1/incidents/9999", 404),
        ("GET", "/api/v1/alerts?limit=1e99", 400),
        ("POST", "/api/v1/silence?name=Mail&seconds=-1", 400),
        ("POST", "/api/v1/recheck", 404),
        ("GET", "/api/v1/recheck?name=Mail", 405),
        ("GET", "/api/v2/status", 404),
    ],
)
def test_mistakes_are_told_as_the_document_says(method, path, status):
    answer = client().open(path, method=method)

    assert answer.status_code == status
    told = checked(answer, {"$ref": "#/components/schemas/ErrorAnswer"})
    assert told["status"] == status
    assert told["error"]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (
            "endpoints?state=dwn",
            "state is one of down, warning, unknown, new, up, muted, not 'dwn'",
        ),
        ("endpoints?page=0", "page is a whole number from 1 to 3, not '0'"),
        ("endpoints?page=4", "page is a whole number from 1 to 3, not '4'"),
        ("endpoints?page=last", "page is a whole number from 1 to 3, not 'last'"),
        ("endpoints?per_page=2.5", "per_page is a whole number from 1 to 1000, not '2.5'"),
        ("endpoints?per_page=1001", "per_page is a whole number from 1 to 1000, not '1001'"),
        ("incidents?limit=-1", "limit is a whole number from 1 to 1000, not '-1'"),
        ("incidents?open=yes", "open is one of true, false, 1, 0, not 'yes'"),
        ("alerts?limit=all", "limit is a whole number from 1 to 1000, not 'all'"),
        ("rollups?name=site-00000.example.com&step=week", "step is one of hour, day, not 'week'"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_it_may_be(asked, error):
    answer = client(many(250)).get(f"/api/v1/{asked}")

    assert (answer.status_code, answer.json) == (400, {"error": error, "status": 400})


def test_parameters_without_a_value_are_as_if_not_given():
    answer = client(many(250)).get("/api/v1/endpoints?state=&page=&per_page=")

    assert (answer.json["page"], len(answer.json["endpoints"])) == (1, 100)


def test_a_span_that_ends_before_it_begins_is_refused():
    answer = client().get("/api/v1/results?name=Mail&since=200&until=100")

    assert answer.status_code == 400
    assert "since is a number from 0 to 100" in answer.json["error"]


def test_endpoints_are_paged_and_chosen_as_on_the_page():
    visitor = client(many(250))

    first = visitor.get("/api/v1/endpoints?per_page=200").json
    second = visitor.get("/api/v1/endpoints?per_page=200&page=2").json
    down = visitor.get("/api/v1/endpoints?state=down&tag=team+0&q=site-0").json

    assert (first["total"], first["pages"], len(first["endpoints"])) == (250, 2, 200)
    assert len({each["name"] for each in first["endpoints"] + second["endpoints"]}) == 250
    assert {each["state"] for each in first["endpoints"][:3]} == {"down"}
    assert [each["name"] for each in down["endpoints"]] == [
        f"site-{n:05}.example.com" for n in (0, 100, 200)
    ]


def test_things_can_be_asked_for_as_json_as_a_form_and_in_the_url():
    monitor = shop()
    visitor = client(monitor)

    visitor.post("/api/v1/silence", json={"name": "Mail", "seconds": 60})
    visitor.post("/api/v1/silence", data={"name": "Mail", "seconds": "60"})
    visitor.post("/api/v1/silence?name=Mail&seconds=60")

    assert monitor.done == [("silence", "Mail", 60.0)] * 3


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"null", b"\xff", b'{"name": {}}'])
def test_a_body_that_is_no_object_is_refused(body):
    answer = client().post("/api/v1/recheck", data=body, content_type="application/json")

    assert answer.status_code in (400, 404)
    assert answer.content_type == "application/json"


def test_beats_are_given_to_the_monitor():
    monitor = shop()
    visitor = client(monitor)

    answers = [
        visitor.get("/beat/the-key/nightly-backup"),
        visitor.post("/beat/the-key/nightly-backup?status=fail&msg=disk+full"),
        visitor.post("/beat/the-key/nightly-backup?status=fail", data=b"no space left"),
        visitor.post("/beat/the-key/nightly-backup", data={"status": "fail", "msg": "é"}),
    ]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert [done[3:] for done in monitor.done] == [
        (True, ""), (False, "disk full"), (False, "no space left"), (False, "é"),
    ]  # fmt: skip


def test_a_status_that_is_neither_good_nor_bad_is_refused():
    monitor = shop()
    visitor = client(monitor)

    answer = visitor.get("/beat/the-key/nightly-backup?status=1")

    assert (answer.status_code, answer.text) == (400, "status is ok or fail, not '1'\n")
    assert visitor.get("/beat/the-key/nightly-backup?status=failed").status_code == 200
    assert visitor.get("/beat/the-key/nightly-backup?status=up").status_code == 200
    assert [done[3] for done in monitor.done] == [False, True]


def test_a_wrong_key_and_a_name_of_nobody_are_answered_alike():
    visitor = client()

    wrong = visitor.get("/beat/another-key/nightly-backup")
    nobody = visitor.get("/beat/the-key/nobody")

    assert wrong.status_code == nobody.status_code == 404
    assert wrong.text == nobody.text


def test_what_a_job_says_is_cut_off():
    monitor = shop()

    client(monitor).post("/beat/the-key/nightly-backup", data=b"x" * 60_000)

    assert len(monitor.done[0][-1]) == 1000


def test_beats_are_limited_for_each_address():
    visitor = client()
    visitor.application.extensions["safepatch.monitor.beats"] = limited = []

    def limit(address):
        from safepatch.decorators import RateLimitExceeded

        limited.append(address)
        raise RateLimitExceeded("beats", 3.2)

    visitor.application.extensions["safepatch.monitor.beats"] = limit

    answer = visitor.get("/beat/the-key/nightly-backup", environ_base={"REMOTE_ADDR": "192.0.2.9"})

    assert answer.status_code == 429
    assert limited == ["192.0.2.9"]


def test_so_many_beats_are_let_through_at_once():
    from safepatch.decorators import RateLimitExceeded
    from safepatch.monitor.web import beats

    limit, let_through = beats.limit(), 0
    with pytest.raises(RateLimitExceeded):
        for _ in range(2000):
            limit("192.0.2.9")
            let_through += 1
    limit("192.0.2.10")

    assert 500 <= let_through < 600
