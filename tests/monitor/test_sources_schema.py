"""The JSON schema of a monitor's file, that the package has for editors."""

import importlib.resources
import json
import tomllib

import jsonschema
import msgspec
import pytest

pytest.importorskip("httptools", reason="paths into JSON need the extra `monitor`")

from test_sources import WHOLE
from test_sources_wrong import WRONG

from safepatch.monitor import plan
from safepatch.monitor.sources import schema, tables
from safepatch.monitor.sources.said import SAID

SHIPPED = importlib.resources.files("safepatch") / "monitor.schema.json"


@pytest.fixture(scope="module")
def validator():
    read = json.loads(SHIPPED.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(read)
    return jsonschema.Draft7Validator(read)


def test_the_schema_that_is_shipped_is_that_of_the_structs():
    """If not: python -m safepatch.monitor.sources.schema > safepatch/monitor.schema.json"""
    assert SHIPPED.read_text(encoding="utf-8") == schema.text()


@pytest.mark.parametrize("struct", ["Options", "Settings", "Channel", "Window", "Restart"])
def test_every_key_is_in_it_and_explained(struct):
    also = {"lists"} if struct == "Settings" else set()

    assert SAID[struct].keys() == tables.known(getattr(plan, struct)).keys() | also


def plain(value):
    """As editors see it: times are texts."""
    return json.loads(json.dumps(value, default=str))


def test_all_that_can_be_said_is_valid(validator):
    validator.validate(plain(tomllib.loads(WHOLE)))


@pytest.mark.parametrize("struct", ["Options", "Settings", "Channel", "Window", "Restart"])
def test_what_is_so_without_being_said_may_be_said(validator, struct):
    """But for null, which TOML does not have."""
    said = msgspec.to_builtins(getattr(plan, struct)())
    said = {key: value for key, value in said.items() if key != "name" and value is not None}
    table = {"Options": "defaults", "Settings": "monitor"}.get(struct)

    validator.validate(plain({table: said} if table else {f"{struct.lower()}s": {"it": said}}))


# What only reading tells: what goes together, which names and files there are, and what texts mean.
NOT_SEEN = (
    "is no number to go by",
    "longer than",
    "did you mean 'GET'?",
    "did you mean 'POST'?",
    "is no method",
    "of a header",
    "more than one line",
    "is there already as",
    "is set by the monitor",
    "'TOKEN'",
    "environment variable",
    "did you mean '200-299'?",
    "is blank",
    "as well",
    "no regular expression",
    "is no path",
    "JSON",
    "not in 0..50",
    "not in 1..100000",
    "not in 1..1000",
    "go together",
    "did you mean 'ours.pem'?",
    "did you mean 'sites.txt'?",
    "it needs a certificate",
    "with verify",
    "name of a host",
    "of a resolver",
    "network",
    "'10.0.0.0/8'",
    "did you mean 'shop'?",
    "one word",
    "there is no",
    "depends on itself",
    "has no use",
    "it is for",
    "there is none",
    "has blanks",
    "write 'beat://a'",
    "of mail",
    "begins with",
    "say one of",
    "are said",
    "with its scheme",
    "no channel",
    "say ",
    "did you mean [",
    "chmod",
    "no endpoint has",
    "is not above 0",
    "time zone",
    "did you mean 'Europe/Berlin'?",
    "longer than a week",
    "date and time",
    "not after the start",
    "they are for",
    "host and port",
    "did you mean '127.0.0.1:8787'?",
    "http:// or https://",
    "two dots",
    "is no server",
    "smtp_password_env",
    "no smtp",
    "source of its own",
    "is no TOML",
    "is no time; ",
    "Apprise",
    "is one text; did you",
    "did you mean 'sun'?",
    "stands for itself",
    "in quotes",
    "nothing leads to",
    "there are only",
    "is no Redis",
    "a file of another name",
    "mail is sent by",
    "ports are from",
)


@pytest.mark.parametrize(("text", "told"), WRONG.items())
def test_a_wrong_key_or_type_is_not_valid(validator, text, told):
    if any(reason in told for reason in NOT_SEEN):
        return

    assert not validator.is_valid(plain(tomllib.loads(text)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"monitor": {"titel": "x"}},
        {"endpoints": {"a": 3}},
        {"endpoints": {"a": {"address": 3}}},
        {"endpoints": {"a": {"interval": "30"}}},
        {"endpoints": {"a": {"interval": -1}}},
        {"endpoints": {"a": {"status": 99}}},
        {"endpoints": {"a": {"status": ["2XX"]}}},
        {"endpoints": {"a": {"headers": {"A": 3}}}},
        {"endpoints": {"a": {"starttls": None}}},
        {"defaults": {"address": "a"}},
        {"channels": {"a": {"events": ["dwn"]}}},
        {"windows": {"a": {"days": "monday"}}},
        {"restarts": {"a": {"dry_run": "yes"}}},
        {"monitors": {}},
    ],
)
def test_what_no_reader_takes_is_not_valid(validator, wrong):
    assert not validator.is_valid(wrong)
