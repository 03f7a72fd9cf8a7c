"""The JSON schema that the package has for editors."""

import importlib.resources
import inspect
import json
import tomllib

import jsonschema
import pytest
from test_config import MADE
from test_config_wrong import WRONG
from test_startup import BOTH

from safepatch import catalogue, config, schema
from safepatch.decorators import ttl_cache

SHIPPED = importlib.resources.files("safepatch") / "safepatch.schema.json"


@pytest.fixture(scope="module")
def validator():
    read = json.loads(SHIPPED.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(read)
    return jsonschema.Draft7Validator(read)


def accepts(validator, text):
    return validator.is_valid(tomllib.loads(text))


def patch(**keys):
    it = {"target": "corner_shop:price", "decorators": ["count_calls"], **keys}
    return {"patches": {"it": it}}


def test_the_schema_that_is_shipped_is_that_of_the_real_signatures():
    """If not: python -m safepatch.schema > safepatch/safepatch.schema.json"""
    assert SHIPPED.read_text(encoding="utf-8") == schema.text()


def test_every_option_of_our_decorators_is_in_it():
    tables = {
        one["properties"]["use"]["const"]: one["properties"].keys() - {"use"}
        for one in schema.schema()["definitions"]["decorator"]["anyOf"]
        if "const" in one.get("properties", {}).get("use", {})
    }

    assert [*tables] == catalogue.names()
    for name, options in tables.items():
        parameters = inspect.signature(catalogue.find(name)).parameters
        assert options == parameters.keys() - {"wrapped"}


def test_every_key_of_a_patch_is_explained_in_it():
    known = schema.schema()["definitions"]["patch"]["properties"]

    assert known.keys() == config.config_tables._ALL.keys()
    assert all(value.get("description") for value in known.values())


GOOD = [
    "",
    BOTH,
    *(
        f'[patches.it]\ntarget = "corner_shop:price"\ndecorators = {decorators}'
        for decorators, _ in MADE.values()
    ),
    "[patches.dns-cache]",
    "[patches.dns-cache]\nenabled = false\nwith = {ttl = 60}",
    '[patches.mine]\nrecipe = "dns-cache"\ndepends_on = ["m:f"]\nuntil = "requests>=3"',
]


@pytest.mark.parametrize("text", GOOD)
def test_what_can_be_configured_is_valid(validator, project, text):
    project.configure(text)
    config.load()

    assert accepts(validator, text)


@pytest.mark.parametrize("text", GOOD)
def test_the_table_in_a_pyproject_is_valid_as_well(validator, text):
    text = text.replace("[patches", "[tool.safepatch.patches")
    table = tomllib.loads(text).get("tool", {}).get("safepatch", {})

    validator.validate(table)


# Only reading it tells: what a text says, how large a number is, what goes together, and which
# recipes there are.
NOT_SEEN = (
    "is below 0",
    "is no fingerprint",
    "is no signature",
    "is no name; give",
    "goes with when='now'",
    "cannot read the decorators",
    "is not one decorator",
    "there is no decorator 'xyz'",  # which may be an expression
    "ttl_cache has no option 'tl'",
    "got ttl=0",
    "got neither",
    "needs the option",
    "takes its options by name",
    "no package offers",
    "the recipe 'dns-cache'",
    "is no recipe",
    "got ttl=-3",
    "cannot find",
    "takes no options",
)


@pytest.mark.parametrize(("text", "expected"), WRONG.items())
def test_a_wrong_key_or_type_is_not_valid(validator, text, expected):
    said = expected if isinstance(expected, str) else expected[0]
    if accepts(validator, text):
        assert any(reason in said for reason in NOT_SEEN)


@pytest.mark.parametrize(
    "decorator",
    [
        {"use": "ttl_cache", "tl": 60},
        {"use": "retry"},
        {"use": "tl_cache", "ttl": 60},
        {"use": "ttl_cache", "ttl": "60"},
        {"use": "rate_limit", "rate": 1, "on_limit": "rise"},
        {"ttl": 60},
        3,
    ],
)
def test_a_wrong_decorator_is_not_valid(validator, decorator):
    assert not validator.is_valid(patch(decorators=[decorator]))
    assert validator.is_valid(patch(decorators=[{"use": "ttl_cache", "ttl": 60}]))


def test_a_decorator_is_explained_in_it():
    [table] = [
        one
        for one in schema.schema()["definitions"]["decorator"]["anyOf"]
        if one.get("properties", {}).get("use") == {"const": "ttl_cache"}
    ]

    assert table["description"] == inspect.getdoc(ttl_cache).partition("\n")[0]
