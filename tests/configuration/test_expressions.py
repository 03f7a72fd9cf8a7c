"""Patches written in one line: what can be read, and that nothing of it is evaluated."""

import keyword
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepatch import ConfigError
from safepatch.expressions import Use, parse_decorators, parse_patch

READ = {
    "log_calls": [Use("log_calls")],
    "log_calls()": [Use("log_calls", called=True)],
    "ttl_cache(ttl=60), log_calls": [
        Use("ttl_cache", (), {"ttl": 60}, called=True),
        Use("log_calls"),
    ],
    "mypkg.patches:decorator": [Use("mypkg.patches:decorator")],
    "mypkg:Class.method(1, 'a, b', x=-1.5)": [
        Use("mypkg:Class.method", (1, "a, b"), {"x": -1.5}, called=True)
    ],
    'retry(on=("requests:ConnectionError", "m:E"), timeout=None)': [
        Use(
            "retry",
            (),
            {"on": ("requests:ConnectionError", "m:E"), "timeout": None},
            called=True,
        )
    ],
    "d(a=[1, 2], b={'object': 'm:f'}, c=True,),": [
        Use("d", (), {"a": [1, 2], "b": {"object": "m:f"}, "c": True}, called=True)
    ],
    " d ( a\n= 1 ) # as it is in a list": [Use("d", (), {"a": 1}, called=True)],
}


@pytest.mark.parametrize(("text", "expected"), READ.items())
def test_decorators_are_read_as_they_are_written(text, expected):
    assert parse_decorators(text) == expected


def test_a_patch_is_a_target_and_its_decorators():
    assert parse_patch("socket:getaddrinfo = ttl_cache(ttl=60)") == (
        "socket:getaddrinfo",
        [Use("ttl_cache", (), {"ttl": 60}, called=True)],
    )


# What was written is what is read.

WORDS = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,7}", fullmatch=True).filter(
    lambda word: not keyword.iskeyword(word)
)
PATHS = st.lists(WORDS, min_size=1, max_size=3).map(".".join)
NAMES = st.one_of(WORDS, st.tuples(PATHS, PATHS).map(":".join))
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    ),
    max_leaves=6,
)
USES = st.one_of(
    NAMES.map(Use),
    st.tuples(
        NAMES,
        st.lists(VALUES, max_size=2).map(tuple),
        st.dictionaries(WORDS, VALUES, max_size=3),
        st.just(True),
    ).map(Use._make),
)


def written(use):
    if not use.called:
        return use.use
    options = [f"{name}={value!r}" for name, value in use.options.items()]
    return f"{use.use}({', '.join([*map(repr, use.arguments), *options])})"


@settings(max_examples=50)
@given(st.lists(USES, min_size=1, max_size=3))
def test_every_decorator_can_be_written_and_read(uses):
    assert parse_decorators(", ".join(map(written, uses))) == uses


@settings(max_examples=30)
@given(NAMES, USES)
def test_every_patch_can_be_written_and_read(target, use):
    assert parse_patch(f"{target}={written(use)}") == (target, [use])


# Nothing is evaluated.

HOSTILE = [
    "__import__('os').system('touch harmed')",
    "ttl_cache(ttl=__import__('os').system('touch harmed'))",
    "ttl_cache(ttl=open('harmed', 'w'))",
    "ttl_cache(ttl=[open('harmed', 'w') for _ in 'a'])",
    "ttl_cache(ttl=f\"{open('harmed', 'w')}\")",
    "ttl_cache(ttl=(lambda: open('harmed', 'w'))())",
    "ttl_cache(*[1])",
    "ttl_cache(**{'ttl': 60})",
    "ttl_cache(ttl=1, ttl=2)",
    "ttl_cache(ttl:=60)",
    "ttl_cache(ttl=60)(open)",
    "ttl_cache(ttl=60).__class__",
    "log_calls] + _[count_calls",
    "log_calls] or [open('harmed', 'w')",
    "log_calls][count_calls",
    "a:b:c",
    ":b",
    "a:",
    "(lambda: 0)",
    "a if b else c",
    "ttl_cache(ttl=60",
    "ttl_cache ttl=60",
    "",
    ",",
    "\0",
    "\udc80",
    "ttl_cache(ttl=" + "(" * 5000 + ")" * 5000 + ")",
    "ttl_cache(ttl=" + "-" * 5000 + "1)",
    "ttl_cache(ttl=" + "9" * 5000 + ")",
    "ttl_cache(ttl={[]: 1})",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:30]))
def test_what_is_no_decorator_is_refused_and_not_evaluated(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=r"^cannot read the decorators "):
        parse_decorators(text)

    assert os.listdir(tmp_path) == []


@given(st.text(alphabet="ab_:.,=()[]{}'\"*# \n\\01", max_size=30))
def test_any_text_is_read_or_refused_with_an_error_of_ours(text):
    try:
        uses = parse_decorators(text)
    except ConfigError:
        return

    assert all(isinstance(use, Use) for use in uses)


SAID = {
    "ttl_cache(ttl=60": (
        "cannot read the decorators 'ttl_cache(ttl=60': "
        "its brackets do not match; "
        "write them as 'ttl_cache(ttl=60), package.module:decorator'"
    ),
    "ttl_cache(ttl=seconds)": (
        "cannot read the decorators 'ttl_cache(ttl=seconds)': seconds is no plain value; "
        "write them as 'ttl_cache(ttl=60), package.module:decorator'"
    ),
    "ttl_cache(ttl=1, ttl=2)": (
        "cannot read the decorators 'ttl_cache(ttl=1, ttl=2)': ttl is given twice; "
        "write them as 'ttl_cache(ttl=60), package.module:decorator'"
    ),
    "a(**{})": (
        "cannot read the decorators 'a(**{})': **{} is no option; "
        "write them as 'ttl_cache(ttl=60), package.module:decorator'"
    ),
    "a:b:c": (
        "cannot read the decorators 'a:b:c': a module and a name have one colon between them; "
        "write them as 'ttl_cache(ttl=60), package.module:decorator'"
    ),
    "a-b": (
        "cannot read the decorators 'a-b': a - b is no name; "
        "write them as 'ttl_cache(ttl=60), package.module:decorator'"
    ),
}


@pytest.mark.parametrize(("text", "expected"), SAID.items())
def test_the_error_says_what_cannot_be_read_and_how_to_write_it(text, expected):
    with pytest.raises(ConfigError) as caught:
        parse_decorators(text)

    assert str(caught.value) == expected


@pytest.mark.parametrize("text", ["socket:getaddrinfo", "=log_calls", ""])
def test_a_patch_needs_a_target_and_a_decorator(text):
    with pytest.raises(ConfigError) as caught:
        parse_patch(text)

    assert str(caught.value) == (
        f"{text!r} is no patch; write it as 'module:function=decorator(option=value)'"
    )
