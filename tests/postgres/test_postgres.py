"""A store in PostgreSQL keeps what it promises."""

import pytest

from safepatch.store import (
    ClosedError,
    CorruptError,
    FailedError,
    LockedError,
    Store,
    StoreError,
    durable,
)


def test_what_was_written_is_there_again(store, read):
    documents = {
        "dict": {"b": 1, "a": [1, 2.0, -0.0, 1e300, None, True, {"": ""}]},
        "list": [],
        "text": "\0 \x1f \x7f \\ \" / \u2028 \U0001f600 é",
        "integers": [2**64 - 1, -(2**63), 0],
        "floats": [0.1, 5e-324, 1.7976931348623157e308, 1e16, 100.0],
        "none": None,
        "true": True,
        "deep": [[[[[[{"a": [[[[]]]]}]]]]]],
    }
    with store.transaction():
        store.root["c"] = documents
        store.root["other\0\\0"]["key\0\\\\0 \n\t'\"{},"] = 1
        store.root["c"]["x" * 100_000] = "a long key"
    store.close()
    found = read()

    assert found == {
        "c": {**documents, "x" * 100_000: "a long key"},
        "other\0\\0": {"key\0\\\\0 \n\t'\"{},": 1},
    }
    assert repr(found["c"]["dict"]) == repr(documents["dict"])
    assert repr(found["c"]["floats"]) == repr(documents["floats"])
