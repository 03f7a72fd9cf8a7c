"""What the pages show."""

import html.parser
import re
from urllib.parse import quote

import pytest

pytest.importorskip("flask", reason="pages need the extra `monitor`")

import hubs
from standins import endpoint, incident, many, shop
from visitors import client, csrf

from safepatch.monitor.plan import Plan
from safepatch.monitor.results import Result
from safepatch.monitor.statuses import Status
from safepatch.monitor.web import reading

NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202etxt.exe"
PAGES = ["/", "/endpoint?name=Checkout", "/incidents", "/incidents/1", "/alerts", "/pace"]
PAGES += ["/status", "/nothing-of-that-name"]


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


def rows(text):
    return re.findall(r'<a href="/endpoint\?name=[^"]+"><bdi>([^<]+)</bdi>', text)


def test_what_is_down_comes_first_then_what_is_not_well_then_the_rest_as_written():
    text = client().get("/").text

    assert rows(text)[:6] == [
        "Checkout", "Search", "Old site", "Mail out", "Web shop", "Customer API",
    ]  # fmt: skip


def test_what_is_muted_comes_after_what_somebody_is_alerted_of():
    monitor = shop()
    monitor.statuses["Checkout"].muted = "maintenance nightly"
    monitor.statuses["Mail"].state, monitor.statuses["Mail"].since = "down", 1.0

    assert rows(client(monitor).get("/").text)[:2] == ["Mail", "Checkout"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=down", ["Checkout"]),
        ("state=warning", ["Search", "Old site"]),
        ("state=muted", ["Database"]),
        ("tag=mail", ["Mail out", "Mail"]),
        ("q=EXAMPLE.com/v2", ["Customer API"]),
        ("q=mx&tag=mail&state=up", ["Mail"]),
        ("q=nowhere", []),
        ("state=nonsense", 12),
    ],
)
def test_rows_are_chosen_by_state_tag_and_text(query, expected):
    found = rows(client().get(f"/?{query}").text)

    assert expected == (found if isinstance(expected, list) else len(found))


def test_a_hundred_rows_are_on_a_page_and_pages_lead_to_each_other():
    visitor = client(many(250))

    first, last = visitor.get("/").text, visitor.get("/?page=3&state=up").text

    assert len(rows(first)) == 100
    assert 'rel="next" href="/?page=2"' in first
    assert 'rel="prev" href="/?page=2&amp;state=up"' in last or "page=2" in last
    assert not set(rows(first)) & set(rows(visitor.get("/?page=2").text))


@pytest.mark.parametrize("page", ["0", "-1", "99", "x", "9" * 400, "1e3", "²"])
def test_a_page_that_is_not_there_is_the_nearest_that_is(page):
    assert client(many(250)).get("/", query_string={"page": page}).status_code == 200


def test_the_counts_are_those_of_all_endpoints_whatever_is_chosen():
    text = client().get("/?q=nowhere").text

    counts = re.findall(r"<b>(\d+)</b><span>(?:<svg.*?</svg>)?\s*(\w+)", text, re.S)
    assert counts == [
        ("12", "all"), ("1", "down"), ("2", "warning"), ("0", "unknown"), ("1", "new"),
        ("8", "up"), ("1", "muted"),
    ]  # fmt: skip


def test_an_endpoint_has_a_page_with_all_that_is_known_of_it():
    text = client().get("/endpoint?name=Checkout").text

    for part in (
        "No answer in time.", "no answer came within 10 s", "Good, 30 days", "first byte",
        'aria-label="typically', "Example shop", "Checkout is down", "every 1 min", "sites.txt:1",
    ):  # fmt: skip
        assert part in text


@pytest.mark.parametrize("span", ["day", "month", "year", "nonsense"])
def test_the_chart_is_of_a_day_a_month_or_a_year(span):
    answer = client().get(f"/endpoint?name=Checkout&range={span}")

    assert answer.status_code == 200
    assert '<polyline class="line"' in answer.text


@pytest.mark.parametrize(
    ("raw", "days", "expected"),
    [
        ([(1.0, 1.0, "timeout"), (2.0, 1.0, "blind"), (3.0, 1.0, "")], [], (1.0, "timeout")),
        ([(9.0, 1.0, "")], [{"at": 0.0, "failed": 2}, {"at": 5.0, "failed": 0}], (0.0, "")),
        ([], [], None),
    ],
)
def test_the_last_failure_is_the_latest_that_is_known(raw, days, expected):
    assert reading.last_failure(raw, days) == expected


def test_a_monitor_that_has_just_begun_shows_a_line_and_not_an_empty_day():
    monitor = shop()
    monitor.history.raw = lambda name, since, until: [
        (monitor.now - 60.0 + n, 0.1, "") for n in range(0, 60, 10)
    ]

    text = client(monitor).get("/endpoint?name=Mail").text

    line = re.search(r'<polyline class="line" points="([^"]+)"', text).group(1)
    assert 640 < float(line.partition(",")[0]) < 660  # of 720, which are ten minutes


def test_an_endpoint_that_was_never_checked_has_a_page_too():
    monitor = shop()
    monitor.statuses.pop("Mail")
    monitor.history.raw = monitor.history.rollups = lambda *given: []
    monitor.history.uptime = lambda *given: None

    text = client(monitor).get("/endpoint?name=Mail").text

    assert "no good check, 0 failed" in text
    assert "no history yet" in text


def test_names_may_be_urls():
    name = "https://example.com//a/../b?x=1&y=2#z"
    monitor = shop()
    monitor.plan = Plan(endpoints={name: endpoint(name, name)})
    visitor = client(monitor)

    link = re.search(r'href="(/endpoint\?name=[^"]+)"', visitor.get("/").text).group(1)
    answer = visitor.get(link.replace("&amp;", "&"))

    assert answer.status_code == 200
    path = quote(name, safe="")
    assert visitor.get(f"/api/v1/endpoints/{path}").json["endpoint"]["name"] == name


def test_buttons_ask_the_monitor_and_lead_back():
    monitor = shop()
    visitor = client(monitor)
    token = csrf(visitor, "/endpoint?name=Mail")

    for action, more in (("recheck", {}), ("relearn", {}), ("silence", {"seconds": "3600"})):
        answer = visitor.post(f"/{action}", data={"csrf": token, "name": "Mail", **more})
        assert answer.headers["Location"] == "/endpoint?name=Mail"

    assert monitor.done == [("recheck", "Mail"), ("relearn", "Mail"), ("silence", "Mail", 3600.0)]
    assert "Nobody is alerted of it for 1 h." in visitor.get("/endpoint?name=Mail").text


def test_mistakes_in_the_sources_blindness_and_overload_are_told_on_every_page():
    monitor = shop()
    monitor.problems = [("sites.toml:3", "there is no option 'intervall'; 'interval' is one")]
    monitor.blind = "all canaries are down"
    monitor.pace.overloaded = True

    for page in PAGES[:6]:
        text = client(monitor).get(page).text
        assert "sites.toml:3: there is no option" in text
        assert "all canaries are down" in text
        assert "Overloaded" in text


def test_an_incident_lists_who_is_down_in_it():
    monitor = shop()
    names = tuple(f"site-{n}" for n in range(50))
    monitor.told = [incident("7", names, now=monitor.now, count=3000, down=2000)]
    monitor.incidents.members = lambda key: ["site-0", "site-1"]

    text = client(monitor).get("/incidents/7").text

    assert "site-1" in text
    assert "site-2<" not in text
    assert "and 1,998 more" in text


def test_the_page_of_an_endpoint_leads_to_the_incident_that_it_is_in_however_large():
    monitor = shop()
    monitor.told = [incident("7", ("another",), now=monitor.now, title="3,000 are down")]
    monitor.statuses["Mail"].incident = "7"

    assert 'href="/incidents/7"' in client(monitor).get("/endpoint?name=Mail").text
    assert "/incidents/7" not in client(monitor).get("/endpoint?name=Search").text


def nasty():
    """A monitor in which all that others write is hostile."""
    monitor = shop(title=NASTY)
    long = NASTY + "x" * 10_000
    made = endpoint(
        long, "https://user:hunter2@example.com/" + NASTY, description=long, tags=(NASTY,)
    )
    monitor.plan = Plan(settings=monitor.plan.settings, endpoints={long: made})
    facts = {NASTY: long, "title": long, "more": {NASTY: [NASTY]}}
    result = Result(name=long, at=1.0, error="content", message=long, phases={NASTY: 1.0, "b": 2.0})
    monitor.statuses = {
        long: Status(
            state="down", since=1.0, checked=2.0, error="content", message=long, muted=long,
            warnings=(long, "https://user:hunter2@example.com is " + NASTY), result=result,
        )
    }  # fmt: skip
    monitor.learned_facts = {long: facts}
    monitor.told = [
        incident(
            "1", (long,), now=monitor.now, title=long, text=long,
            cause={"kind": NASTY, "value": long},
        )
    ]  # fmt: skip
    monitor.alerts_told[0].update(title=long, channel=NASTY)
    monitor.channels[NASTY] = monitor.channels["team chat"]
    monitor.problems, monitor.blind = [(NASTY, long)], long
    monitor.restarts_done = [{"endpoint": long, "at": 1.0, "steps": [{"at": 1.0, "text": long}]}]
    return monitor, long


class Tags(html.parser.HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.seen = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))


def test_whatever_others_write_is_text_and_nothing_else():
    monitor, name = nasty()
    visitor = client(monitor)
    pages = [*PAGES, "/?q=<script>&state=<b>&tag=<i>&page=<p>", "/endpoint?name=<script>"]
    texts = [visitor.get(page).text for page in pages]
    texts.append(visitor.get("/endpoint", query_string={"name": name}).text)

    for text in texts:
        assert "<script>alert" not in text
        assert "hunter2" not in text
        for tag, attributes in Tags(text).seen:
            assert tag != "img"
            assert not [key for key in attributes if key.startswith("on") or key == "style"]
            if tag == "script":
                assert attributes["src"].startswith("/static/live.js")


def test_long_texts_are_cut():
    visitor = client(nasty()[0])

    for page in ("/", "/incidents", "/alerts", "/status"):
        assert len(visitor.get(page).text.replace("x" * 11_000, "")) < 60_000


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_made_for_all_who_read_them(page):
    """Landmarks, one heading of the first rank, a language, labels, and scopes of cells."""
    text = client().get(page).text
    seen = Tags(text).seen
    tags = [tag for tag, _ in seen]

    assert ("html", {"lang": "en"}) in seen
    for landmark in ("header", "main", "footer", "h1"):
        assert tags.count(landmark) == 1
    assert all(attributes.get("scope") for tag, attributes in seen if tag == "th")
    assert ("a", {"class": "skip", "href": "#main"}) in seen
    ids = [attributes["id"] for _, attributes in seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in seen:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes["aria-label"]
        if tag in ("input", "select") and attributes.get("type") != "hidden":
            assert re.search(rf"<label[^>]*>(?:(?!</label>).)*<{tag}", text, re.S)


def test_states_are_told_by_words_and_shapes_and_not_by_colour_alone():
    text = client().get("/").text

    for word in ("Down", "Failing", "Warning", "New", "Up"):
        assert re.search(rf'<span class="state is-\w+"><svg.*?</svg>\s*<span>{word}</span>', text)


def test_nothing_is_loaded_from_elsewhere():
    for page in PAGES:
        for tag, attributes in Tags(client().get(page).text).seen:
            if tag in ("script", "link", "img"):
                assert (attributes.get("src") or attributes["href"]).startswith("/static/")


def test_an_empty_monitor_says_what_to_do():
    monitor = shop()
    monitor.plan, monitor.statuses, monitor.told, monitor.alerts_told = Plan(), {}, [], []
    visitor = client(monitor)

    assert "Nothing is watched yet" in visitor.get("/").text
    assert "None: all is well." in visitor.get("/incidents").text
    assert "Nothing is known yet" in visitor.get("/status").text


def test_a_mistake_of_ours_is_logged_and_not_shown(caplog):
    monitor = shop()
    monitor.history.raw = lambda *given: 1 / 0

    answer = client(monitor).get("/endpoint?name=Mail")

    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert "ZeroDivisionError" in caplog.text


def test_a_plan_that_is_read_anew_is_shown_at_once():
    monitor = shop()
    visitor = client(monitor)
    visitor.get("/")

    monitor.plan = Plan(endpoints={"only": endpoint("only")})

    assert rows(visitor.get("/").text) == ["only"]


@pytest.mark.parametrize(
    ("message", "note"),
    [
        ("192.0.2.1:80: the connection is refused", "<bdi>192.0.2.1:80: the"),
        ("no way", "<strong>The connection is refused.</strong> <bdi>no way</bdi>"),
    ],
)
def test_what_an_error_means_is_not_said_before_a_message_that_says_it(message, note):
    monitor = shop()
    status = monitor.statuses["Checkout"]
    status.error, status.message = "refused", message

    page = client(monitor).get("/endpoint?name=Checkout").text

    assert f'<p class="note note-down">{note}' in page


def test_a_channel_that_fails_says_why():
    page = client().get("/alerts").text

    assert "Failing" in page
    assert "it answers with status 404" in page


def test_the_page_of_a_job_has_nothing_that_jobs_have_not():
    page = client().get("/endpoint?name=nightly-backup").text
    other = client().get("/endpoint?name=Checkout").text

    assert "http://localhost:8787/beat/the-key/nightly-backup" in page
    for words in ("Latency</h2>", "What is normal</h2>", "<button>Relearn</button>"):
        assert words not in page
        assert words in other
    for words in ("Last 90 days</h2>", "Latest checks</h2>", "<button>Check now</button>"):
        assert words in page
