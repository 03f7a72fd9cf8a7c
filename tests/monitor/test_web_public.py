"""What everybody sees, and what nobody else is to see."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

pytest.importorskip("flask", reason="pages need the extra `monitor`")

import gevent
import hubs
from standins import endpoint, incident, many, shop
from visitors import client, far, log_in, with_login

from safepatch.monitor.plan import Plan
from safepatch.monitor.statuses import Status
from safepatch.monitor.web import badges, charts, public


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


def test_the_page_has_public_endpoints_by_their_descriptions():
    text = far(shop()).get("/status").text

    for shown in ("Checkout and payments", "API for partners", "1 of 7 services does not work"):
        assert shown in text
    for inside in ("Database", "nightly-backup", "Gateway Berlin", "Old site"):
        assert inside not in text


def test_the_page_tells_no_addresses_no_messages_and_nothing_internal():
    monitor = shop()
    monitor.blind, monitor.problems = "resolver 10.0.0.1 is dead", [("sites.txt:1", "wrong")]
    text = far(monitor).get("/status").text

    for inside in (
        "pay.example.com", "10 s", "192.0.2", "10.0.0.1", "sites.txt", "maintenance", "503",
        "Failing", "Warning", "/endpoint", "/pace", "csrf",
    ):  # fmt: skip
        assert inside not in text


def test_the_kind_of_trouble_is_told_in_words():
    assert "No answer in time." in far(shop()).get("/status").text

    assert public.trouble(Status(state="down", error="tls")) == "No TLS with it."
    internal = Status(state="down", error="private", message="10.0.0.1 is private")
    assert public.trouble(internal) == "It does not work."


@pytest.mark.parametrize(
    ("name", "description", "expected"),
    [
        ("10.0.0.5", "", False),
        ("10.0.0.5:5432", "", False),
        ("tcp://10.0.0.5:5432", "", False),
        ("http://[fd00::1]/", "", False),
        ("::1", "", False),
        ("::ffff:10.0.0.5", "", False),
        ("192.168.1.1", "", False),
        ("127.0.0.1:80", "", False),
        ("169.254.169.254", "", False),
        ("localhost:3000", "", False),
        ("printer.local", "", False),
        ("db.internal:5432", "", False),
        ("https://me:secret@example.com/", "", False),
        ("10.0.0.5", "Our database", True),
        ("db", "it is at 10.0.0.5", False),
        ("db", "ours (10.0.0.5), in the cellar", False),
        ("example.com", "", True),
        ("https://example.com/login", "", True),
        ("8.8.8.8", "", True),
        ("Web shop", "", True),
        ("12:30 train", "", True),
        ("http://[", "", False),
        ("https://example.com/hook?token=SECRET", "", False),
        ("https://example.com/hook?token=SECRET", "Hooks", True),
        ("http://jenkins:8080/", "", False),
        ("icmp://db01", "", False),
        ("db01:5432", "", False),
        ("http://db.internal./", "", False),
        ("wiki.corp", "", False),
        ("http://a.localhost/", "", False),
        ("shop: 24 hours", "", True),
        ("beat://nightly-backup", "", True),
        ("nightly-backup", "", True),
    ],
)
def test_hosts_that_only_insiders_know_are_named_to_nobody(name, description, expected):
    assert public.is_public(endpoint(name, description=description)) is expected


def test_what_is_not_public_has_no_badge():
    visitor = far(shop())

    assert visitor.get("/badge/Web shop.svg").status_code == 200
    assert visitor.get("/badge/Database.svg").status_code == 404
    assert visitor.get("/badge/nobody.svg").status_code == 404


def test_incidents_name_public_endpoints_alone():
    monitor = shop()
    monitor.told = [
        incident("3", ("Database", "Web shop"), now=monitor.now, title="2 at 10.1.2.3 are down"),
        incident("4", ("Database",), now=monitor.now),
    ]

    text = far(monitor).get("/status").text

    assert text.count('class="card incident"') == 1
    assert "10.1.2.3" not in text


@pytest.mark.parametrize(
    ("down", "heading"),
    [(("Checkout",), "Checkout and payments"), ((), "Web shop, Checkout and payments")],
)
def test_an_open_incident_names_what_is_down_now(down, heading):
    monitor = shop()
    monitor.told = [incident("3", ("Web shop", "Checkout"), now=monitor.now)]
    for name in monitor.told[0]["names"]:
        monitor.statuses[name].state = "down" if name in down else "up"

    text = far(monitor).get("/status").text

    assert f'<article class="card incident"><h3><bdi>{heading}</bdi></h3>' in text


def test_without_a_public_page_there_is_none_but_with_a_login(monkeypatch):
    monitor = with_login(monkeypatch, public_page=False)

    assert far(monitor).get("/status").status_code == 404
    assert far(monitor).get("/badge/Web shop.svg").status_code == 404
    assert client(shop(public_page=False)).get("/status").status_code == 200


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda m: m.statuses["Checkout"].__setattr__("state", "up"), "All services work"),
        (lambda m: setattr(m, "blind", "x"), "We cannot tell right now"),
        (lambda m: setattr(m, "plan", Plan(settings=m.plan.settings)), "Nothing is known yet"),
    ],
)
def test_the_first_line_says_how_it_stands(change, expected):
    monitor = shop()
    change(monitor)

    assert expected in far(monitor).get("/status").text


def test_many_endpoints_are_on_pages():
    visitor = far(many(120, url="https://status.example.com"))

    assert visitor.get("/status").text.count('<svg class="days"') == 50
    assert visitor.get("/status?page=3").text.count('<svg class="days"') == 20


def test_the_page_is_made_for_all_who_come_within_five_seconds():
    monitor = shop()
    made = []
    monitor.history.uptime = lambda *given: made.append(1)
    visitor = far(monitor)

    texts = {visitor.get("/status").text for _ in range(3)}
    headers = visitor.get("/status").headers

    assert len(texts) == 1
    assert len(made) == 7  # one for each service
    assert headers["Cache-Control"] == "public, max-age=5"


def test_however_many_come_at_once_one_page_is_made_at_a_time(monkeypatch):
    visitor = far(many(500, url="https://status.example.com"))
    looked, made, most = [], [], []
    really = public._public_names

    def slowly(number):
        made.append(number)
        most.append(len(made))
        public.shown()
        gevent.sleep(0.002)
        made.remove(number)
        return str(number)

    monkeypatch.setattr(public, "_page", slowly)
    monkeypatch.setattr(public, "_public_names", lambda all_: looked.append(1) or really(all_))
    visitors = [visitor.application.test_client() for _ in range(10)]
    for each in visitors:
        each.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    asking = [
        gevent.spawn(each.get, f"/status?page={number}") for number, each in enumerate(visitors, 1)
    ]
    gevent.joinall(asking, timeout=10)

    assert sorted(each.value.text for each in asking) == sorted(map(str, range(1, 11)))
    assert set(most) == {1}
    assert looked == [1]


def test_checks_go_on_while_the_page_is_made():
    turns = []

    def check():
        while True:
            turns.append(1)
            gevent.sleep(0)

    checking = gevent.spawn(check)
    far(many(50, url="https://status.example.com")).get("/status")
    checking.kill()

    assert len(turns) >= 50


def test_who_may_see_more_is_shown_the_page_as_it_is_now():
    visitor = client(monitor := shop())
    assert "1 of 7 services does not work" in visitor.get("/status").text
    monitor.blind = "x"

    answer = visitor.get("/status")

    assert "We cannot tell right now" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_no_page_of_one_who_may_see_more_is_kept_for_others(monkeypatch):
    monitor = with_login(monkeypatch)
    insider = far(monitor)
    log_in(insider)
    stranger = far(monitor)
    stranger.application = insider.application

    assert "/incidents" in insider.get("/status").text
    assert "/incidents" not in stranger.get("/status").text
    assert "/incidents" in insider.get("/status").text


def test_no_cookie_is_set_on_the_public_page():
    for page in ("/status", "/badge/Web shop.svg", "/healthz"):
        assert "Set-Cookie" not in far(shop()).get(page).headers


@pytest.mark.parametrize("name", ["a", "<b>&\"'", "x" * 10_000, "\u202eabc", "日本"])
def test_badges_are_sound_whatever_the_name(name):
    for status in (Status(), Status(state="down")):
        drawn = ElementTree.fromstring(badges.state(name, status))

        assert drawn.attrib["aria-label"].endswith(f": {status.state}")
        assert len(drawn.attrib["aria-label"]) < 60


def test_badges_may_be_put_on_other_sites():
    headers = far(shop()).get("/badge/Web shop.svg").headers

    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "max-age=30" in headers["Cache-Control"]


@pytest.mark.parametrize(
    ("share", "expected"), [(None, "-"), (1.0, "100 %"), (0.99999, "99.999 %"), (0.5, "50.0 %")]
)
def test_a_badge_of_uptime_never_rounds_up_to_all(share, expected):
    assert ElementTree.fromstring(badges.uptime(share)).attrib["aria-label"].endswith(expected)


# -- charts


def day(at, checks=100, failed=0, unknown=0):
    return {"at": at * 86400, "checks": checks, "failed": failed, "unknown": unknown}


def test_a_day_has_a_bar_by_how_many_checks_failed():
    drawn = charts.days(
        [day(9), day(8, failed=1), day(7, failed=50), day(6, checks=0)], 9.5 * 86400, 5
    )

    root = ElementTree.fromstring(drawn)
    kinds = {path.attrib["class"]: path.attrib["d"].count("M") for path in root}
    assert kinds == {"none": 2, "good": 1, "some": 1, "bad": 1}
    assert root.attrib["aria-label"] == "3 days, 2 of them with failed checks"
    assert [title.text for title in root.iter("title")] == [
        "09 Jan 1970: 99.0 % of checks were good", "08 Jan 1970: 50.0 % of checks were good",
    ]  # fmt: skip


def test_checks_that_say_nothing_do_not_count():
    days = [day(9, unknown=100), day(8, failed=1, unknown=98)]
    raw = [(1.0, 0.1, ""), (2.0, 5.0, "blind"), (3.0, 5.0, "internal")]

    drawn = ElementTree.fromstring(charts.days(days, 9.5 * 86400, 2))

    assert [title.text for title in drawn.iter("title")] == [
        "09 Jan 1970: 50.0 % of checks were good"
    ]
    assert {path.attrib["class"] for path in drawn} == {"none", "good", "bad"}
    assert charts.points_of_raw(raw, 0, 4, 1) == [(2.0, 0.1, 0.1, 0.1, 0)]


def test_days_outside_are_not_drawn():
    drawn = charts.days([day(1), day(99)], 9.5 * 86400, 5)

    assert ElementTree.fromstring(drawn).attrib["aria-label"] == "no history yet"


def test_the_line_is_broken_where_nothing_was_measured():
    raw = [(float(at), 0.1, "") for at in (*range(0, 1000, 10), *range(5000, 6000, 10))]

    points = charts.points_of_raw(raw, 0, 6000)
    drawn = str(charts.latency(points, 0, 6000, gap=600))

    assert drawn.count("<polyline") == 2


def test_failures_are_marked_and_not_part_of_the_line():
    raw = [(float(at), 9.0 if at == 500 else 0.1, "timeout" if at == 500 else "") for at in
           range(0, 1000, 10)]  # fmt: skip

    drawn = str(charts.latency(charts.points_of_raw(raw, 0, 1000), 0, 1000, gap=600))

    assert drawn.count('class="mark"') == 1
    assert "typically 100 ms, at most 100 ms; 1 check failed" in drawn


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (0.0096, ["10 ms", "7.5 ms", "5 ms", "2.5 ms", "0"]),
        (0.17, ["200 ms", "150 ms", "100 ms", "50 ms", "0"]),
        (1.1, ["1.2 s", "900 ms", "600 ms", "300 ms", "0"]),
        (0.0, ["1 ms", "0.75 ms", "0.5 ms", "0.25 ms", "0"]),
    ],
)
def test_the_scale_has_exact_numbers(most, labels):
    drawn = str(charts.latency([(1.0, most, most, most, 0)], 0, 2, gap=1))

    seconds = drawn.partition('class="times"')[0]
    assert re.findall(r"<span>([^<]+)</span>", seconds) == labels


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e6])
def test_any_latency_can_be_drawn(seconds):
    drawn = charts.latency([(1.0, seconds, seconds, seconds, 0)], 0, 2, gap=1)

    ElementTree.fromstring(str(drawn))
    assert "nan" not in drawn
