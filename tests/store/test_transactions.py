"""A transaction is kept as a whole, or brought back as a whole."""

import collections
import contextlib
import datetime
import decimal
import enum
import math

import pytest

from safepatch.store import (
    ClosedError,
    ConflictError,
    NotStorableError,
    ReadOnlyError,
    Store,
    StoreError,
    durable,
)


class PlannedError(Exception):
    pass


def test_what_a_call_wrote_is_in_the_files_when_it_returns(store, directory, tmp_path):
    """As they are at that moment, with no closing: they are copied."""
    import shutil

    durable(store)(lambda: store.root["users"].update(me={"n": 1}))()
    shutil.copytree(directory, tmp_path / "copy")

    with Store(tmp_path / "copy") as copied:
        assert copied.root == {"users": {"me": {"n": 1}}}


def test_an_exception_brings_back_everything(store, read):
    before = {"kept": {"n": [1, 2]}, "gone": {"n": 2}, "new": 3}
    store.root["c"] = {"kept": {"n": [1, 2]}, "gone": {"n": 2}, "new": 3}
    store.sync()

    @durable(store)
    def fail():
        documents = store.root["c"]
        documents["kept"]["n"].append(3)
        documents["kept"]["more"] = 1
        del documents["gone"]
        documents["new"] = 4
        documents["added"] = 5
        store.root["other"]["x"] = 6
        raise PlannedError

    with pytest.raises(PlannedError):
        fail()

    assert {"c": before} == store.root
    assert store.stats()["rolled_back"] == 1
    assert read() == {"c": before}


@pytest.mark.parametrize("document", [{"n": [1]}, [1, [2]]])
def test_a_document_that_is_brought_back_is_the_same_object(store, document):
    """So who refers to it still sees what is stored."""
    store.root["c"]["k"] = document

    with pytest.raises(PlannedError), store.transaction():
        store.root["c"]["k"].clear()
        store.root["c"]["k"] = "another"
        raise PlannedError

    assert store.root["c"]["k"] is document
    assert document in ({"n": [1]}, [1, [2]])


def test_a_block_is_a_transaction(store, read):
    with store.transaction():
        store.root["c"]["k"] = 1
    with pytest.raises(PlannedError), store.transaction():
        store.root["c"]["k"] = 2
        raise PlannedError

    assert read() == {"c": {"k": 1}}


def test_what_was_not_changed_is_not_written(store):
    store.root["c"] = {"k": {"n": 1}}
    store.sync()
    commits = store.stats()["commits"]

    with store.transaction():
        store.root["c"]["k"]["n"] += 1
        store.root["c"]["k"]["n"] -= 1

    assert store.stats()["commits"] == commits


class TestWithin:
    """A transaction within another is part of it."""

    def test_both_are_kept_together(self, store):
        with store.transaction():
            store.root["c"]["outer"] = 1
            with store.transaction():
                store.root["c"]["inner"] = 2
            commits = store.stats()["commits"]

        assert (commits, store.stats()["commits"]) == (0, 1)
        assert store.root == {"c": {"outer": 1, "inner": 2}}

    def test_an_exception_outside_brings_back_what_was_done_inside(self, store):
        store.root["c"] = {"k": [0]}

        with pytest.raises(PlannedError), store.transaction():
            with store.transaction():
                store.root["c"]["k"].append(1)
                store.root["c"]["new"] = 2
            raise PlannedError

        assert store.root == {"c": {"k": [0]}}

    def test_an_exception_inside_brings_back_that_alone(self, store, read):
        store.root["c"] = {"k": [0]}

        with store.transaction():
            store.root["c"]["k"].append(1)
            with pytest.raises(PlannedError), store.transaction():
                store.root["c"]["k"].append(2)
                store.root["c"]["new"] = 3
                raise PlannedError
            assert store.root["c"]["k"] == [0, 1]

        assert read() == {"c": {"k": [0, 1]}}

    def test_three_deep_an_exception_in_the_middle_brings_back_the_inner_two(self, store, read):
        store.root["c"] = {"k": [0], "l": [0]}

        with store.transaction():
            store.root["c"]["k"].append(1)
            with pytest.raises(PlannedError), store.transaction():
                with store.transaction():
                    store.root["c"]["k"].append(2)
                    store.root["c"]["l"].append(2)
                raise PlannedError
            assert store.root["c"] == {"k": [0, 1], "l": [0]}

        assert read() == {"c": {"k": [0, 1], "l": [0]}}

    def test_nothing_is_held_in_the_end(self, store):
        with store.transaction(), store.transaction(), store.transaction():
            store.root["c"]["k"] = 1

        assert store.root["c"].held == {}
        assert store.root.open == {}


class TestOnlyReading:
    def test_reads(self, store):
        store.root["c"] = {"k": 1}

        assert durable(store, reads_only=True)(lambda: sum(store.root["c"].values()))() == 1

    @pytest.mark.parametrize(
        "write",
        [
            lambda root: root["c"].update(k=2),
            lambda root: root["c"].pop("k"),
            lambda root: root.__setitem__("c", {}),
            lambda root: root["new"].setdefault("k", 1),
        ],
    )
    def test_refuses_to_write_before_anything_changes(self, store, write):
        store.root["c"] = {"k": 1}

        with pytest.raises(ReadOnlyError, match="only reads"):
            durable(store, reads_only=True)(write)(store.root)

        assert store.root == {"c": {"k": 1}}

    def test_refuses_one_within_it_that_writes(self, store):
        with store.transaction(reads_only=True):
            with (
                pytest.raises(ReadOnlyError, match="within one that only reads"),
                store.transaction(),
            ):
                pass
            with store.transaction(reads_only=True):
                pass

        assert store.root.open == {}

    def test_may_be_within_one_that_writes_and_sees_what_that_did(self, store):
        with store.transaction():
            store.root["c"]["k"] = 1
            with store.transaction(reads_only=True):
                assert store.root["c"]["k"] == 1


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    pass


UNSTORABLE = [
    ({"a": [1, {"b": (1,)}]}, ["a", 1, "b"], "of type tuple"),
    ({"a": {1: 2}}, ["a"], "the key 1 is of type int"),
    ({"a": {Text("k"): 2}}, ["a"], "the key 'k' is of type Text"),
    ({1, 2}, [], "of type set"),
    ([math.nan], [0], "not finite"),
    (math.inf, [], "not finite"),
    (1 << 64, [], "more than 64 bits"),
    ([-(1 << 63) - 1], [0], "more than 64 bits"),
    (Colour.RED, [], "of type Colour"),
    ({"t": Text("x")}, ["t"], "of type Text"),
    (collections.OrderedDict(a=1), [], "of type OrderedDict"),
    (collections.defaultdict(list), [], "of type defaultdict"),
    (b"bytes", [], "of type bytes"),
    (decimal.Decimal(1), [], "of type Decimal"),
    (datetime.date(2024, 1, 1), [], "of type date"),
    (object, [], "of type type"),
    ("\ud800", [], "has half a character"),
    ({"\ud800": 1}, [], "has half a character"),
]


@pytest.mark.parametrize(("document", "path", "found"), UNSTORABLE)
def test_what_cannot_be_stored_is_refused_with_its_path(store, read, document, path, found):
    with pytest.raises(NotStorableError, match=found) as raised, store.transaction():
        store.root["c"]["good"] = 1
        store.root["c"]["bad"] = document

    assert (raised.value.collection, raised.value.key, raised.value.path) == ("c", "bad", path)
    assert isinstance(raised.value, TypeError)
    assert read() == {}


def test_a_document_that_contains_itself_is_refused(store):
    document = []
    document.append(document)

    with pytest.raises(NotStorableError, match="contains itself"), store.transaction():
        store.root["c"]["k"] = document


def test_the_path_is_written_as_one_writes_it(store):
    with pytest.raises(NotStorableError, match=r"cannot store root\['c'\]\['k'\]\['a'\]\[0\]: "):
        durable(store)(lambda: store.root["c"].update(k={"a": [{1}]}))()


def test_a_transaction_that_is_too_large_is_refused_and_brought_back(store, monkeypatch):
    monkeypatch.setattr(store.opened(), "most", 1000)

    with pytest.raises(StoreError, match="the most is 1000"), store.transaction():
        store.root["c"]["k"] = "x" * 1000

    assert store.root == {}


def test_what_was_changed_outside_and_is_too_large_is_told_and_left(store, monkeypatch):
    monkeypatch.setattr(store.opened(), "most", 1000)
    store.root["c"]["k"] = "x" * 1000

    with pytest.raises(StoreError, match="the most is 1000"):
        store.sync()

    store.root["c"]["k"] = "x"
    assert store.sync() == [("c", "k")]


def test_writing_outside_to_what_a_transaction_holds_conflicts(store):
    """In one thread this takes greenlets; here the open transaction is made another's."""
    store.root["c"]["k"] = 1
    with store.transaction():
        store.root["c"]["k"]
        [(who, transaction)] = store.root.open.items()
        del store.root.open[who]
        store.root.open["somebody else"] = transaction
        try:
            with pytest.raises(ConflictError) as raised:
                store.root["c"]["k"] = 2
        finally:
            del store.root.open["somebody else"]
            store.root.open[who] = transaction

    assert (raised.value.collection, raised.value.key) == ("c", "k")
    assert store.root["c"]["k"] == 1


def test_one_that_reads_what_was_changed_outside_of_one_writes_it(store, read):
    documents = store.root["c"]
    with store.transaction():
        documents.update(changed=[1], gone=2)
    documents["changed"].append(3)
    documents["new"] = 4
    del documents["gone"]

    with store.transaction():
        shown = [documents.get(key) for key in ("changed", "new", "gone")]

    assert shown == [[1, 3], 4, None]
    assert store.sync() == []  # there is nothing left to be found
    assert read() == {"c": {"changed": [1, 3], "new": 4}}


def nested(levels):
    document = []
    for _ in range(levels - 1):
        document = [document]
    return document


def test_what_is_nested_as_deep_as_can_be_comes_back_wherever_the_store_is_opened(store):
    with store.transaction():
        store.root["c"]["k"] = nested(500)
    store.close()

    def reopened(depth):
        if depth:
            return reopened(depth - 1)
        with store:
            return store.root["c"]["k"]

    assert repr(reopened(300)) == repr(nested(500))  # `==` would need more of the stack


def test_what_is_nested_deeper_is_refused(store):
    with pytest.raises(NotStorableError, match="more than 500 levels"), store.transaction():
        store.root["c"]["k"] = nested(501)

    assert store.root == {}


@pytest.mark.parametrize("how", ["block", "call"])
def test_one_that_is_interrupted_before_its_commit_is_brought_back(store, monkeypatch, how):
    def put(value):
        if how == "call":
            durable(store)(store.root["c"].__setitem__)("k", value)
            return
        with store.transaction():
            store.root["c"]["k"] = value

    def interrupted(*begun):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store.opened(), "commit", interrupted)  # as the first thing that it does
        with pytest.raises(KeyboardInterrupt):
            put(1)

    assert store.root == {}
    assert store.stats()["open"] == 0
    put(2)
    assert store.sync() == []  # for it was no part of the one that was interrupted


def test_one_object_under_two_keys_is_brought_back_under_both(store):
    c = store.root["c"]
    with store.transaction():
        c["a"] = c["b"] = {"n": 0}

    with pytest.raises(LookupError), store.transaction():
        c["a"]["n"] = 1
        c["b"]["n"] += 1
        raise LookupError
    with store.transaction():
        c["new"] = c["a"]
        with contextlib.suppress(LookupError), store.transaction():
            c["a"]["n"] = 7
            c["new"]["n"] = 8
            raise LookupError

    assert c == {"a": {"n": 0}, "b": {"n": 0}, "new": {"n": 0}}


def test_a_transaction_that_ends_before_one_within_it_is_refused(store, read):
    """As of generators that yield in one, or are left amid it."""
    c = store.root["c"]

    def generator(key):
        with store.transaction():
            c[key] = 1
            yield key

    first, second = generator("a"), generator("b")
    next(first)
    next(second)
    with pytest.raises(StoreError, match="a transaction within this one is still open"):
        next(first)
    with pytest.raises(ClosedError, match="the one around it has ended"):
        next(second)
    with pytest.raises(StoreError, match="a transaction within this one is still open"):
        [*durable(store)(generator)("c")]

    assert (c, store.stats()["open"]) == ({}, 0)
    with store.transaction():
        c["d"] = 1
    assert read() == {"c": {"d": 1}}


@pytest.mark.parametrize("look", ["[]", "get", "in", "pop"])
def test_a_key_of_a_subclass_of_text_finds_the_document(store, read, look):
    with store.transaction():
        store.root["users"]["me"] = {"n": 1}
    key = Text("me")
    users = store.root["users"]

    with store.transaction():
        found = {"[]": users.__getitem__, "get": users.get, "in": users.__contains__}
        assert found.get(look, users.pop)(key) in ({"n": 1}, True)
        if look == "[]":
            users[key]["n"] += 1

    assert read() == {"[]": {"users": {"me": {"n": 2}}}, "pop": {}}.get(
        look, {"users": {"me": {"n": 1}}}
    )


class Odd:
    def __repr__(self):
        raise PlannedError


@pytest.mark.parametrize("value", [10**5000, Odd()], ids=["an int", "an object"])
def test_what_cannot_even_be_shown_is_refused_and_keeps_nothing_else_from_the_disk(store, value):
    store.root["a"]["k"] = 1
    store.root["b"] = {"bad": {"a": [value]}, "good": 2}
    store.root["c"]["k"] = 3

    with pytest.raises(NotStorableError) as raised:
        store.sync()

    assert raised.value.path == ["a", 0]
    store.root["b"].pop("bad")
    assert store.sync() == []


SAME_BYTES = [
    ([1], (1,)),
    ([1], {1}),
    (1, Colour.RED),
    ({"a": 1}, collections.defaultdict(int, a=1)),
    ("x", Text("x")),
]


@pytest.mark.parametrize(("before", "after"), SAME_BYTES)
def test_what_has_the_same_bytes_and_would_come_back_otherwise_is_refused(store, before, after):
    with store.transaction():
        store.root["c"]["k"] = {"v": before}

    with pytest.raises(NotStorableError) as raised, store.transaction():
        store.root["c"]["k"]["v"] = after

    assert raised.value.path == ["v"]
    assert type(store.root["c"]["k"]["v"]) is type(before)


def test_one_within_another_does_not_make_storable_what_is_not(store, read):
    with pytest.raises(NotStorableError, match="tuple"), store.transaction():
        store.root["c"]["k"] = {"v": (1,)}
        with contextlib.suppress(PlannedError), store.transaction():
            store.root["c"]["k"]["w"] = 1
            raise PlannedError

    assert read() == {}


def test_the_path_leads_to_a_text_within_a_document(store):
    with pytest.raises(NotStorableError) as raised, store.transaction():
        store.root["c"]["k"] = {"a": [1, {"b": "\ud800"}]}

    assert raised.value.path == ["a", 1, "b"]


def test_a_document_is_not_blamed_for_a_stack_that_is_full(store):
    document = []
    for _ in range(300):
        document = [document]

    def deep(levels):
        if levels:
            deep(levels - 1)
        else:
            durable(store)(lambda: store.root["c"].update(k=document))()

    with contextlib.suppress(RecursionError):  # which Python 3.12 has at another depth
        deep(750)
    deep(0)

    assert store.root["c"]["k"] == document


def test_a_block_is_for_one_transaction(store, read):
    block = store.transaction()
    with block:
        store.root["c"]["k"] = 1
        with pytest.raises(StoreError, match=r"call store.transaction\(\) for each block"), block:
            pass
    with pytest.raises(StoreError, match="for each block"), block:
        pass

    assert read() == {"c": {"k": 1}}
