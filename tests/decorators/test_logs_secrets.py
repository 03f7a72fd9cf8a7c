"""What log_calls hides, and what it shows still."""

import dataclasses
import functools
import json
import logging
import types
import urllib.parse
from collections import OrderedDict, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepatch.decorators import log_calls


class WorkError(Exception):
    pass


@pytest.fixture
def log(caplog):
    caplog.set_level("DEBUG", logger="calls")
    return caplog


def logged(log, function, *args, hide=(), **kwargs):
    """Call a function under log_calls; the record of the one call."""
    log.clear()
    log_calls(function, logger="calls", hide=hide)(*args, **kwargs)
    [record] = log.records
    return record


@dataclasses.dataclass
class Login:
    user: str
    password: str


LEAK = "hunter2"


@pytest.mark.parametrize(
    "call",
    [
        lambda log: logged(log, lambda password: 0, LEAK),
        lambda log: logged(log, lambda *, api_key: 0, api_key=LEAK),
        lambda log: logged(log, lambda apiKey: 0, LEAK),  # noqa: N803
        lambda log: logged(log, lambda **options: 0, Token=LEAK),
        lambda log: logged(log, lambda pin, pan: 0, LEAK, pan=LEAK, hide=["pin", "pan"]),
        lambda log: logged(log, lambda pin: 0, LEAK, hide="pin"),
        lambda log: logged(log, lambda headers: 0, {"Authorization": f"Bearer {LEAK}"}),
        lambda log: logged(log, lambda headers: 0, {b"Cookie": LEAK.encode()}),
        lambda log: logged(log, lambda headers: 0, [("Authorization", f"Basic {LEAK}")]),
        lambda log: logged(log, lambda data: 0, {"login": {"passwd": [LEAK]}}),
        lambda log: logged(log, lambda data: 0, {"pin": LEAK}, hide=["pin"]),
        lambda log: logged(log, lambda url: 0, f"https://host/?access_token={LEAK}&page=1"),
        lambda log: logged(log, lambda text: 0, f"Authorization: Bearer {LEAK}"),
        lambda log: logged(log, lambda json: 0, f'{{"secret": "{LEAK} {LEAK}"}}'),
        lambda log: logged(log, lambda login: 0, Login("me", LEAK)),
        lambda log: logged(log, lambda logins: 0, [Login("me", f"it's {LEAK}")]),
        lambda log: logged(log, lambda data: 0, LEAK.encode()),
        lambda log: logged(
            log, lambda data: 0, deque([f"'\\{LEAK}".encode(), f'"{LEAK}'.encode()])
        ),
        lambda log: logged(log, lambda: Login("me", LEAK)),
        lambda log: logged(log, get_token),
        lambda log: logged(log, functools.partial(get_token)),
        lambda log: logged(log, lambda SMTP_PASS, pass_, sid: 0, LEAK, LEAK, LEAK),  # noqa: N803
        lambda log: logged(log, lambda **names: 0, passcode=LEAK, cred=LEAK, csrf=LEAK, totp=LEAK),
        lambda log: logged(log, lambda environ: 0, {"PHPSESSID": LEAK, "DB_PASS": LEAK}),
        lambda log: logged(log, lambda url: 0, f"https://host/?sig={LEAK}&page=1"),
        lambda log: logged(log, lambda name, value: 0, "DB_PASSWORD", LEAK),
        lambda log: logged(log, lambda name: LEAK, "DB_PASSWORD"),
        lambda log: logged(log, lambda section, **options: LEAK, "db", option="password"),
        lambda log: logged(log, lambda section, **options: 0, "db", name="token", value=LEAK),
        lambda log: logged(log, lambda headers: 0, [{"name": "x-api-key", "value": LEAK}]),
        lambda log: logged(log, lambda data: 0, {"db.password.old": LEAK}),
        lambda log: logged(log, lambda data: 0, {"user[password]": LEAK}),
        lambda log: logged(log, lambda data: 0, {"user password": LEAK}),
        lambda log: logged(log, lambda data: 0, {("db", "password"): LEAK}),
        lambda log: logged(log, lambda data: 0, {"card.pin": LEAK}, hide=["card.pin"]),
        lambda log: logged(log, lambda data: 0, {"card.pin.old": LEAK}, hide=["pin"]),
        lambda log: logged(log, lambda data: 0, ["--password", LEAK]),
        lambda log: logged(log, lambda data: 0, ("token", 1, LEAK)),
        lambda log: logged(log, lambda data: 0, OrderedDict(password=LEAK)),
        lambda log: logged(log, lambda data: 0, {"password": LEAK}.items()),
        lambda log: logged(log, lambda data: 0, deque([("a", 1), ("password", LEAK)])),
        lambda log: logged(log, lambda data: 0, deque([{"password": {"a": [1, LEAK]}}])),
        lambda log: logged(log, lambda text: 0, str({"password": LEAK, "note": "it's"})),
        lambda log: logged(log, lambda text: 0, json.dumps({"password": f'a"{LEAK}'})),
        lambda log: logged(log, lambda text: 0, json.dumps({"user[password]": LEAK})),
        lambda log: logged(log, lambda text: 0, json.dumps({"user password": LEAK})),
        lambda log: logged(log, lambda text: 0, json.dumps({"a": json.dumps({"pwd": LEAK})})),
        lambda log: logged(log, lambda text: 0, repr(json.dumps({"password": f"'\"{LEAK}"}))),
        lambda log: logged(log, lambda text: 0, json.dumps({"password": [LEAK]}, indent=1)),
        lambda log: logged(log, lambda text: 0, f"Authorization: Token {LEAK}"),
        lambda log: logged(log, lambda text: 0, f"Cookie: a=b; session={LEAK}"),
        lambda log: logged(log, lambda text: 0, f"pin = {LEAK}", hide=["pin"]),
        lambda log: logged(log, lambda text: 0, f"password =>\n{LEAK}"),
        lambda log: logged(log, lambda text: 0, f"password (of 'me'): {LEAK}"),
        lambda log: logged(log, lambda text: 0, f"<password>{LEAK}</password>"),
        lambda log: logged(log, lambda command: 0, f"curl --password {LEAK} -v"),
        lambda log: logged(log, lambda command: 0, f"curl -token '{LEAK} {LEAK}'"),
        lambda log: logged(log, lambda command: 0, f"curl --api-key-file  {LEAK}"),
        lambda log: logged(log, lambda url: 0, f"https://me:{LEAK}@host/path?page=1"),
        lambda log: logged(log, lambda url: 0, f"https://me:a@{LEAK}/{LEAK}@host/path"),
        lambda log: logged(log, lambda url: 0, f"https://{LEAK}@host/path"),
        lambda log: logged(log, lambda url: 0, f"redis://:{LEAK}@host and more"),
        lambda log: logged(log, lambda urls: 0, deque([f"redis://:{LEAK}@host"])),
        lambda log: logged(log, lambda url: 0, f"https://me:{LEAK}{'x' * 1000}@host"),
        lambda log: logged(log, lambda url: 0, f"https://h/?q=%7B%22pwd%22%3A%22{LEAK}%22%7D&a=1"),
        lambda log: logged(log, lambda url: 0, f"https://h/?name=password&value={LEAK}&a=1"),
        lambda log: logged(log, lambda url: 0, f"https://h/?user%5Bpassword%5D={LEAK}&a=1"),
        lambda log: logged(log, lambda url: 0, f"https://password={LEAK},host=h/a?b=1"),
        lambda log: logged(log, lambda url: 0, f"https://h/token?code={LEAK}"),
        lambda log: logged(log, lambda url: 0, f"https://h/?a=1#access_token={LEAK}"),
        lambda log: logged(log, lambda text: 0, f"got Bearer {LEAK}"),
        lambda log: logged(log, lambda pem: 0, f"-----BEGIN EC PRIVATE KEY-----\n{LEAK}\n-----END"),
        lambda log: logged(log, lambda otp, user_pw: 0, LEAK, LEAK),
        lambda log: logged(log, lambda text: 0, deque([f"a\npin: {LEAK}"]), hide=["pin"]),
        lambda log: logged(log, lambda text: 0, f"a%5Bpin%5D={LEAK}", hide=["pin"]),
        lambda log: logged(log, lambda error: 0, WorkError({"password": f"it's \"{LEAK}"})),
    ],
)
def test_what_is_named_like_a_secret_is_not_shown(log, call):
    record = call(log)

    assert LEAK not in repr(vars(record))
    assert LEAK not in record.getMessage()
    assert "***" in record.getMessage() or "bytes>" in record.getMessage()


def test_a_text_about_a_secret_hides_nothing_of_what_comes_after_it(log):
    record = logged(
        log,
        lambda message, url, headers, count: 0,
        "no token",
        "https://host/?key=1",
        {"Authorization": "Bearer", "Accept": "json"},
        5,
    )

    assert record.call_arguments == {
        "message": "'no token'",
        "url": "'https://host/?key=***'",
        "headers": "{'Authorization': ***, 'Accept': 'json'}",
        "count": "5",
    }


def get_token():
    return LEAK


def test_the_text_of_an_error_hides_secrets_too(log):
    @log_calls(logger="calls")
    def fail():
        raise WorkError(f"refused token={LEAK}")

    with pytest.raises(WorkError, match=LEAK):
        fail()

    assert LEAK not in log.messages[0]


def test_what_is_not_named_like_a_secret_is_shown(log):
    def order(keyword, author, url):
        return "ok"

    record = logged(log, order, "a", "b", "https://host/?page=1&monday=2")

    assert record.call_arguments == {
        "keyword": "'a'",
        "author": "'b'",
        "url": "'https://host/?page=1&monday=2'",
    }


@pytest.mark.parametrize(
    "text",
    [
        "https://host/keyboards?page=1",
        "<Monkey 5>",
        "the token was refused",
        "passed=5, passive: 1, bypass=2, side=1, signal: 2, accredited=3",
        "KeyError('host', 'port')",
        "spinning: 5",
        "author=me, authors=[us]",
        "monkey=1, turkey: 5, Tokenizer(words=9)",
        "https://auth.host/path?page=1",
        "https://host:80/path?mail=me",
        "mailto:me@host",
    ],
)
def test_a_text_without_the_value_of_a_secret_is_shown(log, text):
    record = logged(log, lambda text: 0, text, hide=["pin"])

    assert record.call_arguments == {"text": repr(text)}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"user=me, token={LEAK}, host=h", "user=me, token=***"),
        (f"curl --password {LEAK} https://host", "curl --password ***"),
        (f"see https://me:{LEAK}@host/path", "see https://me:***@host/path"),
        (f"https://host/?page=1&token={LEAK}&user=me", "https://host/?page=1&token=***&user=me"),
        (f"https://host/?pwd={LEAK}&pwd={LEAK}#top", "https://host/?pwd=***&pwd=***#top"),
        (
            f"https://auth.host/reset-token/{LEAK}?page=1",
            "https://auth.host/reset-token/***?page=1",
        ),
        (f"https://host/v1;key={LEAK}/a?page=1", "https://host/v1;key=***?page=1"),
        (f"https://{LEAK}@host/?page=1", "https://***@host/?page=1"),
    ],
)
def test_a_text_is_shown_up_to_the_value_of_a_secret_and_a_url_also_after_it(log, text, shown):
    assert logged(log, lambda text: 0, text).call_arguments == {"text": repr(shown)}


def test_a_long_text_of_names_is_searched_in_no_time(log):
    for part in ("key", "key ", "key.[", "key'", "-key", "://", "://a:", "%3", "-"):
        text = logged(log, lambda text: 0, part * 10**6).call_arguments["text"]

        assert text.endswith(("...", "***@'"))


# Whatever the secret is, wherever it is

NAMES = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "x_", "my-", "user.", "db["]),
    st.sampled_from(
        ["password", "Passwd", "API_KEY", "apiKey", "token", "Authorization", "Set-Cookie", "pin"]
    ),
    st.sampled_from(["", "2", "-old", ".a", "]"]),
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
#: A secret with LEAK all over it, so that no part of it goes unseen.
SECRETS = st.lists(WORDS, min_size=1, max_size=4).map(lambda words: LEAK.join(["", *words, ""]))

IN_A_VALUE = [
    lambda name, secret: {name: secret},
    lambda name, secret: {"a": 1, name.encode(): [secret, {"b": secret}]},
    lambda name, secret: {name: {"a": secret}},
    lambda name, secret: [(name, secret), ("a", 1)],
    lambda name, secret: [name, secret],
    lambda name, secret: OrderedDict({"a": 1, name: secret}),
    lambda name, secret: types.SimpleNamespace(a=1, b={name: secret}),
    lambda name, secret: Login("me", secret),
    lambda name, secret: WorkError({name: secret}),
    lambda name, secret: secret.encode(),
]
IN_A_TEXT = [
    lambda name, secret: f"{name}={secret}",
    lambda name, secret: f"{name}: {secret}",
    lambda name, secret: f"{name}: Bearer {secret}",
    lambda name, secret: f"--{name}={secret}",
    lambda name, secret: str({"a": 1, name: secret}),
    lambda name, secret: json.dumps({"a": 1, name: [secret], "b": 2}),
    lambda name, secret: json.dumps({"a": json.dumps({name: secret})}),
    lambda name, secret: urllib.parse.urlencode({"a": 1, name: secret, "b": 2}),
    lambda name, secret: f"?{urllib.parse.urlencode({name: secret})} and more",
    lambda name, secret: f"https://h/?{urllib.parse.urlencode({'a': 1, name: secret, 'b': 2})}",
    lambda name, secret: f"https://h/?q={urllib.parse.quote(json.dumps({name: secret}))}&b=2",
    lambda name, secret: f"https://me:{urllib.parse.quote(secret, safe='')}@h/{name}",
    lambda name, secret: f"https://{urllib.parse.quote(secret, safe='')}@h/?a={name}",
]
AROUND = [
    lambda value: value,
    lambda value: [1, value],
    lambda value: {"a": value},
    lambda value: {"a": [({"b": value},)]},
    lambda value: deque([value]),
    lambda value: types.SimpleNamespace(value=value),
    lambda value: WorkError("no", value),
]


def everything(record):
    """All that may come out of a record."""
    plain = logging.Formatter("%(message)s %(args)s %(call_arguments)s %(call_result)s")
    return "\n".join([plain.format(record), repr(vars(record)), json.dumps(vars(record))])


@given(data=st.data())
@settings(max_examples=150)
def test_a_secret_under_its_name_is_nowhere_in_the_record(data):
    name, secret = data.draw(NAMES), data.draw(SECRETS)
    if data.draw(st.booleans()):
        value = data.draw(st.sampled_from(IN_A_VALUE))(name, secret)
    else:
        before = data.draw(
            st.sampled_from(["", "curl ", "a\n", "\x07", "x" * 90, "https://host:80/ ", "'", '{"'])
        )
        value = before + data.draw(st.sampled_from(IN_A_TEXT))(name, secret)
    value = data.draw(st.sampled_from(AROUND))(value)
    records = []
    logger = logging.Logger("calls", "DEBUG")
    logger.addFilter(lambda record: records.append(record))

    shown = log_calls(lambda value, **kwargs: value, logger=logger, hide=["pin"])
    shown(value, **{name: secret, "more": value})

    assert LEAK not in everything(records[0])
    assert records[0].call_arguments.keys() == {"value", "kwargs"}
