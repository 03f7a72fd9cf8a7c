"""The root and its collections are dicts, and every way to a document tells the transaction."""

import copy
import json
import pickle

import pytest

from safepatch.store import durable

DOCUMENTS = {"a": {"n": 1}, "b": {"n": 2}}


def test_a_missing_collection_reads_as_empty_and_appears_on_its_first_write(store):
    users = store.root["users"]

    assert (len(users), list(users), users.get("me")) == (0, [], None)
    assert ("users" in store.root, list(store.root), len(store.root)) == (False, [], 0)

    users["me"] = {}

    assert ("users" in store.root, list(store.root)) == (True, ["users"])
    assert store.root["users"] is users


def test_an_emptied_collection_is_missing(store):
    store.root["users"]["me"] = {}
    del store.root["users"]["me"]

    assert "users" not in store.root
    assert store.root == {}


def test_collections_compare_print_and_copy_as_dicts(store):
    store.root["users"] = DOCUMENTS
    users = store.root["users"]

    assert store.root == {"users": DOCUMENTS}
    assert users == DOCUMENTS
    assert repr(users) == repr(DOCUMENTS)
    assert repr(store.root) == repr({"users": DOCUMENTS})
    assert json.loads(json.dumps(store.root)) == {"users": DOCUMENTS}
    assert isinstance(users, dict)
    for copied in (users.copy(), dict(users), {**users}, copy.copy(users), copy.deepcopy(users)):
        assert type(copied) is dict
        assert copied == DOCUMENTS
    assert type(pickle.loads(pickle.dumps(users))) is dict


def test_equal_collections_are_not_unequal(store):
    store.root["c"]["k"] = 1

    assert not store.root != {"c": {"k": 1}}  # noqa: SIM202
    assert not store.root["c"] != {"k": 1}  # noqa: SIM202
    assert store.root != {}


def test_a_mapping_that_is_assigned_takes_the_place_of_all_documents(store):
    users = store.root["users"]
    users["old"] = 1

    store.root["users"] = DOCUMENTS

    assert store.root["users"] is users
    assert users == DOCUMENTS


def test_collections_are_removed_by_del_pop_popitem_and_clear(store):
    for name in "wxyz":
        store.root[name]["k"] = 1

    del store.root["w"]
    assert store.root.pop("x") == {"k": 1}
    assert store.root.popitem() == ("z", {"k": 1})
    store.root.clear()

    assert store.root == {}
    assert store.root.pop("x", None) is None
    with pytest.raises(KeyError):
        store.root.pop("x")
    with pytest.raises(KeyError):
        store.root.popitem()
    with pytest.raises(KeyError):
        del store.root["x"]


@pytest.mark.parametrize("name", [1, None, b"users"])
def test_names_of_collections_are_texts(store, name):
    with pytest.raises(TypeError, match="names are of type str"):
        store.root[name]


def test_what_the_store_notes_for_itself_cannot_be_replaced(store):
    for replace in (store.root.__setitem__, lambda *item: store.root.update([item])):
        with pytest.raises(TypeError, match="not empty"):
            replace("", {"migrations": 7})

    assert store.sync() == []


@pytest.mark.parametrize("key", [1, None, b"me", ("me",)])
def test_keys_of_documents_are_texts(store, key):
    with pytest.raises(TypeError, match=r"for 'users'; keys are of type str"):
        store.root["users"][key] = {}


def test_a_single_value_is_no_collection(store):
    with pytest.raises(TypeError, match=r"root\['count'\]\['value'\] = "):
        store.root["count"] = 5


WAYS = {
    "[]": lambda users: users["a"],
    "get": lambda users: users.get("a"),
    "values": lambda users: next(iter(users.values())),
    "items": lambda users: dict(users.items())["a"],
    "setdefault": lambda users: users.setdefault("a", {}),
    "copy": lambda users: users.copy()["a"],
    "dict()": lambda users: dict(users)["a"],
    "**": lambda users: {**users}["a"],
    "|": lambda users: (users | {})["a"],
    "| of others": lambda users: ({} | users)["a"],
    "copy.copy": lambda users: copy.copy(users)["a"],
    "match": lambda users: _matched(users),
}


def _matched(users):
    match users:
        case {"a": document}:
            return document


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_a_document_tells_the_transaction(store, read, way):
    store.root["users"] = {"a": {"n": 1}, "b": {"n": 2}}
    store.sync()

    @durable(store)
    def change():
        WAYS[way](store.root["users"])["n"] = 99

    change()

    assert read()["users"]["a"] == {"n": 99}


REMOVALS = {
    "del": lambda users: users.__delitem__("b"),
    "pop": lambda users: users.pop("b"),
    "popitem": lambda users: users.popitem(),
    "clear and set": lambda users: (users.clear(), users.__setitem__("a", {"n": 1})),
    "assign": lambda users: users.update({"a": {"n": 1}}) or users.pop("b"),
}


@pytest.mark.parametrize("way", REMOVALS)
def test_every_way_to_remove_a_document_is_kept(store, read, way):
    store.root["users"] = DOCUMENTS
    store.sync()

    durable(store)(lambda: REMOVALS[way](store.root["users"]) and None)()

    assert read()["users"] == {"a": {"n": 1}}


@pytest.mark.parametrize(
    "way", [lambda users, new: users.update(new), lambda users, new: users.__ior__(new)]
)
def test_every_way_to_add_documents_is_kept(store, read, way):
    durable(store)(lambda: way(store.root["users"], DOCUMENTS) and None)()

    assert read()["users"] == DOCUMENTS


def test_in_place_union_of_a_collection_keeps_the_collection(store):
    users = store.root["users"]

    store.root["users"] |= DOCUMENTS

    assert store.root["users"] is users
    assert users == DOCUMENTS


def test_keys_come_in_the_order_of_their_first_write_also_after_opening(store, read):
    @durable(store)
    def add(key):
        store.root["users"][key] = len(store.root["users"])

    for key in "cabcd":
        add(key)

    assert list(read()["users"]) == list("cabd")


def test_the_root_gives_and_sets_defaults_as_a_dict_does(store, read):
    assert store.root.get("limits", "none") == "none"
    assert store.root.get("limits") == {}

    assert store.root.setdefault("limits", {"n": 5}) is store.root["limits"]
    assert store.root.setdefault("limits", {"n": 6}) == {"n": 5}
    assert store.root.get("limits", "none") == {"n": 5}
    assert store.root.setdefault("empty") == {}
    assert read() == {"limits": {"n": 5}}


def test_a_collection_may_be_looked_for_while_somebody_iterates_over_the_root(store):
    store.root.update({name: {"k": 1} for name in "abc"})

    assert [store.root[f"index of {name}"] for name in store.root] == [{}] * 3
