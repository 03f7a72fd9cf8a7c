"""What is looked for in an answer's body."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("gevent", reason="needs the extra `monitor`")

from safepatch.monitor.checks.bodies import expect, value_at
from safepatch.monitor.courses import CheckError
from safepatch.monitor.plan import Options

DOCUMENT = {
    "status": "ok",
    "data": {"items": [{"name": "a"}, {"name": "b", "a.b": 1, 'say "hi"': 2}], "n": 3},
    "on": True,
    "": "empty",
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "ok"),
        ("data.items[0].name", "a"),
        ("data.items[-1].name", "b"),
        ('data.items[1]["a.b"]', 1),
        ('data["items"][1]["say \\"hi\\""]', 2),
        ('[""]', "empty"),
        ("data.n", 3),
        ("", DOCUMENT),
    ],
)
def test_a_path_leads_to_a_value(path, value):
    assert value_at(DOCUMENT, path) == value


def test_a_path_may_begin_with_a_place_in_a_list():
    assert value_at([[1, 2], [3]], "[0][1]") == 2


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("data.item", "content", 'it has no data.item: data is {"items": [{"name": "a"}'),
        ("data.items[2]", "content", "it has no data.items[2]: data.items is ["),
        ("status.x", "content", 'it has no status.x: status is "ok"'),
        ("data[0]", "content", "it has no data[0]: data is {"),
        ("data.items.name", "content", "it has no data.items.name: data.items is ["),
        ("nothing", "content", "it has no nothing: the document is {"),
        ("data..items", "internal", "'data..items' is no path into JSON, from '..items' on"),
        (".data", "internal", "no path into JSON, from '.data' on"),
        ("data[x]", "internal", "no path into JSON, from '[x]' on"),
        ("data[0]items", "internal", "a dot is missing before items"),
        ("data items", "internal", "no path into JSON, from ' items' on"),
        ("data.items[", "internal", "from '[' on"),
    ],
)
def test_a_path_that_leads_nowhere_says_how_far_it_leads(path, error, message):
    with pytest.raises(CheckError) as caught:
        value_at(DOCUMENT, path)

    assert caught.value.error == error
    assert message in caught.value.message


KEYS = st.one_of(st.text(max_size=5), st.integers(0, 2))


@given(st.lists(KEYS, max_size=5), st.booleans())
def test_every_value_of_every_document_can_be_reached(keys, is_negative):
    document = leaf = object()
    path = ""
    for key in reversed(keys):
        document = {key: document} if isinstance(key, str) else [None] * key + [document]
    for key in keys:
        place = -1 if is_negative else key
        path += f"[{json.dumps(key)}]" if isinstance(key, str) else f"[{place}]"

    assert value_at(document, path) is leaf


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contains": ("ok", "data")}, ""),
        ({"contains": ("ok", "absent")}, "'absent' is not in it; it begins with '{\"status\":"),
        ({"lacks": ("error",)}, ""),
        ({"lacks": ("status",)}, '\'status\' is in it: \'{"status": "ok", '),
        ({"matches": r'"status":\s*"(ok|fine)"'}, ""),
        ({"matches": "^nothing$"}, "'^nothing$' matches nothing in it; it begins with"),
        ({"json": {"status": "ok", "data.n": 3, "on": True}}, ""),
        ({"json": {"data.n": 4}}, "data.n is 3, not 4"),
        ({"json": {"data.n": "3"}}, 'data.n is 3, not "3"'),
        ({"json": {"on": 1}}, "on is true, not 1"),
        ({"json": {"data.n": 3.0}}, ""),
        ({"json": {"data.items[0]": {"name": "a"}}}, ""),
        ({"json": {"data.items[0]": {}}}, 'data.items[0] is {"name": "a"}, not {}'),
    ],
)
def test_a_body_is_as_expected_or_it_is_said_why_not(options, message):
    text = json.dumps(DOCUMENT)
    if not message:
        expect(text, Options(**options))
        return

    with pytest.raises(CheckError) as caught:
        expect(text, Options(**options))
    assert caught.value.error == "content"
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("text", ["", "<html>", "[" * 100_000, '{"a": 1', "\0"])
def test_what_is_no_json_is_no_reason_to_fail_otherwise(text):
    with pytest.raises(CheckError) as caught:
        expect(text, Options(json={"a": 1}))
    assert caught.value.error == "content"
    assert caught.value.message.startswith("it is no JSON (")


def test_a_wrong_regular_expression_is_named():
    with pytest.raises(CheckError, match=r"'\(' is no regular expression: missing") as caught:
        expect("", Options(matches="("))
    assert caught.value.error == "internal"


@pytest.mark.parametrize("pattern", ["(a+)+$b", "a+b"])
def test_a_regular_expression_may_not_hold_up_all_other_checks(pattern):
    before = time.process_time()
    with pytest.raises(CheckError, match=r"took longer than 0\.1 s") as caught:
        expect("a" * 200_000, Options(matches=pattern))

    assert caught.value.error == "internal"
    assert time.process_time() - before < 0.5


def test_messages_quote_no_more_than_the_beginning():
    with pytest.raises(CheckError) as caught:
        expect("x\n" * 10_000, Options(contains=("y",)))
    assert len(caught.value.message) < 200
