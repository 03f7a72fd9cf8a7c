"""`safepatch store` on every engine that needs no server."""

import json

import pytest
from histories import USERS

from safepatch.store import Store
from safepatch.store.engines import addresses


def _is_known(address):
    try:
        Store(address)
    except ValueError:
        return False
    return True


ADDRESSES = [address for address in ("new", "sqlite:///new.db") if _is_known(address)]


@pytest.mark.parametrize("address", ADDRESSES)
def test_documents_go_in_and_come_out(run, state, address):
    assert run("copy", state, address) == (
        0, f"copied 3 documents from {state} to {address}\n", "",
    )  # fmt: skip

    assert json.loads(run("get", address, "users")[1]) == USERS
    assert run("query", address, "users", "--where", "age>9", "--count")[1] == "1\n"
    assert run("dump", address)[1] == run("dump", state)[1]
    assert run("verify", address)[0] == 0
    assert json.loads(run("inspect", address, "--json")[1])["documents"] == {"users": 3}
    assert run("copy", address, "back")[0] == 0
    assert run("dump", "back")[1] == run("dump", state)[1]


@pytest.mark.parametrize("address", ADDRESSES)
def test_nothing_is_overwritten_unless_it_is_told_to(run, state, address):
    run("copy", state, address)

    assert run("copy", state, address)[0] == 2
    assert run("copy", state, address, "--overwrite")[0] == 0


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("command", [["get", "users"], ["dump"], ["verify"], ["copy", "other"]])
def test_while_it_is_open_it_is_left_alone(run, address, command):
    name, *more = command
    with Store(address, every=0) as store:
        store.root["users"]["a"] = 1

        code, printed, complaints = run(name, address, *more)

    assert (code, printed) == (2, "")
    assert "it is open already" in complaints
    assert complaints.count("\n") == 1


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("command", [["get", "users"], ["dump"], ["verify"], ["inspect"]])
def test_where_none_is_none_is_made(run, tmp_path, address, command):
    name, *more = command

    assert "there is no store at" in run(name, address, *more)[2]
    assert [*tmp_path.iterdir()] == []


def test_a_password_is_not_shown():
    assert addresses.shown("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"
    assert addresses.shown("postgresql://me@host:5432/db") == "postgresql://me@host:5432/db"
    assert addresses.shown("sqlite:////a:b@c") == "sqlite:////a:b@c"
