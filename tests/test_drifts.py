"""How a signature changed, in words."""

import pytest

from safepatch.drifts import signature_in_words, unified_diff
from safepatch.looks import Look

WORDS = [
    ("a b", "a", "parameter 'b' is gone"),
    ("a", "a b", "parameter 'b' is new, positional or keyword, and required"),
    ("a", "a b=1", "parameter 'b' is new, positional or keyword, by default 1"),
    ("a", "a * b=1", "parameter 'b' is new, keyword-only, by default 1"),
    ("a", "a **more", "parameter '**more' is new"),
    ("a *rest", "a", "parameter '*rest' is gone"),
    ("a=1", "a=2", "'a' is 2 by default, was 1"),
    ("a=1", "a", "'a' is required, and was 1 by default"),
    ("a", "a=1", "'a' is 1 by default, and was required"),
    ("a b", "a * b", "'b' is keyword-only, was positional or keyword"),
    ("a", "a /", "'a' is positional-only, was positional or keyword"),
    ("a b", "b a", "the order is b, a, was a, b"),
    ("* a b", "* b a", ""),
    ("a *rest b", "a *rest b", ""),
    ("a *rest b", "a b", "parameter '*rest' is gone; "
     "'b' is positional or keyword, was keyword-only"),
    ("a b", "a c=1", "parameter 'b' is gone; "
     "parameter 'c' is new, positional or keyword, by default 1"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "now", "words"), WORDS)
def test_what_changed_is_told_parameter_by_parameter(before, now, words):
    assert "; ".join(signature_in_words((*before.split(),), (*now.split(),))) == words


def test_a_default_may_have_an_equals_sign_in_it():
    assert [*signature_in_words(("a='x=1'",), ("a='x=2'",))] == [
        "'a' is 'x=2' by default, was 'x=1'"
    ]


def test_a_signature_that_comes_or_goes_is_told():
    assert [*signature_in_words(("a",), None)] == ["it can be read no more"]
    assert [*signature_in_words(None, ("a", "b"))] == ["it is (a, b), was unknown"]


def test_a_diff_has_targets_and_versions_at_its_head():
    before, now = (
        Look("parcel", version, None, None, f"def f():\n    return {version}\n")
        for version in ("1", "2")
    )

    assert unified_diff("parcel:f", before, now) == [
        "--- parcel:f (parcel 1)",
        "+++ parcel:f (parcel 2)",
        "@@ -1,2 +1,2 @@",
        " def f():",
        "-    return 1",
        "+    return 2",
    ]
