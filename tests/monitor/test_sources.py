"""What is said in sources, and the plan that it makes."""

import io
import time
import tomllib

import pytest

pytest.importorskip("httptools", reason="paths into JSON need the extra `monitor`")

from memory import allocated

from safepatch.monitor import sources
from safepatch.monitor.plan import Channel, Options, Plan, Restart, Settings, Window


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(*given, **options):
    return sources.read(list(given), environ={}, **options)


def of(text, folder, environ=None):
    """The plan of a .toml file."""
    (folder / "monitor.toml").write_text(text, encoding="utf-8")
    return sources.read("monitor.toml", environ=environ or {})


def addresses(plan):
    return {name: endpoint.address for name, endpoint in plan.endpoints.items()}


def test_a_line_is_an_address_that_is_its_own_name(folder):
    (folder / "sites.txt").write_text("example.com\nhttps://example.com/login\nhost:25\n")

    plan = read("sites.txt")

    assert addresses(plan) == {
        "example.com": "example.com",
        "https://example.com/login": "https://example.com/login",
        "host:25": "host:25",
    }
    assert [one.where for one in plan.endpoints.values()] == [
        "sites.txt:1",
        "sites.txt:2",
        "sites.txt:3",
    ]
    assert all(one.options is plan.endpoints["host:25"].options for one in plan.endpoints.values())
    assert plan.endpoints["host:25"].options == Options()


def test_comments_blanks_names_and_permissions_in_lines(folder):
    (folder / "sites.txt").write_text(
        "# our sites\n\n  example.com   # the shop\nThe blog =\thttps://blog.example.com/#top\n"
        "allow 10.0.0.0/8, 192.0.2.7\nALLOW any\n"
    )

    plan = read("sites.txt", "other.example.com")

    assert addresses(plan) == {
        "example.com": "example.com",
        "The blog": "https://blog.example.com/",
        "other.example.com": "other.example.com",
    }
    assert plan.endpoints["example.com"].options.private == ("10.0.0.0/8", "192.0.2.7/32", "any")
    assert plan.endpoints["other.example.com"].options.private == ()


@pytest.mark.parametrize(
    "data",
    [
        b"a.example\nb.example\n",
        b"\xef\xbb\xbfa.example\nb.example",
        b"a.example\r\nb.example\r\n",
        b"a.example\rb.example",
        b"\n\n a.example \t\r\n\r\nb.example\xc2\xa0\n",
    ],
)
def test_lines_are_read_however_an_editor_saves_them(folder, data):
    (folder / "sites.txt").write_bytes(data)

    assert [*read("sites.txt").endpoints] == ["a.example", "b.example"]


@pytest.mark.parametrize(
    ("written", "address"),
    {
        "HTTPS://Example.COM/Login?Next=1#top": "https://example.com/Login?Next=1",
        "https://example.com:443/x": "https://example.com/x",
        "http://example.com:8080": "http://example.com:8080",
        "Example.com": "example.com",
        "example.com.": "example.com.",
        "my_host": "my_host",
        "_dmarc.example.com": "_dmarc.example.com",
        "bücher.example": "xn--bcher-kva.example",
        "https://bücher.example/ä": "https://xn--bcher-kva.example/%C3%A4",
        "::1": "::1",
        "[2001:DB8::1]:25": "[2001:db8::1]:25",
        "https://[2001:db8:0::1]/": "https://[2001:db8::1]/",
        "192.0.2.1": "192.0.2.1",
        "tcp://db:5432": "tcp://db:5432",
        "tls://mail.example.com:993": "tls://mail.example.com:993",
        "icmp://router/": "icmp://router",
        "icmp://[::1]": "icmp://[::1]",
        "smtp://mail.example.com:25": "smtp://mail.example.com",
        "smtps://mail.example.com:465": "smtps://mail.example.com",
        "mx://example.com": "mx://example.com",
        "dns://example.com?type=mx": "dns://example.com?type=MX",
        "dns://a.test?type=mx&resolver=192.0.2.1:53&answer=b.test": (
            "dns://a.test?type=MX&resolver=192.0.2.1:53&answer=b.test"
        ),
        "dns://example.com": "dns://example.com",
        "beat://nightly": "beat://nightly",
    }.items(),
)
def test_an_address_is_put_into_its_normal_form(written, address):
    [endpoint] = read(written).endpoints.values()

    assert endpoint.address == address
    assert read(address).endpoints[endpoint.name if written.isascii() else address]


def test_an_endpoint_of_international_letters_is_called_as_it_was_written():
    assert addresses(read("bücher.example")) == {"bücher.example": "xn--bcher-kva.example"}


def test_a_heartbeat_is_called_by_its_name_alone():
    assert addresses(read("beat://nightly")) == {"nightly": "beat://nightly"}


def test_a_text_is_a_file_if_there_is_one_or_if_it_looks_like_one(folder):
    (folder / "example.com").write_text("in-the-file.example\n")

    assert [*read("example.com").endpoints] == ["in-the-file.example"]
    assert [*read("https://example.com").endpoints] == ["https://example.com"]
    with pytest.raises(sources.PlanError, match=r"sites\.lst: there is no such file"):
        read("sites.lst")


@pytest.mark.parametrize(
    "given",
    [
        "a.example\nb.example",
        b"a.example\nb.example",
        io.StringIO("a.example\nb.example\n"),
        io.BytesIO(b"a.example\r\nb.example"),
    ],
    ids=["text", "bytes", "stream", "stream of bytes"],
)
def test_standard_input_is_lines(given):
    plan = read("-", stdin=given)

    assert [one.where for one in plan.endpoints.values()] == [
        "standard input:1",
        "standard input:2",
    ]


def test_an_argument_may_have_a_name():
    plan = sources.read(["http://a.example/", "other = http://a.example/"])

    assert {name: each.address for name, each in plan.endpoints.items()} == {
        "http://a.example/": "http://a.example/", "other": "http://a.example/",
    }  # fmt: skip


def test_sources_add_up_and_one_alone_needs_no_list(folder):
    (folder / "sites.txt").write_text("a.example\n")
    mapping = {"endpoints": {"c": {"address": "c.example", "status": (200, "3xx")}}}

    plan = read(folder / "sites.txt", "b.example", mapping)

    assert [*plan.endpoints] == ["c", "a.example", "b.example"]
    assert plan.endpoints["c"].options.status == ("200", "3xx")
    assert [*read(folder / "sites.txt").endpoints] == ["a.example"]
    assert [*sources.read("b.example").endpoints] == ["b.example"]
    assert [*sources.read(mapping).endpoints] == ["c"]


WHOLE = """
[monitor]
lists = "sites.txt"
title = "Our sites"
gather = "20s"
canaries = "one.example"
smtp = "smtp://ops@mail.example:587"
keep_raw = "2d"

[defaults]
interval = "30s"
tags = "all"

[endpoints]
plain = "https://plain.example"

[endpoints.shop]
address = "https://shop.example/api"
method = "POST"
headers = {Accept = "application/json"}
body = "{}"
status = 200
json = {"data.items[0].price" = 3, ok = true}
timeout = "500ms"
tags = ["shop", "all"]
depends_on = "plain"
maintenance = "nightly"
alerts = "ops"
restart = "again"
expires_within = "1w 12h"

[endpoints."tcp://db:5432"]
interval = 5

[channels.ops]
mail = "ops@example.com"
events = "down"
tags = ["shop"]

[channels.hook]
url = "https://hook.example/${TOKEN}"

[windows.nightly]
endpoints = ["plain", "#shop"]
days = "sun"
at = 02:00:00
seconds = "90m"
zone = "Europe/Berlin"

[windows.once]
start = 2026-11-26T02:00:00Z
end = 2026-11-26 03:00:00+00:00

[restarts.again]
command = "true"
wait = "2m"
"""


def test_all_that_can_be_said_comes_to_a_plan(folder):
    (folder / "sites.txt").write_text("listed.example\n")

    plan = of(WHOLE, folder, {"TOKEN": "secret"})

    thirty = Options(interval=30.0, tags=("all",))
    assert plan == Plan(
        settings=Settings(
            title="Our sites",
            gather=20.0,
            canaries=("one.example",),
            smtp="smtp://ops@mail.example:587",
            keep_raw=172800.0,
        ),
        endpoints=plan.endpoints,
        channels={
            "ops": Channel(name="ops", mail="ops@example.com", events=("down",), tags=("shop",)),
            "hook": Channel(name="hook", url="https://hook.example/secret"),
        },
        windows={
            "nightly": Window(
                name="nightly",
                endpoints=("plain", "#shop"),
                days=("sun",),
                at="02:00",
                seconds=5400.0,
                zone="Europe/Berlin",
            ),
            "once": Window(
                name="once",
                start="2026-11-26T02:00:00+00:00",
                end="2026-11-26T03:00:00+00:00",
            ),
        },
        restarts={"again": Restart(name="again", command=("true",), wait=120.0)},
    )
    assert addresses(plan) == {
        "plain": "https://plain.example",
        "shop": "https://shop.example/api",
        "tcp://db:5432": "tcp://db:5432",
        "listed.example": "listed.example",
    }
    options = {name: one.options for name, one in plan.endpoints.items()}
    assert options["plain"] == options["listed.example"] == thirty
    assert options["tcp://db:5432"] == Options(
        interval=5.0, timeout=5.0, retry_after=5.0, tags=("all",)
    )
    assert options["shop"] == Options(
        interval=30.0,
        timeout=0.5,
        method="POST",
        headers={"Accept": "application/json"},
        body="{}",
        status=("200",),
        json={"data.items[0].price": 3, "ok": True},
        tags=("shop", "all"),
        depends_on=("plain",),
        maintenance=("nightly",),
        alerts=("ops",),
        restart="again",
        expires_within=648000.0,
    )
    assert plan.endpoints["shop"].where == "monitor.toml:17"
    assert plan.endpoints["listed.example"].where == "sites.txt:1"


def test_a_mapping_says_the_same_as_a_file(folder):
    (folder / "sites.txt").write_text("listed.example\n")
    environ = {"TOKEN": "secret"}

    written = of(WHOLE, folder, environ)
    given = sources.read(tomllib.loads(WHOLE), environ=environ)

    assert given.settings == written.settings
    assert given.channels == written.channels
    assert given.windows == written.windows
    assert [(one.address, one.options) for one in given.endpoints.values()] == [
        (one.address, one.options) for one in written.endpoints.values()
    ]


def test_files_are_found_from_the_folder_of_the_file_that_names_them(folder):
    (folder / "inner").mkdir()
    (folder / "inner" / "ours.pem").write_text("certificate")
    (folder / "inner" / "notify").write_text("#!/bin/sh\n")
    (folder / "inner" / "notify").chmod(0o755)
    (folder / "inner" / "sites.txt").write_text("listed.example\n")
    (folder / "inner" / "monitor.toml").write_text(
        '[monitor]\nlists = ["sites.txt"]\n[endpoints.a]\naddress = "https://a.example"\n'
        'ca = "ours.pem"\n[channels.c]\ncommand = ["./notify", "--now"]\n'
    )

    plan = read("inner/monitor.toml")

    assert plan.endpoints["a"].options.ca == str(folder / "inner" / "ours.pem")
    assert plan.channels["c"].command == (str(folder / "inner" / "notify"), "--now")
    assert plan.endpoints["listed.example"].where == "inner/sites.txt:1"


def test_several_documents_make_one_plan(folder):
    (folder / "a.toml").write_text('[defaults]\ninterval = 20\n[endpoints]\na = "a.example"\n')
    (folder / "b.toml").write_text('[monitor]\ntitle = "B"\n[endpoints]\nb = "b.example"\n')

    plan = read("a.toml", "b.toml", "c.example")

    assert plan.settings.title == "B"
    assert {name: one.options.interval for name, one in plan.endpoints.items()} == {
        "a": 20.0,
        "b": 20.0,
        "c.example": 20.0,
    }


def test_settings_that_are_given_win():
    mapping = {"monitor": {"title": "A", "gather": 1}, "endpoints": {"a": "a.example"}}

    plan = read(mapping, settings={"title": "B"})

    assert plan.settings == Settings(title="B", gather=1.0)


def test_a_timeout_that_nobody_said_is_at_most_the_interval_of_the_endpoint():
    mapping = {
        "defaults": {"interval": 5},
        "endpoints": {
            "quick": {"address": "a.example", "retry_after": 7},
            "slow": {"address": "b.example", "interval": 60},
        },
    }

    plan = read(mapping)

    assert plan.endpoints["quick"].options == Options(interval=5.0, timeout=5.0, retry_after=7.0)
    assert plan.endpoints["slow"].options == Options(interval=60.0)


def test_numbers_that_are_larger_than_most_can_be_said():
    mapping = {"endpoints": {"a": {"address": "https://a.example", "json": {"x": 10**30}}}}

    assert read(mapping).endpoints["a"].options.json == {"x": 10**30}


def test_what_is_said_of_options_is_one_object_for_all_that_say_the_same():
    mapping = {
        "endpoints": {
            f"e{number}": {"address": f"e{number}.example", "interval": 30} for number in range(20)
        }
    }

    plan = read(mapping)

    assert len({id(one.options) for one in plan.endpoints.values()}) == 1


def test_a_list_of_fifty_thousand_is_read_in_less_than_a_second_and_in_slices(folder):
    text = "".join(f"https://site{number}.example.com/\n" for number in range(50_000))
    (folder / "sites.txt").write_text(text)
    pauses = []

    began = time.process_time()
    plan = read("sites.txt", pause=lambda: pauses.append(time.process_time()))
    took = time.process_time() - began

    assert len(plan.endpoints) == 50_000
    assert took < 1
    assert len(pauses) >= 200


def test_an_endpoint_of_a_long_list_takes_less_than_500_bytes(folder):
    text = "".join(f"https://site{number}.example.com/\n" for number in range(5_000))
    (folder / "sites.txt").write_text(text)

    with allocated(__file__) as held:
        plan = read("sites.txt")
        each = held() / len(plan.endpoints)

    assert 100 < each < 500


def test_the_environment_is_filled_into_the_texts_of_channels_and_restarts(folder):
    text = """
[endpoints]
a = "a.example"
[channels.hook]
url = "ntfy://${USER}:${PASS}@ntfy.example/topic"
headers = {X-Token = "a ${TOKEN}"}
[restarts.again]
command = ["true", "${TOKEN}", "$TOKEN"]
"""

    plan = of(text, folder, {"USER": "u", "PASS": "p", "TOKEN": "t"})

    assert plan.channels["hook"].url == "ntfy://u:p@ntfy.example/topic"
    assert plan.channels["hook"].headers == {"X-Token": "a t"}
    assert plan.restarts["again"].command == ("true", "t", "$TOKEN")


def test_no_secret_of_a_channel_or_a_restart_is_in_how_a_plan_prints():
    said = {"url": "https://hooks.example/${TOKEN}", "headers": {"Authorization": "${TOKEN}"}}
    given = {"endpoints": {"e.com": {}}, "channels": {"c": said}, "restarts": {"r": said}}
    plan = sources.read([given], environ={"TOKEN": "S3CRET"})

    assert plan.channels["c"].url == "https://hooks.example/S3CRET"
    assert "S3CRET" not in repr(plan)
