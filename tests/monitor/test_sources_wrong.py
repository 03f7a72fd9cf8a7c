"""What is wrong with sources is told all at once: where it is, what was found, what to do."""

import re

import pytest

pytest.importorskip("httptools", reason="paths into JSON need the extra `monitor`")

from hypothesis import given, settings
from hypothesis import strategies as st

from safepatch.monitor import sources
from safepatch.monitor.sources import documented


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(*given, environ=None, **options):
    with pytest.raises(sources.PlanError) as error:
        sources.read(list(given), environ=environ or {}, **options)
    return error.value.problems


def test_all_that_is_wrong_in_all_sources_is_told_in_one_error(folder):
    (folder / "sites.txt").write_text("good.example\nhtps://a.example\nb.example:99999\n")
    (folder / "monitor.toml").write_text(
        '[endpoints.a]\naddress = "a.example"\nintervall = 30\n\n[chanels.ops]\n'
    )

    with pytest.raises(sources.PlanError) as error:
        sources.read(["sites.txt", "monitor.toml", "missing.csv"])

    assert str(error.value) == (
        "5 things are wrong\n"
        "  sites.txt:2: there is no kind of check 'htps'; did you mean 'https'?\n"
        "  sites.txt:3: 'b.example:99999' has the port '99999'; ports are from 1 to 65535\n"
        "  missing.csv: there is no such file\n"
        "  monitor.toml:3: endpoints.a.intervall: there is no such key; "
        "did you mean 'interval'?\n"
        "  monitor.toml:5: chanels: there is no such table; did you mean 'channels'?"
    )
    assert isinstance(error.value, ValueError)
    assert error.value.problems[0] == (
        "sites.txt:2",
        "there is no kind of check 'htps'; did you mean 'https'?",
    )


def test_of_very_many_problems_twenty_are_shown_and_all_are_kept():
    lines = "\n".join(f"x:{number}" for number in range(70000, 71000))

    with pytest.raises(sources.PlanError) as error:
        sources.read("-", stdin=lines)

    assert len(error.value.problems) == 1000
    assert len(str(error.value).splitlines()) == 22
    assert str(error.value).endswith("... and 980 more")


@pytest.mark.parametrize(
    ("line", "told"),
    {
        "htp://a.example": "there is no kind of check 'htp'; did you mean 'http'?",
        "ftp://a.example": "there is no kind of check 'ftp'; did you mean",
        "postgres://db": "there is no kind of check 'postgres'; there are http, https, tcp",
        "http:/a.example": "did you mean 'http://a.example'?",
        "https//a.example": "did you mean 'https://a.example'?",
        "a.example/login": "did you mean 'https://a.example/login'?",
        "ops@a.example": "did you mean 'mx://a.example'?",
        "https://me:secret@a.example/": "say username and password_env",
        "a.example, b.example": "write one address a line, or 'name = address'",
        "a.example,b.example": "is no name of a host; write one address a line",
        "*.a.example": "write each address that is meant",
        "shop=a.example": "no blanks around the '='; did you mean 'shop = a.example'?",
        "shop=https://a.example": "did you mean 'shop = https://a.example'?",
        "=a.example": "is no name of a host: it has '='",
        "https//a.example/?a=b": "did you mean 'https://a.example/?a=b'?",
        "= a.example": "'= a.example' has no name before the '='; write 'name = address'",
        "shop =": "'shop =' has no address after the '='; write 'name = address'",
        "=": "'=' has no name before the '='; write 'name = address'",
        "alow 10.0.0.0/8": "did you mean 'allow 10.0.0.0/8'?",
        "allow 10.0.0.1/8": "did you mean '10.0.0.0/8'?",
        "allow": "it allows nothing; write a network, 'allow 10.0.0.0/8'",
        "cafe\u0301 = a.example": "has accents of their own; type it anew",
        "allow everything": "'everything' is no network",
        "mx: a.example": "did you mean 'mx://a.example'?",
        "a..example": "there is nothing between two dots",
        "-a.example": "no part of it begins or ends with '-'",
        f"{'a' * 64}.example": "it is too long",
        "a.example:0": "ports are from 1 to 65535",
        "a.example:http": "ports are from 1 to 65535",
        "192.0.2.300": "is no IPv4 address",
        "10.0.0": "is no IPv4 address",
        "2001:db8::g": "has more than one port",
        "tcp://2001:db8::1": "is to have its host in brackets",
        "[2001:db8::g]:25": "is no IPv6 address",
        "tcp://db": "has no port; say it, 'tcp://db:5432'",
        "mx://a.example:25": "mx:// takes no port; did you mean 'mx://a.example'?",
        "icmp://a.example/x": "icmp:// takes no path; did you mean 'icmp://a.example'?",
        "dns://a.example?type=MXX": "no records of the type 'MXX'; did you mean 'MX'?",
        "dns://a.example?typ=MX": "write '?type=MX'",
        "a.example:443:80": "has more than one port",
        "[::1:25": "has brackets that are not closed",
        "https://:8080/": "has no host",
        "https://a.example\\login": "did you mean 'https://a.example/login'?",
        "- https://a.example": "did you mean 'https://a.example'?",
        "https://a.example,30": "did you mean 'https://a.example'?",
        "ping a.example": "did you mean 'a.example'?",
        "// ours": "what is for people begins with '#'",
        "[endpoints]": "tables are read from a file only, whose name ends in '.toml'",
        "[[endpoints.shop]]": "whose name ends in '.toml'",
        "beat://": "is no heartbeat; write 'beat://' and a name",
        "https://": "'https://' has no host",
        "a\u200b.example": "signs that do not print",
        "xn--\u00fc.example": "is no name of a host",
        "# = a.example": None,
        f"{'n' * 201} = a.example": "is longer than 200",
    }.items(),
)
def test_a_line_that_is_no_address_is_told_with_what_was_meant(line, told):
    stdin = f"good.example\n{line}\n"
    if told is None:
        assert [*sources.read("-", stdin=stdin).endpoints] == ["good.example"]
        return

    [(where, message)] = problems("-", stdin=stdin)

    assert where == "standard input:2"
    assert told in message


def test_a_password_in_an_address_is_not_shown():
    for line in (
        "https://me:secret@a.example/",
        "me:secret@a.example",
        "x = https://me:secret@a b/",
    ):
        [(_, message)] = problems("-", stdin=line)
        assert "secret" not in message


@pytest.mark.parametrize("key", ["url", "mail"])
def test_what_the_environment_gives_is_not_shown(key):
    [(_, message)] = problems(
        {"endpoints": {"a": "a.example"}, "channels": {"c": {key: "x${HOOK}"}}},
        environ={"HOOK": " secret"},
    )

    assert message == (
        f"channels.c.{key}: with the value of the environment it cannot be understood; look at that"
    )


def test_the_line_that_is_no_utf8_is_named_and_the_others_are_read():
    data = b"a.example\nb\xfccher.example\nhtps://c.example\n"

    text = data.decode("utf-8", "surrogateescape")  # as Python reads what it is given
    assert problems("-", stdin=text) == problems("-", stdin=data)
    assert problems("-", stdin=data) == [
        (
            "standard input:2",
            "this is no UTF-8: in Latin-1 it has 'ü', in 'bücher.example'; save the file as UTF-8",
        ),
        ("standard input:3", "there is no kind of check 'htps'; did you mean 'https'?"),
    ]


@pytest.mark.parametrize(
    ("data", "told"),
    [("a.example".encode("utf-16"), "this is UTF-16"), (b"\x7fELF\0\0", "this is no text")],
)
def test_a_file_that_is_no_text_is_told_once(folder, data, told):
    (folder / "sites.txt").write_bytes(data)

    [(where, message)] = problems("sites.txt")

    assert where == "sites.txt"
    assert told in message


@pytest.mark.parametrize(
    ("lines", "told"),
    {
        "a.example\na.example": "'a.example' is already at standard input:1; remove one, or name",
        "a.example\nA.EXAMPLE": "is already at standard input:1",
        "https://a.example\nhttps://a.example/": "is already at standard input:1",
        "https://a.example\nhttps://a.example:443": "is already at standard input:1",
        "bücher.example\nxn--bcher-kva.example": "is already at standard input:1",
        "a = a.example\na = b.example": "'a' is already at standard input:1; remove one, or rename",
    }.items(),
)
def test_what_is_there_twice_is_told_with_where_it_was_first(lines, told):
    [(where, message)] = problems("-", stdin=lines)

    assert where == "standard input:2"
    assert told in message


def test_the_same_address_may_be_watched_under_two_names():
    assert len(sources.read("-", stdin="a = x.example\nb = x.example").endpoints) == 2


ENDPOINT = '[endpoints.a]\naddress = "https://a.example"\n'
CHANNEL = "[channels.c]\n"
WINDOW = "[windows.w]\n"
RESTART = "[restarts.r]\n"

# What stands at the end of a file, and what is told of its last line.
WRONG = {
    ENDPOINT + "intervl = 30": "did you mean 'interval'?",
    ENDPOINT + 'url = "x"': "did you mean 'address'?",
    ENDPOINT + 'keyword = "x"': "did you mean 'contains'?",
    ENDPOINT + "interval = 0": "0.0 is not above 0",
    ENDPOINT + "interval = -5": "-5.0 is not above 0",
    ENDPOINT + "interval = inf": "inf is no number to go by",
    ENDPOINT + "interval = nan": "nan is no number to go by",
    ENDPOINT + "interval = true": "True is not a number of seconds, or a text such as '30s'",
    ENDPOINT + 'interval = "30"': "'30' is no time; did you mean 30 or '30s'?",
    ENDPOINT + 'interval = "soon"': "write a number of seconds, or '30s', '5m', '2h', '14d'",
    ENDPOINT + 'interval = "5 min"': "'5 min' is no time; did you mean '5m'?",
    ENDPOINT + 'interval = "5 months"': "write a number of seconds, or '30s'",
    ENDPOINT + 'tags = "a, b"': '\'a, b\' is one text; did you mean ["a", "b"]?',
    ENDPOINT + "private = true": "did you mean 'any'?",
    ENDPOINT + "description = Our shop": "a text is in quotes",
    ENDPOINT + "learn = flase": "in quotes, and all that stands without them is true",
    ENDPOINT + "interval = 5m": 'did you mean "5m", in quotes?',
    ENDPOINT + "timeout = 61": "61 s are longer than the interval of 60 s",
    ENDPOINT + "confirm_down = 0": "0 is not in 1..100",
    ENDPOINT + "confirm_up = 1.5": "1.5 is not a whole number",
    ENDPOINT + "retry_after = 0": "0.0 is not above 0",
    ENDPOINT + 'method = "get"': "did you mean 'GET'?",
    ENDPOINT + 'method = "PSOT"': "did you mean 'POST'?",
    ENDPOINT + 'method = "A B"': "is no method",
    ENDPOINT + 'headers = "Accept"': "'Accept' is not a table of texts",
    ENDPOINT + "headers = {Accept = 3}": "is not a table of texts",
    ENDPOINT + 'headers = {"A B" = "x"}': "'A B' is no name of a header",
    ENDPOINT + 'headers = {A = "x\\r\\nB: y"}': "has a value of more than one line",
    ENDPOINT + 'headers = {A = "x", a = "y"}': "the header 'a' is there already as 'A'",
    ENDPOINT + 'headers = {Content-Length = "1"}': "is set by the monitor",
    ENDPOINT + 'headers_env = {A = "$TOKEN"}': "did you mean 'TOKEN'?",
    ENDPOINT + 'headers_env = {A = "TOKEN"}': "the environment variable 'TOKEN' is not set",
    ENDPOINT + "status = 600": "'600' is no status, such as 200, '2xx' or '200-299'",
    ENDPOINT + 'status = "2XX"': "did you mean '2xx'?",
    ENDPOINT + 'status = "299-200"': "did you mean '200-299'?",
    ENDPOINT + "status = [200, 1.5]": "is not a text, or a list of texts",
    ENDPOINT + "status = true": "True is not a text, or a list of texts",
    ENDPOINT + 'contains = ""': "the text is blank",
    ENDPOINT + 'contains = "x"\nlacks = ["x"]': "'x' is in contains as well",
    ENDPOINT + 'matches = "("': "'(' is no regular expression: missing )",
    ENDPOINT + 'json = {"a..b" = 1}': "'a..b' is no path, such as 'data.items[0].name'",
    ENDPOINT + "json = {a = 2026-11-26}": "is nothing that JSON can have",
    ENDPOINT + "json = {a = nan}": "is nothing that JSON can have",
    ENDPOINT + "redirects = -1": "-1 is not in 0..50",
    ENDPOINT + 'username = "u"': "username and password_env go together",
    ENDPOINT + 'password_env = "no-name"': "is no name of an environment variable",
    ENDPOINT + 'bearer_env = "${TOKEN}"': "did you mean 'TOKEN'?",
    ENDPOINT + 'bearer_env = "TOKEN"': "the environment variable 'TOKEN' is not set",
    ENDPOINT + 'verify = "no"': "'no' is not true or false",
    ENDPOINT + 'ca = "ours.pm"': "did you mean 'ours.pem'?",
    ENDPOINT + 'key = "ours.pem"': "it needs a certificate",
    ENDPOINT + 'verify = false\nca = "ours.pem"': "with verify = false no certificate",
    ENDPOINT + 'server_name = "a b"': "is no name of a host: it has ' '",
    ENDPOINT + 'resolver = "dns.example"': "is no address of a resolver",
    ENDPOINT + 'private = "10.0.0.1/8"': "did you mean '10.0.0.0/8'?",
    ENDPOINT + 'private = "10.0.0.0/33"': "'10.0.0.0/33' is no network",
    ENDPOINT + 'tags = "#shop"': "did you mean 'shop'?",
    ENDPOINT + 'tags = ["a b"]': "'a b' is no tag; write one word",
    ENDPOINT + 'depends_on = "b"': "there is no endpoint 'b'; there is a",
    ENDPOINT + 'depends_on = "a"': "it depends on itself: 'a' on 'a'",
    ENDPOINT + 'maintenance = "w"': "there is no window 'w'; there are none",
    CHANNEL
    + 'url = "https://x"\n'
    + ENDPOINT
    + 'alerts = "d"': "there is no channel 'd'; there is c",
    ENDPOINT + 'restart = "r"': "there is no restart 'r'",
    ENDPOINT + "starttls = true": "a check of the kind https has no use for it; it is for smtp",
    ENDPOINT + "grace = 3": "it is for beat",
    ENDPOINT + 'public = "yes"': "'yes' is not true or false",
    "[endpoints.a]": "there is none; write address",
    "[endpoints.a]\naddress = 3": "3 is not a text",
    '[endpoints.a]\naddress = "b example"': "has blanks",
    '[endpoints.a]\naddress = "beat://b"': "write 'beat://a'",
    '[endpoints.a]\naddress = "mx://a.example"\nrcpt_to = "a"': "'a' is no address of mail",
    '[endpoints.a]\naddress = "mx://a.example"\nrcpt_to = "a@b"': "go together",
    "[endpoints.a.example]\ninterval = 3": 'in quotes: [endpoints."a.example"]',
    '[endpoints."#a"]\naddress = "a.example"': "begins with '#'",
    '[endpoints." a"]\naddress = "a.example"': "has blanks around it",
    "[endpoints]\na = 3": "3 is no address, and no table",
    '[endpoints.a]\nadress = "a.example"': "did you mean 'address'?",
    "[[endpoints]]": "a list is not a table; write [endpoints.NAME] for each",
    "https://a.example": "to be in a file of another name, such as sites.txt",
    "endpoints = 3": "3 is not a table; write [endpoints.NAME]",
    "[defaults]\nintervl = 3": "did you mean 'interval'?",
    "[defaults]\ntimeout = 'x'": "'x' is no time",
    '[defaults]\nbearer_env = "X"': "the environment variable 'X' is not set",
    CHANNEL: "nothing is said; say one of url, mail, command",
    CHANNEL + 'url = "https://x"\ncommand = "true"': "url and command are said",
    CHANNEL + 'url = "slack"': "is no URL; write it with its scheme",
    CHANNEL + 'url = "https://x/${HOOK}"': "the environment variable 'HOOK' is not set",
    CHANNEL + 'url = "ntfyy://topic"': "Apprise knows no 'ntfyy'; did you mean 'ntfy'?",
    CHANNEL + 'url = "https://x/$HOOK"': "'$HOOK' stands for itself; did you mean '${HOOK}'?",
    CHANNEL + 'url = "slack://x"': "Apprise does not understand that address of slack",
    CHANNEL + 'url = "mailto://x"': "mail is sent by mail = 'ops@example.com'",
    CHANNEL + 'url = "https://x:99999"': "ports are from 1 to 65535",
    RESTART + 'url = "https://x/${HOOK}"': "the environment variable 'HOOK' is not set",
    CHANNEL + 'mail = "ops"': "'ops' is no address of mail",
    CHANNEL + 'mail = "a@b.example"': "say smtp in [monitor]",
    CHANNEL + 'command = "notify --now"': 'did you mean ["notify", "--now"]?',
    CHANNEL + 'command = "no-such-program-xyz"': "there is no program 'no-such-program-xyz'",
    CHANNEL + 'command = "./ours.pem"': "may not be run; chmod +x it",
    CHANNEL + 'url = "https://x"\nevents = "dwn"': "there is no event 'dwn'; did you mean 'down'?",
    CHANNEL + 'url = "https://x"\ntags = "b"': "no endpoint has the tag 'b'",
    CHANNEL + 'url = "https://x"\nper_minute = 0': "0.0 is not above 0",
    CHANNEL + 'url = "https://x"\nwebhook = "x"': "did you mean 'url'?",
    "[channels]\nc = 3": "3 is not a table",
    WINDOW: "say when it begins",
    WINDOW + 'at = "2:00"': "'2:00' is no time of the day, such as '02:00'",
    WINDOW + 'at = "02:00"\ndays = "monday"': "there is no day 'monday'; did you mean 'mon'?",
    WINDOW + 'at = "02:00"\ndays = "Sunday"': "there is no day 'Sunday'; did you mean 'sun'?",
    WINDOW + 'at = "02:00"\nzone = "Europe/Berln"': "did you mean 'Europe/Berlin'?",
    WINDOW + 'at = "02:00"\nseconds = 0': "0.0 is not above 0",
    WINDOW + 'at = "02:00"\nseconds = "8d"': "it is longer than a week",
    WINDOW + 'at = "02:00"\nendpoints = "b"': "no endpoint has the endpoint 'b'",
    WINDOW + 'at = "02:00"\nendpoints = "#b"': "no endpoint has the tag '#b'",
    WINDOW + 'start = "tomorrow"': "'tomorrow' is no date and time",
    WINDOW + "start = 2026-11-26T02:00:00Z": "start and end go together",
    WINDOW + "start = 2026-11-26T02:00:00Z\nend = 2026-11-26T01:00:00Z": "is not after the start",
    WINDOW + 'start = "2026-11-26T02:00"\nend = "2026-11-26T01:00Z"\nzone = "Europe/Berlin"': (
        "is not after the start"
    ),
    RESTART: "nothing is said; say one of url, command",
    RESTART + 'url = "x"': "is no URL with http:// or https://",
    RESTART + 'command = "true"\nheaders = {A = "b"}': "they are for url",
    RESTART + 'command = "true"\nper_hour = 0': "0 is not in 1..1000",
    "[monitor]\nlisten = 8787": "8787 is not a text",
    '[monitor]\nlisten = "8787"': "did you mean '127.0.0.1:8787'?",
    '[monitor]\nlisten = "0.0.0.0:80"': "say login and password_hash_env as well",
    '[monitor]\nlogin = "me"': "login and password_hash_env go together",
    '[monitor]\nurl = "status.example"': "is no URL with http:// or https://",
    '[monitor]\ncanaries = ["a..b"]': "nothing between two dots",
    "[monitor]\nconcurrency = 0": "0 is not in 1..100000",
    "[monitor]\nrestarts_stop_at = 20": "20.0 is no share, such as 0.2",
    '[monitor]\nsmtp = "mail.example"': "is no server, such as 'smtp://",
    '[monitor]\nsmtp = "smtp://u:p@mail.example"': "name its variable in smtp_password_env",
    '[monitor]\nsmtp_password_env = "PATH"': "there is no smtp that it is for",
    '[monitor]\ntokens_env = "TOKENS"': "the environment variable 'TOKENS' is not set",
    '[monitor]\nlists = "site.txt"': "did you mean 'sites.txt'?",
    '[monitor]\nlists = "monitor.toml"': "give it as a source of its own",
    '[monitor]\nvantages = "home"': "nothing leads to their workers; say broker",
    "[monitor]\nquorum = 2": "there are only 0 vantages",
    '[monitor]\nbroker = "redis.example"': "is no Redis, such as 'redis://",
    '[monitor]\nbroker_password_env = "REDIS"': "the environment variable 'REDIS' is not set",
    "[monitor]\nlists = 3": "3 is not a list of files",
    "[monitors]": "did you mean 'monitor'?",
    "key = ": "this is no TOML: Invalid value",
    "[endpoints.a]\n[endpoints.a]": "this is no TOML: Cannot declare ('endpoints', 'a') twice",
}


def write(folder, text):
    """A file beside others that it may name, with an endpoint if it has none."""
    (folder / "ours.pem").write_text("certificate")
    (folder / "sites.txt").write_text("listed.example\n")
    more = "" if "endpoints" in text else '[endpoints]\ngood = "good.example"\n'
    (folder / "monitor.toml").write_text(more + text + "\n", encoding="utf-8")


@pytest.mark.parametrize(("text", "told"), WRONG.items())
def test_what_is_wrong_in_a_document_is_told_at_its_line(folder, text, told):
    write(folder, text)

    [(where, message)] = problems("monitor.toml", environ={"PATH": ""})

    assert told in message
    lines = (folder / "monitor.toml").read_text().splitlines()
    table = max((i for i, line in enumerate(lines, 1) if line.startswith("[")), default=1)
    assert re.fullmatch(r"monitor\.toml:\d+", where)
    assert table <= int(where.rpartition(":")[2]) <= len(lines)


def test_times_without_an_offset_are_of_the_zone_of_the_window(folder):
    write(folder, WINDOW + 'start = "2026-11-26T02:00"\nend = "2026-11-26T01:30Z"\nzone = "CET"')

    assert sources.read("monitor.toml").windows


def test_the_key_and_its_line_are_named(folder):
    (folder / "monitor.toml").write_text(
        '[endpoints.good]\naddress = "a.example"\n\n[endpoints."b.example"]\n\nconfirm_up = "3"\n'
    )

    assert problems("monitor.toml") == [
        ("monitor.toml:6", "endpoints.\"b.example\".confirm_up: '3' is not a whole number")
    ]


def test_in_a_mapping_the_keys_say_where_it_is():
    assert problems({"endpoints": {"a": {"address": "a.example", "interval": "x"}}}) == [
        (
            "the mapping",
            "endpoints.a.interval: 'x' is no time; "
            "write a number of seconds, or '30s', '5m', '2h', '14d'",
        )
    ]


def test_two_documents_that_contradict_each_other_are_told(folder):
    for name, interval in (("a", 20), ("b", 30)):
        (folder / f"{name}.toml").write_text(
            f'[defaults]\ninterval = {interval}\n[endpoints]\n{name} = "{name}.example"\n'
        )

    assert problems("a.toml", "b.toml") == [
        ("b.toml:2", "defaults.interval: 30.0, but 20.0 at a.toml:2; remove one of them")
    ]


def test_a_name_that_two_documents_use_is_told(folder):
    for name in ("a", "b"):
        (folder / f"{name}.toml").write_text(
            f'[endpoints]\nx = "{name}.example"\n[channels.y]\nurl = "https://x.example"\n'
        )

    assert problems("a.toml", "b.toml") == [
        ("b.toml:2", "'x' is already at a.toml:2; remove one, or rename it"),
        ("b.toml:3", "channels.y: it is already at a.toml:3; rename one of them"),
    ]


def test_a_long_circle_of_dependencies_is_told_once_with_its_way(folder):
    (folder / "monitor.toml").write_text(
        "".join(
            f'[endpoints.{name}]\naddress = "{name}.example"\ndepends_on = "{other}"\n'
            for name, other in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))
        )
    )

    [(_, message)] = problems("monitor.toml")

    assert re.search("it depends on itself: '.' on '.' on '.' on '.'$", message)


def test_what_could_not_be_read_is_not_missed_elsewhere(folder):
    (folder / "monitor.toml").write_text(
        '[endpoints.a]\naddress = "a..example"\n[endpoints.b]\naddress = "b.example"\n'
        'depends_on = "a"\nalerts = "c"\n[channels.c]\nurl = 3\n'
    )

    assert [where for where, _ in problems("monitor.toml")] == ["monitor.toml:2", "monitor.toml:8"]


def test_what_is_wrong_with_defaults_is_told_there_and_once(folder):
    (folder / "monitor.toml").write_text(
        '[defaults]\nusername = "u"\nalerts = "x"\n'
        '[endpoints.a]\naddress = "a.example"\ninterval = 30\n[endpoints]\nb = "b.example"\n'
    )

    assert [(where, message.partition(":")[0]) for where, message in problems("monitor.toml")] == [
        ("monitor.toml:2", "defaults.username"),
        ("monitor.toml:3", "defaults.alerts"),
    ]


def test_a_folder_and_a_file_that_may_not_be_read_are_told(folder):
    (folder / "inner.txt").mkdir()

    assert problems("inner.txt") == [("inner.txt", "this is a folder; name the files in it")]


def test_a_word_that_is_nearly_the_name_of_a_file_is_not_taken_for_a_host(folder):
    (folder / "sites.txt").write_text("a.example\n")

    assert problems("sites", " ") == [
        ("argument 1", "there is no file 'sites'; did you mean 'sites.txt'?"),
        ("argument 2", "it is blank; write an address or the name of a file"),
    ]
    assert [*sources.read("router").endpoints] == ["router"]


def test_nothing_to_watch_is_told():
    assert problems() == [
        ("sources", "no endpoint is said; write an address, such as 'example.com'")
    ]
    assert problems("-", stdin="# nothing\n")


def test_a_source_of_another_kind_is_told():
    assert problems(3) == [("source 1", "3 is no file, address or mapping")]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_lines(data):
    try:
        sources.read("-", stdin=data, environ={})
    except sources.PlanError as error:
        assert error.problems
        assert all(where and message for where, message in error.problems)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["address", "interval", "status", "headers", "json", "command", "at", "lists", "url", "x"]
)


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.sampled_from([*documented.TABLES, "x"]),
        VALUES | st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES, max_size=3)),
        max_size=3,
    )
)
def test_any_mapping_is_read_or_refused(mapping):
    try:
        sources.read(mapping, environ={})
    except sources.PlanError as error:
        assert error.problems
